"""The ways in which the reference registers datastores of Azure.

A secret that is given (an account's key, a password) is not stored: what is stored is the name of the environment variable
that has it, as in ``account_key=os.environ["BLOB_KEY"]``. ``"env:BLOB_KEY"`` says the same without the value, and
``connection=`` names an Airflow connection instead.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airflow_ml_pipelines.core.errors import DefinitionError, WorkspaceError
from dag_factory._check import checked, core_of, expect
from dag_factory.ports.bases import AnyDatastore

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.workspaces.registry import DatastoreSpec
    from dag_factory.workspace import Workspace

__all__ = ["AzureDatabases", "AzureDatastores"]

_D = TypeVar("_D", bound=AnyDatastore)
_PREFIX = "env:"
_CLOUD = "core.windows.net"


class AzureDatastores(AnyDatastore):
    """The class methods of :class:`~dag_factory.Datastore` that register what is on Azure."""

    @classmethod
    @checked
    def register_azure_blob_container(
        cls,
        workspace: Workspace,
        datastore_name: str,
        container_name: str,
        account_name: str,
        sas_token: str | None = None,
        account_key: str | None = None,
        protocol: str | None = None,
        endpoint: str | None = None,
        overwrite: bool = False,
        create_if_not_exists: bool = False,
        skip_validation: bool = False,
        blob_cache_timeout: int | None = None,  # noqa: ARG003
        grant_workspace_access: bool = False,  # noqa: ARG003
        subscription_id: str | None = None,  # noqa: ARG003
        resource_group: str | None = None,  # noqa: ARG003
        *,
        connection: str | None = None,
    ) -> Self:
        """Register a container of Azure Blob storage.

        :param protocol: ``https``, or ``http``.
        :param endpoint: the end of the host's name, ``core.windows.net`` if left out; or a URL, such as that of a server
            for tests, with the account in it.
        :param overwrite: whether to replace a datastore of this name.
        :param create_if_not_exists: not supported: the container has to be there.
        :param skip_validation: whether to register it without a look at the container.
        :param connection: the id of an Airflow connection that has the credentials.
        :raises WorkspaceError: where a secret is in no environment variable, the container can't be listed, or there is
            another datastore of this name.
        """
        where = "Datastore.register_azure_blob_container"
        if create_if_not_exists:
            raise DefinitionError(
                f"{where}: create_if_not_exists=True is not supported: make the container {container_name!r} first"
            )
        spec = _spec(
            where,
            datastore_name,
            _blob_url(container_name, account_name, protocol, endpoint),
            options=_blob_options(account_name, protocol, endpoint),
            secrets={"account_key": account_key, "sas_token": sas_token},
            connection=connection,
        )
        return _register(cls, where, workspace, spec, overwrite=overwrite, validate=not skip_validation)

    @classmethod
    @checked
    def register_azure_data_lake_gen2(
        cls,
        workspace: Workspace,
        datastore_name: str,
        filesystem: str,
        account_name: str,
        tenant_id: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        resource_url: str | None = None,  # noqa: ARG003
        authority_url: str | None = None,  # noqa: ARG003
        protocol: str | None = None,
        endpoint: str | None = None,
        overwrite: bool = False,
        subscription_id: str | None = None,  # noqa: ARG003
        resource_group: str | None = None,  # noqa: ARG003
        grant_workspace_access: bool = False,  # noqa: ARG003
        *,
        connection: str | None = None,
    ) -> Self:
        """Register a file system of a Data Lake Gen2, opened by a service principal.

        The other arguments are those of :meth:`register_azure_blob_container`.
        """
        where = "Datastore.register_azure_data_lake_gen2"
        options = {"tenant_id": tenant_id, "client_id": client_id}
        spec = _spec(
            where,
            datastore_name,
            _blob_url(filesystem, account_name, protocol, endpoint),
            options={**_blob_options(account_name, protocol, endpoint), **options},
            secrets={"client_secret": client_secret},
            connection=connection,
        )
        return _register(cls, where, workspace, spec, overwrite=overwrite)

    @classmethod
    @checked
    def register_azure_file_share(
        cls,
        workspace: Workspace,
        datastore_name: str,
        file_share_name: str,
        account_name: str,
        sas_token: str | None = None,  # noqa: ARG003
        account_key: str | None = None,  # noqa: ARG003
        protocol: str | None = None,  # noqa: ARG003
        endpoint: str | None = None,  # noqa: ARG003
        overwrite: bool = False,
        create_if_not_exists: bool = False,  # noqa: ARG003
        skip_validation: bool = False,
        *,
        mount_point: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Register a file share of Azure, by the folder at which it is mounted.

        :param mount_point: the folder on every machine that runs steps. The key is the mount's own business.
        :raises DefinitionError: where no folder is given.
        """
        where = "Datastore.register_azure_file_share"
        if mount_point is None:
            raise DefinitionError(
                f"{where}: a share is used where it is mounted: mount {file_share_name!r} of {account_name!r} (SMB or NFS) "
                "on every machine that runs steps, and give mount_point='/the/folder'"
            )
        folder = os.path.abspath(mount_point)
        if not skip_validation and not os.path.isdir(folder):
            raise WorkspaceError(
                f"{where}: there is no folder {folder} here; skip_validation=True registers it anyway"
            )
        spec = _spec(where, datastore_name, folder)
        return _register(cls, where, workspace, spec, overwrite=overwrite)

    @classmethod
    def register_azure_data_lake(cls, *_: Any, **__: Any) -> Self:
        """Say that there is no Data Lake Gen1 any more: Azure has ended it in 2024."""
        raise DefinitionError(
            "Datastore.register_azure_data_lake: Azure has ended Data Lake Storage Gen1 in February 2024: move the data, and "
            "use register_azure_data_lake_gen2"
        )


class AzureDatabases(AnyDatastore):
    """The class methods of :class:`~dag_factory.Datastore` that register databases on Azure, or anywhere else."""

    @classmethod
    @checked
    def register_azure_postgre_sql(
        cls,
        workspace: Workspace,
        datastore_name: str,
        server_name: str,
        database_name: str,
        user_id: str | None = None,
        user_password: str | None = None,
        port_number: int | str | None = None,
        endpoint: str | None = None,
        overwrite: bool = False,
        enforce_ssl: bool = True,
        *,
        connection: str | None = None,
    ) -> Self:
        """Register a PostgreSQL database.

        :param server_name: of Azure, or a host's name or address.
        :param endpoint: the end of the host's name, ``postgres.database.azure.com`` if left out.
        :param overwrite: whether to replace a datastore of this name.
        :param connection: the id of an Airflow connection that has user and password.
        :raises WorkspaceError: where the password is in no environment variable, or there is another datastore of this
            name.
        """
        where = "Datastore.register_azure_postgre_sql"
        spec = _spec(
            where,
            datastore_name,
            _database_url(
                "postgresql",
                server_name,
                endpoint or "postgres.database.azure.com",
                port_number,
                database_name,
            ),
            options={"username": user_id, "sslmode": "require" if enforce_ssl else None},
            secrets={"password": user_password},
            connection=connection,
        )
        return _register(cls, where, workspace, spec, overwrite=overwrite)

    @classmethod
    @checked
    def register_azure_my_sql(
        cls,
        workspace: Workspace,
        datastore_name: str,
        server_name: str,
        database_name: str,
        user_id: str | None = None,
        user_password: str | None = None,
        port_number: int | str | None = None,
        endpoint: str | None = None,
        overwrite: bool = False,
        *,
        connection: str | None = None,
    ) -> Self:
        """Register a MySQL or MariaDB database; see :meth:`register_azure_postgre_sql`."""
        where = "Datastore.register_azure_my_sql"
        spec = _spec(
            where,
            datastore_name,
            _database_url(
                "mysql", server_name, endpoint or "mysql.database.azure.com", port_number, database_name
            ),
            options={"username": user_id},
            secrets={"password": user_password},
            connection=connection,
        )
        return _register(cls, where, workspace, spec, overwrite=overwrite)

    @classmethod
    @checked
    def register_azure_sql_database(
        cls,
        workspace: Workspace,
        datastore_name: str,
        server_name: str,
        database_name: str,
        tenant_id: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        resource_url: str | None = None,  # noqa: ARG003
        authority_url: str | None = None,  # noqa: ARG003
        endpoint: str | None = None,
        overwrite: bool = False,
        username: str | None = None,
        password: str | None = None,
        subscription_id: str | None = None,  # noqa: ARG003
        resource_group: str | None = None,  # noqa: ARG003
        grant_workspace_access: bool = False,  # noqa: ARG003
        *,
        connection: str | None = None,
    ) -> Self:
        """Register an Azure SQL database, opened by user and password; see :meth:`register_azure_postgre_sql`.

        :param tenant_id: not supported, as ``client_id`` and ``client_secret``: give a user of the database.
        """
        where = "Datastore.register_azure_sql_database"
        if tenant_id or client_id or client_secret:
            raise DefinitionError(
                f"{where}: service principals are not supported: give username= and password="
            )
        spec = _spec(
            where,
            datastore_name,
            _database_url("mssql", server_name, endpoint or "database.windows.net", None, database_name),
            options={"username": username},
            secrets={"password": password},
            connection=connection,
        )
        return _register(cls, where, workspace, spec, overwrite=overwrite)


def _database_url(kind: str, server: str, endpoint: str, port: int | str | None, database: str) -> str:
    host = server if "." in server or server == "localhost" else f"{server}.{endpoint}"
    return f"{kind}://{host}{f':{port}' if port else ''}/{database}"


def _blob_url(container: str, account: str, protocol: str | None, endpoint: str | None) -> str:
    for name, value in (("container", container), ("account", account)):
        expect(f"Datastore: {name}", value, str, what="a name")
    if (endpoint and "://" in endpoint) or protocol == "http":
        return f"abfs://{container}"
    return f"abfs://{container}@{account}.dfs.{endpoint or _CLOUD}"


def _blob_options(account: str, protocol: str | None, endpoint: str | None) -> dict[str, str]:
    if endpoint and "://" in endpoint:
        return {"account_name": account, "account_host": endpoint}
    if protocol == "http":
        return {"account_name": account, "account_host": f"http://{account}.blob.{endpoint or _CLOUD}"}
    return {}


def _spec(
    where: str,
    name: str,
    url: str,
    *,
    options: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str | None] | None = None,
    connection: str | None = None,
) -> DatastoreSpec:
    from airflow_ml_pipelines.core.workspaces.registry import DatastoreSpec

    expect(f"{where}(datastore_name=…)", name, str, what="a name")
    given = {option: value for option, value in (secrets or {}).items() if value}
    if connection and given:
        raise DefinitionError(f"{where}: give either connection= or {' and '.join(given)}, not both")
    credentials = {option: _variable(where, option, value) for option, value in given.items()}
    known = {option: value for option, value in (options or {}).items() if value is not None}
    return DatastoreSpec(name, url, known, connection, credentials)


def _variable(where: str, option: str, value: str) -> str:
    """Return the environment variable that has a secret, as ``env:NAME``.

    :raises WorkspaceError: where none has it; the text does not repeat it.
    """
    if value.startswith(_PREFIX):
        return value
    names = sorted(name for name, text in os.environ.items() if text == value)
    if not names:
        raise WorkspaceError(
            f"{where}({option}=…): secrets are never stored, and no environment variable of this process has this one: put it "
            f"into a variable, and give {option}='env:THE_VARIABLE'; or give connection='an Airflow connection'"
        )
    return _PREFIX + names[0]


def _register(
    kind: type[_D],
    where: str,
    workspace: Workspace,
    spec: DatastoreSpec,
    *,
    overwrite: bool,
    validate: bool = False,
) -> _D:
    from airflow_ml_pipelines.core.errors import StoreError
    from airflow_ml_pipelines.core.workspaces.named import spec_content

    core = core_of(f"{where}(workspace=…)", workspace)
    known = core.datastores().get(spec.name)
    if known is not None and not overwrite and spec_content(known) != spec_content(spec):
        raise WorkspaceError(
            f"{where}: there is another datastore {spec.name!r} ({known.url}): give overwrite=True to replace it, or take "
            "another name"
        )
    if validate:
        try:
            next(core.open(spec).walk(), None)
        except StoreError as error:
            raise WorkspaceError(f"{where}: {error}; skip_validation=True registers it anyway") from None
    core.register_datastore(spec)
    return kind(workspace, spec.name)

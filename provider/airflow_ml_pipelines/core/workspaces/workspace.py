"""The workspace: a root under which everything is kept, and what is known by name in it.

What the workspace file names (:mod:`airflow_ml_pipelines.workspace_file`) comes first and is fixed; what code
registers lies under the root, where every process that opens the workspace finds it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.databases.kinds import is_database
from airflow_ml_pipelines.core.documents import write_document
from airflow_ml_pipelines.core.errors import (
    ComputeTargetException,
    WorkspaceError,
    did_you_mean,
)
from airflow_ml_pipelines.core.layout import outputs_folder
from airflow_ml_pipelines.core.runs.folder import Origin
from airflow_ml_pipelines.core.spec import Data, EnvironmentSpec
from airflow_ml_pipelines.core.stores.credentials import (
    check_options,
)
from airflow_ml_pipelines.core.stores.open import open_store
from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.core.workspaces import registry
from airflow_ml_pipelines.core.workspaces.datasets import Datasets
from airflow_ml_pipelines.core.workspaces.environments import Environments
from airflow_ml_pipelines.core.workspaces.identity import find_identity, make_identity
from airflow_ml_pipelines.core.workspaces.named import FRESH, Named
from airflow_ml_pipelines.core.workspaces.registry import ComputeTargetSpec, DatasetRecord, DatastoreSpec
from airflow_ml_pipelines.core.workspaces.server import AirflowServer
from airflow_ml_pipelines.core.workspaces.stores import (
    OpenStores,
    canonical_url,
    checked_datastore,
    datastore_options,
    is_local_url,
)

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.databases.database import Database
    from airflow_ml_pipelines.core.files.statcache import StatCache

__all__ = [
    "BLOB_STORE",
    "FILE_STORE",
    "LOCAL_TARGET",
    "ComputeTargetSpec",
    "DatasetRecord",
    "DatastoreSpec",
    "Workspace",
    "default_cache_directory",
]

BLOB_STORE = "workspaceblobstore"
"""The datastore that every workspace has and that is its default, unless it says otherwise."""

FILE_STORE = "workspacefilestore"
"""The other datastore that every workspace has."""

LOCAL_TARGET = "local"
"""The compute target that every workspace has: the machine that runs the step's task."""

IdentifyImage = Callable[[ComputeTargetSpec, str], str]
"""Returns the name by digest of the image that a name stands for now, as a compute target has it."""


def default_cache_directory() -> Path:
    """Return where environments and what is known of files are kept: ``$ML_PIPELINES_CACHE``, else under the home."""
    given = os.environ.get("ML_PIPELINES_CACHE")
    return Path(given).absolute() if given else Path.home() / ".cache" / "ml-pipelines"


class Workspace:
    """A workspace. Safe to use from several threads; stores are opened when they are first used, once.

    :param root: where everything is kept; a URL or a local path, or a spec where it needs options or credentials.
    :param file: the workspace file, None where there is none.
    :param datastores: those that the file names; two more are always there, under the root.
    :param aml_compute_kind: which kind of compute target one created as ``AmlCompute`` is.
    :param server: the Airflow server that runs what is published.
    :param mlflow: the address of the MLflow server that is told what steps log.
    :param lease_seconds: how long a step that others wait for may give no sign of life.
    :param identify_image: asks compute targets for the digests of images; None where nobody can ask them.
    """

    def __init__(
        self,
        name: str,
        root: str | Path | DatastoreSpec,
        *,
        file: Path | None = None,
        datastores: Iterable[DatastoreSpec] = (),
        default_datastore: str | None = None,
        compute_targets: Iterable[ComputeTargetSpec] = (),
        default_compute_target: str = LOCAL_TARGET,
        aml_compute_kind: str = LOCAL_TARGET,
        environments: Iterable[EnvironmentSpec] = (),
        server: AirflowServer | None = None,
        mlflow: str | None = None,
        lease_seconds: float = 60,
        cache_directory: Path | None = None,
        identify_image: IdentifyImage | None = None,
    ) -> None:
        self.name = name
        self.file = file
        self.default_compute_target = default_compute_target
        self.aml_compute_kind = aml_compute_kind
        self.server = server
        self.mlflow = mlflow
        self.lease_seconds = lease_seconds
        self.cache_directory = cache_directory or default_cache_directory()
        self._identify_image = identify_image
        self._root = checked_datastore(
            root if isinstance(root, DatastoreSpec) else DatastoreSpec("root", str(root))
        )
        self._where = f"workspace {name!r} ({file or self._root.url})"
        self._lock = threading.RLock()
        self._stores = OpenStores()
        self._stat_cache: StatCache | None = None
        self._identity: str | None = None
        self._defaults: tuple[float, str | None] | None = None
        self._environments = Environments(environments, lambda: self.store, self._where)
        self._datasets = Datasets(lambda: self.store, self.find_identity, self._where)
        stores = (
            self._below_root(BLOB_STORE),
            self._below_root(FILE_STORE),
            *map(checked_datastore, datastores),
        )
        self._datastores: Named[DatastoreSpec] = Named(
            registry.DatastoreDocument,
            stores,
            lambda: self.store,
            noun="datastore",
            where=self._where,
            error=WorkspaceError,
        )
        self._compute_targets: Named[ComputeTargetSpec] = Named(
            registry.ComputeDocument,
            (ComputeTargetSpec(LOCAL_TARGET), *compute_targets),
            lambda: self.store,
            noun="compute target",
            where=self._where,
            error=ComputeTargetException,
        )
        self._default_datastore = default_datastore
        for noun, default, known in (
            ("datastore", default_datastore, self._datastores.fixed),
            ("compute target", default_compute_target, self._compute_targets.fixed),
        ):
            if default is not None and default not in known:
                raise WorkspaceError(
                    f"{self._where}: the default {noun} {default!r} is none.{did_you_mean(default, known)}"
                )

    @classmethod
    def local(cls, folder: str | Path, name: str | None = None) -> Workspace:
        """Make a workspace whose root is a local folder and that needs no file."""
        root = Path(folder).absolute()
        return cls(name or root.name or "local", root)

    def __repr__(self) -> str:
        return f"Workspace({self.name!r}, {self._root.url!r})"

    @property
    def root(self) -> DatastoreSpec:
        """Where everything is kept."""
        return self._root

    @property
    def store(self) -> Store:
        """The root."""
        return self._stores.open(self._root, "the workspace's root")

    @property
    def identity(self) -> str:
        """What tells the workspace from any other; made where it has none yet."""
        if self._identity is None:
            self._identity = make_identity(self.store)
        return self._identity

    def find_identity(self) -> str | None:
        """Return what tells the workspace from any other, None where it has nothing yet."""
        if self._identity is None:
            self._identity = find_identity(self.store)
        return self._identity

    @property
    def stat_cache(self) -> StatCache:
        """What is remembered of files that did not change."""
        from airflow_ml_pipelines.core.files.statcache import StatCache

        with self._lock:
            if self._stat_cache is None:
                self._stat_cache = StatCache(self.cache_directory / "stat")
            return self._stat_cache

    # --- datastores ----------------------------------------------------------------------------------------------

    def datastores(self) -> Mapping[str, DatastoreSpec]:
        """Return every datastore by its name."""
        return self._datastores.all()

    @property
    def declared_datastores(self) -> Mapping[str, DatastoreSpec]:
        """The datastores that are known without a look at the root."""
        return self._datastores.fixed

    def datastore_spec(self, name: str | None = None) -> DatastoreSpec:
        """Return what is known of a datastore; of the default one for None.

        :raises WorkspaceError: where there is none of that name.
        """
        return self._datastores.get(self.default_datastore if name is None else name)

    def datastore(self, name: str | None = None) -> Store:
        """Open a datastore; the default one for None.

        :raises WorkspaceError: where there is none of that name, or it can't be opened.
        """
        spec = self.datastore_spec(name)
        return self._stores.open(spec, f"datastore {spec.name!r}")

    def is_own(self, name: str) -> bool:
        """Return whether a datastore is one of those that lie under the root: no other workspace writes there."""
        return canonical_url(self.datastore_spec(name).url) == canonical_url(self._below_root(name).url)

    def outputs_folder(self, name: str) -> str:
        """Return the folder of a datastore in which attempts get folders of their own, whoever else uses it."""
        return outputs_folder(None if self.is_own(name) else self.identity)

    def database(self, name: str | None = None) -> Database:
        """Return a datastore that is a database; nothing is connected yet.

        :raises WorkspaceError: where there is none of that name, or it is no database.
        """
        spec = self.datastore_spec(name)
        what = f"datastore {spec.name!r}"
        if not is_database(spec.url):
            raise WorkspaceError(
                f"{what} is no database ({spec.url}): expected a URL such as postgresql://host/database for a query"
            )
        from airflow_ml_pipelines.core.databases.database import open_database

        return open_database(spec.url, datastore_options(spec, what), what)

    def open(self, spec: DatastoreSpec) -> Store:
        """Open a datastore that need not be registered. :raises WorkspaceError: where it can't be opened."""
        return self._stores.open(spec, f"datastore {spec.name!r}")

    def datastore_url(self, name: str | None = None) -> str:
        """Return a datastore's URL as its store has it, without opening it (which may need credentials).

        :raises WorkspaceError: where there is none of that name.
        """
        url = self.datastore_spec(name).url
        return open_store(url).url if is_local_url(url) else url

    def open_url(self, url: str) -> Store:
        """Open a store by its URL, with the credentials of the root or the datastore that has this URL, if any."""
        wanted = canonical_url(url)
        for spec in (self._root, *self.datastores().values()):
            if canonical_url(spec.url) == wanted:
                return self._stores.open(spec, f"datastore {spec.name!r}")
        return self._stores.open(DatastoreSpec(url, url), f"store {url!r}")

    def store_options(self, url: str) -> dict[str, Any]:
        """Return what the store at a URL is opened with, credentials included, for a process elsewhere.

        :raises WorkspaceError: where a connection or variable is missing.
        """
        wanted = canonical_url(url)
        for spec in (self._root, *self.datastores().values()):
            if canonical_url(spec.url) == wanted:
                return datastore_options(spec, f"datastore {spec.name!r}")
        return {}

    def register_datastore(self, spec: DatastoreSpec) -> DatastoreSpec:
        """Register a datastore, or replace a registered one; return it as it is kept (a local path is absolute).

        :raises WorkspaceError: where it has a secret in it, or the name is one that the workspace file has.
        """
        if not spec.name or not spec.url:
            raise WorkspaceError(f"a datastore needs a name and a URL to be registered: {spec}")
        absolute = spec.url if "://" in spec.url else str(Path(spec.url).absolute())
        return self._datastores.register(checked_datastore(replace(spec, url=absolute)))

    @property
    def default_datastore(self) -> str:
        """The name of the default datastore."""
        if self._default_datastore is not None:
            return self._default_datastore
        with self._lock:
            if self._defaults is None or time.monotonic() - self._defaults[0] > FRESH:
                self._defaults = (time.monotonic(), registry.read_defaults(self.store).default_datastore)
            return self._defaults[1] or BLOB_STORE

    def set_default_datastore(self, name: str) -> None:
        """Make a datastore the default one.

        :raises WorkspaceError: where there is none of that name, or the workspace file says which one it is.
        """
        self.datastore_spec(name)
        if self._default_datastore not in (None, name):
            raise WorkspaceError(
                f"{name!r} can't be made the default datastore: {self._where} says "
                f"`default_datastore: {self._default_datastore}`; change it there"
            )
        self.store.put("defaults.json", write_document(registry.DefaultsDocument(default_datastore=name)))
        with self._lock:
            self._defaults = None

    # --- compute targets -----------------------------------------------------------------------------------------

    def compute_targets(self) -> Mapping[str, ComputeTargetSpec]:
        """Return every compute target by its name."""
        return self._compute_targets.all()

    @property
    def declared_compute_targets(self) -> Mapping[str, ComputeTargetSpec]:
        """The compute targets that are known without a look at the root."""
        return self._compute_targets.fixed

    def compute_target(self, name: str | None = None) -> ComputeTargetSpec:
        """Return a compute target; the default one for None.

        :raises ComputeTargetException: where there is none of that name.
        """
        return self._compute_targets.get(self.default_compute_target if name is None else name)

    def register_compute_target(self, spec: ComputeTargetSpec) -> ComputeTargetSpec:
        """Register a compute target, or replace a registered one.

        :raises WorkspaceError: where it has a secret in it.
        :raises ComputeTargetException: where the name is one that the workspace file has.
        """
        if not spec.name or not spec.type:
            raise WorkspaceError(f"a compute target needs a name and a type to be registered: {spec}")
        check_options(spec.options, f"compute target {spec.name!r}")
        return self._compute_targets.register(spec)

    def unregister_compute_target(self, name: str) -> None:
        """Forget a registered compute target. :raises ComputeTargetException: where it was not registered."""
        self._compute_targets.unregister(name)

    def identify_image(self, image: str, target: str | None) -> str:
        """Return the name by digest of the image that a name stands for now on a compute target.

        :raises ComputeTargetException: where that can't be told.
        """
        spec = self.compute_target(target)
        if self._identify_image is None:
            raise ComputeTargetException(f"compute target {spec.name!r} can't be asked for its digest")
        return self._identify_image(spec, image)

    # --- environments --------------------------------------------------------------------------------------------

    def environments(self) -> Mapping[str, EnvironmentSpec]:
        """Return the latest version of every environment by its name."""
        return self._environments.all()

    @property
    def declared_environments(self) -> Mapping[str, EnvironmentSpec]:
        """The environments that are known without a look at the root."""
        return self._environments.fixed

    def environment(self, name: str, version: str | int | None = None) -> EnvironmentSpec:
        """Return an environment by its name, or by ``name:version``.

        A curated one of the reference (``AzureML-…``) that nobody named or registered is the interpreter that runs
        the pipeline.

        :raises WorkspaceError: where there is none of that name and version.
        """
        return self._environments.get(name, version)

    def register_environment(self, spec: EnvironmentSpec) -> EnvironmentSpec:
        """Register an environment under its name; return it with its version.

        Where it equals the latest version, it is that version.

        :raises WorkspaceError: where it has a secret in it, or the name is one that the workspace file has.
        """
        return self._environments.register(spec)

    # --- datasets ------------------------------------------------------------------------------------------------

    def datasets(self) -> Mapping[str, DatasetRecord]:
        """Return the latest version of every dataset by its name."""
        return self._datasets.all()

    def dataset_versions(self, name: str) -> list[int]:
        """Return the versions of a dataset, the oldest first; none where there is no such dataset."""
        return self._datasets.versions(name)

    def dataset(self, name: str, version: str | int | None = None) -> DatasetRecord:
        """Return a registered dataset; the latest version for None.

        :raises WorkspaceError: where there is none of that name and version.
        """
        return self._datasets.get(name, version)

    def register_dataset(
        self,
        name: str,
        data: Data,
        manifest_digest: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        files: int | None = None,
        size: int | None = None,
        origin: Origin | None = None,
    ) -> DatasetRecord:
        """Register data under a name; return the version that it is.

        Where the latest version has the same data and digest, it is that version.

        :param files: see :class:`DatasetRecord`, as for ``size`` and ``origin``.
        :raises WorkspaceError: where a URL has a secret in it, and where the data is being removed.
        """
        return self._datasets.register(
            name,
            data,
            digest=manifest_digest,
            description=description,
            tags=dict(tags or {}),
            files=files,
            size=size,
            origin=origin,
        )

    # --- inside --------------------------------------------------------------------------------------------------

    def _below_root(self, name: str) -> DatastoreSpec:
        url = self._root.url
        return replace(self._root, name=name, url=f"{url if url.endswith('/') else url + '/'}data/{name}")

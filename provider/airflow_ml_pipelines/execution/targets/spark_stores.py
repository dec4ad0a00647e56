"""What Spark needs to open stores: the rights to them on this machine, and the JARs of their file systems."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from airflow_ml_pipelines.core.databricks.rules import SECRET_REFERENCE
from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.core.stores.credentials import resolve_variables
from airflow_ml_pipelines.core.stores.obstore_options import ObjectStoreConfig, read_options
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["StoreAccess", "explain_missing", "hide_conf", "refuse_secret", "store_access"]

_VARIABLE = "SPARK_STORE_"
_OAUTH = "org.apache.hadoop.fs.azurebfs.oauth2.ClientCredsTokenProvider"
_S3_KEYS = {
    "access_key_id": "access.key",
    "secret_access_key": "secret.key",
    "session_token": "session.token",
}
_SIMPLE = "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider"
_TEMPORARY = "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider"
_SCHEMES = {
    "s3a": ("S3", "org.apache.hadoop:hadoop-aws"),
    "s3": ("S3", "org.apache.hadoop:hadoop-aws"),
    "abfs": ("Azure", "org.apache.hadoop:hadoop-azure"),
    "abfss": ("Azure", "org.apache.hadoop:hadoop-azure"),
    "wasb": ("Azure", "org.apache.hadoop:hadoop-azure"),
    "wasbs": ("Azure", "org.apache.hadoop:hadoop-azure"),
    "gs": ("Google Cloud Storage", "com.google.cloud.bigdataoss:gcs-connector"),
}
_NO_CLASS = re.compile(
    r"(?:ClassNotFoundException|NoClassDefFoundError):.*?(org[./]apache[./]hadoop[./]fs[./](s3a|azurebfs|azure)\b[\w./$]*"
    r"|(software[./]amazon|com[./]amazonaws)[\w./$]*|com[./]google[./]cloud[./]hadoop[\w./$]*)"
)
_NO_SCHEME = re.compile(r"No FileSystem for scheme[: ]+\"?(\w+)")
_UNRESOLVED = re.compile(r"unresolved dependency: ([\w.#;-]+): not found")


class StoreAccess(NamedTuple):
    """How Spark opens stores.

    :param conf: of Spark; in place of secrets it has the names of variables.
    :param variables: of the driver, with the secrets.
    """

    conf: dict[str, str]
    variables: dict[str, str]


def store_access(workspace: Workspace, urls: Iterable[str]) -> StoreAccess:
    """Return what lets Spark open stores with the rights that the workspace has for them.

    Hadoop puts variables in where a value is read, so that no secret is in a command line. It does so in the process that
    reads it, which is why this is for executors in the driver's process alone.

    :param urls: of stores.
    :raises WorkspaceError: where a connection or variable is missing.
    """
    access = StoreAccess({}, {})
    for url in sorted(set(urls)):
        config = read_options(url, dict(workspace.store_options(url)))
        if config is not None and config.kind == "s3":
            _add_s3(access, config)
        elif config is not None and config.kind == "azure":
            _add_azure(access, config)
    return access


def refuse_secret(what: str, value: str) -> None:
    """Refuse a value that names a secret of a Databricks workspace.

    :param what: how an error calls it.
    :raises DefinitionError: where it does.
    """
    if SECRET_REFERENCE.search(value):
        raise DefinitionError(
            f"{what}: {value} is a secret of a Databricks workspace, which Spark without it does not know"
        )


def hide_conf(access: StoreAccess, conf: Mapping[str, str], *, local: bool) -> dict[str, str]:
    """Return configuration in which ``env:NAME`` is replaced by what Hadoop puts that variable's value in for.

    :param access: gets the variables.
    :param local: whether executors are in the driver's own process.
    :raises DefinitionError: where a value can't be had without Databricks; the text says why.
    :raises WorkspaceError: where a variable is not set.
    """
    found = {}
    for name, value in conf.items():
        refuse_secret(f"spark_conf {name!r}", value)
        if value.startswith("env:"):
            if not (local and name.startswith("spark.hadoop.")):
                raise DefinitionError(
                    f"spark_conf {name!r}: a value from a variable would be in the command line of Spark: without Databricks, "
                    "only spark.hadoop.… can have one, and only with a local master"
                )
            found[name] = _hide(access, resolve_variables({name: value}, "spark_conf")[name])
        else:
            found[name] = value
    return found


def _add_s3(access: StoreAccess, config: ObjectStoreConfig) -> None:
    settings, top = config.settings, f"spark.hadoop.fs.s3a.bucket.{config.bucket}."
    for name, option in _S3_KEYS.items():
        if value := settings.get(name):
            access.conf[top + option] = _hide(access, str(value))
    if settings.get("access_key_id"):
        provider = _TEMPORARY if settings.get("session_token") else _SIMPLE
        access.conf[f"{top}aws.credentials.provider"] = provider
    elif settings.get("skip_signature"):
        access.conf[f"{top}aws.credentials.provider"] = (
            "org.apache.hadoop.fs.s3a.AnonymousAWSCredentialsProvider"
        )
    if endpoint := settings.get("endpoint"):
        access.conf[f"{top}endpoint"] = str(endpoint)
        access.conf[f"{top}path.style.access"] = "true"
        access.conf[f"{top}connection.ssl.enabled"] = str(not config.plain_http).lower()
    if region := settings.get("region"):
        access.conf[f"{top}endpoint.region"] = str(region)


def _add_azure(access: StoreAccess, config: ObjectStoreConfig) -> None:
    settings = config.settings
    if not settings.get("account_name"):
        return
    top, host = "spark.hadoop.fs.azure.", f"{settings['account_name']}.dfs.core.windows.net"
    if key := settings.get("account_key"):
        access.conf[f"{top}account.key.{host}"] = _hide(access, str(key))
    elif token := settings.get("sas_key"):
        access.conf[f"{top}account.auth.type.{host}"] = "SAS"
        access.conf[f"{top}sas.fixed.token.{host}"] = _hide(access, str(token).removeprefix("?"))
    elif settings.get("client_id") and settings.get("client_secret") and settings.get("tenant_id"):
        access.conf[f"{top}account.auth.type.{host}"] = "OAuth"
        access.conf[f"{top}account.oauth.provider.type.{host}"] = _OAUTH
        access.conf[f"{top}account.oauth2.client.id.{host}"] = str(settings["client_id"])
        access.conf[f"{top}account.oauth2.client.secret.{host}"] = _hide(
            access, str(settings["client_secret"])
        )
        access.conf[f"{top}account.oauth2.client.endpoint.{host}"] = (
            f"https://login.microsoftonline.com/{settings['tenant_id']}/oauth2/token"
        )


def _hide(access: StoreAccess, value: str) -> str:
    """Put a secret into a variable, and return what Hadoop replaces by it."""
    name = f"{_VARIABLE}{len(access.variables) + 1}"
    access.variables[name] = value
    return f"${{env.{name}}}"


def explain_missing(line: str) -> str | None:
    """Return what is missing where a line that Spark wrote says so, None where it does not."""
    if found := _UNRESOLVED.search(line):
        name = found[1].replace("#", ":").replace(";", ":")
        return (
            f"Spark could not get the package {name}: no repository that it asks has it, or none can be reached from this "
            "machine; name one in `repositories` of the compute target, or files in `jars`"
        )
    scheme = None
    if found := _NO_SCHEME.search(line):
        scheme = found[1]
    elif found := _NO_CLASS.search(line):
        name = found[1].replace("/", ".")
        scheme = "abfss" if ".azure" in name else "gs" if "google" in name else "s3a"
    if scheme not in _SCHEMES:
        return None
    what, package = _SCHEMES[scheme]
    return (
        f"Spark can't open {scheme}://, since the JARs for {what} are not there: give the compute target `packages: "
        f"[{package}:{_version(package)}]`, or their files as `jars`"
    )


def _version(package: str) -> str:
    """Return the version of a package that goes with the Spark that is installed: that of its Hadoop."""
    from importlib.util import find_spec

    found = find_spec("pyspark")
    home = os.environ.get("SPARK_HOME") or (os.path.dirname(found.origin) if found and found.origin else "")
    if package.startswith("org.apache.hadoop") and os.path.isdir(f"{home}/jars"):
        for name in os.listdir(f"{home}/jars"):
            if match := re.fullmatch(r"hadoop-client-api-(.+)\.jar", name):
                return match[1]
    return "<version>"

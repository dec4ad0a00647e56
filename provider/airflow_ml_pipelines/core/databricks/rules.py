"""Which parameters of a step on Spark go together; the same for Python and YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from airflow_ml_pipelines.core.spec import DatabricksSpec
from airflow_ml_pipelines.core.stores.credentials import looks_secret

__all__ = ["FORMS", "MACHINES", "SECRET_REFERENCE", "Wrong", "find_wrong", "make_databricks"]

FORMS = ("notebook_path", "python_script_path", "python_script_name", "main_class_name")
"""The parameters that say what a step runs, of which it has one."""

MACHINES = (
    "spark_version",
    "node_type",
    "instance_pool_id",
    "num_workers",
    "min_workers",
    "max_workers",
    "spark_env_variables",
    "spark_conf",
    "init_scripts",
    "cluster_log_dbfs_path",
)
"""The parameters that describe a new cluster."""

SECRET_REFERENCE = re.compile(r"\{\{secrets/[^/{}]+/[^/{}]+\}\}")
"""What Databricks itself puts a secret in for, where a cluster starts."""

_SECRET_CONF = re.compile(r"(?i)(^|\.)((account|access|secret|encryption)\.key|secret|password|token)(\.|$)")
_CLASSES = re.compile(r"(?i)\.(provider|type|class|endpoint|identifier|renewal)(\.|$)")
_INIT_SCRIPTS = ("dbfs:/", "/", "s3://", "abfss://", "gs://", "file:/")
_COPIED = (
    "main_class_name",
    "existing_cluster_id",
    "permit_cluster_restart",
    "serverless",
    *MACHINES,
    "run_name",
)
_REMOTE = (
    "dbfs:/",
    "/Volumes/",
    "/Workspace/",
    "/Shared/",
    "/Users/",
    "/Repos/",
    "s3://",
    "abfss://",
    "gs://",
)


class Wrong(NamedTuple):
    """Something that does not go together.

    :param field: the parameter that it is said of.
    """

    field: str
    message: str


def find_wrong(given: Mapping[str, Any]) -> Iterator[Wrong]:
    """Yield what is wrong with a step.

    :param given: by the names of ``DatabricksStep``'s parameters; None and empty for what was not given.
    """
    there = {name for name, value in given.items() if value not in (None, False, "", (), [], {})}
    yield from _wrong_code(given, there)
    yield from _wrong_cluster(given, there)
    yield from _wrong_serverless(given, there)
    yield from _wrong_values(given)


def _wrong_code(given: Mapping[str, Any], there: set[str]) -> Iterator[Wrong]:
    forms = [name for name in FORMS if name in there]
    if len(forms) != 1:
        found = " and ".join(forms) or "none of them"
        yield Wrong(
            forms[1] if forms else "notebook_path",
            f"expected one of {', '.join(FORMS)}, found {found}: a step runs one notebook, one script or one main class",
        )
        return
    (form,) = forms
    params = {
        "notebook_params": ("notebook_path",),
        "python_script_params": ("python_script_path", "python_script_name"),
        "jar_params": ("main_class_name",),
    }
    for name, owners in params.items():
        if name in there and form not in owners:
            right = next(other for other, forms in params.items() if form in forms)
            yield Wrong(name, f"belongs to {' or '.join(owners)}, and the step has {form}: use {right}")
    if form == "main_class_name" and not {"jar_libraries", "maven_libraries"} & there:
        yield Wrong("main_class_name", "needs the JAR that has the class: name it in jar_libraries")
    path = str(given[form])
    if form == "python_script_path" and not path.startswith(_REMOTE):
        yield Wrong(
            form,
            f"expected a path on Databricks, such as dbfs:/scripts/x.py or /Volumes/…, found {path!r}: a script of this "
            "machine is named by python_script_name and source_directory",
        )
    local = form == "python_script_name" or (form == "notebook_path" and not path.startswith("/"))
    if "source_directory" in there and not local:
        yield Wrong(
            "source_directory",
            f"has no meaning with {form} {path!r}, which lies on Databricks: leave it out, or name the code by its path "
            "in source_directory",
        )
    if local and (path.startswith("/") or ".." in path.split("/")):
        yield Wrong(form, f"{path!r} is not a path in source_directory")


def _wrong_cluster(given: Mapping[str, Any], there: set[str]) -> Iterator[Wrong]:
    new = [
        name
        for name in MACHINES
        if name in there or (name.endswith("_workers") and given.get(name) is not None)
    ]
    for one in ("existing_cluster_id", "serverless"):
        if one in there and new:
            yield Wrong(
                new[0],
                f"describes a new cluster ({', '.join(new)}), and the step has {one}: leave out one of the two",
            )
    if {"existing_cluster_id", "serverless"} <= there:
        yield Wrong("serverless", "the step has existing_cluster_id too: leave out one of the two")
    if given.get("permit_cluster_restart") is not None and "existing_cluster_id" not in there:
        yield Wrong(
            "permit_cluster_restart", "goes with existing_cluster_id alone: a new cluster is always started"
        )
    if {"node_type", "instance_pool_id"} <= there:
        yield Wrong(
            "instance_pool_id",
            "a pool has its type of machine: leave out one of node_type and instance_pool_id",
        )
    libraries = sorted(name for name in there if name.endswith("_libraries"))
    if "runconfig" in there and libraries:
        yield Wrong("runconfig", f"brings libraries, and so does {libraries[0]}: give one of the two")
    yield from _wrong_workers(given.get("num_workers"), given.get("min_workers"), given.get("max_workers"))


def _wrong_serverless(given: Mapping[str, Any], there: set[str]) -> Iterator[Wrong]:
    if "serverless" not in there:
        return
    if "main_class_name" in there:
        yield Wrong(
            "serverless", "runs notebooks and Python scripts, no main classes: give the step a cluster"
        )
    for name in ("maven_libraries", "jar_libraries", "egg_libraries", "rcran_libraries"):
        items = [
            item for item in given.get(name) or () if not str(getattr(item, "library", item)).endswith(".whl")
        ]
        if items and "main_class_name" not in there:
            yield Wrong(
                name,
                "serverless compute has Python packages and wheels alone: leave it out, or give a cluster",
            )
    if "notebook_path" in there and {"pypi_libraries", "egg_libraries", "runconfig"} & there:
        field = next(name for name in ("pypi_libraries", "egg_libraries", "runconfig") if name in there)
        yield Wrong(
            field,
            "a notebook on serverless compute brings its own packages, by %pip: leave it out, or give a cluster",
        )


def _wrong_values(given: Mapping[str, Any]) -> Iterator[Wrong]:
    for name in ("spark_conf", "spark_env_variables"):
        for key, value in (given.get(name) or {}).items():
            if not isinstance(key, str) or not isinstance(value, str | int | float):
                yield Wrong(name, f"{key!r}: expected text, a number or a truth value, found {value!r}")
            elif _is_secret(name, key) and not _names_secret(str(value)):
                yield Wrong(
                    name,
                    f"{key!r} looks like a secret, and secrets are never stored: write 'env:NAME', which is taken from the "
                    "variable NAME of the process that submits the step, or '{{secrets/<scope>/<key>}}', which Databricks "
                    "fills in",
                )
    for path in given.get("init_scripts") or ():
        if not str(path).startswith(_INIT_SCRIPTS):
            yield Wrong(
                "init_scripts",
                f"expected a path or URL such as /Volumes/…, dbfs:/… or s3://…, found {path!r}",
            )
    log = given.get("cluster_log_dbfs_path")
    if log and not str(log).startswith("dbfs:/"):
        yield Wrong("cluster_log_dbfs_path", f"expected a path such as dbfs:/logs, found {log!r}")


def _is_secret(name: str, key: str) -> bool:
    if name == "spark_env_variables":
        return looks_secret(key)
    return bool(_SECRET_CONF.search(key)) and not _CLASSES.search(key)


def _names_secret(value: str) -> bool:
    return not value or value.startswith("env:") or bool(SECRET_REFERENCE.search(value))


def _wrong_workers(count: int | None, least: int | None, most: int | None) -> Iterator[Wrong]:
    field = "min_workers" if least is not None else "max_workers"
    if count is not None and (least is not None or most is not None):
        message = "num_workers is a fixed number of workers: leave out it, or min_workers and max_workers"
        yield Wrong(field, message)
    elif (least is None) != (most is None):
        yield Wrong(field, "a cluster that grows and shrinks needs both min_workers and max_workers")
    elif least is not None and most is not None and not 0 <= least <= most:
        yield Wrong(field, f"expected 0 <= min_workers <= max_workers, found {least} and {most}")
    elif count is not None and count < 0:
        yield Wrong("num_workers", f"expected a number of workers, found {count}")


def make_databricks(
    given: Mapping[str, Any], libraries: tuple[dict[str, Any], ...]
) -> tuple[DatabricksSpec, str]:
    """Return what a step runs, and its script in the source directory ("" for none). Nothing of it is wrong."""
    notebook, path = given.get("notebook_path"), given.get("python_script_path")
    form: Any = "notebook" if notebook else "jar" if given.get("main_class_name") else "python_script"
    script = given.get("python_script_name") or ""
    if notebook:
        path, script = (notebook, "") if notebook.startswith("/") else (None, notebook)
    fields: dict[str, Any] = {name: given.get(name) for name in _COPIED if given.get(name) not in (None, ())}
    fields["main_class"] = fields.pop("main_class_name", None)
    fields["init_scripts"] = tuple(fields.get("init_scripts", ()))
    for name in ("spark_conf", "spark_env_variables"):
        fields[name] = {key: _text(value) for key, value in dict(fields.get(name, {})).items()}
    return DatabricksSpec(form=form, path=path, libraries=libraries, **fields), script.replace(
        "\\", "/"
    ).removeprefix("./")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

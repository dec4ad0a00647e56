"""The compute target ``spark``: scripts and notebooks with PySpark, on this machine or on a cluster that takes drivers.

The driver is a process of this machine (client mode). ``master`` says where its executors are: ``local[*]``, a standalone
cluster, YARN or Kubernetes. PySpark starts ``spark-submit`` where a script first asks for a session, so that a script that
needs none pays nothing.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import msgspec

from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.core.spec import DatabricksSpec, EnvironmentSpec
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec, Workspace
from airflow_ml_pipelines.execution.targets.local import LocalTarget
from airflow_ml_pipelines.execution.targets.options import TargetOptions
from airflow_ml_pipelines.execution.targets.port import (
    Log,
    OnLine,
    Owner,
    Place,
    Prepared,
    Reaped,
    Running,
    Work,
)
from airflow_ml_pipelines.execution.targets.registry import read_options
from airflow_ml_pipelines.execution.targets.spark_stores import explain_missing
from airflow_ml_pipelines.runtime.job import Job
from airflow_ml_pipelines.runtime.result import JobResult

__all__ = ["SparkOptions", "SparkTarget", "spark_variables"]

_KEPT = (
    "JAVA_HOME",
    "SPARK_HOME",
    "SPARK_CONF_DIR",
    "HADOOP_HOME",
    "HADOOP_CONF_DIR",
    "YARN_CONF_DIR",
    "KUBECONFIG",
)
_SUBMIT = "PYSPARK_SUBMIT_ARGS"


class SparkOptions(TargetOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the workspace file may say of a target of type ``spark``.

    :param master: where executors are, as ``spark-submit`` takes it.
    :param conf: Spark's own configuration; never secrets.
    :param packages: Maven coordinates that every step gets.
    :param jars: paths or URLs of JARs that every step gets.
    :param repositories: of Maven, besides the central one.
    :param spark_version: in the reuse key of steps that say none.
    :param notebooks: the folder that stands for Databricks' workspace: ``/Shared/x`` is ``<notebooks>/Shared/x.py``.
    :param dbfs: the folder that stands for ``dbfs:/`` and ``/Volumes``.
    :param shared_paths: whether executors elsewhere see this machine's folders at the same paths.
    """

    master: str = "local[*]"
    conf: Mapping[str, str | int | float | bool] = msgspec.field(default_factory=dict)
    packages: tuple[str, ...] = ()
    jars: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    spark_version: str | None = None
    notebooks: str | None = None
    dbfs: str | None = None
    shared_paths: bool = False

    @property
    def is_local(self) -> bool:
        """Whether executors are in the driver's own process."""
        return self.master.startswith("local") and not self.master.startswith("local-cluster")

    @property
    def is_shared(self) -> bool:
        """Whether executors see this machine's folders."""
        return self.shared_paths or self.master.startswith("local")


class SparkTarget:
    """Runs scripts and notebooks with PySpark."""

    def __init__(self, spec: ComputeTargetSpec) -> None:
        self.name = spec.name
        self.options = read_options(spec, SparkOptions)
        self._where = f"compute target {spec.name!r}"
        self._local = LocalTarget(spec)

    def check(self) -> None:
        """Return where PySpark and Java are there."""
        if find_spec("pyspark") is None:
            raise ComputeTargetException(
                f"{self._where} needs PySpark: pip install 'airflow-provider-ml-pipelines[spark]'"
            )
        home = os.environ.get("JAVA_HOME")
        if shutil.which("java", path=f"{home}/bin" if home else None) is None:
            raise ComputeTargetException(
                f"{self._where} needs Java 17 or later: install it, and set JAVA_HOME"
            )

    def prepare(self, environment: EnvironmentSpec, workspace: Workspace, *, log: Log) -> Prepared:
        """Make a virtual environment where packages are asked for."""
        self.check()
        return self._local.prepare(environment, workspace, log=log)

    def place(self, work: Work) -> None:
        """Return None: the driver ends with this process."""

    def start(self, work: Work, *, log: Log) -> Running:
        """Return the job, which begins when it is followed."""
        variables = {**spark_variables(self.options, None), **work.job.variables}
        return _Explained(
            self._local.start(replace(work, job=replace(work.job, variables=variables)), log=log)
        )

    def find(self, place: Place, job: Job, workspace: Workspace) -> None:
        """Return None: no job outlives the process that started it."""

    def reap(self, workspace: Workspace, why: Callable[[Owner], str | None]) -> list[Reaped]:
        """Return nothing: no job outlives the process that started it."""
        return self._local.reap(workspace, why)


class _Explained:
    """A job of which it is said what is missing, where Spark says so among all that it says."""

    def __init__(self, job: Running) -> None:
        self._job = job

    def follow(self, *, on_line: OnLine, canceled: Callable[[], str | None]) -> JobResult:
        missing: list[str] = []

        def watch(stream: str, line: str) -> None:
            on_line(stream, line)
            if not missing and (said := explain_missing(line)):
                missing.append(said)

        result = self._job.follow(on_line=watch, canceled=canceled)
        if result.status == "failed" and missing:
            return replace(result, error=f"{missing[0]}\n{result.error or ''}".rstrip())
        return result

    def is_over(self) -> bool:
        return self._job.is_over()

    def remove(self) -> None:
        self._job.remove()


def spark_variables(
    options: SparkOptions, databricks: DatabricksSpec | None, conf: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment variables by which PySpark knows what to start.

    :param databricks: what a step says of its cluster.
    :param conf: what Spark needs to open stores; what people say goes before it.
    """
    libraries = () if databricks is None else databricks.libraries
    said: dict[str, Any] = {"spark.ui.enabled": "false", **(conf or {}), **options.conf}
    if databricks is not None:
        said.update(databricks.spark_conf)
    packages = [*options.packages, *(item["maven"]["coordinates"] for item in libraries if "maven" in item)]
    exclusions = [
        name for item in libraries if "maven" in item for name in item["maven"].get("exclusions", ())
    ]
    repositories = [
        *options.repositories,
        *(item["maven"]["repo"] for item in libraries if item.get("maven", {}).get("repo")),
    ]
    lists = {
        "--packages": packages,
        "--exclude-packages": exclusions,
        "--repositories": repositories,
        "--jars": [*options.jars, *(item["jar"] for item in libraries if "jar" in item)],
        "--py-files": [item[name] for item in libraries for name in ("egg", "whl") if name in item],
    }
    words = ["--master", options.master, "--deploy-mode", "client"]
    for option, values in lists.items():
        if values:
            words += [option, ",".join(dict.fromkeys(values))]
    for name, value in said.items():
        words += ["--conf", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
    found = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**found, _SUBMIT: shlex.join([*words, "pyspark-shell"])}

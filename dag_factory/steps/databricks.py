"""Steps that run on a Spark cluster."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.databricks.rules import find_wrong, make_databricks
from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory._check import checked, expect, kind_of
from dag_factory.compute.libraries import (
    EggLibrary,
    JarLibrary,
    MavenLibrary,
    PyPiLibrary,
    RCranLibrary,
    make_libraries,
)
from dag_factory.steps.settings import check_duration, check_settings
from dag_factory.steps.step import PipelineStep, check_paths, check_runconfig, check_step_target

if TYPE_CHECKING:
    from dag_factory.compute.environment import RunConfiguration
    from dag_factory.compute.target import ComputeTarget

__all__ = ["DatabricksStep"]

_WHERE = "DatabricksStep"
_COUNTS = ("num_workers", "min_workers", "max_workers")
_TEXTS = (
    "existing_cluster_id",
    "spark_version",
    "node_type",
    "instance_pool_id",
    "cluster_log_dbfs_path",
    "notebook_path",
    "python_script_path",
    "main_class_name",
    "python_script_name",
    "run_name",
)


class DatabricksStep(PipelineStep):
    """A step that runs a notebook, a Python script or the main class of a JAR on a Spark cluster.

    Each input and output is a widget or an argument of its name, with a URL that the cluster opens.

    :param name: what people call it.
    :param inputs: what it reads; as of ``PythonScriptStep``.
    :param outputs: what it writes; as of ``PythonScriptStep``.
    :param existing_cluster_id: a cluster that is there; instead of what describes a new one.
    :param spark_version: of a new cluster, such as ``15.4.x-scala2.12``; so are the following.
    :param node_type: the type of its machines, such as ``Standard_D3_v2``.
    :param instance_pool_id: the pool that its machines are of, instead of ``node_type``.
    :param num_workers: how many machines it has besides the driver's.
    :param min_workers: with ``max_workers``, how many it has at least and at most, instead of ``num_workers``.
    :param spark_env_variables: environment variables; ``env:NAME`` takes a value from the process that submits it.
    :param spark_conf: Spark's configuration.
    :param init_scripts: scripts that its machines run first, by their paths.
    :param cluster_log_dbfs_path: where its logs are kept.
    :param notebook_path: a notebook: of the Databricks workspace where it begins with ``/``, else of
        ``source_directory``.
    :param notebook_params: values of the notebook's widgets: text, numbers, pipeline parameters.
    :param python_script_path: a script on Databricks, such as ``dbfs:/scripts/x.py``.
    :param python_script_params: what the script is started with.
    :param main_class_name: of a JAR among ``jar_libraries``.
    :param jar_params: what the main class is started with.
    :param python_script_name: a script in ``source_directory``, whose files are brought there.
    :param source_directory: the folder of ``python_script_name`` or of a notebook.
    :param hash_paths: files or folders whose content matters besides that of ``source_directory``.
    :param run_name: what Databricks calls the run.
    :param timeout_seconds: after how many seconds the run is ended.
    :param runconfig: packages and variables of an environment, instead of the lists of libraries.
    :param maven_libraries: Maven coordinates, or :class:`MavenLibrary`.
    :param pypi_libraries: requirements, or :class:`PyPiLibrary`.
    :param egg_libraries: URIs of eggs or wheels, or :class:`EggLibrary`.
    :param jar_libraries: URIs of JARs, or :class:`JarLibrary`.
    :param rcran_libraries: packages of CRAN, or :class:`RCranLibrary`.
    :param compute_target: one of type ``databricks`` or ``spark``, or its name.
    :param allow_reuse: whether it takes the outputs of an earlier run of the same code with the same data.
    :param version: your own word that the step does something else now.
    :param permit_cluster_restart: whether an existing cluster that was ended may be started.
    :param serverless: run without a cluster of one's own.
    :param ignore: git patterns of files of ``source_directory`` that the step does not see.
    :param description: for people.
    :param retries: how often Airflow tries the step again; what the pipeline says if left out, as those that follow.
    :param retry_delay: how long Airflow waits before it does.
    :param pool: the pool of the step's task in Airflow.
    :param queue: the queue of the step's task in Airflow.
    :param priority_weight: the weight of the step's task in Airflow.
    :param deferrable: whether the task gives its worker back while its job runs; what the compute target says
        if left out.
    :raises TypeError: where something is of a type that it can't be.
    :raises DefinitionError: where parameters do not go together; the text says what to choose.
    """

    params_are_variables = False

    @checked
    def __init__(
        self,
        name: str,
        inputs: Sequence[Any] | None = None,
        outputs: Sequence[Any] | None = None,
        existing_cluster_id: str | None = None,
        spark_version: str | None = None,
        node_type: str | None = None,
        instance_pool_id: str | None = None,
        num_workers: int | None = None,
        min_workers: int | None = None,
        max_workers: int | None = None,
        spark_env_variables: Mapping[str, str] | None = None,
        spark_conf: Mapping[str, Any] | None = None,
        init_scripts: Sequence[str] | None = None,
        cluster_log_dbfs_path: str | None = None,
        notebook_path: str | None = None,
        notebook_params: Mapping[str, Any] | None = None,
        python_script_path: str | None = None,
        python_script_params: Sequence[Any] | None = None,
        main_class_name: str | None = None,
        jar_params: Sequence[Any] | None = None,
        python_script_name: str | None = None,
        source_directory: str | os.PathLike[str] | None = None,
        hash_paths: Sequence[str] | None = None,
        run_name: str | None = None,
        timeout_seconds: float | None = None,
        runconfig: RunConfiguration | None = None,
        maven_libraries: Sequence[MavenLibrary | str] | None = None,
        pypi_libraries: Sequence[PyPiLibrary | str] | None = None,
        egg_libraries: Sequence[EggLibrary | str] | None = None,
        jar_libraries: Sequence[JarLibrary | str] | None = None,
        rcran_libraries: Sequence[RCranLibrary | str] | None = None,
        compute_target: ComputeTarget | str | tuple[str, str] | None = None,
        allow_reuse: bool = True,
        version: str | None = None,
        permit_cluster_restart: bool | None = None,
        *,
        serverless: bool = False,
        ignore: Sequence[str] | None = None,
        description: str | None = None,
        retries: int | None = None,
        retry_delay: float | str | timedelta | None = None,
        pool: str | None = None,
        queue: str | None = None,
        priority_weight: int | None = None,
        deferrable: bool | None = None,
    ) -> None:
        given = {key: value for key, value in locals().items() if key not in ("self", "__class__")}
        _check_types(given)
        configured = check_runconfig(f"{_WHERE}(runconfig=…)", runconfig)
        packages: tuple[dict[str, Any], ...] = ()
        if configured is not None:
            packages, variables = _of_runconfig(configured)
            given["spark_env_variables"] = {**variables, **(spark_env_variables or {})}
        wrong = [f"{item.field}: {item.message}" for item in find_wrong(given)]
        if wrong:
            raise DefinitionError(f"{_WHERE}({name!r}): " + "; ".join(wrong))
        libraries = make_libraries(_WHERE, given) or packages
        self.runconfig = configured
        self.databricks, self.script_name = make_databricks(given, libraries)
        self.source_directory = None if source_directory is None else os.fspath(source_directory)
        self.allow_reuse: bool = expect(f"{_WHERE}(allow_reuse=…)", allow_reuse, bool, what="True or False")
        self.version = None if version is None else str(version)
        self.hash_paths = tuple(check_paths(f"{_WHERE}(hash_paths=…)", hash_paths))
        self.ignore = tuple(check_paths(f"{_WHERE}(ignore=…)", ignore))
        self.compute_target = check_step_target(f"{_WHERE}(compute_target=…)", compute_target)
        self.timeout = check_duration(f"{_WHERE}(timeout_seconds=…)", timeout_seconds)
        self.task_settings = check_settings(
            _WHERE,
            description=description,
            retries=retries,
            retry_delay=retry_delay,
            pool=pool,
            queue=queue,
            priority_weight=priority_weight,
            deferrable=deferrable,
        )
        super().__init__(name, inputs, outputs, python_script_params or jar_params)
        self.params = dict(notebook_params or {})

    def spec_fields(self) -> dict[str, Any]:
        """Return what of a step's spec is of this kind."""
        return {
            "kind": "databricks",
            "databricks": self.databricks,
            "script": self.script_name,
            "ignore": self.ignore,
            "hash_paths": self.hash_paths,
            "compute_target": self.compute_target_name,
            "allow_reuse": self.allow_reuse,
            "version": self.version,
            "timeout": self.timeout,
        }


def _check_types(given: Mapping[str, Any]) -> None:
    from dag_factory.ports.parameter import PipelineParameter

    expect(f"{_WHERE}(name=…)", given["name"], str, what="a name")
    for name in _COUNTS:
        if given[name] is not None:
            expect(f"{_WHERE}({name}=…)", given[name], int, what="a number of workers")
    for name in _TEXTS:
        if given[name] is not None:
            expect(f"{_WHERE}({name}=…)", given[name], str, what="text")
    for name in ("spark_env_variables", "spark_conf", "notebook_params"):
        if given[name] is not None:
            expect(f"{_WHERE}({name}=…)", given[name], Mapping, what="a dict of names to values")
    check_paths(f"{_WHERE}(init_scripts=…)", given["init_scripts"])
    for name, value in (given["notebook_params"] or {}).items():
        where = f"{_WHERE}(notebook_params=…)[{name!r}]"
        expect(
            where,
            value,
            str,
            int,
            float,
            bool,
            PipelineParameter,
            what="text, a number or a PipelineParameter",
        )
        if isinstance(value, PipelineParameter) and value.is_data:
            raise TypeError(f"{where}: data is given in inputs, whose names are widgets too")


def _of_runconfig(runconfig: RunConfiguration) -> tuple[tuple[dict[str, Any], ...], dict[str, str]]:
    """Return the packages and variables of a run configuration's environment."""
    spec = runconfig.environment_spec()
    if isinstance(spec, str):
        raise DefinitionError(
            f"{_WHERE}(runconfig=…): a cluster can't be given the registered environment {spec!r}: name its packages in "
            "pypi_libraries"
        )
    if spec.conda or spec.image or spec.dockerfile:
        found = kind_of(list(spec.conda) or spec.image or spec.dockerfile)
        raise DefinitionError(
            f"{_WHERE}(runconfig=…): a cluster has neither conda packages nor images, found {found}: use packages of pip"
        )
    return tuple({"pypi": {"package": package}} for package in spec.pip), dict(spec.variables)

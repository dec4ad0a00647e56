"""What a step runs on a cluster of another service."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Strict, model_validator

from dag_factory.models.fields import ANY_TEXT, Count, DefinitionModel, Scalar, Strings

__all__ = [
    "AdlaDefinition",
    "DatabricksDefinition",
    "MavenDefinition",
    "PackageDefinition",
]


class MavenDefinition(DefinitionModel):
    """A library of a Maven repository; text is short for its coordinates.

    :param coordinates: such as ``com.databricks:spark-csv_2.12:1.5.0``.
    :param repo: the repository; Maven's central one where left out.
    :param exclusions: what it would bring and is not to.
    """

    short_forms: ClassVar = (ANY_TEXT,)

    coordinates: str
    repo: str | None = None
    exclusions: Strings = ()

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        return {"coordinates": value} if isinstance(value, str) else value


class PackageDefinition(DefinitionModel):
    """A package of an index; text is short for its name and version.

    :param package: such as ``pandas==2.2.3``.
    :param repo: the index; the usual one where left out.
    """

    short_forms: ClassVar = (ANY_TEXT,)

    package: str
    repo: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        return {"package": value} if isinstance(value, str) else value


class DatabricksDefinition(DefinitionModel):
    """What a step runs on a Spark cluster, and on which one; names as of the parameters of ``DatabricksStep``.

    Without ``notebook_path``, ``python_script_path`` and ``main_class_name`` it is the step's ``script``. Values of
    widgets stand in the step's ``parameters``, what a script or a main class is started with in its ``arguments``.

    :param notebook_path: a notebook: of the Databricks workspace where it begins with ``/``, else of the source
        directory.
    :param python_script_path: a script on Databricks, such as ``dbfs:/scripts/x.py``.
    :param main_class_name: of a JAR among ``jar_libraries``.
    :param existing_cluster_id: a cluster that is there; instead of what describes a new one.
    :param permit_cluster_restart: whether an existing cluster that was ended may be started.
    :param serverless: run without a cluster of one's own.
    :param spark_version: of a new cluster.
    :param node_type: the type of its machines.
    :param instance_pool_id: the pool that its machines are of, instead of ``node_type``.
    :param num_workers: how many machines it has besides the driver's.
    :param min_workers: with ``max_workers``, instead of ``num_workers``.
    :param max_workers: with ``min_workers``, instead of ``num_workers``.
    :param spark_env_variables: environment variables; ``env:NAME`` takes the value from the process that submits it.
    :param spark_conf: Spark's configuration.
    :param init_scripts: scripts that its machines run first, by their paths.
    :param cluster_log_dbfs_path: where its logs are kept.
    :param run_name: what Databricks calls the run.
    :param maven_libraries: coordinates, or mappings with ``coordinates``, ``repo`` and ``exclusions``.
    :param pypi_libraries: requirements, or mappings with ``package`` and ``repo``.
    :param egg_libraries: URIs of eggs or wheels.
    :param jar_libraries: URIs of JARs.
    :param rcran_libraries: packages of CRAN, or mappings with ``package`` and ``repo``.
    """

    notebook_path: str | None = None
    python_script_path: str | None = None
    main_class_name: str | None = None
    existing_cluster_id: str | None = None
    permit_cluster_restart: bool | None = None
    serverless: bool = False
    spark_version: str | None = None
    node_type: str | None = None
    instance_pool_id: str | None = None
    num_workers: Count | None = None
    min_workers: Count | None = None
    max_workers: Count | None = None
    spark_env_variables: dict[str, str] = {}
    spark_conf: dict[str, Scalar] = {}
    init_scripts: Strings = ()
    cluster_log_dbfs_path: str | None = None
    run_name: str | None = None
    maven_libraries: Annotated[tuple[MavenDefinition, ...], Strict(strict=False)] = ()
    pypi_libraries: Annotated[tuple[PackageDefinition, ...], Strict(strict=False)] = ()
    egg_libraries: Strings = ()
    jar_libraries: Strings = ()
    rcran_libraries: Annotated[tuple[PackageDefinition, ...], Strict(strict=False)] = ()


class AdlaDefinition(DefinitionModel):
    """What a U-SQL script was to be run with on Azure Data Lake Analytics, which is no more: nothing runs such a step.

    :param degree_of_parallelism: how many parts of it were to run at once.
    :param priority: lower ones were to run first.
    :param runtime_version: the version of U-SQL's runtime.
    """

    degree_of_parallelism: int | None = None
    priority: int | None = None
    runtime_version: str | None = None

"""A pipeline as people write it: the models behind a ``*.pipeline.yaml`` document.

What is written short (``images: images``, ``C: 1.0``, ``schedule: "@daily"``) is read as if it were written long, so
code sees one form. :meth:`PipelineDefinition.to_spec` resolves the names and checks what goes beyond one field.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    Strict,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from airflow_ml_pipelines.written.model import WrittenModel
from airflow_ml_pipelines.written.problems import Problem, describe_value
from airflow_ml_pipelines.written.source import Source
from airflow_ml_pipelines.written.traps import hint_for
from dag_factory.models.scalars import (
    DURATION,
    MOMENT,
    as_argument,
    as_datetime,
    as_duration,
    as_header,
    as_paths,
    as_scalar,
    type_of,
)

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import PipelineSpec

__all__ = [
    "AdlaDefinition",
    "DataDefinition",
    "DatabricksDefinition",
    "EnvironmentDefinition",
    "InputDefinition",
    "MavenDefinition",
    "OutputDefinition",
    "PackageDefinition",
    "ParameterDefinition",
    "PipelineDefinition",
    "RegisterDefinition",
    "ScheduleDefinition",
    "StepDefinition",
    "TabularOptions",
    "TransferDefinition",
    "TransferDestination",
    "TransferSource",
]


Strings = Annotated[tuple[str, ...], Strict(strict=False)]
Scalar = Annotated[str | int | float | bool, BeforeValidator(as_scalar)]
Argument = Annotated[
    str, BeforeValidator(as_argument), WithJsonSchema({"type": ["string", "number", "boolean"]})
]
Arguments = Annotated[tuple[Argument, ...], Strict(strict=False)]
Duration = Annotated[
    float,
    BeforeValidator(as_duration),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": DURATION}]}),
]
Moment = Annotated[
    datetime, BeforeValidator(as_datetime), WithJsonSchema({"type": "string", "pattern": MOMENT})
]
Count = Annotated[int, Field(ge=0)]


_ANY_TEXT = {"type": "string"}
_PATHS = {
    "type": "array",
    "items": {
        "anyOf": [
            _ANY_TEXT,
            {
                "type": "object",
                "properties": {"datastore": _ANY_TEXT, "path": _ANY_TEXT},
                "required": ["datastore", "path"],
                "additionalProperties": False,
            },
        ]
    },
}


_NAMES = {"type": "array", "items": _ANY_TEXT, "minItems": 1}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_WHOLE = {"type": "integer"}
_FIELDS_OF_OPERATIONS: dict[str, dict[str, Any]] = {
    "keep": {"columns": _NAMES},
    "drop": {"columns": _NAMES},
    "take": {"count": {**_WHOLE, "minimum": 0}},
    "skip": {"count": {**_WHOLE, "minimum": 0}},
    "filter": {"where": {"type": "array", "minItems": 2}},
    "sample": {"probability": _SHARE, "seed": _WHOLE},
    "split": {"percentage": _SHARE, "seed": _WHOLE, "rest": {"type": "boolean"}},
}
_OPERATIONS = [
    {
        "type": "object",
        "properties": {"do": {"const": name}, **fields},
        "required": ["do", *fields],
        "additionalProperties": False,
    }
    for name, fields in _FIELDS_OF_OPERATIONS.items()
]


class _Model(WrittenModel, BaseModel):  # named again, so that ruff knows what it is
    model_config = ConfigDict(defer_build=True)


# --- data --------------------------------------------------------------------------------------------------------


def _operation(value: Any) -> Any:
    from airflow_ml_pipelines.runtime.operations import check_operation

    return check_operation(value) if isinstance(value, dict) else value


Operation = Annotated[dict[str, Any], BeforeValidator(_operation), WithJsonSchema({"anyOf": _OPERATIONS})]


class TabularOptions(_Model):
    """How files are read as a table; names and defaults of ``Dataset.Tabular.from_delimited_files``.

    :param format: of the files; what follows is of delimited ones.
    :param operations: what is done with the rows: mappings with ``do`` and what that takes.
    :param timestamp: the column with the time of a row.
    :param partition_timestamp: the column of ``partition_format`` with the time of a row.
    :param include_path: whether the table has a column ``Path`` with the file that a row is from.
    :param infer_column_types: whether the types of columns are found out; else all of them are text.
    :param set_column_types: types of columns by their names: ``string``, ``long``, ``double``, ``boolean``, ``datetime``.
    :param separator: what stands between two values.
    :param header: whether the files begin with the names of the columns, or which of them do.
    :param partition_format: the form of paths such as ``{year:yyyy}/{file}.csv``, whose parts become columns.
    :param support_multi_line: whether a value in quotes may have line breaks.
    :param empty_as_string: whether empty values are empty text; else they are missing.
    :param encoding: the encoding of the files.
    """

    format: Literal["delimited", "parquet", "json_lines"] = "delimited"
    operations: Annotated[tuple[Operation, ...], Strict(strict=False)] = ()
    timestamp: str | None = None
    partition_timestamp: str | None = None
    include_path: bool = False
    infer_column_types: bool = True
    set_column_types: dict[str, str] | None = None
    separator: str = ","
    header: Annotated[
        bool | Literal["all_files_same", "only_first_file", "none", "all_files_different"],
        BeforeValidator(as_header),
    ] = True
    partition_format: str | None = None
    support_multi_line: bool = False
    empty_as_string: bool = False
    encoding: str = "utf8"


class DataDefinition(TabularOptions):
    """Data from outside of the pipeline: files of a datastore, a URL, or a registered dataset.

    :param datastore: the datastore of the paths; None for the pipeline's default.
    :param path: a file, a folder or a glob on the datastore, or a URL.
    :param paths: several of them; each may be ``{datastore: …, path: …}`` too.
    :param url: the same as a path that is a URL.
    :param dataset: the name of a registered dataset.
    :param query: what the database that the datastore is returns, as a table.
    :param query_timeout: how long the database may take, in seconds or as text such as ``5m``.
    :param version: of the registered dataset; None for the latest when the run begins.
    :param type: what the script gets: the path of a ``file``, of a ``folder``, of what is there (``auto``), or a table.
    :param fingerprint: what tells reuse that the data is the same.
    """

    short_forms: ClassVar = ({"type": "string", "pattern": "://"},)

    datastore: str | None = None
    path: str | None = None
    paths: Annotated[
        tuple[str | dict[str, str], ...],
        BeforeValidator(as_paths),
        WithJsonSchema(_PATHS),
    ] = ()
    url: str | None = None
    dataset: str | None = None
    query: str | None = None
    query_timeout: Duration = 30
    version: int | None = None
    type: Literal["auto", "file", "folder", "tabular"] = "auto"
    fingerprint: Literal["content", "etag", "path"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) and "://" in value else value


class InputDefinition(DataDefinition):
    """An input of a step: a data entry by its name, an output of a step, a parameter, or data written in place.

    :param data: the name of an entry under ``data``.
    :param from_: ``from`` in a document: ``${{ steps.<step>.outputs.<name> }}`` or ``${{ parameters.<name> }}``.
    :param mode: ``mount``: the path itself where it is a local one, else a copy; ``download``: a copy of the step's
        own; ``direct``: the URL, or the table. None for ``direct`` where it is a table, else ``mount``.
    :param path_on_compute: where the script finds it; None for a place of the launcher's choice.
    :param overwrite: whether a copy may replace what is at ``path_on_compute``.
    """

    short_forms: ClassVar = (_ANY_TEXT,)

    data: str | None = None
    from_: str | None = Field(default=None, alias="from")
    mode: Literal["mount", "download", "direct"] | None = None
    path_on_compute: str | None = None
    overwrite: bool = False

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return {"from" if "${{" in value else "url" if "://" in value else "data": value}


class RegisterDefinition(_Model):
    """A dataset that an output becomes when its step has ended well.

    :param name: of the dataset; each run adds a version.
    :param description: for people.
    :param tags: for people: texts by name.
    """

    short_forms: ClassVar = (_ANY_TEXT,)

    name: str
    description: str | None = None
    tags: dict[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class OutputDefinition(_Model):
    """An output of a step; with nothing written, a folder that belongs to the attempt.

    :param mode: ``mount``: the script writes at the destination itself where that is a local path; ``upload``: it
        writes into a folder that is copied when it has ended well.
    :param datastore: where it is kept; the pipeline's default where left out.
    :param path: the destination on the datastore; ``{run-id}`` and ``{output-name}`` are filled in. A folder of the
        attempt's own where left out.
    :param source: the local path that the script writes to; a place of the launcher's choice where left out.
    :param create: whether the folder is there when the script starts.
    :param overwrite: whether files at a fixed ``path`` may be replaced.
    :param globs: with ``upload``: which files to take; all where left out.
    :param register_as: the name of a dataset that it becomes, or its ``name``, ``description`` and ``tags``.
    :param tabular: how steps that read it as a table do so.
    :param partition_format: the form of the files' paths, whose parts the dataset that it becomes has names for.
    :param pipeline_output: the name under which the pipeline's run gives it; its own where left out.
    """

    short_forms: ClassVar = ({"type": "null"},)

    mode: Literal["mount", "upload"] = "mount"
    datastore: str | None = None
    path: str | None = None
    source: str | None = None
    create: bool = True
    overwrite: bool = False
    globs: Strings = ()
    register_as: RegisterDefinition | None = Field(default=None, alias="register")
    tabular: TabularOptions | None = None
    partition_format: str | None = None
    pipeline_output: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        return {} if value is None else value


# --- environments, parameters, schedules --------------------------------------------------------------------------


class EnvironmentDefinition(_Model):
    """An environment; with a name (and version) only, the one that is called so.

    :param name: of an entry under ``environments`` or of a registered environment.
    :param version: of a registered environment; ``latest`` for the latest when the run begins.
    :param user_managed: whether nothing is installed; None where that follows from the other fields.
    :param python: a version such as ``"3.12"``, in quotes; that of the interpreter that runs the pipeline where left out.
    :param interpreter: a path or a command, where nothing is installed.
    :param conda: packages for conda.
    :param conda_channels: channels for conda.
    :param pip: packages for pip.
    :param pip_options: options for pip, such as ``--index-url``.
    :param variables: environment variables; ``env:NAME`` takes the value from the process that starts the step.
    :param image: a container image, for compute targets that run containers.
    :param dockerfile: the text of a Dockerfile that makes that image.
    """

    short_forms: ClassVar = (_ANY_TEXT,)

    name: str = ""
    version: str | None = None
    python: str | None = None
    user_managed: bool | None = None
    interpreter: str | None = None
    conda: Strings = ()
    conda_channels: Strings = ()
    pip: Strings = ()
    pip_options: Strings = ()
    variables: dict[str, str] = {}
    image: str | None = None
    dockerfile: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        name, _, version = value.partition(":")
        return {"name": name, "version": version or None}

    @property
    def is_reference(self) -> bool:
        """Whether it only names an environment."""
        return bool(self.name) and self == EnvironmentDefinition(name=self.name, version=self.version)


class ParameterDefinition(_Model):
    """A pipeline parameter. In a document a bare value is short for its default.

    :param type: follows from the default where it is left out.
    :param default: None: a run has to give a value.
    :param enum: the values that are allowed; all where left out.
    :param minimum: the least value of a number.
    :param maximum: the greatest value of a number.
    :param description: shown where a run is started.
    :param title: shown instead of the name where a run is started.
    :param section: under which heading it is shown where a run is started.
    """

    short_forms: ClassVar = ({"type": ["string", "number", "boolean", "null"]},)

    type: Literal["string", "integer", "number", "boolean", "data"] = "string"
    default: Any = None
    enum: Annotated[tuple[Any, ...], Strict(strict=False)] = ()
    minimum: float | None = None
    maximum: float | None = None
    description: str | None = None
    title: str | None = None
    section: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            message = "expected a default, or a mapping with `type`, `default` …, found a list"
            raise ValueError(message)  # noqa: TRY004 - pydantic
        if not isinstance(value, Mapping | ParameterDefinition):
            value = {"default": value}
        if isinstance(value, Mapping) and "type" not in value:
            return {**value, "type": type_of(value.get("default"))}
        return value


class ScheduleDefinition(_Model):
    """When the pipeline runs by itself: exactly one of ``cron``, ``every``, ``datasets``, ``assets`` and ``timetable``.

    :param cron: a cron expression or a preset such as ``@daily``.
    :param timezone: of the cron expression, such as ``Europe/Berlin``; UTC where left out.
    :param every: the time between two runs, in seconds, or text such as ``1h30m``.
    :param datasets: names of datasets of the workspace, which steps of other pipelines register; as ``assets``.
    :param assets: names or URIs of assets; a run starts when ``all`` (or ``any``) of them were updated.
    :param mode: whether ``all`` of the assets have to be updated, or ``any``.
    :param timetable: the import path of a timetable class.
    :param arguments: of the timetable class.
    """

    short_forms: ClassVar = (_ANY_TEXT,)

    cron: str | None = None
    timezone: str | None = None
    every: Duration | None = None
    datasets: Strings = ()
    assets: Strings = ()
    mode: Literal["all", "any"] = "all"
    timetable: str | None = None
    arguments: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        return {"cron": value} if isinstance(value, str) else value


# --- steps and pipelines ------------------------------------------------------------------------------------------


class TransferSource(InputDefinition):
    """What is copied: data, as an input of a step has it, or a table.

    :param table: a table of the database that the datastore is; may be ``schema.table``.
    """

    table: str | None = None


class TransferDestination(_Model):
    """Where data is copied to: a place on a datastore, or a table of a database.

    :param datastore: the datastore or the database; the pipeline's default datastore where left out.
    :param path: the place on the datastore; ``{run-id}`` is filled in. A folder of the attempt's own where left out.
    :param table: the table that rows are appended to, all or none; may be ``schema.table``.
    :param register_as: the name of a dataset that it becomes, or its ``name``, ``description`` and ``tags``.
    :param tabular: how steps that read it as a table do so.
    :param pipeline_output: the name under which the pipeline's run gives it; its own where left out.
    """

    short_forms: ClassVar = (_ANY_TEXT,)

    datastore: str | None = None
    path: str | None = None
    table: str | None = None
    register_as: RegisterDefinition | None = Field(default=None, alias="register")
    tabular: TabularOptions | None = None
    pipeline_output: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


class TransferDefinition(_Model):
    """Data that a step copies.

    :param source: a data entry's name, a URL, a binding to an output of another step or to a parameter, or data written
        in place.
    :param destination: where it is copied to; a text is a path on the default datastore.
    :param source_type: what the source has to be; whatever it is where left out.
    :param destination_type: whether the destination is the place of the ``file``, or a ``directory`` that files go into;
        what is there already where left out, else what the source is.
    :param delete_extra: whether files in the destination's folder that are not in the source are removed; they are an
        error otherwise.
    :param shards: how many tasks copy at once in Airflow.
    """

    source: TransferSource
    destination: TransferDestination
    source_type: Literal["file", "directory"] | None = None
    destination_type: Literal["file", "directory"] | None = None
    delete_extra: bool = False
    shards: Annotated[int, Field(ge=1)] = 1


class MavenDefinition(_Model):
    """A library of a Maven repository; text is short for its coordinates.

    :param coordinates: such as ``com.databricks:spark-csv_2.12:1.5.0``.
    :param repo: the repository; Maven's central one where left out.
    :param exclusions: what it would bring and is not to.
    """

    short_forms: ClassVar = (_ANY_TEXT,)

    coordinates: str
    repo: str | None = None
    exclusions: Strings = ()

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        return {"coordinates": value} if isinstance(value, str) else value


class PackageDefinition(_Model):
    """A package of an index; text is short for its name and version.

    :param package: such as ``pandas==2.2.3``.
    :param repo: the index; the usual one where left out.
    """

    short_forms: ClassVar = (_ANY_TEXT,)

    package: str
    repo: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        return {"package": value} if isinstance(value, str) else value


class DatabricksDefinition(_Model):
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


class AdlaDefinition(_Model):
    """What a U-SQL script was to be run with on Azure Data Lake Analytics, which is no more: nothing runs such a step.

    :param degree_of_parallelism: how many parts of it were to run at once.
    :param priority: lower ones were to run first.
    :param runtime_version: the version of U-SQL's runtime.
    """

    degree_of_parallelism: int | None = None
    priority: int | None = None
    runtime_version: str | None = None


class StepDefinition(_Model):
    """A step: it runs a Python script, copies data, or does what ``databricks`` or ``adla`` says.

    :param script: the script, relative to ``source_directory``, with ``/``.
    :param transfer: what is copied, in place of a script that is run; its one output is called ``destination``.
    :param databricks: what it runs on a Spark cluster.
    :param adla: of a step with a U-SQL script.
    :param name: what people call it; its id where left out.
    :param description: for people.
    :param source_directory: the folder whose files are there when the script runs, relative to the file; the
        pipeline's where left out.
    :param arguments: what the script is started with: text with ``${{ … }}`` bindings, numbers and truth values.
    :param inputs: what it reads, by name: a data entry's name, a URL, a binding to an output of another step, or data
        written in place.
    :param outputs: what it writes, by name.
    :param parameters: values for ``AML_PARAMETER_<name>``, of a notebook for its widgets; text may be one binding to a
        pipeline parameter.
    :param environment: the name of an entry under ``environments`` or of a registered environment (``name:version``),
        or one written in place; the pipeline's ``default_environment`` where left out.
    :param compute_target: where it runs; the pipeline's ``default_compute_target`` where left out.
    :param allow_reuse: whether the outputs of an earlier run with the same key may be taken.
    :param version: your own word that the step does something else now.
    :param hash_paths: files or folders whose content is in the key besides that of the source directory.
    :param ignore: git patterns of files of the source directory that the step does not see.
    :param after: ids of steps that have to end first, besides those whose outputs it reads.
    :param timeout: after which the script is killed: seconds, or text such as ``1h30m``.
    :param retries: how often Airflow tries it again.
    :param retry_delay: how long Airflow waits before it tries again: seconds, or text such as ``5m``.
    :param pool: the pool of its task in Airflow.
    :param queue: the queue of its task in Airflow.
    :param priority_weight: the weight of its task in Airflow.
    """

    script: str
    transfer: TransferDefinition | None = None
    databricks: DatabricksDefinition | None = None
    adla: AdlaDefinition | None = None
    name: str | None = None
    description: str | None = None
    source_directory: str | None = None
    arguments: Arguments = ()
    inputs: dict[str, InputDefinition] = {}
    outputs: dict[str, OutputDefinition] = {}
    parameters: dict[str, Scalar] = {}
    environment: EnvironmentDefinition | None = None
    compute_target: str | None = None
    allow_reuse: bool = True
    version: str | None = None
    hash_paths: Strings = ()
    ignore: Strings = ()
    after: Strings = ()
    timeout: Duration | None = None
    retries: Count | None = None
    retry_delay: Duration | None = None
    pool: str | None = None
    queue: str | None = None
    priority_weight: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _need_no_script(cls, value: Any) -> Any:
        if (
            isinstance(value, Mapping)
            and "script" not in value
            and not value.keys().isdisjoint(("transfer", "databricks"))
        ):
            return {**value, "script": ""}
        return value

    @property
    def made(self) -> Mapping[str, OutputDefinition]:
        """What it writes, by name: of a transfer, its destination."""
        if self.transfer is None:
            return self.outputs
        place = self.transfer.destination
        path = None if place.table is not None else place.path
        datastore = None if place.table is not None else place.datastore
        output = OutputDefinition(
            datastore=datastore, path=path, tabular=place.tabular, pipeline_output=place.pipeline_output
        )
        return {"destination": output.model_copy(update={"register_as": place.register_as})}


class PipelineDefinition(_Model):
    """A pipeline.

    :param schema_version: the version of this language.
    :param name: the DAG's id, and what runs are kept under; the name of the file where it is left out there.
    :param description: what it is for.
    :param doc: Markdown for the DAG's page.
    :param owner: shown in Airflow.
    :param tags: shown in Airflow, which finds pipelines by them.
    :param experiment: the experiment of runs that name none; the pipeline's name where left out.
    :param schedule: when it runs by itself: a cron expression or preset, or one of ``cron``, ``every``, ``assets`` and
        ``timetable``.
    :param start_date: from when on it runs by itself.
    :param end_date: until when it runs by itself.
    :param catchup: whether runs of the time since ``start_date`` are made up for.
    :param max_active_runs: how many runs there may be at once.
    :param continue_on_step_failure: whether steps that don't need a failed one still run.
    :param timeout: after which a run is given up: seconds, or text such as ``1h30m``.
    :param retries: how often Airflow tries a step again that says nothing else.
    :param retry_delay: how long Airflow waits before it tries a step again that says nothing else.
    :param pool: the pool of the tasks of steps that name none.
    :param queue: the queue of the tasks of steps that name none.
    :param priority_weight: the weight of the tasks of steps that say none.
    :param default_datastore: of data and outputs that name none; the workspace's default where left out.
    :param default_compute_target: of steps that name none; the workspace's default where left out.
    :param default_environment: of steps that name none: the name of an environment, or one written in place.
    :param source_directory: of the steps that name none; relative to the file, ``.`` where left out.
    :param parameters: values that each run may set, by name; a bare value is short for its default.
    :param environments: by the names under which steps refer to them.
    :param data: data from outside of the pipeline, by the names under which steps refer to it.
    :param steps: by their ids.
    """

    schema_version: Literal[1] = 1
    name: str
    description: str | None = None
    doc: str | None = None
    owner: str | None = None
    tags: Strings = ()
    experiment: str | None = None
    schedule: ScheduleDefinition | None = None
    start_date: Moment | None = None
    end_date: Moment | None = None
    catchup: bool = False
    max_active_runs: Annotated[int, Field(ge=1)] | None = None
    continue_on_step_failure: bool = False
    timeout: Duration | None = None
    retries: Count | None = None
    retry_delay: Duration | None = None
    pool: str | None = None
    queue: str | None = None
    priority_weight: int | None = None
    default_datastore: str | None = None
    default_compute_target: str | None = None
    default_environment: EnvironmentDefinition | None = None
    source_directory: str | None = None
    parameters: dict[str, ParameterDefinition] = {}
    environments: dict[str, EnvironmentDefinition] = {}
    data: dict[str, DataDefinition] = {}
    steps: dict[str, StepDefinition] = {}

    _source: Source = PrivateAttr(default_factory=Source)

    @field_validator("schema_version", mode="before")
    @classmethod
    def _check_schema(cls, value: Any) -> Any:
        if type(value) is not int or value < 1:
            raise ValueError(f"expected 1, found {describe_value(value)}{hint_for('a number', value)}")
        if value > 1:
            raise ValueError(
                f"expected schema version 1, found {value}: a newer version of airflow-provider-ml-pipelines reads it"
            )
        return value

    @classmethod
    def from_document(cls, document: Any, *, source: Source | None = None) -> Self:
        """Return the definition that a document (a mapping with mappings and lists in it) holds.

        :raises DefinitionError: that names everything that is wrong with single fields.
        """
        from airflow_ml_pipelines.written.read import fit
        from dag_factory.resolve.resolve import find_resolve_problems

        source = source or Source()
        if not isinstance(document, Mapping):
            source.refuse([Problem((), "expected a mapping with `name:` and `steps:`")])
        check = partial(find_resolve_problems, base_directory=source.folder) if source.layers else None
        definition = fit(cls, document, source, check)
        definition._source = source  # noqa: SLF001 - ours
        return definition

    @classmethod
    def from_yaml(cls, source: str | os.PathLike[str]) -> Self:
        """Return the definition in a YAML file, or in YAML text (which has a line break).

        :raises DefinitionError: that names everything that is wrong, with file, line and column.
        """
        from dag_factory.definitions.read import read_definition

        return read_definition(cls, source)

    @classmethod
    def from_spec(cls, spec: PipelineSpec) -> Self:
        """Return the definition whose :meth:`to_spec` is a spec."""
        from dag_factory.resolve.unresolve import document_of

        return cls.from_document(document_of(spec))

    def to_yaml(self) -> str:
        """Return the YAML text that :meth:`from_yaml` reads as this definition."""
        from dag_factory.definitions.write import write_definition

        return write_definition(self)

    def to_spec(
        self, base_directory: str | os.PathLike[str] | None = None, *, check_files: bool = True
    ) -> PipelineSpec:
        """Return the pipeline with every name resolved.

        :param base_directory: what relative source directories are relative to; None for the folder of the file
            that the definition was read from, else the current directory.
        :param check_files: whether the scripts must be there.
        :raises DefinitionError: that names everything that is wrong.
        """
        from dag_factory.resolve.resolve import resolve

        return resolve(self, base_directory, check_files=check_files)

    @property
    def source(self) -> Source:
        """Where the definition was read from."""
        return self._source

    def refuse(self, problems: Sequence[Problem]) -> None:
        """Raise an error with all problems, with their positions in the file; do nothing where there are none."""
        self._source.refuse(problems, what=f"pipeline {self.name!r}")

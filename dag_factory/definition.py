"""A pipeline as people write it: the models behind a ``*.pipeline.yaml`` document.

What is written short (``images: images``, ``C: 1.0``, ``schedule: "@daily"``) is read as if it were written long, so
code sees one form. :meth:`PipelineDefinition.to_spec` resolves the names and checks what goes beyond one field.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    Strict,
    field_validator,
    model_validator,
)

from airflow_ml_pipelines.written.problems import Problem, describe_value
from airflow_ml_pipelines.written.source import Source
from airflow_ml_pipelines.written.traps import hint_for
from dag_factory.scalars import as_argument, as_datetime, as_duration, as_header, as_paths, as_scalar, type_of

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import PipelineSpec

__all__ = [
    "DataDefinition",
    "EnvironmentDefinition",
    "InputDefinition",
    "OutputDefinition",
    "ParameterDefinition",
    "PipelineDefinition",
    "RegisterDefinition",
    "ScheduleDefinition",
    "StepDefinition",
    "TabularOptions",
]


Strings = Annotated[tuple[str, ...], Strict(strict=False)]
Scalar = Annotated[str | int | float | bool, BeforeValidator(as_scalar)]
Argument = Annotated[str, BeforeValidator(as_argument)]
Arguments = Annotated[tuple[Argument, ...], Strict(strict=False)]
Duration = Annotated[float, BeforeValidator(as_duration)]
Moment = Annotated[datetime, BeforeValidator(as_datetime)]
Count = Annotated[int, Field(ge=0)]


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, populate_by_name=True, defer_build=True
    )


# --- data --------------------------------------------------------------------------------------------------------


def _operation(value: Any) -> Any:
    from airflow_ml_pipelines.runtime.operations import check_operation

    return check_operation(value) if isinstance(value, dict) else value


Operation = Annotated[dict[str, Any], BeforeValidator(_operation)]


class TabularOptions(_Model):
    """How files are read as a table; names and defaults of ``Dataset.Tabular.from_delimited_files``."""

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
    :param version: of the registered dataset; None for the latest when the run begins.
    :param type: what the script gets: the path of a ``file``, of a ``folder``, of what is there (``auto``), or a table.
    :param fingerprint: what tells reuse that the data is the same.
    """

    datastore: str | None = None
    path: str | None = None
    paths: Annotated[tuple[str | dict[str, str], ...], BeforeValidator(as_paths)] = ()
    url: str | None = None
    dataset: str | None = None
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
    """

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
    """A dataset that an output becomes when its step has ended well."""

    name: str
    description: str | None = None
    tags: dict[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class OutputDefinition(_Model):
    """An output of a step; the fields are those of :class:`~airflow_ml_pipelines.core.spec.OutputSpec`."""

    mode: Literal["mount", "upload"] = "mount"
    datastore: str | None = None
    path: str | None = None
    source: str | None = None
    create: bool = True
    overwrite: bool = False
    globs: Strings = ()
    register_as: RegisterDefinition | None = Field(default=None, alias="register")
    tabular: TabularOptions | None = None
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
    """

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
    """

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
        if not isinstance(value, Mapping | ParameterDefinition):
            value = {"default": value}
        if isinstance(value, Mapping) and "type" not in value:
            return {**value, "type": type_of(value.get("default"))}
        return value


class ScheduleDefinition(_Model):
    """When the pipeline runs by itself: exactly one of ``cron``, ``every``, ``datasets``, ``assets`` and ``timetable``.

    :param cron: a cron expression or a preset such as ``@daily``.
    :param every: the time between two runs, in seconds, or text such as ``1h30m``.
    :param datasets: names of datasets of the workspace, which steps of other pipelines register; as ``assets``.
    :param assets: names or URIs of assets; a run starts when ``all`` (or ``any``) of them were updated.
    :param timetable: the import path of a timetable class, and its ``arguments``.
    """

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


class StepDefinition(_Model):
    """A step that runs a Python script; see :class:`~airflow_ml_pipelines.core.spec.StepSpec` for the fields.

    :param arguments: text with ``${{ … }}`` bindings (:mod:`dag_factory.bindings`), numbers and truth values.
    :param parameters: values for ``AML_PARAMETER_<name>``; text may be one binding to a pipeline parameter.
    """

    script: str
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


class PipelineDefinition(_Model):
    """A pipeline.

    :param name: the DAG's id; the name of the file where it is left out there.
    :param source_directory: of the steps that name none; relative to the file, ``.`` where left out.
    :param experiment: the experiment of runs that name none; the pipeline's name where left out.
    :param retries: of the steps that say nothing else; so are ``retry_delay``, ``pool``, ``queue`` and
        ``priority_weight``.
    :param timeout: seconds after which a run is given up.
    :param doc: Markdown for the DAG's page.
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
        from dag_factory.resolve import find_resolve_problems

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
        from dag_factory.yaml_io import read_definition

        return read_definition(cls, source)

    @classmethod
    def from_spec(cls, spec: PipelineSpec) -> Self:
        """Return the definition whose :meth:`to_spec` is a spec."""
        from dag_factory.unresolve import document_of

        return cls.from_document(document_of(spec))

    def to_yaml(self) -> str:
        """Return the YAML text that :meth:`from_yaml` reads as this definition."""
        from dag_factory.yaml_write import write_definition

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
        from dag_factory.resolve import resolve

        return resolve(self, base_directory, check_files=check_files)

    @property
    def source(self) -> Source:
        """Where the definition was read from."""
        return self._source

    def refuse(self, problems: Sequence[Problem]) -> None:
        """Raise an error with all problems, with their positions in the file; do nothing where there are none."""
        self._source.refuse(problems, what=f"pipeline {self.name!r}")

"""What a pipeline is once nothing about it is left open: plain values that a plan, a run and a DAG are made from.

The authoring classes and the YAML documents of ``dag_factory`` both end up here. Specs can be encoded as JSON and
decoded again (:mod:`airflow_ml_pipelines.core.documents`).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from airflow_ml_pipelines.core.canonical import digest_document

__all__ = [
    "DEFAULT_ENVIRONMENT",
    "PLAN_TASK",
    "AdlaSpec",
    "Argument",
    "Data",
    "DataParameter",
    "DatabricksSpec",
    "EnvironmentSpec",
    "InputMode",
    "InputPath",
    "InputSpec",
    "Location",
    "OutputPath",
    "OutputSpec",
    "ParameterSpec",
    "ParameterValue",
    "PinnedSource",
    "PipelineSpec",
    "Publication",
    "RegisterSpec",
    "RegisteredDataset",
    "StepOutput",
    "StepSpec",
    "TabularFormat",
    "Text",
    "TransferSpec",
    "is_by_digest",
    "spark_input",
    "spark_output",
]

PLAN_TASK = "plan"
"""The id of the task that plans a run; no step can be called so."""

InputMode = Literal["mount", "download", "direct"]
OutputMode = Literal["mount", "upload"]
Fingerprint = Literal["content", "etag", "path"]
ParameterType = Literal["string", "integer", "number", "boolean", "data"]
Form = Literal["auto", "file", "folder"]


class _Spec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    pass


# --- arguments ---------------------------------------------------------------------------------------------------


class Text(_Spec, frozen=True, kw_only=True, tag="text"):
    """Literal text of an argument."""

    text: str


class ParameterValue(_Spec, frozen=True, kw_only=True, tag="parameter"):
    """The value of a pipeline parameter, as text."""

    parameter: str


class InputPath(_Spec, frozen=True, kw_only=True, tag="input"):
    """The path (or URL, for mode ``direct``) at which the script finds an input."""

    input: str


class OutputPath(_Spec, frozen=True, kw_only=True, tag="output"):
    """The path at which the script is to write an output."""

    output: str


Segment = Text | ParameterValue | InputPath | OutputPath
Argument = tuple[Segment, ...]
"""One item of the script's argument vector: its segments put together, never split again."""


# --- data --------------------------------------------------------------------------------------------------------


class Location(_Spec, frozen=True, kw_only=True):
    """A file, a folder or a glob.

    :param datastore: the datastore's name; None for the default one, and where ``path`` is a URL of its own.
    :param path: relative to the datastore's root, with ``/``; may have ``*``, ``?``, ``[…]`` and ``**``.
    """

    path: str
    datastore: str | None = None

    @property
    def is_url(self) -> bool:
        """Whether it is a URL of its own, and no path on a datastore."""
        return self.datastore is None and "://" in self.path


class TabularFormat(_Spec, frozen=True, kw_only=True):
    """How files are read as a table; names and defaults of ``Dataset.Tabular.from_delimited_files``.

    :param operations: what is done with the rows, see :mod:`airflow_ml_pipelines.runtime.operations`.
    :param timestamp: the column that says when a row is from.
    :param partition_timestamp: the same, of a column in the path.
    """

    format: Literal["delimited", "parquet", "json_lines"] = "delimited"
    operations: tuple[dict[str, Any], ...] = ()
    timestamp: str | None = None
    partition_timestamp: str | None = None
    include_path: bool = False
    infer_column_types: bool = True
    set_column_types: dict[str, str] | None = None
    separator: str = ","
    header: bool | Literal["all_files_same", "only_first_file", "none", "all_files_different"] = True
    partition_format: str | None = None
    support_multi_line: bool = False
    empty_as_string: bool = False
    encoding: str = "utf8"


class Data(_Spec, frozen=True, kw_only=True, tag="data"):
    """Data from outside of the pipeline.

    :param form: what the script is given: the path of the one ``file``, of the ``folder``; ``auto``: of the file
        where there is one location and a file is there, else of the folder.
    :param tabular: set where the script gets a table (``Run.input_datasets[name].to_pandas_dataframe()``).
    :param partition_format: of files: the form of their paths, whose parts have names. That of a table is its format's.
    :param query: what is asked of the database that the one location names, with no path. A run asks once, when it is
        planned, and reads the answer from a file under the root.
    :param query_timeout: how many seconds the database may take.
    """

    locations: tuple[Location, ...]
    form: Form = "auto"
    tabular: TabularFormat | None = None
    partition_format: str | None = None
    query: str | None = None
    query_timeout: float = 30


class RegisteredDataset(_Spec, frozen=True, kw_only=True, tag="dataset"):
    """A dataset of the workspace by name.

    :param version: None for the latest when the run begins.
    """

    dataset: str
    version: int | None = None


class StepOutput(_Spec, frozen=True, kw_only=True, tag="output"):
    """An output of another step of the pipeline.

    :param step: the id of that step.
    """

    step: str
    output: str


class DataParameter(_Spec, frozen=True, kw_only=True, tag="parameter"):
    """Data that a pipeline parameter of type ``data`` names."""

    parameter: str


Source = Data | RegisteredDataset | StepOutput | DataParameter


class InputSpec(_Spec, frozen=True, kw_only=True):
    """An input of a step.

    :param mode: ``mount``: the path itself where the store is a local path, else a copy; ``download``: a copy of the
        step's own; ``direct``: the URL.
    :param path_on_compute: where to put it; None for a place of the launcher's choice.
    :param fingerprint: what the reuse key takes for the data's identity, for data from outside of the pipeline.
    """

    name: str
    source: Source
    mode: InputMode = "mount"
    path_on_compute: str | None = None
    overwrite: bool = False
    fingerprint: Fingerprint = "content"


class RegisterSpec(_Spec, frozen=True, kw_only=True):
    """A dataset that an output becomes when its step has ended well."""

    name: str
    description: str | None = None
    tags: dict[str, str] = {}


class OutputSpec(_Spec, frozen=True, kw_only=True):
    """An output of a step.

    :param mode: ``mount``: the script writes at the destination itself where that is a local path; ``upload``: it
        writes in a folder of the launcher's, which is copied when the script has ended well.
    :param datastore: None for the pipeline's default datastore.
    :param path: the destination on the datastore; ``{run-id}`` and ``{output-name}`` are filled in. None for a folder
        that belongs to the attempt.
    :param source: the local path that the script writes to; None for a place of the launcher's choice.
    :param create: whether the launcher makes the folder (the reference does for ``OutputFileDatasetConfig``, and
        leaves it to the script for ``PipelineData``).
    :param globs: with ``upload``: which files to take; empty for all.
    :param partition_format: the form of the files' paths, for the dataset that it becomes.
    :param pipeline_output: the name under which the pipeline's run gives it; its own where it is None.
    """

    name: str
    mode: OutputMode = "mount"
    datastore: str | None = None
    path: str | None = None
    source: str | None = None
    create: bool = True
    overwrite: bool = False
    globs: tuple[str, ...] = ()
    register: RegisterSpec | None = None
    tabular: TabularFormat | None = None
    partition_format: str | None = None
    pipeline_output: str | None = None


def spark_input(spec: InputSpec) -> InputSpec:
    """Return an input as a Spark cluster reads it: at its URL, whatever is said of paths of a machine."""
    return msgspec.structs.replace(spec, mode="direct", path_on_compute=None, overwrite=False)


def spark_output(spec: OutputSpec) -> OutputSpec:
    """Return an output as a Spark cluster writes it: at its URL, whatever is said of paths of a machine."""
    return msgspec.structs.replace(spec, mode="mount", source=None, create=True, globs=())


# --- environments ------------------------------------------------------------------------------------------------


class EnvironmentSpec(_Spec, frozen=True, kw_only=True):
    """What a script needs around it.

    :param python: a version such as ``3.12``; None for the version of the interpreter that runs the pipeline.
    :param user_managed: True: run ``interpreter`` and install nothing.
    :param interpreter: for ``user_managed``: a path or a command; ``python`` alone means the interpreter that runs the
        pipeline.
    :param image: the image that it is made from, on compute targets that run containers.
    :param dockerfile: the text of a Dockerfile that makes that image.
    """

    name: str = ""
    version: str | None = None
    python: str | None = None
    user_managed: bool = True
    interpreter: str = "python"
    conda: tuple[str, ...] = ()
    conda_channels: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    pip_options: tuple[str, ...] = ()
    variables: dict[str, str] = {}
    image: str | None = None
    dockerfile: str | None = None

    @property
    def digest(self) -> str:
        """The digest of all that is installed or set; name and version only label it."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        document.pop("name", None)
        document.pop("version", None)
        return digest_document("ml-pipelines/environment/1", document)


DEFAULT_ENVIRONMENT = EnvironmentSpec()
"""The interpreter that runs the pipeline, as it is."""


def is_by_digest(image: str) -> bool:
    """Return whether an image's name is one that never stands for another image."""
    return "@sha256:" in image or image.startswith("sha256:")


# --- published pipelines ------------------------------------------------------------------------------------------


class PinnedSource(_Spec, frozen=True, kw_only=True):
    """A step's source directory as it was at one moment; the directory itself is no longer looked at.

    :param snapshot: the digest of its snapshot, which is stored.
    :param hash_paths: the digest of each of the step's ``hash_paths``.
    """

    snapshot: str
    hash_paths: dict[str, str] = {}


class Publication(_Spec, frozen=True, kw_only=True):
    """Which published pipeline a pipeline is.

    :param name: what it was published under; ``id`` is that with its number.
    :param git: the Git repository, branch and commit that it was published from.
    """

    id: str
    name: str
    git: dict[str, str] = {}


# --- steps and pipelines -----------------------------------------------------------------------------------------


class TransferSpec(_Spec, frozen=True, kw_only=True):
    """What a step copies: its input ``source`` to the place of its output ``destination``, or into a table.

    :param source_type: what the source has to be; None: whatever is there.
    :param destination_type: whether the destination is the place of the one file, or a folder for files; None: what is
        there already, else what the source is.
    :param database: the datastore of the table that rows are appended to; the output is then a note of what was.
    :param table: that table, which may be ``schema.table``.
    :param delete_extra: whether files in the destination's folder that are not in the source are removed; they are an
        error otherwise.
    :param shards: how many tasks copy at once, on a scheduler.
    """

    source_type: Literal["file", "directory"] | None = None
    destination_type: Literal["file", "directory"] | None = None
    database: str | None = None
    table: str | None = None
    delete_extra: bool = False
    shards: int = 1


class DatabricksSpec(_Spec, frozen=True, kw_only=True):
    """What a step runs on a Spark cluster, and on which one.

    Values of widgets are the step's ``parameters``; what a script or a main class is started with is in its
    ``arguments``. Inputs and outputs that these do not name are added under their own names.

    :param path: where the code lies on Databricks; None: it is the step's ``script``, in its snapshot.
    :param main_class: of a JAR among the libraries.
    :param spark_version: None for what the compute target says; so is ``node_type``.
    :param libraries: as Databricks' API has them: ``{"pypi": {"package": "x==1"}}``, ``{"jar": "dbfs:/x.jar"}``.
    :param serverless: whether no cluster is asked for at all.
    """

    form: Literal["notebook", "python_script", "jar"] = "notebook"
    path: str | None = None
    main_class: str | None = None
    existing_cluster_id: str | None = None
    permit_cluster_restart: bool | None = None
    serverless: bool = False
    spark_version: str | None = None
    node_type: str | None = None
    instance_pool_id: str | None = None
    num_workers: int | None = None
    min_workers: int | None = None
    max_workers: int | None = None
    spark_env_variables: dict[str, str] = {}
    spark_conf: dict[str, str] = {}
    init_scripts: tuple[str, ...] = ()
    cluster_log_dbfs_path: str | None = None
    libraries: tuple[dict[str, Any], ...] = ()
    run_name: str | None = None


class AdlaSpec(_Spec, frozen=True, kw_only=True):
    """What a U-SQL script was to be run with on Azure Data Lake Analytics, which is no more."""

    degree_of_parallelism: int | None = None
    priority: int | None = None
    runtime_version: str | None = None


class StepSpec(_Spec, frozen=True, kw_only=True):
    """A step.

    :param id: unique in the pipeline; letters, digits, ``_``, ``-`` (it names the task group and the folders).
    :param name: what people call it.
    :param script: relative to ``source_directory``, with ``/``; "" for a step that runs none.
    :param kind: how it is run.
    :param transfer: what a ``data_transfer`` copies.
    :param databricks: what a step of kind ``databricks`` runs.
    :param adla: of a step of kind ``adla``.
    :param source_directory: absolute, or relative to the pipeline's ``base_directory``.
    :param ignore: git patterns of files to leave out of the snapshot, on top of the ignore file's.
    :param hash_paths: files or folders that the key has besides the snapshot.
    :param parameters: values for ``AML_PARAMETER_<name>``; of a notebook, of its widgets.
    :param environment: the environment, or the name of a registered one (``name`` or ``name:version``).
    :param compute_target: None for the workspace's default.
    :param after: ids of steps that must have ended first, besides those whose outputs it reads.
    :param timeout: seconds after which the script is killed.
    :param pinned: what the source directory was; None: what it is when a run begins.
    """

    id: str
    name: str
    script: str = ""
    kind: Literal["adla", "data_transfer", "databricks", "python_script"] = "python_script"
    transfer: TransferSpec | None = None
    databricks: DatabricksSpec | None = None
    adla: AdlaSpec | None = None
    source_directory: str = "."
    ignore: tuple[str, ...] = ()
    hash_paths: tuple[str, ...] = ()
    arguments: tuple[Argument, ...] = ()
    parameters: dict[str, ParameterValue | str | int | float | bool] = {}
    inputs: tuple[InputSpec, ...] = ()
    outputs: tuple[OutputSpec, ...] = ()
    environment: EnvironmentSpec | str = DEFAULT_ENVIRONMENT
    compute_target: str | None = None
    allow_reuse: bool = True
    version: str | None = None
    after: tuple[str, ...] = ()
    timeout: float | None = None
    pinned: PinnedSource | None = None

    @property
    def upstream(self) -> tuple[str, ...]:
        """The ids of the steps that must have ended first, sorted."""
        sources = {item.source.step for item in self.inputs if isinstance(item.source, StepOutput)}
        return tuple(sorted(sources.union(self.after)))

    @property
    def has_source(self) -> bool:
        """Whether files of its source directory are there when it runs."""
        return bool(self.script)


class ParameterSpec(_Spec, frozen=True, kw_only=True):
    """A pipeline parameter.

    :param default: a value of the type; for ``data`` a :class:`Data` or :class:`RegisteredDataset` as a dict.
    :param required: True where there is no default.
    """

    name: str
    type: ParameterType = "string"
    default: Any = None
    required: bool = False
    enum: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    description: str | None = None
    title: str | None = None
    section: str | None = None


class PipelineSpec(_Spec, frozen=True, kw_only=True):
    """A pipeline.

    :param steps: in an order in which each comes after those that it needs.
    :param base_directory: what relative source directories are relative to. Not a part of the digest, so that the
        same definition has the same digest in every checkout.
    :param publication: set for a published pipeline, whose steps are all pinned.
    """

    name: str
    steps: tuple[StepSpec, ...]
    parameters: tuple[ParameterSpec, ...] = ()
    description: str | None = None
    default_datastore: str | None = None
    continue_on_step_failure: bool = False
    base_directory: str = ""
    publication: Publication | None = None

    @property
    def family(self) -> str:
        """The name that all published versions of the pipeline share: what its steps are compared with by name."""
        return self.publication.name if self.publication else self.name

    @property
    def digest(self) -> str:
        """The digest of the whole definition."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        document.pop("base_directory", None)
        return digest_document("ml-pipelines/pipeline/1", document)

    def step(self, step_id: str) -> StepSpec:
        """Return the step with an id. :raises KeyError: where there is none."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)

"""The job: everything that the launcher needs to know to run a step, as one document.

The document is the contract between whoever decides that a step runs and the launcher, which may be of another version
and on another machine. ``job.schema.json`` beside this module is its JSON schema. A document of a newer schema than the
reader knows is refused.

What is in it and may be secret: ``variables``. A job that is to be kept is written with their values left out, which is
up to whoever writes it; the launcher itself never writes a job, nor a variable's value, anywhere. Credentials of stores
are not in it: ``open_store`` finds them by the store's URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_ml_pipelines.core.errors import DocumentError, InvalidPathError, did_you_mean
from airflow_ml_pipelines.core.stores.store import check_path
from airflow_ml_pipelines.runtime.decode import decode, encode

__all__ = ["SCHEMA", "Job", "JobInput", "JobOutput", "JobSource", "JobWorkspace", "RunIds", "Segment"]

SCHEMA = 1

Segment = dict[str, str]
"""``{"text": …}``, ``{"input": <name>}`` or ``{"output": <name>}``."""

_SEGMENTS = ("text", "input", "output")


@dataclass(frozen=True, kw_only=True)
class RunIds:
    """What the run is called.

    :param run: the id of the pipeline's run.
    :param attempt: counts from 1.
    :param id: the id of this attempt, unique in the workspace.
    """

    workspace: str
    experiment: str
    pipeline: str
    run: str
    step: str
    step_name: str
    attempt: int
    id: str


@dataclass(frozen=True, kw_only=True)
class JobWorkspace:
    """The workspace, as the script may ask for it.

    :param root: a URL.
    :param datastores: a URL for each name.
    """

    name: str
    root: str
    datastores: dict[str, str]
    default_datastore: str


@dataclass(frozen=True, kw_only=True)
class JobSource:
    """The snapshot of the source directory.

    :param archive: the URL of a zip.
    :param script: relative to the source directory.
    :param module: the Python module that runs it (``python -m``); None where it is started itself.
    """

    archive: str
    digest: str
    script: str
    module: str | None = None


@dataclass(frozen=True, kw_only=True)
class JobInput:
    """An input.

    :param form: what the script gets: the path of the one ``file``, of the ``folder``; ``auto``: of the file where
        there is one location and a file is there, else of the folder.
    :param locations: ``{"store": <URL>, "path": <path>}`` each; a path may have ``*``, ``?``, ``[…]`` and ``**``.
    :param tabular: the fields of ``TabularFormat``, for an input that is a table.
    :param path_on_compute: where to put it; relative to the source directory.
    :param overwrite: whether what is at ``path_on_compute`` already may be replaced.
    """

    mode: Literal["mount", "download", "direct"]
    locations: tuple[dict[str, str], ...]
    form: Literal["auto", "file", "folder"] = "auto"
    tabular: dict[str, Any] | None = None
    path_on_compute: str | None = None
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class JobOutput:
    """An output.

    :param store: a URL.
    :param path: the destination in the store.
    :param source: where the script is to write; relative to the source directory. None for a place of the launcher's.
        With ``direct``: the URL at which it writes.
    :param create: whether the launcher makes the folder.
    :param overwrite: with ``upload``: whether files at the destination may be replaced.
    :param globs: with ``upload``: which files to take; empty for all.
    """

    mode: Literal["direct", "mount", "upload"]
    store: str
    path: str
    source: str | None = None
    create: bool = True
    overwrite: bool = False
    globs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Job:
    """A step to run.

    :param folder: the URL of the attempt's folder.
    :param parent_folder: the URL of the folder of the pipeline's run.
    :param interpreter: a path, or a command on the ``PATH``.
    :param variables: environment variables besides those that the launcher sets; may be secret.
    :param secrets: the names of those that are; their values are taken out of what the script writes.
    :param parameters: values of ``AML_PARAMETER_<name>``.
    :param pipeline_parameters: for information.
    :param arguments: each a list of segments that are put together to one argument.
    :param timeout: seconds that the script may take.
    :param git: what git knew of the source, as properties of the run.
    """

    run: RunIds
    folder: str
    parent_folder: str
    workspace: JobWorkspace
    source: JobSource
    interpreter: str
    variables: dict[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = ()
    parameters: dict[str, str] = field(default_factory=dict)
    pipeline_parameters: dict[str, Any] = field(default_factory=dict)
    arguments: tuple[tuple[Segment, ...], ...] = ()
    inputs: dict[str, JobInput] = field(default_factory=dict)
    outputs: dict[str, JobOutput] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    timeout: float | None = None
    git: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the job as a document, secrets included."""
        return {"schema": SCHEMA, **encode(self)}

    @classmethod
    def from_dict(cls, document: Any) -> Job:
        """Read a job.

        :raises NewerDocumentError: where a newer version of this package wrote it.
        :raises DocumentError: where a field is missing, of another type, or one that there is not.
        """
        job = decode(cls, document, what="job", schema=SCHEMA)
        _check(job)
        return job


def _check(job: Job) -> None:
    for name, known in (("inputs", job.inputs), ("outputs", job.outputs), ("variables", job.variables)):
        for key in known:
            if not key or "=" in key or "\0" in key:
                raise DocumentError(f"job: expected a name at $.{name}, found {key!r}")
    for index, argument in enumerate(job.arguments):
        for part, segment in enumerate(argument):
            _check_segment(job, segment, f"$.arguments[{index}][{part}]")
    for name, item in job.inputs.items():
        for index, location in enumerate(item.locations):
            _check_location(location, f"$.inputs.{name}.locations[{index}]")
    for name, output in job.outputs.items():
        _check_path(output.path, f"$.outputs.{name}.path")
    _check_path(job.source.script, "$.source.script")
    if job.timeout is not None and not job.timeout > 0:
        raise DocumentError(f"job: expected a number above 0 at $.timeout, found {job.timeout}")


def _check_location(location: Mapping[str, str], at: str) -> None:
    if set(location) != {"store", "path"}:
        raise DocumentError(f"job: expected 'store' and 'path' at {at}, found {sorted(location)}")
    _check_path(location["path"], f"{at}.path")


def _check_segment(job: Job, segment: Mapping[str, str], at: str) -> None:
    kind = next(iter(segment), "")
    if len(segment) != 1 or kind not in _SEGMENTS:
        raise DocumentError(
            f"job: expected one of 'text', 'input', 'output' at {at}, found {sorted(segment)}"
        )
    known: Mapping[str, object] = job.inputs if kind == "input" else job.outputs
    if kind != "text" and segment[kind] not in known:
        raise DocumentError(
            f"job: there is no {kind} {segment[kind]!r}, as {at} says." + did_you_mean(segment[kind], known)
        )


def _check_path(path: str, at: str) -> None:
    try:
        check_path(path)
    except InvalidPathError as error:
        raise DocumentError(f"job: at {at}: {error}") from None

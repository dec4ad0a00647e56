"""Data of a pipeline: what is read from outside, and what steps read and write."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from dag_factory.models.fields import ANY_TEXT, DefinitionModel, Duration, Strings
from dag_factory.models.scalars import as_paths
from dag_factory.models.tables import TabularOptions

__all__ = [
    "DataDefinition",
    "InputDefinition",
    "OutputDefinition",
    "RegisterDefinition",
]


_PATHS = {
    "type": "array",
    "items": {
        "anyOf": [
            ANY_TEXT,
            {
                "type": "object",
                "properties": {"datastore": ANY_TEXT, "path": ANY_TEXT},
                "required": ["datastore", "path"],
                "additionalProperties": False,
            },
        ]
    },
}


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

    short_forms: ClassVar = (ANY_TEXT,)

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


class RegisterDefinition(DefinitionModel):
    """A dataset that an output becomes when its step has ended well.

    :param name: of the dataset; each run adds a version.
    :param description: for people.
    :param tags: for people: texts by name.
    """

    short_forms: ClassVar = (ANY_TEXT,)

    name: str
    description: str | None = None
    tags: dict[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class OutputDefinition(DefinitionModel):
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

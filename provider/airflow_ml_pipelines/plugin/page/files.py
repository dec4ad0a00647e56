"""The files that a step's run kept and those of its outputs: found by name, told as what they are, never run."""

from __future__ import annotations

from typing import NamedTuple

from airflow_ml_pipelines.core.errors import MlPipelinesError, NotFoundError
from airflow_ml_pipelines.core.reuse.verify import read_manifest
from airflow_ml_pipelines.core.runs.folder import StepDocument
from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.plugin.access import MissingError
from airflow_ml_pipelines.plugin.serve import IMAGES, is_inside

__all__ = [
    "KeptFile",
    "find_file",
    "is_image",
    "kept_files",
    "output_files",
    "read_end",
    "read_start",
]

_MOST = 500


class KeptFile(NamedTuple):
    """A file.

    :param name: of an output: relative to it.
    :param path: in the store.
    """

    name: str
    store: Store
    path: str
    size: int


def is_image(name: str) -> bool:
    """Return whether a page can show a file as an image."""
    return name.rpartition(".")[2].lower() in IMAGES


def kept_files(workspace: Workspace, folder: str) -> list[KeptFile]:
    """Return the logs and files that an attempt kept, sorted by name.

    :param folder: of the attempt; "" where there is none.
    """
    if not folder:
        return []
    found = [
        KeptFile(info.path[len(folder) + 1 :], workspace.store, info.path, info.size)
        for info in workspace.store.walk(folder)
    ]
    return sorted(file for file in found if file.name.startswith(("logs/", "outputs/")))


def output_files(workspace: Workspace, document: StepDocument, output: str) -> list[KeptFile]:
    """Return the files of an output, those of a very large one up to a number.

    :raises MissingError: where there is no such output, or its manifest is gone.
    """
    made = document.outputs.get(output)
    if made is None:
        raise MissingError(f"there is no output {output[:200]!r}")
    try:
        manifest, store = read_manifest(workspace, made), workspace.datastore(made.datastore)
    except MlPipelinesError as error:
        raise MissingError(f"output {output!r} can't be shown: {error}") from None
    return [
        KeptFile(item.path, store, made.path if made.single else f"{made.path}/{item.path}", item.size)
        for item in manifest.entries[:_MOST]
    ]


def find_file(workspace: Workspace, document: StepDocument, output: str, name: str) -> KeptFile:
    """Return a file of an output, or one that the run kept where that is "".

    :raises MissingError: where there is none of that name.
    """
    files = output_files(workspace, document, output) if output else kept_files(workspace, document.folder)
    for file in files:
        if file.name == name and is_inside(file.store, file.path):
            return file
    raise MissingError(f"there is no file {name[:200]!r}")


def read_start(file: KeptFile, most: int) -> bytes:
    """Return how a file begins."""
    try:
        with file.store.open(file.path) as source:
            return source.read(most)
    except NotFoundError:
        raise MissingError(f"file {file.name!r} has gone") from None


def read_end(file: KeptFile, most: int) -> bytes:
    """Return how a file ends."""
    try:
        with file.store.open(file.path) as source:
            if file.size > most:
                source.seek(file.size - most)
            return source.read(most)
    except NotFoundError:
        raise MissingError(f"file {file.name!r} has gone") from None

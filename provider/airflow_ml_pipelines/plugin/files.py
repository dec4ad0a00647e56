"""The files that a step's run kept and those of its outputs: found by name, told as what they are, never run."""

from __future__ import annotations

from typing import NamedTuple

from airflow_ml_pipelines.core.errors import InvalidPathError, MlPipelinesError, NotFoundError
from airflow_ml_pipelines.core.files.manifest import Manifest
from airflow_ml_pipelines.core.reuse.verify import read_manifest
from airflow_ml_pipelines.core.runs.folder import OutputDocument, StepDocument
from airflow_ml_pipelines.core.stores.store import Store, check_path, join
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.plugin.access import MissingError
from airflow_ml_pipelines.plugin.serve import IMAGES, is_inside

__all__ = [
    "LOGS",
    "KeptFile",
    "find_kept",
    "find_made",
    "is_image",
    "kept_files",
    "made_files",
    "read_end",
    "read_start",
]

LOGS = "logs/"
"""How the names of logs begin among the files that an attempt kept."""

_KEPT = (LOGS, "outputs/")
_MOST = 500
_SHOWN = 200


class KeptFile(NamedTuple):
    """A file.

    :param name: within the attempt's folder; of an output: within it.
    :param path: in the store.
    :param digest: of its content, None where that is not known.
    """

    name: str
    store: Store
    path: str
    size: int
    digest: str | None = None


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
    return sorted((file for file in found if file.name.startswith(_KEPT)), key=lambda file: file.name)


def find_kept(workspace: Workspace, folder: str, name: str) -> KeptFile:
    """Return a file that an attempt kept.

    :param folder: of the attempt; "" where there is none.
    :raises MissingError: where there is none of that name.
    """
    if folder and name.startswith(_KEPT) and _is_plain(name):
        path = f"{folder}/{name}"
        info = workspace.store.info(path)
        if info is not None and is_inside(workspace.store, path):
            return KeptFile(name, workspace.store, path, info.size)
    raise MissingError(f"there is no file {name[:_SHOWN]!r}")


def made_files(
    workspace: Workspace, document: StepDocument, output: str, *, first: int = 0, most: int = _MOST
) -> list[KeptFile]:
    """Return some of the files of an output, in the order of their names.

    :raises MissingError: where there is no such output, or its manifest is gone.
    """
    made, manifest, store = _open(workspace, document, output)
    return [
        KeptFile(item.path, store, _place(made, item.path), item.size, item.digest)
        for item in manifest.entries[first : first + most]
    ]


def find_made(workspace: Workspace, document: StepDocument, output: str, name: str) -> KeptFile:
    """Return a file of an output.

    :raises MissingError: where there is none of that name.
    """
    made, manifest, store = _open(workspace, document, output)
    for item in manifest.entries:
        if item.path == name and _is_plain(name) and is_inside(store, _place(made, name)):
            return KeptFile(name, store, _place(made, name), item.size, item.digest)
    raise MissingError(f"output {output[:_SHOWN]!r} has no file {name[:_SHOWN]!r}")


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


def _open(
    workspace: Workspace, document: StepDocument, output: str
) -> tuple[OutputDocument, Manifest, Store]:
    made = document.outputs.get(output)
    if made is None:
        raise MissingError(f"step {document.step[:_SHOWN]!r} has made no output {output[:_SHOWN]!r}")
    try:
        return made, read_manifest(workspace, made), workspace.datastore(made.datastore)
    except MlPipelinesError as error:
        raise MissingError(f"output {output!r} can't be shown: {error}") from None


def _place(made: OutputDocument, name: str) -> str:
    return made.path if made.single else join(made.path, name)


def _is_plain(path: str) -> bool:
    try:
        return check_path(path) == path
    except InvalidPathError:
        return False

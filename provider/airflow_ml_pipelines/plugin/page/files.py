"""The files that a step's run kept and those of its outputs: found by name, told as what they are, never run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from fastapi.responses import StreamingResponse

from airflow_ml_pipelines.core.errors import MlPipelinesError, NotFoundError
from airflow_ml_pipelines.core.runs import StepDocument
from airflow_ml_pipelines.core.store import Store
from airflow_ml_pipelines.core.verify import read_manifest
from airflow_ml_pipelines.core.workspace import Workspace
from airflow_ml_pipelines.plugin.access import MissingError

__all__ = [
    "KeptFile",
    "answer_file",
    "find_file",
    "is_image",
    "kept_files",
    "output_files",
    "read_end",
    "read_start",
]

_IMAGES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
_PIECE = 1 << 18
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
    return _ending(name) in _IMAGES


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
        if file.name == name:
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


def answer_file(file: KeptFile) -> StreamingResponse:
    """Return a file: an image to be shown, anything else to be kept. A browser runs nothing that is in it."""
    try:
        source = file.store.open(file.path)
    except NotFoundError:
        raise MissingError(f"file {file.name!r} has gone") from None
    headers = {
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, max-age=60",
    }
    kind = _IMAGES.get(_ending(file.name))
    if kind is None:
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{_file_name(file.name)}"
    return StreamingResponse(_pieces(source), media_type=kind or "application/octet-stream", headers=headers)


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    with source:
        while piece := source.read(_PIECE):
            yield piece


def _file_name(name: str) -> str:
    from urllib.parse import quote

    return quote(name.rpartition("/")[2], safe="")


def _ending(name: str) -> str:
    return "." + name.rpartition(".")[2].lower()

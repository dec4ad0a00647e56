"""Answers requests with the bytes of files that scripts have written: they may be anything, so nothing of it is run.

Text and images are shown by a browser, text as plain text. Everything else, HTML and SVG first of all, is downloaded.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from fastapi import HTTPException
from fastapi.responses import StreamingResponse

from airflow_ml_pipelines.core.errors import NotFoundError
from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.plugin.models import Refusal

__all__ = ["IMAGES", "MOST", "RESPONSES", "is_inside", "serve_file"]

MOST = 64 << 20
"""How many bytes an answer has at most."""

_TEXT = re.compile("cfg|conf|csv|err|ini|json|jsonl|log|md|out|py|r|sql|toml|tsv|txt|ya?ml")
IMAGES = {
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
}
"""What a browser shows as an image, by the endings of names."""

_CONTENT: Final[dict[str, object]] = {
    kind: {} for kind in ("application/octet-stream", "text/plain", *sorted(set(IMAGES.values())))
}
RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The whole file.", "content": _CONTENT},
    206: {"description": "The bytes that `Range` asks for.", "content": _CONTENT},
    413: {"description": f"The file has more than {MOST} bytes: ask for a range.", "model": Refusal},
    416: {"description": "The range is beyond the file's end.", "model": Refusal},
}
"""What :func:`serve_file` may answer, for the description of a call."""

_PIECE = 1 << 18
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def serve_file(store: Store, path: str, wanted: str | None) -> StreamingResponse:
    """Return an answer with a file, or with a part of it.

    :param path: in the store; what may be read of it is for the caller to know.
    :param wanted: the header ``Range`` of the request; several ranges at once are answered with the whole file.
    :raises NotFoundError: where there is no such file, or a link of it leads out of the store.
    """
    info = store.info(path)
    if info is None or not is_inside(store, path):
        raise NotFoundError(f"there is no file {path.rpartition('/')[2]!r}")
    start, length = _range(wanted, info.size)
    if length > MOST:
        if start is None:
            raise HTTPException(
                413, f"the file has {info.size} bytes: ask for at most {MOST} of them with the header Range"
            )
        length = MOST
    name = path.rpartition("/")[2]
    kind, disposition = _kind(name)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"{disposition}; filename*=UTF-8''{quote(name, safe='', errors='replace')}",
        "Content-Length": str(length),
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    if start is not None:
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{info.size}"
        headers["Content-Encoding"] = (
            "identity"  # it is these bytes that are counted, so nothing may compress them
        )
    return StreamingResponse(
        _read(store, path, start or 0, length), 200 if start is None else 206, headers, media_type=kind
    )


def _kind(name: str) -> tuple[str, str]:
    ending = name.rpartition(".")[2].lower()
    if _TEXT.fullmatch(ending):
        return "text/plain; charset=utf-8", "inline"
    if ending in IMAGES:
        return IMAGES[ending], "inline"
    return "application/octet-stream", "attachment"


def _range(wanted: str | None, size: int) -> tuple[int | None, int]:
    """Return where to begin, None for all of the file, and how many bytes to send."""
    found = _RANGE.fullmatch((wanted or "").replace(" ", ""))
    if found is None or not any(found.groups()):
        return None, size
    first, last = found.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last), size - 1) if first and last else size - 1
    if start > end or start >= size:
        if first and last and int(last) < int(first):
            return None, size
        raise HTTPException(
            416,
            f"the file has {size} bytes, the range {wanted!r} none of them",
            {"Content-Range": f"bytes */{size}"},
        )
    return start, end - start + 1


def _read(store: Store, path: str, start: int, length: int) -> Iterator[bytes]:
    with store.open(path) as file:
        file.seek(start)
        while length > 0 and (piece := file.read(min(_PIECE, length))):
            length -= len(piece)
            yield piece


def is_inside(store: Store, path: str) -> bool:
    """Return whether a file of a local store is below its root also where it, or a folder above it, is a link."""
    root, local = store.local_path(""), store.local_path(path)
    if root is None or local is None:
        return True
    real = os.path.realpath(root)
    return os.path.commonpath([real, os.path.realpath(local)]) == real

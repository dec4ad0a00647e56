"""What both APIs are asked and answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message

from servers.gcs.objects import RefusedError, Stored

__all__ = ["Answer", "Request", "give"]

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class Request:
    """:param path: its segments, each decoded."""

    method: str
    path: list[str]
    query: Mapping[str, str]
    headers: Message
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def give(stored: Stored, request: Request, headers: Mapping[str, str]) -> Answer:
    """Answer with an object's bytes, or the range of them that is asked for."""
    wanted = request.headers.get("If-Match")
    if wanted is not None and wanted.strip('"') != stored.etag:
        raise RefusedError(
            412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold."
        )
    size = len(stored.data)
    if request.method == "HEAD":
        return Answer(200, b"", {**headers, "Content-Length": str(size)})
    found = _RANGE.fullmatch(request.headers.get("Range", ""))
    if found is None:
        return Answer(200, stored.data, headers)
    first, last = found.groups()
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    if start >= size:
        raise RefusedError(416, "InvalidRange", "The requested range cannot be satisfied.")
    ranged = {**headers, "Content-Range": f"bytes {start}-{end - 1}/{size}"}
    return Answer(206, stored.data[start:end], ranged)

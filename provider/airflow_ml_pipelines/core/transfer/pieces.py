"""Digests of what passes through: the project's own, and the one by which S3 says what it was given."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from airflow_ml_pipelines.core.files.digest import CHUNK, Digester

__all__ = ["PIECE", "Passing", "is_md5", "piece_size"]

PIECE: Final = CHUNK
"""Bytes of one request: a larger file is read and written in pieces, several at once."""

_PARTS = 9_000  # of one object; S3 takes 10,000
_MD5 = re.compile(r"[0-9a-f]{32}")


def piece_size(size: int) -> int:
    """Return in pieces of how many bytes a file is copied."""
    return PIECE * max(1, -(-size // (PIECE * _PARTS)))


def is_md5(version: str) -> bool:
    """Return whether an ETag may be the MD5 of an object's bytes, as on S3 that of one written in one piece is."""
    return _MD5.fullmatch(version) is not None


class Passing:
    """The digests of a file whose pieces pass by in order.

    :param size: of the file: one of a single piece has another ETag than one of several.
    :param own: whether the project's own digest is wanted.
    """

    def __init__(self, size: int, *, own: bool = True) -> None:
        self._single = size <= PIECE
        self._own = Digester() if own else None
        self._parts: list[bytes] = []

    def update(self, piece: bytes | memoryview) -> None:
        """Take the next piece. It takes a while for a large one, and lets other threads run."""
        self._parts.append(hashlib.md5(piece, usedforsecurity=False).digest())
        if self._own is not None:
            self._own.update(piece)

    @property
    def digest(self) -> str:
        """The project's own digest, "" where it was not wanted."""
        return "" if self._own is None else self._own.hexdigest()

    @property
    def tag(self) -> str:
        """The ETag that S3 gives an object that it was sent in these pieces, unless it encrypts with a key of its own."""
        if self._single:
            return (
                self._parts[0].hex() if self._parts else hashlib.md5(b"", usedforsecurity=False).hexdigest()
            )
        whole = hashlib.md5(b"".join(self._parts), usedforsecurity=False)
        return f"{whole.hexdigest()}-{len(self._parts)}"

"""Digests of files, the same on every machine, with every core at work on large ones.

A file of up to :data:`CHUNK` bytes has the sha256 of its bytes. A larger one is cut into chunks of that size, each
chunk has its sha256, and the file's digest is the sha256 of a tag and the chunks' digests in order. ``hashlib``
lets go of the interpreter's lock, so chunks are digested in threads.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from airflow_ml_pipelines.core.progress import advance

__all__ = ["CHUNK", "Digester", "digest_bytes", "digest_file", "read_digest"]

CHUNK = 8 << 20
"""Bytes up to which a file is digested in one piece. Part of the format: never change it."""

_TAG = b"ml-pipelines/chunks/1\0"
_THREADS = min(8, os.cpu_count() or 1)
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_PIECE = 1 << 20


class Digester:
    """The digest of a file whose bytes come piece by piece.

    :param size: the bytes that have come.
    """

    def __init__(self) -> None:
        self.size = 0
        self._chunk = hashlib.sha256()
        self._chunks = hashlib.sha256(_TAG)

    def update(self, data: bytes | memoryview) -> None:
        """Take the next piece, of any length."""
        view = memoryview(data)
        while view:
            room = CHUNK - self.size % CHUNK
            if room == CHUNK and self.size:
                self._chunks.update(self._chunk.digest())
                self._chunk = hashlib.sha256()
            piece = view[:room]
            self._chunk.update(piece)
            self.size += len(piece)
            view = view[room:]

    def hexdigest(self) -> str:
        """Return the digest of what has come so far, as 64 hexadecimal digits."""
        if self.size <= CHUNK:
            return self._chunk.hexdigest()
        chunks = self._chunks.copy()
        chunks.update(self._chunk.digest())
        return chunks.hexdigest()


def digest_bytes(data: bytes) -> str:
    """Return the digest of a file with these bytes, as 64 hexadecimal digits."""
    if len(data) <= CHUNK:
        return hashlib.sha256(data).hexdigest()
    whole = Digester()
    whole.update(data)
    return whole.hexdigest()


def digest_file(path: str | os.PathLike[str], size: int | None = None) -> tuple[str, int]:
    """Return the digest of a file and its size in bytes, as read.

    Holds at most one chunk in memory, or a piece of one a thread.

    :param size: what the file's size was a moment ago, where the caller knows.
    :raises OSError: where the file can't be read.
    """
    digest, read = read_digest(path, size)
    return digest.hex(), read


def read_digest(path: str | os.PathLike[str], size: int | None = None) -> tuple[bytes, int]:
    """Return the same as :func:`digest_file`, with the digest as 32 bytes."""
    descriptor = os.open(path, _FLAGS)
    try:
        if size is None:
            size = os.fstat(descriptor).st_size
        if size > CHUNK:
            return _digest_large(descriptor, size)
        data = os.read(descriptor, size + 1)
        advance(len(data))
        if len(data) == size:
            return hashlib.sha256(data).digest(), size
        return _digest_rest(descriptor, data)
    finally:
        os.close(descriptor)


def _digest_rest(descriptor: int, data: bytes) -> tuple[bytes, int]:
    """Digest a file that grows or shrinks while it is read, or that has no size of its own."""
    whole = Digester()
    while data:
        whole.update(data)
        data = os.read(descriptor, _PIECE)
        advance(len(data))
    return bytes.fromhex(whole.hexdigest()), whole.size


def _digest_large(descriptor: int, size: int) -> tuple[bytes, int]:
    whole = hashlib.sha256(_TAG)
    read = 0
    with ThreadPoolExecutor(_THREADS) as pool:
        # a few at a time, so that a file of terabytes does not make a list of all its chunks
        waiting: deque[Future[tuple[bytes, int]]] = deque()
        for start in range(0, size, CHUNK):
            waiting.append(pool.submit(_chunk, descriptor, start))
            if len(waiting) > 2 * _THREADS:
                digest, length = waiting.popleft().result()
                whole.update(digest)
                read += length
                advance(length)
        for future in waiting:
            digest, length = future.result()
            whole.update(digest)
            read += length
            advance(length)
    return whole.digest(), read


def _chunk(descriptor: int, start: int) -> tuple[bytes, int]:
    digest = hashlib.sha256()
    end = start + CHUNK
    position = start
    while position < end and (data := os.pread(descriptor, min(_PIECE, end - position), position)):
        digest.update(data)
        position += len(data)
    return digest.digest(), position - start

"""Copies between this machine and object stores: many small files at once, large ones in pieces, in bounded memory."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast

import obstore

from airflow_ml_pipelines.core.errors import NotFoundError, StoreError
from airflow_ml_pipelines.core.files.digest import Digester, digest_file
from airflow_ml_pipelines.core.progress import advance, unmeasured
from airflow_ml_pipelines.core.stores.local_store import LocalStore, local_version, put_in_place
from airflow_ml_pipelines.core.stores.obstore_store import ObstoreStore, object_version
from airflow_ml_pipelines.core.transfer.copies import Copied, Copy, OnCopied, changed, differs, unreadable
from airflow_ml_pipelines.core.transfer.pieces import PIECE, Passing, piece_size

__all__ = ["StreamCopier", "run_many"]

_FILES = 64
"""How many files are copied at once, of small ones."""

_AHEAD = 4
"""How many pieces of a large file are read before they are wanted, and how many are written at once."""

_MEMORY: Final = 160 << 20
"""Bytes that are under way at once."""

_INLINE = 64 << 10  # what is digested before another thread could begin
_LOOK_SECONDS = 0.2


class StreamCopier:
    """Copies through this process.

    :param mark: what the names of files on this machine that are not complete begin with.
    """

    def __init__(self, target: LocalStore | ObstoreStore, mark: str) -> None:
        self._target = target
        self._mark = mark

    def copy(self, copies: Sequence[Copy], on_copied: OnCopied, check: Callable[[], None]) -> None:
        memory = _Memory(_MEMORY)

        async def one(copy: Copy) -> None:
            size = copy.info.size
            async with memory.taken(size if size <= PIECE else 2 * (_AHEAD + 1) * piece_size(size)):
                copied = await (self._small(copy) if size <= PIECE else self._large(copy))
            on_copied(copied)

        asyncio.run(run_many(one, copies, _FILES, check))

    # --- one piece -------------------------------------------------------------------------------------------------

    async def _small(self, copy: Copy) -> Copied:
        data = await _read(copy, 0, copy.info.size)
        passing = Passing(copy.info.size, own=True)
        await _digest(passing, data)
        _still_the_same(copy, passing)
        advance(len(data))
        if isinstance(self._target, LocalStore):
            return await self._write(copy, data, passing)
        with self._target.errors(copy.target, "written"):
            put = await obstore.put_async(self._target.client, copy.target, bytes(data), use_multipart=False)
        return await self._sent(copy, self._target, put, passing)

    async def _write(self, copy: Copy, data: Any, passing: Passing) -> Copied:
        assert isinstance(self._target, LocalStore)
        with self._target.writing(copy.target, mark=self._mark) as (target, aside):
            with open(aside, "xb") as file:  # noqa: ASYNC230 - it takes no time
                file.write(data)
            return await self._put_in_place(copy, target, aside, passing.digest)

    # --- pieces ----------------------------------------------------------------------------------------------------

    async def _large(self, copy: Copy) -> Copied:
        passing = Passing(copy.info.size, own=not copy.digest)
        if isinstance(self._target, LocalStore):
            return await self._fetch(copy, passing)
        with self._target.errors(copy.target, "written"):
            put = await obstore.put_async(
                self._target.client,
                copy.target,
                _pieces(copy, passing),
                chunk_size=piece_size(copy.info.size),
                max_concurrency=_AHEAD,
            )
        return await self._sent(copy, self._target, put, passing)

    async def _fetch(self, copy: Copy, passing: Passing) -> Copied:
        assert isinstance(self._target, LocalStore)
        with self._target.writing(copy.target, mark=self._mark) as (target, aside):
            with open(aside, "xb") as file:  # noqa: ASYNC230 - it takes no time
                async for piece in _pieces(copy, passing):
                    await asyncio.to_thread(file.write, piece)
            return await self._put_in_place(copy, target, aside, passing.digest or copy.digest)

    # --- afterwards ------------------------------------------------------------------------------------------------

    async def _put_in_place(self, copy: Copy, target: str, aside: str, digest: str) -> Copied:
        """Put a file where it belongs, after it was read again."""
        with unmeasured():
            if copy.info.size <= _INLINE:
                there = digest_file(aside)
            else:
                there = await asyncio.to_thread(digest_file, aside)
        if there != (digest, copy.info.size):
            raise differs(copy, self._target)
        written = os.stat(aside)
        put_in_place(aside, target)
        return Copied(copy, digest, local_version(written))

    async def _sent(self, copy: Copy, target: ObstoreStore, put: Any, passing: Passing) -> Copied:
        """Return what was sent to an object store, after that has said, or shown, that it has the same bytes."""
        version = object_version(put["e_tag"], put["version"])
        digest = passing.digest or copy.digest
        if version != passing.tag and await _read_back(target, copy) != digest:
            raise differs(copy, target)
        return Copied(copy, digest, version)


async def run_many(
    work: Callable[[Any], Any], items: Sequence[Any], at_once: int, check: Callable[[], None]
) -> None:
    """Do the same to many things, some of them at once; the first error ends all.

    :param check: called several times a second; what it raises ends all.
    """
    left = iter(items)

    async def worker() -> None:
        for item in left:
            await work(item)

    async def look() -> None:
        while True:
            check()
            await asyncio.sleep(_LOOK_SECONDS)

    watch = asyncio.create_task(look())
    workers = [asyncio.create_task(worker()) for _ in range(min(at_once, len(items)))]
    tasks = {watch, *workers}
    try:
        left_workers = set(workers)
        while left_workers:
            ended, _ = await asyncio.wait({watch, *left_workers}, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()  # raises what it has raised
            left_workers -= ended
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Memory:
    """Lets no more bytes be under way at once than there is room for; what is larger goes alone."""

    def __init__(self, room: int) -> None:
        self._room = self._free = room
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        size = min(size, self._room)
        async with self._changed:
            await self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            self._free += size
            async with self._changed:
                self._changed.notify_all()


async def _pieces(copy: Copy, passing: Passing) -> AsyncIterator[Any]:
    """Yield a file's pieces in order, some of them read ahead."""
    size, step = copy.info.size, piece_size(copy.info.size)
    starts = iter(range(0, size, step))
    ahead: deque[asyncio.Task[Any]] = deque()

    def read_on() -> None:
        start = next(starts, None)
        if start is not None:
            ahead.append(asyncio.create_task(_read(copy, start, min(start + step, size))))

    try:
        for _ in range(_AHEAD):
            read_on()
        while ahead:
            piece = await ahead.popleft()
            read_on()
            await _digest(passing, piece)
            advance(len(piece))
            yield piece
        _still_the_same(copy, passing)
    finally:
        for task in ahead:
            task.cancel()


async def _read(copy: Copy, start: int, end: int) -> Any:
    """Read a part of a file. :raises DataError: where it is no longer what it was."""
    path, store = copy.info.path, copy.store
    if isinstance(store, ObstoreStore):
        whole = (start, end) == (0, copy.info.size)
        options: dict[str, Any] = {} if whole else {"range": (start, end)}
        if copy.info.version and not copy.info.version.startswith("weak:"):
            options["if_match"] = f'"{copy.info.version}"'
        try:
            with store.errors(path, "read"):
                found = await obstore.get_async(store.client, path, options=cast("Any", options or None))
                data: Any = await found.bytes_async()
        except NotFoundError:
            raise changed(copy) from None
        except StoreError as error:
            if "recondition" in str(error):
                raise changed(copy) from None
            raise
    else:
        file = store.local_path(path)
        assert file is not None
        read = _read_file(file, copy, start, end)
        data = read() if end - start <= _INLINE else await asyncio.to_thread(read)
    if len(data) != end - start:
        raise changed(copy)
    return data


def _read_file(file: Path, copy: Copy, start: int, end: int) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with open(file, "rb", buffering=0) as stream:
                stream.seek(start)
                return stream.read(end - start) or b""
        except OSError as error:
            raise unreadable(copy, error) from None

    return read


async def _digest(passing: Passing, piece: Any) -> None:
    view = memoryview(piece)
    if len(view) <= _INLINE:
        passing.update(view)
    else:
        await asyncio.to_thread(passing.update, view)


def _still_the_same(copy: Copy, passing: Passing) -> None:
    """Refuse a file of this machine that was written while it was read, and content that is not what it was known as."""
    file = copy.store.local_path(copy.info.path)
    if file is not None:
        with suppress(FileNotFoundError):
            if local_version(os.stat(file)) != copy.info.version:
                raise changed(copy)
    if copy.digest and passing.digest not in ("", copy.digest):
        raise changed(copy)


async def _read_back(target: ObstoreStore, copy: Copy) -> str:
    """Return the digest of what a store has now."""
    digester = Digester()
    with target.errors(copy.target, "read"):
        found = await obstore.get_async(target.client, copy.target)
        async for piece in found.stream(min_chunk_size=PIECE):
            await asyncio.to_thread(digester.update, memoryview(piece))
    return digester.hexdigest()

"""Stores: named bytes under one URL.

A path is relative to the store's root, with ``/`` between its segments. Writes are atomic: a reader sees the old
object, the new one, or none, never a part of one.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import quote, unquote, urlsplit

from airflow_ml_pipelines.core.errors import InvalidPathError, NotFoundError, StoreError

__all__ = ["LocalStore", "ObjectInfo", "Store", "check_path", "join", "open_store"]


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store says of one object.

    :param path: relative to the store's root.
    :param size: in bytes.
    :param version: the store's own strong version (an ETag, a generation; a time stamp in ns on local stores):
        while it is the same, so are the bytes.
    :param modified: seconds since the epoch by the store's clock.
    """

    path: str
    size: int
    version: str
    modified: float


class Store(Protocol):
    """Named bytes under one URL. Every store passes the same contract tests."""

    url: str

    def get(self, path: str) -> bytes:
        """Return an object's bytes. :raises NotFoundError: where there is none."""

    def put(self, path: str, data: bytes) -> None:
        """Write or replace an object, atomically."""

    def create(self, path: str, data: bytes) -> bool:
        """Write an object that must not exist yet; of any number of writers at once, exactly one gets True."""

    def info(self, path: str) -> ObjectInfo | None:
        """Return what the store says of an object, None where there is none (or a folder)."""

    def walk(self, path: str = "") -> Iterator[ObjectInfo]:
        """Yield every object below a folder, in no order; nothing where there is no such folder."""

    def delete(self, path: str) -> None:
        """Remove an object; one that is not there is no error."""

    def open(self, path: str) -> BinaryIO:
        """Open an object for reading. :raises NotFoundError: where there is none."""

    def upload(self, source: Path, path: str) -> None:
        """Copy a local file into the store, atomically, in bounded memory."""

    def download(self, path: str, target: Path) -> None:
        """Copy an object to a local file, in bounded memory. :raises NotFoundError: where there is none."""

    def local_path(self, path: str) -> Path | None:
        """Return where the object lies on this machine's file system, None for a store that is elsewhere."""

    def clock(self) -> float:
        """Return the store's own present time, in seconds since the epoch."""


def check_path(path: str) -> str:
    """Return a path as stores know it (no leading ``./``, no empty segments).

    :raises InvalidPathError: for an absolute path, one with ``..``, and one with a zero byte.
    """
    if "\0" in path or path.startswith("/") or "\\" in path and os.sep == "\\":
        raise InvalidPathError(f"{path!r} is not a path in a store: expected segments with '/' between them")
    segments = [segment for segment in path.split("/") if segment not in ("", ".")]
    if ".." in segments:
        raise InvalidPathError(f"{path!r} would leave the store: take the '..' out")
    return "/".join(segments)


def join(*parts: str) -> str:
    """Join paths with ``/``, leaving out empty ones."""
    return "/".join(part.strip("/") for part in parts if part.strip("/"))


def open_store(url: str, **options: object) -> Store:
    """Open the store at a URL: a local folder (a path or ``file://``), or what fsspec has a file system for.

    :param options: handed to fsspec.
    :raises StoreError: where no file system knows the URL's scheme.
    """
    scheme = urlsplit(url).scheme
    if scheme in ("", "file") or len(scheme) == 1:  # one letter is a drive
        path = unquote(urlsplit(url).path) if scheme == "file" else url
        return LocalStore(Path(path))
    from airflow_ml_pipelines.core.fsspec_store import FsspecStore

    return FsspecStore(url, **options)


class LocalStore:
    """A folder of this machine (or of a file server that it has mounted)."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(os.path.abspath(root))
        self.url = "file://" + quote(self.root.as_posix())
        self._prefix = str(self.root) + os.sep

    def __repr__(self) -> str:
        return f"LocalStore({str(self.root)!r})"

    def _file(self, path: str) -> str:
        return self._prefix + check_path(path)

    def get(self, path: str) -> bytes:
        try:
            with open(self._file(path), "rb") as file:
                return file.read()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NotFoundError(f"there is no {path!r} in {self.url}") from None

    def put(self, path: str, data: bytes) -> None:
        target = self._file(path)
        temporary = self._write_aside(target, data)
        _replace(temporary, target)

    def create(self, path: str, data: bytes) -> bool:
        target = self._file(path)
        if os.path.exists(target):
            return False
        temporary = self._write_aside(target, data)
        try:
            # a link appears with its content, where a file opened for exclusive writing is empty for a moment
            os.link(temporary, target)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            try:
                with open(target, "xb") as file:
                    file.write(data)
            except FileExistsError:
                return False
        finally:
            os.unlink(temporary)
        return True

    def info(self, path: str) -> ObjectInfo | None:
        try:
            stat = os.stat(self._file(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.st_mode & 0o170000 == 0o040000:
            return None
        return _object_info(path, stat)

    def walk(self, path: str = "") -> Iterator[ObjectInfo]:
        top = self._file(path)
        stack = [top.rstrip(os.sep)]
        while stack:
            folder = stack.pop()
            try:
                entries = os.scandir(folder)
            except (FileNotFoundError, NotADirectoryError):
                continue
            with entries:
                for entry in entries:
                    if entry.is_dir():
                        stack.append(entry.path)
                    elif not entry.name.startswith(_ASIDE):
                        with suppress(FileNotFoundError):  # gone since the folder was read
                            name = entry.path[len(self._prefix) :].replace(os.sep, "/")
                            yield _object_info(name, entry.stat())

    def delete(self, path: str) -> None:
        with suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(self._file(path))

    def open(self, path: str) -> BinaryIO:
        try:
            return open(self._file(path), "rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NotFoundError(f"there is no {path!r} in {self.url}") from None

    def upload(self, source: Path, path: str) -> None:
        target = self._file(path)
        temporary = _aside(target)
        _make_folder(target)
        try:
            shutil.copyfile(source, temporary)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        _replace(temporary, target)

    def download(self, path: str, target: Path) -> None:
        try:
            shutil.copyfile(self._file(path), target)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            if target.parent.is_dir():
                raise NotFoundError(f"there is no {path!r} in {self.url}") from None
            raise

    def local_path(self, path: str) -> Path | None:
        return Path(self._file(path))

    def clock(self) -> float:
        """Return the file system's time, which is the file server's where the folder is mounted from one."""
        probe = _aside(self._prefix + "clock")
        _make_folder(probe)
        with open(probe, "xb") as file:
            now = os.fstat(file.fileno()).st_mtime
        os.unlink(probe)
        return now

    def _write_aside(self, target: str, data: bytes) -> str:
        temporary = _aside(target)
        for attempt in (1, 2):
            try:
                with open(temporary, "xb") as file:
                    file.write(data)
            except FileNotFoundError:
                if attempt == 2:
                    raise
                _make_folder(target)
            except OSError:
                with suppress(FileNotFoundError):
                    os.unlink(temporary)
                raise
            else:
                break
        return temporary


_ASIDE = ".~"


def _aside(target: str) -> str:
    folder, _ = os.path.split(target)
    return os.path.join(folder, f"{_ASIDE}{os.getpid()}-{secrets.token_hex(6)}")


def _make_folder(target: str) -> None:
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise StoreError(f"can't write {target!r}: a part of its path is a file") from None


def _replace(temporary: str, target: str) -> None:
    try:
        os.replace(temporary, target)
    except OSError:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _object_info(path: str, stat: os.stat_result) -> ObjectInfo:
    return ObjectInfo(path, stat.st_size, f"{stat.st_mtime_ns:x}-{stat.st_size:x}", stat.st_mtime_ns / 1e9)

"""A store in a folder of this machine, or of a file server that it has mounted."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from airflow_ml_pipelines.core.errors import (
    DataError,
    InvalidPathError,
    NotFoundError,
    StoreError,
    explain_os_error,
)
from airflow_ml_pipelines.core.files.walk import ASIDE, Trail, extend_trail
from airflow_ml_pipelines.core.stores.store import CLOCK, ObjectInfo, check_path

__all__ = ["LocalStore", "local_info", "local_version", "put_in_place", "unwritable"]

_NO_LINKS = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
)
_PIECE = 1 << 20


class LocalStore:
    """A folder of this machine (or of a file server that it has mounted).

    An object's version is made of its time stamp in ns, its size and its inode.
    """

    conditional = True

    def __init__(self, root: Path | str) -> None:
        self.root = Path(os.path.abspath(root))
        self.url = "file://" + quote(os.fsencode(self.root.as_posix()))
        self._prefix = os.path.join(self.root, "")

    def __repr__(self) -> str:
        return f"LocalStore({str(self.root)!r})"

    def get(self, path: str) -> bytes:
        source = self.file(path)
        try:
            with open(source, "rb", 0) as file:
                return file.read()
        except OSError as error:
            raise self._error(error, path, source, "read") from error

    def put(self, path: str, data: bytes) -> None:
        with self.writing(path) as (target, aside):
            _write(aside, data)
            os.replace(aside, target)

    def create(self, path: str, data: bytes) -> bool:
        with self.writing(path) as (target, aside):
            if os.path.lexists(target):
                return False
            _write(aside, data)
            try:
                # a link appears with its content, where a file opened for exclusive writing is empty for a moment
                os.link(aside, target)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                try:
                    _write(target, data)
                except FileExistsError:
                    return False
        return True

    def info(self, path: str) -> ObjectInfo | None:
        try:
            with self._reading(path) as source:
                found = os.stat(source)
        except NotFoundError:
            return None
        return local_info(check_path(path), found) if stat.S_ISREG(found.st_mode) else None

    def walk(self, path: str = "", *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        """Yield every object below a folder. Links are followed; what is neither file nor folder is left out.

        :raises StoreError: for a folder that can't be read, and for a link that leads back to where it is.
        """
        top = self.file(path)
        stack: list[tuple[str, Trail]] = [(top, ())]
        while stack:
            folder, trail = stack.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.name.startswith(ASIDE) and not unfinished:
                            continue
                        if entry.is_dir():
                            link = entry.is_symlink()
                            if link and not trail:
                                real = os.path.realpath(top)
                                trail = ((real, real),)
                            stack.append((entry.path, _beyond(entry.path, folder, trail) if link else trail))
                        elif entry.is_file():
                            with suppress(FileNotFoundError):  # gone since the folder was read
                                name = entry.path[len(self._prefix) :].replace(os.sep, "/")
                                yield local_info(name, entry.stat())
            except (FileNotFoundError, NotADirectoryError):
                continue
            except StoreError:
                raise
            except OSError as error:
                raise StoreError(f"folder {folder} can't be read: {error.strerror}") from error

    def folders(self, path: str = "") -> list[str]:
        with suppress(NotFoundError), self._reading(path, "listed") as folder, os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
        return []

    def delete(self, path: str) -> None:
        with suppress(NotFoundError), self._reading(path, "removed") as target:
            os.unlink(target)

    def remove(self, path: str) -> None:
        """Remove a folder with all that is in it. Links are removed, not what they lead to."""
        if not check_path(path):
            raise InvalidPathError(f"{path!r} names no folder in {self.url}")
        with suppress(NotFoundError), self._reading(path, "removed") as folder:
            if os.path.islink(folder):
                os.unlink(folder)
            while os.path.isdir(folder) and not os.path.islink(folder):
                with suppress(FileNotFoundError):  # another one removes it too
                    shutil.rmtree(folder)

    def open(self, path: str) -> BinaryIO:
        with self._reading(path) as source:
            return open(source, "rb")

    def upload(self, source: Path, path: str) -> None:
        with self.writing(path, source) as (target, aside):
            shutil.copyfile(source, aside)
            os.replace(aside, target)

    def download(self, path: str, target: Path) -> None:
        with self.open(path) as source, open(target, "wb") as file:
            shutil.copyfileobj(source, file, _PIECE)

    def local_path(self, path: str) -> Path | None:
        return Path(self.file(path))

    def clock(self) -> float:
        """Return the file system's time, which is the file server's where the folder is mounted from one."""
        with self.writing(f"{CLOCK}/now") as (_, probe):
            _write(probe, b"")
            return os.stat(probe).st_mtime

    def file(self, path: str) -> str:
        """Return where an object lies, or would. :raises InvalidPathError: for what is no path of a store."""
        return (self._prefix + check_path(path)).rstrip(os.sep) or os.sep

    @contextmanager
    def _reading(self, path: str, what: str = "read") -> Iterator[str]:
        file = self.file(path)
        try:
            yield file
        except OSError as error:
            raise self._error(error, path, file, what) from error

    def _error(self, error: OSError, path: str, file: str, what: str) -> StoreError:
        missing = isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError)
        # the latter is what unlink says of a folder on some systems
        if missing or (error.errno == errno.EPERM and os.path.isdir(file)):
            return NotFoundError(f"there is no {path!r} in {self.url}")
        return StoreError(f"{file} can't be {what}: {explain_os_error(error, place=False)}")

    @contextmanager
    def writing(self, path: str, source: Path | None = None, *, mark: str = "") -> Iterator[tuple[str, str]]:
        """Give the file to write and a name beside it for what is not complete; make the folder.

        :param source: what is copied there; that it can't be read is not the store's fault.
        :param mark: what tells the name of what is not complete from those of others.
        :raises StoreError: in place of an error of the file system, which says what can't be written, and why.
        """
        if not check_path(path):
            raise InvalidPathError(f"{path!r} names no object in {self.url}")
        target = self.file(path)
        folder = os.path.dirname(target)
        aside = os.path.join(folder, f"{ASIDE}{mark}{os.getpid()}-{secrets.token_hex(6)}")
        try:
            os.makedirs(folder, exist_ok=True)
            yield target, aside
        except StoreError:
            raise
        except OSError as error:
            # one of copying has both names: that the copy can't be written is what it mostly is
            if source is not None and str(error.filename) == str(source) and error.filename2 is None:
                raise
            raise unwritable(target, error) from error
        finally:
            with suppress(OSError):
                os.unlink(aside)


def put_in_place(aside: str, target: str) -> None:
    """Let a file that is complete take its place; folders without a file do not keep it from it."""
    try:
        os.replace(aside, target)
    except IsADirectoryError:
        for folder, _, _ in os.walk(target, topdown=False):
            os.rmdir(folder)
        os.replace(aside, target)


def unwritable(target: str, error: OSError) -> StoreError:
    """Return the error for a file that can't be written."""
    reason = explain_os_error(error, place=False)
    if isinstance(error, FileExistsError | NotADirectoryError):
        reason = "a part of its path is a file"
    elif os.path.isdir(target):
        reason = "it is a folder"
    return StoreError(f"{target} can't be written: {reason}")


def _write(file: str, data: bytes) -> None:
    with open(file, "xb") as stream:
        stream.write(data)


def _beyond(link: str, folder: str, trail: Trail) -> Trail:
    try:
        return extend_trail(link, os.path.realpath(link), folder, trail)
    except DataError as error:
        raise StoreError(str(error)) from None


def local_info(path: str, found: os.stat_result) -> ObjectInfo:
    """Return what a :class:`LocalStore` says of a file."""
    return ObjectInfo(path, found.st_size, local_version(found), found.st_mtime_ns / 1e9)


def local_version(found: os.stat_result) -> str:
    """Return the version that a :class:`LocalStore` gives a file."""
    return f"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"

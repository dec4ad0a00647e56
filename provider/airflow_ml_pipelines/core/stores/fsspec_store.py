"""A store on any file system that fsspec knows: S3, Azure, GCS, SFTP, memory and many more."""

from __future__ import annotations

import importlib
import inspect
import io
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final, cast
from urllib.parse import urlsplit

from airflow_ml_pipelines.core.errors import InvalidPathError, NotFoundError, StoreError, did_you_mean
from airflow_ml_pipelines.core.files.digest import digest_bytes
from airflow_ml_pipelines.core.files.walk import ASIDE
from airflow_ml_pipelines.core.globs import is_glob
from airflow_ml_pipelines.core.stores.meta import object_info
from airflow_ml_pipelines.core.stores.sftp import SCHEMES, explain_refusal, is_lost, sftp_options
from airflow_ml_pipelines.core.stores.store import ObjectInfo, check_path, is_unfinished, probe_clock
from airflow_ml_pipelines.core.stores.web import SCHEMES as WEB
from airflow_ml_pipelines.core.stores.web import explain_answer, find_reason

__all__ = ["EXTRAS", "FsspecStore"]

EXTRAS: Final = {
    "s3": "s3",
    "s3a": "s3",
    "abfs": "azure",
    "abfss": "azure",
    "az": "azure",
    "adl": "azure",
    "gs": "gcs",
    "gcs": "gcs",
    "sftp": "sftp",
    "ssh": "sftp",
    "http": "http",
    "https": "http",
}
"""The extra of this package that brings what a scheme needs."""

_OBJECT_STORES = frozenset({"s3", "s3a", "abfs", "abfss", "az", "gs", "gcs", "oss", "memory"})
"""Where an object appears whole when its upload ends, and folders need not be made."""

_THREADS = 16
_MEMORY = threading.Lock()

# the last one: what the file system in memory says where a part of the path is an object
_ABSENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError, FileExistsError)


class FsspecStore:
    """A folder of a file system of fsspec's.

    Listings are never taken from fsspec's cache. On object stores an object is written as a whole; elsewhere it is
    written under another name beside its own and moved, which is as atomic as the file system's own move.

    :param url: may have a chain of schemes, as fsspec takes it.
    :param options: for the file system.
    :raises StoreError: where there is no file system for the URL, or it needs a package that is not there.
    """

    def __init__(self, url: str, **options: object) -> None:
        self.url = url
        self.shown = _without_password(url)
        self._options = options
        self._lock = threading.Lock()
        self._opened, root = _open_system(url, options)
        protocol = self._opened.protocol
        self._protocols = frozenset([protocol] if isinstance(protocol, str) else protocol)
        self._root = root.rstrip("/")
        self._whole = bool(self._protocols & _OBJECT_STORES)
        self._sftp = url.partition("://")[0].lower() in SCHEMES
        self._web = url.partition("://")[0].lower() in WEB

    def __repr__(self) -> str:
        return f"FsspecStore({self.shown!r})"

    @property
    def conditional(self) -> bool:
        """Whether :meth:`create` keeps its promise.

        It does where the file system's own ``pipe_file`` knows ``mode="create"`` (S3, Azure, GCS), in memory, and in
        local files. Elsewhere it looks first and then writes, so that two writers at the same moment may both win.
        """
        return self._local or self._memory or _creates(self._system)

    def get(self, path: str) -> bytes:
        with self._errors(path, "read"):
            return self._read(self._file(path))

    def put(self, path: str, data: bytes) -> None:
        with self._writing(path) as target:
            self._system.pipe_file(target, data)

    def create(self, path: str, data: bytes) -> bool:
        if not self.conditional:
            if self.info(path) is not None:
                return False
            self.put(path, data)
            return True
        target = self._object(path)
        with self._errors(path, "written"):
            try:
                self._create(target, data)
            except FileExistsError:
                return False
        return True

    def _create(self, target: str, data: bytes) -> None:
        if self._local:
            self._make_folder(target)
            with self._system.open(target, "xb") as file:
                file.write(data)
        elif self._memory:
            with _MEMORY:  # it looks and then writes, but all who share it are in this process
                if self._system.exists(target):
                    raise FileExistsError(target)
                self._system.pipe_file(target, data)
        else:
            self._system.pipe_file(target, data, mode="create")

    def info(self, path: str) -> ObjectInfo | None:
        target = self._file(path)
        try:
            with self._errors(path, "looked at"):
                self._system.invalidate_cache(_parent(target))
                info = self._system.info(target)
        except NotFoundError:
            return None
        return None if info.get("type") == "directory" else self._object_info(check_path(path), info)

    def walk(self, path: str = "", *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        top = self._file(path)
        with self._errors(path, "listed"):
            self._system.invalidate_cache()
            try:
                found = self._system.find(top, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return
        skip = len(self._root) + 1
        below = top + "/"
        for name, info in found.items():
            # an object of the same name as the folder is not below it, and markers of folders are no objects
            if not name.startswith(below) or name.endswith("/") or info.get("type") == "directory":
                continue
            if not unfinished and is_unfinished(name):
                continue
            if info.get("type") != "link":
                yield self._object_info(name[skip:], info)
            elif (linked := self.info(name[skip:])) is not None:
                yield linked

    def folders(self, path: str = "") -> list[str]:
        top = self._file(path)
        with suppress(NotFoundError), self._errors(path, "listed"):
            self._system.invalidate_cache()
            below = top.rstrip("/") + "/"
            return sorted(
                info["name"].rstrip("/").removeprefix(below)
                for info in self._system.ls(top, detail=True)
                if info.get("type") == "directory" and info["name"].startswith(below)
            )
        return []

    def delete(self, path: str) -> None:
        target = self._object(path)
        with suppress(NotFoundError), self._errors(path, "removed"):
            # rm() would take the path for a glob
            self._system.rm_file(target)

    def remove(self, path: str) -> None:
        folder = self._object(path)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="remove") as pool:
            list(pool.map(self.delete, [info.path for info in self.walk(path, unfinished=True)]))
        if not self._whole and not is_glob(folder):  # which rm() would take it for; empty folders do no harm
            with suppress(NotFoundError), self._errors(path, "removed"):
                if self._system.isdir(folder):
                    self._system.rm(folder, recursive=True)

    def open(self, path: str) -> BinaryIO:
        if self._memory:
            return io.BytesIO(self.get(path))
        if self._web:  # where a connection may be cut while somebody reads
            return self._open_copy(path)
        with self._errors(path, "read"):
            if self._sftp and self._system.isdir(self._file(path)):  # which it opens, as if it were a file
                raise NotFoundError(f"there is no {path!r} in {self.shown}")
            file = self._system.open(self._file(path), "rb")
        details = getattr(file, "details", None)  # S3 opens folders
        if isinstance(details, dict) and details.get("type") == "directory":
            raise NotFoundError(f"there is no {path!r} in {self.shown}")
        return cast("BinaryIO", file)

    def _open_copy(self, path: str) -> BinaryIO:
        with tempfile.TemporaryDirectory(prefix="read-") as folder:
            target = Path(folder, "file")
            self.download(path, target)
            return target.open("rb")

    def upload(self, source: Path, path: str) -> None:
        source.stat()  # so that a file that is not there is not taken for one of the store's
        with self._writing(path) as target:
            if self._memory:  # where others see an object grow that is written piece by piece
                self._system.pipe_file(target, source.read_bytes())
            else:
                self._system.put_file(str(source), target)

    def download(self, path: str, target: Path) -> None:
        aside = target.with_name(f"{ASIDE}{os.getpid()}-{secrets.token_hex(6)}")
        target.parent.stat()
        try:
            with self._errors(path, "read"):
                if self._memory:
                    aside.write_bytes(self._read(self._file(path)))
                else:
                    self._system.get_file(self._file(path), str(aside))
            if not aside.is_file():  # some make a folder of a folder
                raise NotFoundError(f"there is no {path!r} in {self.shown}")
            os.replace(aside, target)
        finally:
            with suppress(OSError):
                os.rmdir(aside) if aside.is_dir() else os.unlink(aside)

    def local_path(self, path: str) -> Path | None:  # noqa: ARG002
        return None

    def clock(self) -> float:
        """Return the time that the store gives an object written now; many know whole seconds only."""
        if self._memory:
            return time.time()
        return probe_clock(self)

    @property
    def _system(self) -> Any:
        if is_lost(self._opened):
            with self._lock:
                if is_lost(self._opened):
                    self._opened, _ = _open_system(self.url, self._options)
        return self._opened

    @property
    def _local(self) -> bool:
        return "file" in self._protocols

    @property
    def _memory(self) -> bool:
        return "memory" in self._protocols

    def _read(self, file: str) -> bytes:
        if self._memory:  # where all readers of an object share one position
            try:
                return bytes(self._system.store[file].getbuffer())
            except KeyError:
                raise FileNotFoundError(file) from None
        return cast("bytes", self._system.cat_file(file))

    def _file(self, path: str) -> str:
        path = check_path(path)
        return f"{self._root}/{path}" if path else self._root or "/"

    def _object(self, path: str) -> str:
        if not check_path(path):
            raise InvalidPathError(f"{path!r} names no object in {self.shown}")
        return self._file(path)

    def _make_folder(self, target: str) -> None:
        if not self._whole and not self._sftp:  # where they are made with what is written
            self._system.makedirs(_parent(target), exist_ok=True)

    @contextmanager
    def _writing(self, path: str) -> Iterator[str]:
        target = self._object(path)
        with self._errors(path, "written"):
            if self._whole:
                yield target
                return
            self._make_folder(target)
            aside = f"{_parent(target)}/{ASIDE}{os.getpid()}-{secrets.token_hex(6)}"
            try:
                yield aside
                self._system.mv(aside, target)
            except BaseException:
                with suppress(Exception):
                    self._system.rm_file(aside)
                raise

    @contextmanager
    def _errors(self, path: str, what: str) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except Exception as error:  # every file system has exceptions of its own
            cause = find_reason(error) if self._web else error
            if what != "written" and (isinstance(cause, _ABSENT) or self._is_folder(path, error)):
                raise NotFoundError(f"there is no {path!r} in {self.shown}") from None
            reason = (explain_answer(cause) if self._web else None) or _text(cause)
            raise StoreError(f"{path!r} in {self.shown} can't be {what}: {reason}") from error

    def _is_folder(self, path: str, error: Exception) -> bool:
        """Return whether an error is what SFTP says of a folder that is taken for a file: no more than that it failed."""
        with suppress(Exception):
            return type(error).__name__ == "SFTPFailure" and bool(self._system.isdir(self._file(path)))
        return False

    def _object_info(self, path: str, info: dict[str, Any]) -> ObjectInfo:
        found = object_info(path, info)
        if self._memory:  # it has no version, and its time may be the same twice
            with suppress(FileNotFoundError):
                return replace(found, version=digest_bytes(self._read(self._file(path))))
        return found


def _open_system(url: str, options: dict[str, object]) -> tuple[Any, str]:
    try:
        fsspec = importlib.import_module("fsspec")
    except ImportError:
        raise StoreError(f"store {_without_password(url)} needs fsspec: pip install fsspec") from None
    scheme = url.partition("://")[0].rpartition("::")[2]
    try:
        if scheme in SCHEMES:  # which keeps no listing, and would give out a connection that was lost
            given = {"skip_instance_cache": True, **sftp_options(options)}
        else:
            given = {"use_listings_cache": False, **options}
        system, root = fsspec.core.url_to_fs(url, **given)
    except ImportError as error:
        extra = EXTRAS.get(scheme)
        how = f"pip install 'airflow-provider-ml-pipelines[{extra}]'" if extra else str(error)
        raise StoreError(
            f"store {_without_password(url)} needs a package that is not installed: {how}"
        ) from None
    except ValueError as error:
        if scheme in fsspec.available_protocols():
            raise StoreError(f"store {_without_password(url)} can't be opened: {error}") from None
        known = did_you_mean(scheme, [*EXTRAS, "file", "memory"])
        raise StoreError(
            f"store {_without_password(url)}: no file system is called {scheme!r}.{known}"
        ) from None
    except Exception as error:
        reason = explain_refusal(error) or _text(error)
        raise StoreError(f"store {_without_password(url)} can't be opened: {reason}") from error
    return system, str(root)


def _creates(system: Any) -> bool:
    """Return whether a file system's own ``pipe_file`` knows ``mode="create"``; the general one looks and then writes."""
    from fsspec.asyn import AsyncFileSystem
    from fsspec.spec import AbstractFileSystem

    kind = type(system)
    if issubclass(kind, AsyncFileSystem):
        own, general = kind._pipe_file, AsyncFileSystem._pipe_file  # noqa: SLF001 - what such file systems implement
    else:
        own, general = kind.pipe_file, AbstractFileSystem.pipe_file
    # adlfs takes it out of the keyword arguments
    return own is not general and (
        "mode" in inspect.signature(own).parameters or "create" in own.__code__.co_consts
    )


def _parent(target: str) -> str:
    return target.rpartition("/")[0]


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return url.replace(parts.netloc, parts.netloc.rpartition("@")[2], 1)

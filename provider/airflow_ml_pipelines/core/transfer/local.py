"""Copies between folders of this machine."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from airflow_ml_pipelines.core.files.digest import digest_bytes, digest_file
from airflow_ml_pipelines.core.files.walk import ASIDE
from airflow_ml_pipelines.core.progress import advance, unmeasured
from airflow_ml_pipelines.core.stores.local_store import LocalStore, local_version, put_in_place, unwritable
from airflow_ml_pipelines.core.transfer.copies import Copied, Copy, OnCopied, changed, differs, unreadable
from airflow_ml_pipelines.core.transfer.pieces import PIECE

__all__ = ["LocalCopier"]

_PLAIN = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_READ: Final = os.O_RDONLY | _PLAIN | getattr(os, "O_NONBLOCK", 0)  # what is a pipe by now is not waited for
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _PLAIN


class LocalCopier:
    """One file after the other: threads would only wait for each other. A large file is copied by the system.

    A small one takes as few calls to the system as there can be, which is where the time goes.

    :param mark: what the names of files that are not complete begin with.
    """

    def __init__(self, target: LocalStore, mark: str) -> None:
        self._target = target
        self._aside = f"{ASIDE}{mark}{os.getpid()}-{secrets.token_hex(6)}"  # of one file at a time

    def copy(self, copies: Sequence[Copy], on_copied: OnCopied, check: Callable[[], None]) -> None:
        for copy in copies:
            check()
            on_copied(self._copy(copy))

    def _copy(self, copy: Copy) -> Copied:
        assert isinstance(copy.store, LocalStore)
        source, target = copy.store.file(copy.info.path), self._target.file(copy.target)
        aside = os.path.join(os.path.dirname(target), self._aside)
        write = self._small if copy.info.size <= PIECE else self._large
        try:
            digest = _as_known(copy, write(copy, source, aside))
            put_in_place(aside, target)
            return Copied(copy, digest, local_version(os.stat(target)))
        except BaseException as error:
            with suppress(OSError):
                os.unlink(aside)
            if isinstance(error, OSError):
                raise unwritable(target, error) from error
            raise

    def _small(self, copy: Copy, source: str, aside: str) -> str:
        data = _read(copy, source)
        _write(aside, data)
        if _read_back(aside, len(data)) != data:
            raise differs(copy, self._target)
        advance(len(data))
        return digest_bytes(data)

    def _large(self, copy: Copy, source: str, aside: str) -> str:
        os.makedirs(os.path.dirname(aside), exist_ok=True)
        try:
            _same(copy, os.stat(source))
            with unmeasured():
                digest = copy.digest or digest_file(source)[0]
            shutil.copyfile(source, aside)
            _same(copy, os.stat(source))
        except OSError as error:
            # one of copying has both names: that the copy can't be written is what it mostly is
            if error.filename == source and error.filename2 is None:
                raise unreadable(copy, error) from None
            raise
        if digest_file(aside)[0] != digest:
            raise differs(copy, self._target)
        return digest


def _read(copy: Copy, source: str) -> bytes:
    size = copy.info.size
    try:
        descriptor = os.open(source, _READ)
        try:
            data = _read_all(descriptor, size)
            found = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unreadable(copy, error) from None
    _same(copy, found)
    if len(data) != size:
        raise changed(copy)
    return data


def _read_back(aside: str, size: int) -> bytes:
    descriptor = os.open(aside, _READ)
    try:
        return _read_all(descriptor, size)
    finally:
        os.close(descriptor)


def _read_all(descriptor: int, size: int) -> bytes:
    """Return what a file has, up to one byte more than it should."""
    data = os.read(descriptor, size + 1)
    while len(data) < size and (more := os.read(descriptor, size + 1 - len(data))):
        data += more
    return data


def _write(aside: str, data: bytes) -> None:
    try:
        descriptor = os.open(aside, _WRITE, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(aside), exist_ok=True)
        descriptor = os.open(aside, _WRITE, 0o666)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def _as_known(copy: Copy, digest: str) -> str:
    if copy.digest not in ("", digest):
        raise changed(copy)
    return digest


def _same(copy: Copy, found: os.stat_result) -> None:
    if local_version(found) != copy.info.version:
        raise changed(copy)

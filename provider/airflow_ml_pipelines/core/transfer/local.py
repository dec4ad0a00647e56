"""Copies between folders of this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress

from airflow_ml_pipelines.core.files.digest import digest_bytes, digest_file
from airflow_ml_pipelines.core.progress import advance
from airflow_ml_pipelines.core.stores.local_store import LocalStore, local_info
from airflow_ml_pipelines.core.transfer.copies import Copied, Copy, OnCopied, changed, differs, unreadable
from airflow_ml_pipelines.core.transfer.pieces import PIECE

__all__ = ["LocalCopier"]


class LocalCopier:
    """One file after the other: threads would only wait for each other. A large file is copied by the system.

    :param mark: what the names of files that are not complete begin with.
    """

    def __init__(self, target: LocalStore, mark: str) -> None:
        self._target = target
        self._mark = mark

    def copy(self, copies: Sequence[Copy], on_copied: OnCopied, check: Callable[[], None]) -> None:
        for copy in copies:
            check()
            on_copied(self._copy(copy))

    def _copy(self, copy: Copy) -> Copied:
        source = copy.store.local_path(copy.info.path)
        assert source is not None
        with self._target.writing(copy.target, source, mark=self._mark) as (target, aside):
            try:
                if copy.info.size <= PIECE:
                    data = source.read_bytes()
                    digest = digest_bytes(data)
                    with open(aside, "xb") as file:
                        file.write(data)
                    advance(len(data))
                else:
                    digest = copy.digest or digest_file(source)[0]
                    shutil.copyfile(source, aside)
            except OSError as error:
                if error.filename == str(source) and error.filename2 is None:
                    raise unreadable(copy, error) from None
                raise
            self._same(copy, source)
            if copy.digest not in ("", digest):
                raise changed(copy)
            if digest_file(aside)[0] != digest:
                raise differs(copy, self._target)
            os.replace(aside, target)
            return Copied(copy, digest, local_info(copy.target, os.stat(target)).version)

    @staticmethod
    def _same(copy: Copy, source: os.PathLike[str]) -> None:
        with suppress(FileNotFoundError):
            if local_info(copy.info.path, os.stat(source)).version == copy.info.version:
                return
        raise changed(copy) from None

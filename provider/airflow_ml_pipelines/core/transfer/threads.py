"""Copies between any two stores, through files of this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from airflow_ml_pipelines.core.errors import NotFoundError
from airflow_ml_pipelines.core.files.digest import Digester
from airflow_ml_pipelines.core.progress import advance
from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.core.transfer.copies import Copied, Copy, OnCopied, changed, differs

__all__ = ["ThreadCopier"]

_THREADS = 8
_PIECE = 1 << 20
_LOOK_SECONDS = 0.2


class ThreadCopier:
    """Several files at once; what is written is read again, where the store has no local path it is sent."""

    def __init__(self, target: Store) -> None:
        self._target = target

    def copy(self, copies: Sequence[Copy], on_copied: OnCopied, check: Callable[[], None]) -> None:
        left = iter(copies)
        running: set[Future[Copied]] = set()
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="transfer") as pool:
            try:
                while True:
                    while len(running) < 2 * _THREADS and (copy := next(left, None)) is not None:
                        running.add(pool.submit(self._copy, copy))
                    if not running:
                        return
                    ended, running = wait(running, _LOOK_SECONDS, return_when=FIRST_COMPLETED)
                    for future in ended:
                        copied = future.result()
                        on_copied(copied)
                        advance(copied.copy.info.size)
                    check()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _copy(self, copy: Copy) -> Copied:
        with tempfile.TemporaryDirectory(prefix="transfer-") as folder:
            file = Path(folder, "copy")
            digest = self._fetch(copy, file)
            self._target.upload(file, copy.target)
        info = self._target.info(copy.target)
        if info is None or info.size != copy.info.size or self._digest(copy.target) != digest:
            raise differs(copy, self._target)
        return Copied(copy, digest, info.version)

    def _fetch(self, copy: Copy, file: Path) -> str:
        digester = Digester()
        try:
            with copy.store.open(copy.info.path) as source, file.open("xb") as target:
                while piece := source.read(_PIECE):
                    digester.update(piece)
                    target.write(piece)
        except NotFoundError:
            raise changed(copy) from None
        if digester.size != copy.info.size or copy.digest not in ("", digester.hexdigest()):
            raise changed(copy)
        return digester.hexdigest()

    def _digest(self, path: str) -> str:
        digester = Digester()
        with self._target.open(path) as file:
            while piece := file.read(_PIECE):
                digester.update(piece)
        return digester.hexdigest()

"""The attempt's folder: logs, metrics and files of the run are written here while the script runs.

Where the store is on this machine they are written in place, so that they can be watched and survive a launcher that is
killed. Otherwise they are written to a local folder and copied at the end.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from airflow_ml_pipelines.core.errors import StoreError, explain_os_error
from airflow_ml_pipelines.core.stores.store import Store, join
from airflow_ml_pipelines.runtime.artifacts import FOLDERS, artifact_path, list_files
from airflow_ml_pipelines.runtime.result import JobResult

__all__ = ["Attempt"]

_EVENTS = "metrics.jsonl"
_USER_FOLDERS = ("outputs", "logs")

_Seen = dict[str, tuple[int, int, int]]


class Attempt:
    """The attempt's folder.

    :param spare: a local folder for a store that is elsewhere.
    :raises StoreError: where the folder can't be made.
    """

    def __init__(self, store: Store, path: str, spare: Path) -> None:
        self._store = store
        self._path = path
        local = store.local_path(path)
        self._in_place = local is not None
        self.folder = local or spare
        self._seen: _Seen = {}
        try:
            os.makedirs(self.folder / "logs", exist_ok=True)
            for file in (self.stdout, self.stderr):
                file.write_bytes(b"")
        except OSError as error:
            reason = explain_os_error(error)
            raise StoreError(f"the attempt's folder {self.folder} can't be written: {reason}") from error

    @property
    def events(self) -> Path:
        """Where the script logs its events."""
        return self.folder / _EVENTS

    @property
    def stdout(self) -> Path:
        """Where the script's standard output is kept."""
        return self.folder / "logs" / "stdout.txt"

    @property
    def stderr(self) -> Path:
        """Where the script's standard error is kept."""
        return self.folder / "logs" / "stderr.txt"

    def prepare(self, directory: Path) -> None:
        """Make ``outputs`` and ``logs`` in the script's directory, and note what the snapshot has in them."""
        for name in _USER_FOLDERS:
            with suppress(FileExistsError):
                os.makedirs(directory / name, exist_ok=True)
        self._seen = dict(_user_files(directory))

    def keep(self, directory: Path) -> None:
        """Keep what the script has written to ``outputs`` and ``logs`` of its directory.

        :raises StoreError: where it can't be written.
        """
        for name, stat in _user_files(directory):
            if self._seen.get(name) != stat:
                target = self.folder / artifact_path(name)
                try:
                    os.makedirs(target.parent, exist_ok=True)
                    shutil.copyfile(directory / name, target)
                except OSError as error:
                    raise StoreError(
                        f"./{name} of the script can't be kept in {self.folder}: {explain_os_error(error)}"
                    ) from error

    def files(self) -> tuple[str, ...]:
        """Return the paths of what is kept."""
        found = [
            path
            for path in ("logs/stdout.txt", "logs/stderr.txt", _EVENTS)
            if os.path.isfile(self.folder / path)
        ]
        for folder in FOLDERS:
            found += [f"{folder}/{path}" for path in list_files(str(self.folder / folder))]
        return tuple(found)

    def finish(self, result: JobResult) -> None:
        """Bring what is kept to the store, and the result at last.

        :raises StoreError: where it can't be written.
        """
        try:
            if not self._in_place and result.files:
                with ThreadPoolExecutor(min(16, len(result.files)), thread_name_prefix="keep") as pool:
                    list(pool.map(self._upload, result.files))
            data = json.dumps(result.to_dict(), separators=(",", ":"), ensure_ascii=True).encode()
            self._store.put(join(self._path, "result.json"), data + b"\n")
        except OSError as error:
            reason = explain_os_error(error)
            raise StoreError(
                f"the attempt's files can't be written to {self._store.url}: {reason}"
            ) from error

    def _upload(self, path: str) -> None:
        self._store.upload(self.folder / path, join(self._path, path))


def _user_files(directory: Path) -> Iterator[tuple[str, tuple[int, int, int]]]:
    for top in _USER_FOLDERS:
        for path in list_files(str(directory / top)):
            with suppress(FileNotFoundError):
                stat = os.stat(directory / top / path)
                yield f"{top}/{path}", (stat.st_mtime_ns, stat.st_size, stat.st_ino)

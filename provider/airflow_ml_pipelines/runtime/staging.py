"""Puts the inputs of a job where its script finds them.

==========  =============================================  ===================================
mode        store on this machine                          any other store
==========  =============================================  ===================================
mount       the path itself; a folder of links where       a copy
            there are several locations or a pattern
download    a copy of the script's own                     a copy
direct      the local path                                 the URL; a copy beside it for a table
==========  =============================================  ===================================

Names in a folder: below the one folder, or below what comes before a pattern's first wildcard; of several locations
below the folder that they have in common.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from airflow_ml_pipelines.core.errors import DataError, StoreError, explain_os_error
from airflow_ml_pipelines.core.globs import is_glob
from airflow_ml_pipelines.core.layout import segment
from airflow_ml_pipelines.core.progress import advance, measured
from airflow_ml_pipelines.core.stores.locations import Found, common_folders, find, known_path
from airflow_ml_pipelines.core.stores.store import Store, check_path
from airflow_ml_pipelines.runtime.job import Job, JobInput
from airflow_ml_pipelines.runtime.stop import Stop
from airflow_ml_pipelines.runtime.stores import Stores

__all__ = ["StagedInput", "stage_inputs"]

_THREADS = 16

_Files = dict[str, tuple[Store, str]]
"""Where each file comes from, by its name in the folder."""


@dataclass(frozen=True)
class StagedInput:
    """An input as the script finds it.

    :param value: what arguments and environment variables have.
    :param parts: for mode ``direct``: where the data is, see :func:`airflow_ml_pipelines.runtime.places.list_part`.
    :param made: what was made at ``path_on_compute``, to be taken away when the script has ended.
    """

    value: str
    parts: tuple[dict[str, str], ...] = ()
    made: str | None = None

    def remove(self) -> None:
        """Take away what was made at ``path_on_compute``."""
        if self.made is not None:
            _remove(self.made)


def stage_inputs(
    job: Job, stores: Stores, folder: Path, directory: Path, stop: Stop, staged: dict[str, StagedInput]
) -> None:
    """Put each input where the script finds it.

    :param folder: where the launcher may put files.
    :param directory: the script's source directory, to which ``path_on_compute`` is relative.
    :raises DataError: where data is missing, or can't be put where it is to be.
    :param staged: takes each input by its name.
    :raises StoppedError: where the job is to end.
    """
    for name, item in job.inputs.items():
        try:
            staged[name] = _Input(name, item, stores, folder / segment(name), directory, stop).stage()
        except DataError as error:
            raise DataError(f"input {name!r}: {error}") from None
        except OSError as error:
            raise DataError(f"input {name!r} can't be made ready: {explain_os_error(error)}") from error


def _remove(path: str) -> None:
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    else:
        shutil.rmtree(path, ignore_errors=True)


class _Input:
    def __init__(
        self, name: str, item: JobInput, stores: Stores, folder: Path, directory: Path, stop: Stop
    ) -> None:
        self.name = name
        self.item = item
        self.folder = folder
        self.directory = directory
        self.stop = stop
        self.made: str | None = None
        self.locations = [(stores.open(location["store"]), location["path"]) for location in item.locations]
        self._of_urls = {
            store.url
            for location, (store, _) in zip(item.locations, self.locations, strict=True)
            if not stores.is_known(location["store"])
        }
        if not self.locations:
            raise DataError("it has no locations: give it at least one")

    def stage(self) -> StagedInput:
        if self.item.mode == "direct":
            return self._direct()
        try:
            return StagedInput(self._stage(), made=self.made)
        except BaseException:
            StagedInput("", made=self.made).remove()
            raise

    def _stage(self) -> str:
        found = [self._find(store, path) for store, path in self.locations]
        link = self.item.mode == "mount"
        local = found[0].local
        if link and len(found) == 1 and local is not None and found[0].kind == self._form(found, 1):
            return self._at_path(str(local))
        files = self._name(found)
        if self._form(found, len(files)) == "file":
            ((name, place),) = files.items()
            target = self._target(os.path.basename(name))
            self._put({os.path.basename(target): place}, os.path.dirname(target), link=link)
            return target
        target = self._target("")
        os.makedirs(target, exist_ok=True)
        self._put(files, target, link=link)
        return target

    # --- what is there -------------------------------------------------------------------------------------------

    def _find(self, store: Store, path: str) -> Found:
        """Return what is at a location.

        An empty folder is fine where a folder is said to be: a step may have an empty output, and other stores than
        local ones know no empty folders.
        """
        try:
            return find(store, path)
        except DataError:
            wanted = check_path(path.lstrip("/"))
            local = store.local_path(wanted)
            if self.item.form != "folder" or is_glob(wanted) or not (local is None or local.is_dir()):
                raise
            return Found(store, wanted, "folder", wanted, [])

    def _form(self, found: list[Found], count: int) -> str:
        """Return whether the script gets a ``file`` or a ``folder``."""
        if self.item.form == "auto":
            return "file" if len(found) == 1 and found[0].kind == "file" else "folder"
        if self.item.form == "file" and (count != 1 or found[0].kind == "folder"):
            there = f"the folder {found[0].path!r}" if found[0].kind == "folder" else f"{count} files"
            raise DataError(f"expected one file, found {there} in {found[0].store.url}")
        return self.item.form

    def _name(self, found: list[Found]) -> _Files:
        """Return the files by the name that each gets."""
        tops = common_folders(found)
        files: _Files = {}
        for location in found:
            top = tops[location.store.url]
            skip = len(top) + 1 if top else 0
            for path in location.files:
                self.stop.check()
                name = path[skip:]
                known, other = files.setdefault(name, (location.store, path))
                if known.url != location.store.url:
                    raise DataError(
                        f"two files would be called {name!r}: {other!r} in {known.url} and {path!r} in "
                        f"{location.store.url}; make two inputs of them"
                    )
        return files

    # --- where it goes -------------------------------------------------------------------------------------------

    def _at_path(self, source: str) -> str:
        """Return the path of a mounted file or folder: its own, or a link where the step wants it to be."""
        if self.item.path_on_compute is None:
            return source
        target = self._wanted(os.path.basename(source) if os.path.isfile(source) else "")
        if os.path.lexists(target):
            self._clear(target)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.symlink(source, target)
        self.made = target
        return target

    def _target(self, name: str) -> str:
        """Return where a file of a name goes, or the folder for "", which is new."""
        if self.item.path_on_compute is None:
            os.makedirs(self.folder, exist_ok=True)
            return str(self.folder / name) if name else str(self.folder)
        target = self._wanted(name)
        if os.path.lexists(target) and (
            self.item.mode == "mount" or not self.item.overwrite or not os.path.isdir(target)
        ):
            self._clear(target)
        if not os.path.lexists(target):
            self.made = target
        os.makedirs(os.path.dirname(target), exist_ok=True)
        return target

    def _wanted(self, name: str) -> str:
        """Return ``path_on_compute``, or the path of a file of a name in it where it is a folder."""
        path = self.item.path_on_compute or ""
        target = os.path.normpath(self.directory / path)
        return (
            os.path.join(target, name) if name and (path.endswith("/") or os.path.isdir(target)) else target
        )

    def _clear(self, target: str) -> None:
        """Take away what is at ``path_on_compute``, where that is allowed and can do no harm."""
        is_folder = os.path.isdir(target) and not os.path.islink(target)
        if is_folder and not os.listdir(target):
            os.rmdir(target)
        elif self.item.overwrite and not is_folder:
            os.unlink(target)
        elif self.item.overwrite:
            raise DataError(
                f"path_on_compute {target} is a folder with files, which a mount does not replace: remove it"
            )
        else:
            raise DataError(
                f"path_on_compute {target} is there already: give another path, or overwrite=True"
            )

    def _put(self, files: _Files, folder: str, *, link: bool) -> None:
        for parent in sorted({os.path.dirname(name) for name in files}):
            os.makedirs(os.path.join(folder, parent), exist_ok=True)
        remote: list[tuple[Store, str, Path]] = []
        for name, (store, path) in files.items():
            self.stop.check()
            target = os.path.join(folder, name)
            local = store.local_path(path)
            if local is None:
                remote.append((store, path, Path(target)))
            elif link:
                os.symlink(local, target)
            else:
                shutil.copyfile(local, target)
        _download(remote, self.stop)

    # --- direct --------------------------------------------------------------------------------------------------

    def _direct(self) -> StagedInput:
        values, parts = [], []
        for index, (store, path) in enumerate(self.locations):
            wanted = check_path(path.lstrip("/"))
            local = store.local_path(wanted)
            place = f"{store.url.rstrip('/')}/{wanted}" if local is None else str(local)
            values.append(place)
            if local is not None:
                parts.append(
                    {
                        "place": place,
                        "kind": self._find(store, path).kind,
                        "label": self._label(store, wanted),
                    }
                )
            elif self.item.tabular is None:
                parts.append({"place": place, "kind": "auto", "label": self._label(store, wanted)})
            else:  # so that reading a table needs neither fsspec nor credentials in the script's environment
                parts.append(self._copy_of(self._find(store, path), str(self.folder / str(index))))
        return StagedInput(";".join(values), tuple(parts))

    def _copy_of(self, found: Found, folder: str) -> dict[str, str]:
        files = {found.relative(path): (found.store, path) for path in found.files}
        os.makedirs(folder, exist_ok=True)
        self._put(files, folder, link=False)
        if found.kind == "file":
            return {
                "place": os.path.join(folder, *files),
                "kind": "file",
                "label": self._label(found.store, found.path),
            }
        return {"place": folder, "kind": "folder", "label": self._label(found.store, found.base)}

    def _label(self, store: Store, path: str) -> str:
        return known_path(store, path, of_url=store.url in self._of_urls)


def _download(files: list[tuple[Store, str, Path]], stop: Stop) -> None:
    if not files:
        return

    def fetch(item: tuple[Store, str, Path]) -> None:
        store, path, target = item
        try:
            store.download(path, target)
        except StoreError as error:
            raise DataError(f"can't copy {path!r} from {store.url}: {explain_os_error(error)}") from error

    with (
        measured(f"copying inputs from {files[0][0].url}", len(files), "files"),
        ThreadPoolExecutor(min(_THREADS, len(files)), thread_name_prefix="download") as pool,
    ):
        try:
            for _ in pool.map(fetch, files):
                stop.check()
                advance(1, "files")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise

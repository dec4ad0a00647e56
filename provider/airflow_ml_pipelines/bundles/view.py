"""The folder that Airflow reads in place of one with definitions.

Airflow takes for DAG files what ends in ``.py`` (and archives of such). So it is shown a view of the folder: links to
all that is in there, and beside each definition, ``digits.pipeline.yaml``, a DAG file of its own,
``digits.pipeline.yaml.py``, of two lines. DAG files in Python are found through the links, and find what is beside them.

Many processes make and read a view at the same time, without a lock: what is in it follows from the folder alone, an
entry appears as a whole, and one that is right is left as it is. Only the DAG processor takes entries away.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from airflow_ml_pipelines.core.canonical import digest_document
from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.definition_files import (
    IGNORE_FILE,
    SUFFIXES,
    Heads,
    find_pipeline_files,
    ignore_syntax,
)

__all__ = ["View", "remove_orphans"]

_SUFFIX: Final = ".py"
_SKIPPED: Final = (".git", "__pycache__")
_ABANDONED_SECONDS = 3600.0
_DAG_FILE = """\
# An Airflow DAG file, made of {shown}: edit that one.
from dag_factory.dags.dag_file import load_dag_file

load_dag_file(globals(), {file}, {shown}{more})
"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class View:
    """A view of a folder.

    :param source: the folder.
    :param home: where views are kept.
    :param workspace: what the DAG files name as the workspace.
    """

    source: Path
    home: Path
    workspace: str | None = None

    @cached_property
    def folder(self) -> Path:
        """The view's own folder: another one for another source, workspace or kind of DAG file."""
        key = [_DAG_FILE, str(self.source), self.workspace]
        return self.home / digest_document("ml-pipelines/view/1", key)[:16]

    @property
    def path(self) -> Path:
        """What Airflow reads."""
        return self.folder / "dags"

    def make(self) -> None:
        """Make all of the view at once, if it is not there; for a folder that does not change any more.

        :raises DefinitionError: where there is no such folder.
        """
        if self.path.is_dir():
            return
        self.home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=self.home) as name:
            made = Path(name, "view")
            _Work(self, made, None).do()
            try:
                made.rename(self.folder)
            except OSError:
                if not self.path.is_dir():  # or another process was quicker
                    raise

    def fill(self) -> None:
        """Add what is missing; what is there is left alone.

        :raises DefinitionError: where there is no such folder.
        """
        _Work(self, self.folder, None).do()

    def update(self, heads: Heads) -> None:
        """Make the view what it should be: add, replace what has changed, remove what is no longer in the folder.

        :param heads: what definitions say of themselves.
        :raises DefinitionError: where there is no such folder.
        """
        _Work(self, self.folder, heads).do()


def remove_orphans(current: View) -> None:
    """Remove the views of folders that are no longer there, and what a newer view of the same folder replaces."""
    for folder in current.home.iterdir():
        link = folder / "source"
        if folder == current.folder:
            continue
        if folder.name.startswith(".making-"):
            with suppress(FileNotFoundError):
                if time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
        elif link.is_symlink() and (not link.exists() or os.readlink(link) == str(current.source)):
            shutil.rmtree(folder, ignore_errors=True)


class _Work:
    """Makes a view, or makes it right.

    :param heads: None: to add only.
    """

    def __init__(self, view: View, folder: Path, heads: Heads | None) -> None:
        self._view = view
        self._top = folder / "dags"
        self._folder = folder
        self._heads = heads
        self._stack = ExitStack()
        self._drafts: str | None = None

    def do(self) -> None:
        if not self._view.source.is_dir():
            raise DefinitionError(f"there is no folder {self._view.source} with pipeline definitions")
        self._top.mkdir(parents=True, exist_ok=True)
        self._link(None, str(self._view.source), str(self._folder / "source"))
        # first the view, then the folder: what has got into the view by then is still found in the folder
        self._there = _scan(str(self._top))
        files = find_pipeline_files(self._view.source)
        self._taken: dict[Path, Path] = {}
        if self._heads is not None:
            self._heads.read(files)
            self._taken = self._heads.taken(files)
        self._definitions: dict[str, list[str]] = defaultdict(list)
        for file in files:
            relative = file.relative_to(self._view.source)
            self._definitions[relative.parent.as_posix()].append(file.name)
            for folder in relative.parents:
                self._definitions[folder.as_posix()]
        with self._stack:
            self._do_folder(".")

    def _do_folder(self, folder: str) -> None:
        source = os.path.normpath(os.path.join(self._view.source, folder))
        target = os.path.normpath(os.path.join(self._top, folder))
        there = self._there.get(folder, {})
        with os.scandir(source) as entries:
            found = {entry.name: entry for entry in entries if entry.name not in _SKIPPED}
        dag_files = {name + _SUFFIX: name for name in self._definitions.get(folder, ())}
        for name in dag_files.keys() & found.keys():
            _log.warning(
                "No DAG is made of %s: there is a file %s", os.path.join(source, dag_files[name]), name
            )
            del dag_files[name]
        for name in (*found, *dag_files):
            with suppress(FileNotFoundError, NotADirectoryError):  # removed at this moment
                path = os.path.join(target, name)
                if name in dag_files:
                    self._write_dag_file(there.get(name), folder, dag_files[name], path)
                else:
                    self._do_entry(
                        there.get(name), found[name], name if folder == "." else f"{folder}/{name}", path
                    )
        if self._heads is not None:
            for name in there.keys() - found.keys() - dag_files.keys() - set(_SKIPPED):
                _remove(os.path.join(target, name))

    def _do_entry(
        self, known: os.DirEntry[str] | None, entry: os.DirEntry[str], relative: str, path: str
    ) -> None:
        if relative in self._definitions or (relative in self._there and entry.is_dir()):
            self._make_folder(path)
            self._do_folder(relative)
        elif entry.name == IGNORE_FILE and ignore_syntax() == "glob":
            self._write_ignore_file(known, entry.path, path)
        else:
            self._link(known, entry.path, path)

    def _make_folder(self, path: str) -> None:
        """Make a folder, also where a link to one was before it had definitions."""
        if os.path.islink(path):
            with suppress(FileNotFoundError):
                os.unlink(path)
        with suppress(FileExistsError):
            os.mkdir(path)

    def _link(self, known: os.DirEntry[str] | None, target: str, path: str) -> None:
        if known is None:
            with suppress(FileExistsError):  # made by another process
                os.symlink(target, path)
        elif self._heads is not None and _target(path) != target:
            draft = self._draft()
            os.symlink(target, draft)
            self._put(draft, path)

    def _write_ignore_file(self, known: os.DirEntry[str] | None, source: str, path: str) -> None:
        """Copy an ignore file, and keep what it says about scripts from hiding the DAG files of definitions."""
        if known is not None and self._heads is None:
            return
        lines = "".join(f"\n!*{suffix}{_SUFFIX}" for suffix in SUFFIXES)
        self._write(known, path, Path(source).read_bytes() + f"{lines}\n".encode(), None)

    def _write_dag_file(self, known: os.DirEntry[str] | None, folder: str, name: str, path: str) -> None:
        """Write the DAG file of a definition, with the definition's time stamp: changed ones are read first."""
        if known is not None and self._heads is None:
            return
        file = self._view.source / folder / name
        more = ""
        if self._view.workspace is not None:
            more += f", workspace={str(self._view.source / self._view.workspace)!a}"
        if file in self._taken:
            more += f", taken_by={self._taken[file].relative_to(self._view.source).as_posix()!a}"
        shown = name if folder == "." else f"{folder}/{name}"
        text = _DAG_FILE.format(shown=ascii(shown), file=ascii(str(file)), more=more)
        modified = file.stat().st_mtime_ns if self._heads is None else self._heads.modified(file)
        self._write(known, path, text.encode("ascii"), modified // 1000 * 1000)

    def _write(self, known: os.DirEntry[str] | None, path: str, data: bytes, stamp: int | None) -> None:
        """Write a file, unless it is right.

        :param stamp: its time stamp in nanoseconds.
        """
        if known is not None:
            with suppress(OSError):  # it is no file, or removed at this moment
                is_stamped = stamp is None or os.lstat(path).st_mtime_ns // 1000 * 1000 == stamp
                if is_stamped and Path(path).read_bytes() == data:
                    return
        draft = self._draft()
        with open(draft, "xb") as stream:
            stream.write(data)
        if stamp is not None:
            os.utime(draft, ns=(stamp, stamp))
        self._put(draft, path)

    def _draft(self) -> str:
        """Return a path that is free, for what is not ready yet."""
        if self._drafts is None:
            making = tempfile.TemporaryDirectory(prefix=".making-", dir=self._folder.parent)
            self._drafts = self._stack.enter_context(making)
        return os.path.join(self._drafts, "draft")

    def _put(self, draft: str, path: str) -> None:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        os.replace(draft, path)


def _scan(top: str) -> dict[str, dict[str, os.DirEntry[str]]]:
    """Return what is in a view: the entries by name of each folder that is no link, by its path in the view."""
    found: dict[str, dict[str, os.DirEntry[str]]] = {}
    folders = ["."]
    while folders:
        folder = folders.pop()
        with suppress(FileNotFoundError), os.scandir(os.path.join(top, folder)) as entries:
            found[folder] = {entry.name: entry for entry in entries}
        for name, entry in found.get(folder, {}).items():
            if entry.is_dir(follow_symlinks=False) and name not in _SKIPPED:
                folders.append(name if folder == "." else f"{folder}/{name}")
    return found


def _target(path: str) -> str | None:
    """Return where a link leads, None for what is no link."""
    try:
        return os.readlink(path)
    except OSError:
        return None


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(FileNotFoundError):
            os.unlink(path)

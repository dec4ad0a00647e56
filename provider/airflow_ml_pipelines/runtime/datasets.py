"""What a script gets for an input: a table, files to download or mount, or just a path."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Any, Protocol

from airflow_ml_pipelines.core.errors import DataError, did_you_mean
from airflow_ml_pipelines.runtime.operations import TableOperations, timestamp_column
from airflow_ml_pipelines.runtime.places import copy_from, is_remote, list_part, local_path
from airflow_ml_pipelines.runtime.table_engine import Table, has_engine
from airflow_ml_pipelines.runtime.tables import need_pandas, read_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_ml_pipelines.runtime.places import DataFile
    from airflow_ml_pipelines.runtime.table_engine import ColumnProfile

__all__ = ["FileDataset", "Inputs", "LocalData", "MountContext", "TabularDataset", "open_dataset"]


class _Dataset:
    """Files in one or several places.

    :param parts: see :func:`airflow_ml_pipelines.runtime.places.list_part`.
    """

    def __init__(self, parts: Sequence[Mapping[str, str]], name: str | None = None) -> None:
        self._parts = tuple(dict(part) for part in parts)
        self.name = name

    def __repr__(self) -> str:
        places = ", ".join(part["place"] for part in self._parts)
        return f"{type(self).__name__}({self.name or ''!r}: {places})"

    def _files(self) -> list[DataFile]:
        return [file for part in self._parts for file in list_part(part)]


class FileDataset(_Dataset):
    """Files, as ``Dataset.File.from_files`` makes them."""

    def to_path(self) -> list[str]:
        """Return the path of each file, relative to the dataset, beginning with ``/``."""
        return [f"/{file.path}" for file in self._files()]

    def download(
        self,
        target_path: str | None = None,
        overwrite: bool = False,
        ignore_not_found: bool = False,
    ) -> list[str]:
        """Copy the files to a folder (a new temporary one for None) and return their paths there.

        :raises DataError: where a file is there already and ``overwrite`` is false.
        """
        folder = os.path.abspath(target_path) if target_path else tempfile.mkdtemp(prefix="dataset-")
        try:
            files = self._files()
        except DataError:
            if ignore_not_found:
                return []
            raise
        targets = [os.path.join(folder, *file.path.split("/")) for file in files]
        if not overwrite:
            taken = [target for target in targets if os.path.lexists(target)]
            if taken:
                raise DataError(
                    f"can't download to {taken[0]}: it is there already; use overwrite=True to replace it"
                )
        made = set()
        for file, target in zip(files, targets):
            parent = os.path.dirname(target)
            if parent not in made:
                os.makedirs(parent, exist_ok=True)
                made.add(parent)
            if not (os.path.exists(target) and not is_remote(file.place) and _same(file.place, target)):
                copy_from(file.place, target)
        return targets

    def mount(self, mount_point: str | None = None) -> MountContext:
        """Make the files readable below one folder, while the result is entered or started.

        A folder of this machine is linked; everything else is copied.
        """
        return MountContext(self, mount_point)

    def as_folder(self) -> str | None:
        """Return the folder where all files lie, None where they are not in one folder of this machine."""
        if len(self._parts) != 1:
            return None
        place, kind = self._parts[0]["place"], self._parts[0].get("kind", "auto")
        if is_remote(place) or kind not in ("folder", "auto") or not os.path.isdir(local_path(place)):
            return None
        return local_path(place)


def _same(place: str, target: str) -> bool:
    return os.path.samefile(local_path(place), target)


class Mountable(Protocol):
    """What can be mounted."""

    def as_folder(self) -> str | None:
        """Return the folder where all files lie, None where they are not in one folder of this machine."""

    def download(self, target_path: str | None = None) -> list[str]:
        """Copy the files to a folder."""


class MountContext:
    """The files of a dataset below a folder, :attr:`mount_point`."""

    def __init__(self, dataset: Mountable, mount_point: str | None) -> None:
        self._dataset = dataset
        self._wanted = os.path.abspath(mount_point) if mount_point else None
        self._undo: Callable[[], None] | None = None
        folder = dataset.as_folder()
        self._folder = folder
        self.mount_point = self._wanted or folder or tempfile.mkdtemp(prefix="dataset-")

    def start(self) -> None:
        """Make the files readable. :raises DataError: where something is at the mount point already."""
        if self._undo is not None:
            return
        point, folder = self.mount_point, self._folder
        if self._wanted is None and folder is not None:
            self._undo = _nothing
            return
        if os.path.lexists(point):
            if not os.path.isdir(point) or os.listdir(point):
                raise DataError(
                    f"can't mount at {point}: it is there already and no empty folder; give another mount_point"
                )
            os.rmdir(point)
        os.makedirs(os.path.dirname(point), exist_ok=True)
        if folder is not None:
            os.symlink(os.path.abspath(folder), point)
            self._undo = lambda: os.unlink(point)
        else:
            os.mkdir(point)
            self._undo = lambda: shutil.rmtree(point, ignore_errors=True)
            self._dataset.download(point)

    def stop(self) -> None:
        """Take the files away again."""
        if self._undo is not None:
            self._undo()
            self._undo = None

    def __enter__(self) -> MountContext:  # noqa: PYI034 - Self needs Python 3.11
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _nothing() -> None:
    pass


class TabularDataset(TableOperations, _Dataset):
    """Files that are one table, as the methods of ``Dataset.Tabular`` make them.

    :param options: the fields of ``TabularFormat``.
    """

    def __init__(
        self, parts: Sequence[Mapping[str, str]], options: Mapping[str, Any], name: str | None = None
    ) -> None:
        super().__init__(parts, name)
        self._options = dict(options)

    def to_pandas_dataframe(self, on_error: str = "null", out_of_range_datetime: str = "null") -> Any:  # noqa: ARG002
        """Return the rows as a ``pandas.DataFrame``; values that do not fit their column's type are missing.

        :raises ImportError: where pandas is not installed, or DuckDB where it is needed for this table.
        :raises DataError: where the files are not there or can't be read.
        """
        need_pandas()
        plain = (
            not self._options.get("operations") and self._options.get("format", "delimited") == "delimited"
        )
        if plain and not has_engine():
            return read_tables(self._files(), self._options)
        with self._table() as table:
            return table.to_pandas()

    def to_csv_files(self, separator: str = ",", target: str | None = None) -> FileDataset:
        """Write the rows as a delimited file into a folder (a new temporary one for None); return the dataset of it."""
        with self._table() as table:
            return _written(target, "part-00000.csv", lambda path: table.write_csv(path, separator))

    def to_parquet_files(self, target: str | None = None) -> FileDataset:
        """Write the rows as a Parquet file into a folder (a new temporary one for None); return the dataset of it."""
        with self._table() as table:
            return _written(target, "part-00000.parquet", table.write_parquet)

    def profile(self) -> list[ColumnProfile]:
        """Return what is known of the values of each column."""
        with self._table() as table:
            return table.profile()

    def _table(self) -> Table:
        return Table(self._files(), self._options)

    def _then(self, *operations: dict[str, Any]) -> TabularDataset:
        done = (*(self._options.get("operations") or ()), *operations)
        return TabularDataset(self._parts, {**self._options, "operations": done}, self.name)

    def _timestamp(self, name: str) -> str:
        return timestamp_column(self._options, name)


def _written(target: str | None, name: str, write: Callable[[str], None]) -> FileDataset:
    folder = os.path.abspath(target) if target else tempfile.mkdtemp(prefix="table-")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    aside = os.path.join(folder, f".~{os.getpid()}-{name}")
    try:
        write(aside)
        os.replace(aside, path)
    finally:
        if os.path.lexists(aside):
            os.unlink(aside)
    return FileDataset([{"place": path, "kind": "file", "label": "/" + name}])


class LocalData(str):
    """The path of an input where there is no orchestrator: a path, and a dataset of either kind as well."""

    __slots__ = ()

    def _parts(self) -> list[dict[str, str]]:
        return [{"place": str(self), "kind": "auto", "label": "/" + os.path.basename(self)}]

    def to_pandas_dataframe(self, **options: Any) -> Any:
        """See :meth:`TabularDataset.to_pandas_dataframe`."""
        return TabularDataset(self._parts(), {}).to_pandas_dataframe(**options)

    def to_path(self) -> list[str]:
        """See :meth:`FileDataset.to_path`."""
        return FileDataset(self._parts()).to_path()

    def download(self, *arguments: Any, **options: Any) -> list[str]:
        """See :meth:`FileDataset.download`."""
        return FileDataset(self._parts()).download(*arguments, **options)

    def mount(self, mount_point: str | None = None) -> MountContext:
        """See :meth:`FileDataset.mount`."""
        return FileDataset(self._parts()).mount(mount_point)


def open_dataset(
    parts: Sequence[Mapping[str, str]], tabular: Mapping[str, Any] | None, name: str | None = None
) -> FileDataset | TabularDataset:
    """Return a dataset of files, or of a table where it is said how to read it."""
    return FileDataset(parts, name) if tabular is None else TabularDataset(parts, tabular, name)


class Inputs(dict):  # type: ignore[type-arg]
    """Inputs (or outputs) by name.

    :param hint: what an error says besides which names there are.
    """

    def __init__(self, items: Mapping[str, Any], what: str, hint: str = "") -> None:
        super().__init__(items)
        self._what = what
        self._hint = hint

    def __missing__(self, name: object) -> Any:
        raise _MissingKeyError(
            f"the step has no {self._what} {name!r}.{did_you_mean(str(name), self)}{self._hint}"
        )


class _MissingKeyError(KeyError):
    def __str__(self) -> str:  # a KeyError shows the repr of its text
        return str(self.args[0])

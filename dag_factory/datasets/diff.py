"""What one dataset has otherwise than another: files and columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_ml_pipelines.core.stores.meta import is_strong

if TYPE_CHECKING:
    from dag_factory.datasets.dataset import Dataset
    from dag_factory.datasets.fetch import DataFile

__all__ = ["DatasetDiff", "compare"]

_PIECE = 1 << 20


@dataclass(frozen=True)
class DatasetDiff:
    """What a dataset has otherwise than another one. It is true where anything differs.

    :param files_changed: the paths of files that both have, with other content.
    :param columns_changed: the types in the other and in this one, by the column's name.
    """

    files_added: tuple[str, ...] = ()
    files_removed: tuple[str, ...] = ()
    files_changed: tuple[str, ...] = ()
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()
    columns_changed: tuple[tuple[str, str, str], ...] = ()

    def __bool__(self) -> bool:
        return any(
            (
                self.files_added,
                self.files_removed,
                self.files_changed,
                self.columns_added,
                self.columns_removed,
                self.columns_changed,
            )
        )

    def __str__(self) -> str:
        lines = [f"+ {name}" for name in self.files_added]
        lines += [f"- {name}" for name in self.files_removed]
        lines += [f"~ {name}" for name in self.files_changed]
        lines += [f"+ column {name}" for name in self.columns_added]
        lines += [f"- column {name}" for name in self.columns_removed]
        lines += [f"~ column {name}: {old} → {new}" for name, old, new in self.columns_changed]
        return "\n".join(lines) or "no difference"


def compare(dataset: Dataset, other: Dataset) -> DatasetDiff:
    """Return what a dataset has otherwise than another one. :raises DataError: where one of them has no data."""
    new, old = dataset.files(), other.files()
    columns, before = dataset.column_types(), other.column_types()
    return DatasetDiff(
        files_added=tuple(sorted(new.keys() - old.keys())),
        files_removed=tuple(sorted(old.keys() - new.keys())),
        files_changed=tuple(
            sorted(name for name in new.keys() & old.keys() if not _same(new[name], old[name]))
        ),
        columns_added=tuple(name for name in columns if name not in before),
        columns_removed=tuple(name for name in before if name not in columns),
        columns_changed=tuple(
            (name, before[name], kind) for name, kind in columns.items() if before.get(name, kind) != kind
        ),
    )


def _same(one: DataFile, two: DataFile) -> bool:
    first, second = one.store.info(one.path), two.store.info(two.path)
    if first is None or second is None or first.size != second.size:
        return False
    if (one.store.url, one.path) == (two.store.url, two.path) and first.version == second.version:
        return True
    if first.version == second.version and is_strong(first.version) and one.store.local_path("") is None:
        return True
    return _digest(one) == _digest(two)


def _digest(file: DataFile) -> str:
    from airflow_ml_pipelines.core.files.digest import Digester

    digester = Digester()
    with file.store.open(file.path) as source:
        while data := source.read(_PIECE):
            digester.update(data)
    return digester.hexdigest()

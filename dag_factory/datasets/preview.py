"""Shows how the data of a dataset begins: the first rows of a table, the first of its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import airflow_ml_pipelines.core.workspaces.workspace as core
    from airflow_ml_pipelines.core.spec import Data
    from airflow_ml_pipelines.runtime.table_engine import Table

__all__ = ["Preview", "begin_of", "preview_data"]

_LONGEST: Final = 200


@dataclass(frozen=True)
class Preview:
    """How data begins.

    :param columns: with their types; those of files are their paths and sizes.
    :param rows: values as text, cut where they are long; None for what is missing.
    :param more: whether there are further rows.
    """

    columns: dict[str, str]
    rows: tuple[tuple[str | None, ...], ...]
    more: bool


def preview_data(workspace: core.Workspace, data: Data, count: int) -> Preview:
    """Return how data begins. :raises DataError: where there is none, or it can't be read as it is said to be."""
    from dag_factory.datasets.fetch import list_files, open_table

    if data.tabular is not None:
        with open_table(workspace, data) as table:
            return begin_of(table, count)
    files = list_files(workspace, data)
    infos = ((file.name, file.store.info(file.path)) for file in files[:count])
    rows = tuple(("/" + name, None if info is None else str(info.size)) for name, info in infos)
    return Preview({"Path": "VARCHAR", "Size": "BIGINT"}, rows, len(files) > count)


def begin_of(table: Table, count: int, widest: int | None = None) -> Preview:
    """Return how a table begins.

    :param widest: how many of its columns; all if left out.
    :raises DataError: where it can't be read.
    """
    columns, rows = dict(list(table.columns.items())[:widest]), table.head(count + 1)
    shown = tuple(tuple(map(_text, row[:widest])) for row in rows[:count])
    return Preview(columns, shown, len(rows) > count)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    text = f"{len(value)} bytes" if isinstance(value, bytes | bytearray) else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"

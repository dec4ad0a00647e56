"""Shows how a file begins: as an image, a table or text."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_ml_pipelines.core.errors import DataError
from airflow_ml_pipelines.plugin.files import KeptFile, is_image, read_start

__all__ = ["Preview", "preview_file"]

_ROWS, _COLUMNS, _TEXT = 50, 40, 64 << 10
_LARGEST = 64 << 20
_FORMATS: dict[str, dict[str, Any]] = {
    ".csv": {"format": "delimited"},
    ".tsv": {"format": "delimited", "separator": "\t"},
    ".parquet": {"format": "parquet"},
    ".jsonl": {"format": "json_lines"},
}


@dataclass(frozen=True)
class Preview:
    """How a file begins.

    :param columns: with their types, of a table.
    :param note: what is not shown, and why.
    """

    image: bool = False
    columns: dict[str, str] | None = None
    rows: tuple[tuple[Any, ...], ...] = ()
    text: str | None = None
    note: str = ""


def preview_file(file: KeptFile) -> Preview:
    """Return how a file begins."""
    if is_image(file.name):
        return Preview(image=True)
    options = _FORMATS.get(Path(file.name).suffix.lower())
    note = ""
    if options is not None and file.size <= _LARGEST:
        try:
            return _table(file, options)
        except (DataError, ImportError) as error:
            note = f"This is no table that can be read: {error}"
    start = read_start(file, _TEXT)
    if b"\0" in start:
        return Preview(note=note or "This is no text.")
    cut = "" if file.size <= _TEXT else f"The first {_TEXT >> 10} KiB."
    return Preview(text=start.decode("utf-8", "replace"), note=note or cut)


def _table(file: KeptFile, options: dict[str, Any]) -> Preview:
    from airflow_ml_pipelines.runtime.places import DataFile
    from airflow_ml_pipelines.runtime.table_engine import Table

    with tempfile.TemporaryDirectory(prefix="preview-") as folder:
        local = file.store.local_path(file.path)
        if local is None:
            local = Path(folder, "file")
            file.store.download(file.path, local)
        wanted = {**options, "operations": [{"do": "take", "count": _ROWS + 1}]}
        with Table([DataFile(str(local), file.name, f"/{file.name}")], wanted) as table:
            columns, rows = dict(list(table.columns.items())[:_COLUMNS]), table.rows()
    more = f"The first {_ROWS} rows." if len(rows) > _ROWS else ""
    return Preview(columns=columns, rows=tuple(row[:_COLUMNS] for row in rows[:_ROWS]), note=more)

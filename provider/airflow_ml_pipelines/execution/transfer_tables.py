"""Transfers of rows: files into a table of a database, the answer of a query into a delimited file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow_ml_pipelines.core.canonical import canonical_json, digest_document, pretty_json
from airflow_ml_pipelines.core.databases.append import NULL, Rows, append_rows
from airflow_ml_pipelines.core.errors import DataError, NotFoundError
from airflow_ml_pipelines.core.files.digest import digest_bytes
from airflow_ml_pipelines.core.files.manifest import Entry, Manifest
from airflow_ml_pipelines.core.spec import TabularFormat, TransferSpec
from airflow_ml_pipelines.core.steps.decide import Go, StepContext
from airflow_ml_pipelines.core.stores.local_store import LocalStore
from airflow_ml_pipelines.core.stores.locations import Found, find
from airflow_ml_pipelines.core.stores.parallel import each
from airflow_ml_pipelines.core.stores.store import Store, join
from airflow_ml_pipelines.runtime.places import DataFile
from airflow_ml_pipelines.runtime.table_engine import Table

__all__ = ["append_to_table", "as_delimited", "write_note"]

_FORMATS = {
    ".csv": "delimited",
    ".tsv": "delimited",
    ".txt": "delimited",
    ".parquet": "parquet",
    ".jsonl": "json_lines",
}
_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": ","}
_ID = "transfer.json"
_NOTE = "appended.json"


def append_to_table(
    context: StepContext,
    go: Go,
    attempt: int,
    spec: TransferSpec,
    source: Sequence[Found],
    folder: Path,
    check: Callable[[], None],
    tell: Callable[[str], None],
) -> tuple[bytes, int]:
    """Append the rows of files to a table; return a note of what was done, and how many rows there were.

    :raises DataError: where the files can't be read as a table, or the table does not take them; nothing is appended
        then.
    """
    assert spec.table is not None
    database = context.workspace.database(spec.database)
    item = context.inputs["source"]
    with _table(source, item.data.tabular, folder, check) as table:
        if table.is_blank:
            raise DataError(
                f"{source[0].where} has nothing but empty files: expected rows with the names of their columns"
            )
        rows = Rows(
            list(table.columns),
            table.count,
            lambda file: table.write_rows(str(file), NULL),
            table.batches,
        )
        transfer = _transfer_id(context, go, attempt)
        appended, count = append_rows(database, spec.table, rows, transfer, folder, check)
    if appended:
        tell(f"appended {count} rows to table {spec.table!r} of {database.name}")
    else:
        tell(f"these {count} rows were appended to table {spec.table!r} of {database.name} before")
    note = {"schema": 1, "database": spec.database, "table": spec.table, "rows": count, "transfer": transfer}
    return canonical_json(note), count


@contextmanager
def _table(
    source: Sequence[Found], tabular: TabularFormat | None, folder: Path, check: Callable[[], None]
) -> Iterator[Table]:
    staged = folder / "staged"
    staged.mkdir()
    files: list[DataFile] = []
    for found in source:
        local = found.local is not None

        def bring(pair: tuple[int, str], store: Store = found.store) -> str:
            check()
            number, path = pair
            here = store.local_path(path)
            if here is None:
                here = staged / f"{number}-{path.rpartition('/')[2]}"
                store.download(path, here)
            return str(here)

        numbered = list(enumerate(found.files, len(files)))
        places = [bring(pair) for pair in numbered] if local else list(each(found.store, bring, numbered))
        files += [
            DataFile(place, found.relative(path), f"/{path}")
            for place, path in zip(places, found.files, strict=True)
        ]
    with Table(files, _options(files, tabular)) as table:
        yield table


def _options(files: Sequence[DataFile], tabular: TabularFormat | None) -> dict[str, Any]:
    """Return how files are read; without being told, by the endings of their names, all values as they are written."""
    if tabular is None:
        endings = {Path(file.path).suffix.lower() for file in files}
        kinds = {_FORMATS.get(ending) for ending in endings}
        (kind,) = kinds if len(kinds) == 1 else (None,)
        if kind is None:
            raise DataError(
                f"the source has files that end in {', '.join(sorted(endings)) or 'nothing'}: expected files of one kind, "
                f"of {', '.join(_FORMATS)}, or a dataset that says how they are read"
            )
        separator = _SEPARATORS.get(min(endings), ",")
        tabular = TabularFormat(format=kind, infer_column_types=False, separator=separator)  # type: ignore[arg-type]
        return {**_fields(tabular), "missing": ("",)}  # NA may be a country
    return _fields(tabular)


def _fields(tabular: TabularFormat) -> dict[str, Any]:
    return {name: getattr(tabular, name) for name in tabular.__struct_fields__}


def _transfer_id(context: StepContext, go: Go, attempt: int) -> str:
    """Return what an attempt's rows are known by in the database.

    Of a step that may be reused it is its key: the same rows for the same table are appended once. Of any other, each
    attempt appends, but one after an attempt that did not end well goes on with that one's.
    """
    if go.lease is not None and context.key is not None:
        return context.key
    store, step = context.workspace.store, context.step.id
    path = f"{context.folder.attempt_folder(step, attempt)}/{_ID}"
    run = context.run
    found = _unfinished_id(context, attempt - 1) if attempt > 1 else None
    transfer = found or digest_document("ml-pipelines/append/1", [run.pipeline, run.run, step, attempt])
    store.put(path, pretty_json({"schema": 1, "transfer": transfer}))
    return transfer


def _unfinished_id(context: StepContext, attempt: int) -> str | None:
    store, folder = context.workspace.store, context.folder.attempt_folder(context.step.id, attempt)
    try:
        if json.loads(store.get(f"{folder}/result.json"))["status"] == "finished":
            return None
    except (NotFoundError, ValueError, KeyError, TypeError):
        pass  # it was killed
    try:
        return str(json.loads(store.get(f"{folder}/{_ID}"))["transfer"])
    except (NotFoundError, ValueError, KeyError, TypeError):
        return None


def write_note(store: Store, path: str, note: bytes) -> Manifest:
    """Write the note of what was appended, which is the output of the step."""
    place = join(path, _NOTE)
    store.put(place, note)
    info = store.info(place)
    version = "" if info is None else info.version
    return Manifest.of([Entry(_NOTE, len(note), digest_bytes(note), version=version)])


def as_delimited(source: Sequence[Found], name: str, folder: Path) -> tuple[Found, ...] | None:
    """Return the answer of a query as a delimited file, None where a file of that name is none.

    :param name: of the file that is wanted.
    """
    separator = _SEPARATORS.get(Path(name).suffix.lower())
    if separator is None:
        return None
    made = folder / "delimited"
    made.mkdir()
    with _table(source, TabularFormat(format="parquet"), folder, lambda: None) as table:
        table.write_csv(str(made / "rows.csv"), separator)
    return (find(LocalStore(made), "rows.csv"),)

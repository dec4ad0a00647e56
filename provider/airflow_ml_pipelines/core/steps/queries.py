"""What a query returns, as data that a run can read again and again."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from airflow_ml_pipelines.core.databases.database import QueryResult
from airflow_ml_pipelines.core.errors import DataError
from airflow_ml_pipelines.core.spec import Data, Location, TabularFormat
from airflow_ml_pipelines.core.workspaces.workspace import BLOB_STORE, Workspace

__all__ = ["ask", "keep_answer", "table_format"]

_FOLDER = "queries"


def ask(workspace: Workspace, data: Data, target: Path) -> QueryResult:
    """Write what the query of some data returns into a Parquet file.

    :raises WorkspaceError: where there is no such datastore, or it is no database.
    :raises DataError: where the query fails.
    """
    if data.query is None or len(data.locations) != 1:
        raise DataError("expected a query and the one datastore that is asked")
    return workspace.database(data.locations[0].datastore).export(data.query, target, data.query_timeout)


def keep_answer(workspace: Workspace, data: Data) -> Data:
    """Ask a query and keep the answer on the workspace's own datastore; return the data that it is.

    The file is named after the rows, so that equal answers are one file.
    """
    with tempfile.TemporaryDirectory(prefix="query-") as folder:
        file = Path(folder, "answer.parquet")
        path = f"{_FOLDER}/{ask(workspace, data, file).digest}.parquet"
        store = workspace.datastore(BLOB_STORE)
        if store.info(path) is None:
            store.upload(file, path)
    return Data(locations=(Location(datastore=BLOB_STORE, path=path),), tabular=table_format(data))


def table_format(data: Data) -> TabularFormat:
    """Return how the answer of a query is read."""
    return msgspec.structs.replace(data.tabular or TabularFormat(), format="parquet")

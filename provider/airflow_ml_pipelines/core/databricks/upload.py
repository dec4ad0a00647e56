"""Brings a snapshot to a Databricks workspace or volume, once for each digest."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from airflow_ml_pipelines.core.databricks.client import DatabricksClient
from airflow_ml_pipelines.core.databricks.notebook import is_notebook
from airflow_ml_pipelines.core.errors import DefinitionError, NotFoundError
from airflow_ml_pipelines.core.files.archive import unpack_archive
from airflow_ml_pipelines.core.stores.store import Store

__all__ = ["notebook_path", "upload_snapshot"]

_COMPLETE = "_complete"
_THREADS = 8
_FORMATS = {"source": "SOURCE", "jupyter": "JUPYTER"}


def notebook_path(path: str) -> str:
    """Return the path that a notebook of a file has in a workspace, which knows no endings of notebooks."""
    return os.path.splitext(path)[0]


def upload_snapshot(client: DatabricksClient, store: Store, archive: str, digest: str, folder: str) -> str:
    """Return the folder that has the files of a snapshot, after it has them.

    A file that says so comes last, so that what is not complete is written again, to the same effect.

    :param archive: the snapshot's path in a store.
    :param folder: where snapshots are kept there.
    """
    target = f"{folder.rstrip('/')}/{digest[:32]}"
    if _is_complete(client, f"{target}/{_COMPLETE}"):
        return target
    with tempfile.TemporaryDirectory(prefix="ml-pipelines-") as name:
        local = store.local_path(archive)
        if local is None:
            local = Path(name, "snapshot.zip")
            store.download(archive, local)
        source = Path(name, "code")
        unpack_archive(local, source)
        files = [Path(top, file) for top, _, names in os.walk(source) for file in names]
        for made in sorted(
            {f"{target}/{file.parent.relative_to(source).as_posix()}".removesuffix("/.") for file in files}
        ):
            client.make_folder(made)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="upload") as pool:
            list(pool.map(lambda file: _put(client, target, source, file), files))
    client.put(f"{target}/{_COMPLETE}", b"")
    return target


def _put(client: DatabricksClient, target: str, source: Path, file: Path) -> None:
    data, name = file.read_bytes(), file.relative_to(source).as_posix()
    form = is_notebook(data, name)
    if form is None:
        client.put(f"{target}/{name}", data)
    elif target.startswith("/Volumes/"):
        raise DefinitionError(
            f"{name} is a notebook, which no volume can hold: let `upload_to` of the compute target be below /Workspace"
        )
    else:
        client.put(f"{target}/{notebook_path(name)}", data, notebook=_FORMATS[form])


def _is_complete(client: DatabricksClient, path: str) -> bool:
    if not path.startswith("/Volumes/"):
        return bool(client.object_type(path))
    try:
        client.read(path)
    except NotFoundError:
        return False
    return True

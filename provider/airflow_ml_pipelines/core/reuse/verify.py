"""Checks that the outputs of a record are still there as they were made."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from airflow_ml_pipelines.core.errors import DocumentError, NotFoundError, WorkspaceError
from airflow_ml_pipelines.core.files.digest import digest_file
from airflow_ml_pipelines.core.files.manifest import Entry, Manifest
from airflow_ml_pipelines.core.reuse.records import Record
from airflow_ml_pipelines.core.runs.folder import OutputDocument
from airflow_ml_pipelines.core.stores.store import ObjectInfo, Store
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["read_manifest", "verify_output", "verify_record"]

_SHOWN = 3


def verify_record(workspace: Workspace, record: Record) -> tuple[str, ...]:
    """Return what is wrong with the outputs of a record, nothing where they are whole.

    One listing an output: every file must be there with its size and the store's version; a file with another version
    is read, since copying a store elsewhere changes versions and not contents.
    """
    problems: list[str] = []
    for name, output in sorted(record.outputs.items()):
        if (wrong := verify_output(workspace, output)) is not None:
            problems.append(f"output {name!r}: {wrong}")
    return tuple(problems)


def verify_output(workspace: Workspace, output: OutputDocument) -> str | None:
    """Return what is wrong with an output, None where it is whole."""
    wrong = _problems(workspace, output)
    more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return ", ".join(wrong[:_SHOWN]) + more if wrong else None


def read_manifest(workspace: Workspace, output: OutputDocument) -> Manifest:
    """Return the manifest of an output.

    :raises NotFoundError: where it is gone.
    :raises DocumentError: where it can't be read.
    """
    try:
        document = json.loads(workspace.store.get(output.manifest))
    except ValueError as error:
        raise DocumentError(f"manifest {output.manifest} can't be read: {error}") from None
    return Manifest.from_dict(document)


def _problems(workspace: Workspace, output: OutputDocument) -> list[str]:
    try:
        manifest = read_manifest(workspace, output)
        store = workspace.datastore(output.datastore)
    except NotFoundError:
        return ["its manifest is gone"]
    except (DocumentError, WorkspaceError) as error:
        return [str(error)]
    if manifest.digest != output.digest:
        return ["its manifest is not the one that was recorded"]
    if output.single:
        info = store.info(output.path)
        found = {} if info is None else {manifest.entries[0].path: info}
    else:
        skip = len(output.path) + 1 if output.path else 0
        found = {info.path[skip:]: info for info in store.walk(output.path)}
    wrong = []
    for entry in manifest:
        info = found.pop(entry.path, None)
        if info is None:
            wrong.append(f"{entry.path} is gone")
        elif info.size != entry.size:
            wrong.append(f"{entry.path} has {info.size} bytes instead of {entry.size}")
        elif info.version != entry.version and not _same_content(store, info, entry):
            wrong.append(f"{entry.path} has other content")
    wrong.extend(f"{path} is new" for path in sorted(found))
    return wrong


def _same_content(store: Store, info: ObjectInfo, entry: Entry) -> bool:
    local = store.local_path(info.path)
    try:
        if local is not None:
            return digest_file(local)[0] == entry.digest
        with tempfile.TemporaryDirectory(prefix="ml-pipelines-") as folder:
            copy = Path(folder) / "copy"
            store.download(info.path, copy)
            return digest_file(copy)[0] == entry.digest
    except (NotFoundError, FileNotFoundError):
        return False

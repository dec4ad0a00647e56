"""The workspace file, ``workspace.yaml``: how it is found, read and made."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.workspace_model import DEFAULT_ROOT, WorkspaceFile, WorkspaceSource, find_problems
from airflow_ml_pipelines.written.read import build, fit, open_layer
from airflow_ml_pipelines.written.values import ANYTHING

__all__ = ["FILE_NAME", "create_workspace_file", "find_workspace_file", "load_workspace"]

FILE_NAME = "workspace.yaml"

_VARIABLE = "ML_PIPELINES_WORKSPACE"
_ROOT = "ML_PIPELINES_ROOT"

_loaded: dict[Path, tuple[tuple[int, int, str | None], Workspace]] = {}
_lock = threading.Lock()


def load_workspace(path: Path | str | None = None) -> Workspace:
    """Open the workspace that a file describes.

    A file that did not change is read once in a process.

    :param path: the file, or its folder; None for the one that ``ML_PIPELINES_WORKSPACE`` names, else the nearest
        ``workspace.yaml`` from the current folder upwards.
    :raises WorkspaceError: where there is none, or something in it is wrong; the text says where and what.
    """
    file = _find(path)
    try:
        status = file.stat()
        stamp = (status.st_mtime_ns, status.st_size, os.environ.get("ML_PIPELINES_CACHE"))
        with _lock:
            known = _loaded.get(file)
            if known is None or known[0] != stamp:
                known = _loaded[file] = (stamp, _read(file))
            return known[1]
    except OSError as error:
        raise WorkspaceError(f"the workspace file {file} can't be read: {error.strerror or error}") from None


def find_workspace_file(start: Path | str | None = None) -> Path | None:
    """Return the nearest ``workspace.yaml`` from a folder upwards (the current one for None), None for none."""
    top = Path(start or ".").absolute()
    return next(
        (folder / FILE_NAME for folder in (top, *top.parents) if (folder / FILE_NAME).is_file()), None
    )


def _find(path: Path | str | None) -> Path:
    origin = "" if path else f", which {_VARIABLE} names"
    path = path or os.environ.get(_VARIABLE)
    if not path:
        found = find_workspace_file()
        if found is None:
            raise WorkspaceError(
                f"there is no {FILE_NAME} in {Path.cwd()} or above it, and {_VARIABLE} is not set: make a workspace with "
                "`ml-pipelines init` or Workspace.create(name), or say where it is"
            )
        return found
    file = Path(os.path.normpath(Path(path).expanduser().absolute()))
    if file.is_dir():
        file /= FILE_NAME
    if not file.is_file():
        raise WorkspaceError(
            f"there is no workspace file {file}{origin}: give the path of a {FILE_NAME} or of its folder, "
            "or make one with Workspace.create(name)"
        )
    return file


_STORE = {"options": ANYTHING}
_PLACES = {
    "root": _STORE,
    "datastores": {"*": _STORE},
    "compute_targets": {"*": {"*": ANYTHING}},
}


def _read(file: Path) -> Workspace:
    layer = open_layer(file, WorkspaceError)
    document = build(layer, _PLACES)
    source = WorkspaceSource([layer])
    if document is None:  # an empty file is a workspace too
        source.refuse()
        document = {}
    if isinstance(document, dict):
        document = {name: value for name, value in document.items() if not name.startswith("x-")}
    model = fit(WorkspaceFile, document, source, find_problems)
    source.refuse(find_problems(model))
    return model.to_workspace(file)


_TEMPLATE = """\
# The workspace: where everything is kept, and what pipelines call by name. It has no secrets: keep it under version
# control.
name: {name}

# A folder beside this file, or a URL such as s3://bucket/folder.
root: {root}

# Datastores besides workspaceblobstore (the default) and workspacefilestore, which lie under the root.
# Credentials are never written here: name an Airflow connection, or environment variables.
# datastores:
#   raw: ../raw-data
#   lake:
#     url: s3://bucket/lake
#     connection: my_aws
#   other:
#     url: s3://bucket/other
#     credentials: {{key: "env:OTHER_KEY", secret: "env:OTHER_SECRET"}}
# default_datastore: lake

# Environments that steps call by name.
# environments:
#   sklearn:
#     python: "3.12"
#     pip: [pandas, scikit-learn]
"""


def create_workspace_file(
    folder: Path | str, name: str, *, exist_ok: bool = False, root: str | Mapping[str, Any] | None = None
) -> Workspace:
    """Make a workspace in a folder: ``workspace.yaml`` and, beside it, the folder in which everything is kept.

    :param root: where everything is kept instead: a URL or a path, or what the file may say as ``root``; that which
        ``ML_PIPELINES_ROOT`` has (as YAML), if left out.
    :param exist_ok: whether a workspace of this name may be there already, which is opened then.
    :raises WorkspaceError: where one is there already.
    """
    if not name or not name.isprintable():
        raise WorkspaceError(f"expected a name for the workspace, found {name!r}")
    place = Path(folder).expanduser().absolute()
    file = place / FILE_NAME
    told = _root_of(root)
    try:
        if not file.exists():
            place.mkdir(parents=True, exist_ok=True)
            if told is None:
                beside = place / DEFAULT_ROOT
                beside.mkdir(exist_ok=True)
                with suppress(FileExistsError), (beside / ".gitignore").open("x", encoding="utf-8") as ignore:
                    ignore.write("*\n")
        # JSON is YAML, so that no text can be read as something else
        written = DEFAULT_ROOT if told is None else json.dumps(told, ensure_ascii=False)
        made = _write_new(file, _TEMPLATE.format(name=_scalar(name), root=written))
    except OSError as error:
        raise WorkspaceError(f"no workspace can be made in {place}: {error.strerror or error}") from None
    if made:
        return load_workspace(file)
    if not exist_ok:
        raise WorkspaceError(
            f"there is a workspace already: {file}; open it with load_workspace or give exist_ok=True"
        )
    workspace = load_workspace(file)
    if workspace.name != name:
        raise WorkspaceError(
            f"there is a workspace already, and its name is {workspace.name!r}, not {name!r}: {file}; "
            "make the new one in another folder"
        )
    return workspace


def _root_of(given: str | Mapping[str, Any] | None) -> Any:
    """Return what the file says as ``root``, None for the folder beside it.

    :raises WorkspaceError: where it is wrong, before there is a file.
    """
    if given is None and (text := os.environ.get(_ROOT)):
        import yaml

        try:
            given = yaml.safe_load(text)
        except yaml.YAMLError:
            raise WorkspaceError(
                f"{_ROOT}: expected a URL, a path, or YAML such as {{url: …, connection: …}}"
            ) from None
    if given is None:
        return None
    told = given if isinstance(given, str) else dict(given) if isinstance(given, Mapping) else None
    if told is None:
        raise WorkspaceError(
            f"root: expected a URL, a path, or {{url: …, connection: …}}, found {type(given).__name__}"
        )
    from pydantic import ValidationError

    try:
        WorkspaceFile.model_validate({"root": told}).to_workspace(Path(FILE_NAME).absolute())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise WorkspaceError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return told


def _write_new(file: Path, text: str) -> bool:
    """Write a file that must not exist yet, such that nobody reads a part of it."""
    aside = file.with_name(f".{file.name}.{os.getpid()}-{threading.get_ident()}")
    aside.write_text(text, encoding="utf-8")
    try:
        os.link(aside, file)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        try:
            with file.open("x", encoding="utf-8") as target:
                target.write(text)
        except FileExistsError:
            return False
    finally:
        aside.unlink()
    return True


def _scalar(text: str) -> str:
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", text) and text.lower() not in {
        "true", "false", "null", "yes", "no", "on", "off", "y", "n",
    }  # fmt: skip
    return text if plain else json.dumps(text, ensure_ascii=False)

"""Turns the data of Azure ML, what jobs write, and what compute they name into fields of definitions."""

from __future__ import annotations

import re
from typing import Any

from dag_factory.convert.parts import Part

__all__ = ["MODES", "compute_name", "is_data", "read_data", "read_output"]

MODES = {
    "ro_mount": "mount",
    "rw_mount": "mount",
    "download": "download",
    "direct": "direct",
    "upload": "upload",
}

_DATA = ("uri_file", "uri_folder", "mltable", "mlflow_model", "custom_model", "triton_model", "path")
_FORMS = {"uri_file": "file", "uri_folder": "folder"}
_STORE = re.compile(r"azureml://(?:subscriptions/.*/)?datastores/([^/]+)/paths/(.*)")
_ASSET = re.compile(r"azureml:(?!//)([^:@]+)(?:[:@](.+))?")
_BLOB = re.compile(r"wasbs?://([^@/]+)@([^./]+)\.blob\.([^/]+)(.*)")
_RUN = re.compile(r"\$\{\{\s*name\s*\}\}")
_BINDING = re.compile(r"\$\{\{.*?\}\}")


def is_data(kind: Any) -> bool:
    """Return whether a type of Azure ML is one of data."""
    return kind in _DATA


def read_data(part: Part) -> dict[str, Any] | None:
    """Return what an input of Azure ML reads, as a data entry; None where it names nothing."""
    kind, path = part.take("type"), part.text("path")
    part.take("description")
    dataset = part.take("dataset")  # of earlier versions
    if isinstance(dataset, dict) and path is None:
        path = dataset.get("local_path") or dataset.get("path")
    if kind == "mltable":
        part.note(
            "a table of type mltable: say how its files are read with `type: tabular` and its options", "type"
        )
    if path is None:
        return None
    found = _read_path(part, path)
    if kind in _FORMS and "dataset" not in found:
        found["type"] = _FORMS[kind]
    return found


def _read_path(part: Part, path: str) -> dict[str, Any]:
    if _BINDING.search(path):
        part.note("a path with a binding: write down where the data is", "path")
        path = _BINDING.sub("", path)
    if found := _STORE.fullmatch(path):
        return {"datastore": found[1], "path": found[2]}
    if found := _ASSET.fullmatch(path):
        return {"dataset": found[1]} | _read_version(part, found[1], found[2])
    if found := _BLOB.fullmatch(path):
        return {"url": f"abfs://{found[1]}@{found[2]}.dfs.{found[3]}{found[4]}"}
    if "://" in path:
        return {"url": path}
    part.note(
        f"{path!r} is a local path, which Azure ML uploads when a job is submitted: put the data on a datastore",
        "path",
    )
    return {"path": path.removeprefix("./")}


def _read_version(part: Part, name: str, version: str | None) -> dict[str, int]:
    if version in (None, "latest"):
        return {}
    if version is not None and version.isdecimal() and int(version):
        return {"version": int(version)}
    part.note(
        f"version {version!r} of dataset {name!r}: versions are numbers here, the latest is taken", "path"
    )
    return {}


def read_output(part: Part) -> dict[str, Any]:
    """Return an output of Azure ML, of a job or of the whole pipeline."""
    fields: dict[str, Any] = {}
    kind, mode, path = part.take("type"), part.text("mode"), part.text("path")
    if kind == "uri_file":
        part.note("an output is a folder here: let the script write its file into it", "type")
    if mode is not None and MODES.get(mode) not in ("mount", "upload"):
        part.note(f"mode {mode!r}", "mode")
    elif mode == "upload":
        fields["mode"] = "upload"
    if path is not None:
        fields |= _read_destination(part, path)
    name = part.text("name")
    if name is not None:
        fields["register"] = name
        if kind in ("mlflow_model", "custom_model", "triton_model"):
            part.note("it is registered as a dataset, not as a model", "name")
    description = part.text("description")
    if name is not None and description is not None:
        fields["register"] = {"name": name, "description": description}
    part.note_rest({"version": "each run adds the next version"})
    return fields


def _read_destination(part: Part, path: str) -> dict[str, Any]:
    path = _RUN.sub("{run-id}", path).replace("${{default_datastore}}", "")
    if _BINDING.search(path):
        part.note("a path with a binding: {run-id} and {output-name} are filled in here", "path")
        return {}
    found = _STORE.fullmatch(path) or re.fullmatch(r"azureml://datastores/()/paths/(.*)", path)
    if found is None:
        part.note(f"{path!r} is on no datastore: make one of it in the workspace", "path")
        return {}
    return {"datastore": found[1], "path": found[2]} if found[1] else {"path": found[2]}


def compute_name(part: Part, field: str) -> str | None:
    """Return the name of a compute target that a field has; None where Azure ML chooses one."""
    text = part.text(field)
    if text is None:
        return None
    name = text.removeprefix("azureml:")
    if name in ("serverless", "local") or _BINDING.search(name):
        part.note(f"compute {name!r}: name a compute target of the workspace", field)
        return None
    return name

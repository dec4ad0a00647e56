"""The workspace, volumes and DBFS of the server, each a folder."""

from __future__ import annotations

import base64
from pathlib import Path

NOTEBOOK = b"# Databricks notebook source"
_CHUNK = 1 << 20


class RefusedError(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Files:
    """Files by the paths that Databricks gives them: ``/Workspace/…`` (or ``/Shared/…``), ``/Volumes/…``, ``dbfs:/…``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("workspace", "volumes", "dbfs"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def local(self, path: str) -> Path:
        """Return the file that a path stands for."""
        plain = path.removeprefix("dbfs:")
        if plain.startswith("/Volumes/"):
            return self._below("volumes", plain.removeprefix("/Volumes"))
        if path.startswith("dbfs:"):
            return self._below("dbfs", plain)
        return self._below("workspace", path.removeprefix("/Workspace"))

    def find(self, path: str) -> Path:
        """Return the file of an object of the workspace; notebooks have endings here and none there."""
        file = self.local(path)
        for ending in (".py", ".ipynb"):
            notebook = file.with_name(file.name + ending)
            if not file.exists() and notebook.is_file():
                return notebook
        if not file.exists():
            raise RefusedError(404, "RESOURCE_DOES_NOT_EXIST", f"Path ({path}) doesn't exist.")
        return file

    def _below(self, name: str, path: str) -> Path:
        file = (self.folder / name / path.lstrip("/")).resolve()
        if not file.is_relative_to(self.folder.resolve()):
            raise RefusedError(400, "INVALID_PARAMETER_VALUE", f"{path} is no path")
        return file

    # --- workspace -----------------------------------------------------------------------------------------------

    def import_object(self, body: dict) -> dict:
        data = base64.b64decode(body["content"])
        form = body.get("format", "SOURCE")
        ending = ""
        if form == "SOURCE":
            if body.get("language") != "PYTHON":
                raise RefusedError(400, "INVALID_PARAMETER_VALUE", "language is missing")
            ending = ".py"
            if not data.startswith(NOTEBOOK):
                data = NOTEBOOK + b"\n" + data
        elif form == "JUPYTER":
            ending = ".ipynb"
        elif form not in ("RAW", "AUTO"):
            raise RefusedError(400, "INVALID_PARAMETER_VALUE", f"format {form}")
        file = self.local(body["path"] + ending)
        if not file.parent.is_dir():
            raise RefusedError(
                404, "RESOURCE_DOES_NOT_EXIST", f"The parent folder ({file.parent.name}) does not exist."
            )
        if file.exists() and not body.get("overwrite"):
            raise RefusedError(400, "RESOURCE_ALREADY_EXISTS", f"Path ({body['path']}) already exists.")
        file.write_bytes(data)
        return {}

    def export_object(self, query: dict) -> dict:
        file = self.find(query["path"])
        return {"content": base64.b64encode(file.read_bytes()).decode(), "file_type": file.suffix.lstrip(".")}

    def status(self, query: dict) -> dict:
        file = self.find(query["path"])
        if file.is_dir():
            return {"object_type": "DIRECTORY", "path": query["path"]}
        notebook = file.suffix == ".ipynb" or file.read_bytes().startswith(NOTEBOOK)
        kind = {"object_type": "NOTEBOOK", "language": "PYTHON"} if notebook else {"object_type": "FILE"}
        return {**kind, "path": query["path"], "object_id": abs(hash(str(file)))}

    def make_folder(self, body: dict) -> dict:
        self.local(body["path"]).mkdir(parents=True, exist_ok=True)
        return {}

    # --- DBFS ----------------------------------------------------------------------------------------------------

    def read_dbfs(self, query: dict) -> dict:
        file = self.local("dbfs:" + query["path"])
        if not file.is_file():
            raise RefusedError(
                404, "RESOURCE_DOES_NOT_EXIST", f"No file or directory exists on path {query['path']}."
            )
        offset, length = int(query.get("offset", 0)), min(int(query.get("length", _CHUNK)), _CHUNK)
        data = file.read_bytes()[offset : offset + length]
        return {"bytes_read": len(data), "data": base64.b64encode(data).decode()}

    def put_dbfs(self, body: dict) -> dict:
        file = self.local("dbfs:" + body["path"])
        if file.exists() and not body.get("overwrite"):
            raise RefusedError(400, "RESOURCE_ALREADY_EXISTS", f"A file already exists: {body['path']}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(body.get("contents", "")))
        return {}

    def dbfs_status(self, query: dict) -> dict:
        file = self.local("dbfs:" + query["path"])
        if not file.exists():
            raise RefusedError(
                404, "RESOURCE_DOES_NOT_EXIST", f"No file or directory exists on path {query['path']}."
            )
        return {"path": query["path"], "is_dir": file.is_dir(), "file_size": file.stat().st_size}

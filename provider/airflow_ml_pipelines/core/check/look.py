"""What all parts of the checker have in common: findings, and documents that may turn out to be none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar

import msgspec

from airflow_ml_pipelines.core.documents import read_document
from airflow_ml_pipelines.core.errors import DocumentError, NewerDocumentError, NotFoundError
from airflow_ml_pipelines.core.files.manifest import Manifest
from airflow_ml_pipelines.core.keeping import tombstones
from airflow_ml_pipelines.core.keeping.tombstones import Tombstone, tombstone_path
from airflow_ml_pipelines.core.reuse.verify import verify_output
from airflow_ml_pipelines.core.runs.folder import OutputDocument
from airflow_ml_pipelines.core.stores.store import ObjectInfo
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["Finding", "Level", "Look"]

Level = Literal["broken", "damaged", "note"]

_T = TypeVar("_T")


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it should be; see :mod:`airflow_ml_pipelines.core.check` for the levels.

    :param path: of the object or folder under the workspace's root.
    """

    level: Level
    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.level}: {self.path}: {self.text}"


class Look:
    """One look at a workspace."""

    def __init__(self, workspace: Workspace, *, data: bool) -> None:
        self.workspace = workspace
        self.store = workspace.store
        self.findings: list[Finding] = []
        self._data = data
        self._verified: dict[OutputDocument, str | None] = {}

    def say(self, level: Level, path: str, text: str) -> None:
        """Add a finding, once."""
        finding = Finding(level, path, text)
        if finding not in self.findings:
            self.findings.append(finding)

    def take(self) -> Iterator[Finding]:
        """Yield the findings since the last call."""
        found, self.findings = self.findings, []
        yield from found

    def document(self, path: str, kind: type[_T], schema: int) -> _T | None:
        """Return a document, None where it is gone by now or no such document (which is a finding)."""
        return self._read(path, lambda data: read_document(data, kind, what="it", schema=schema))

    def manifest(self, path: str) -> Manifest | None:
        """Return a manifest, None where it is gone by now or none (which is a finding)."""
        return self._read(path, lambda data: Manifest.from_dict(msgspec.json.decode(data)))

    def json(self, path: str) -> Any:
        """Return any JSON document, None where it is gone by now or half-written (which is a finding)."""
        return self._read(path, msgspec.json.decode)

    def _read(self, path: str, decode: Callable[[bytes], _T]) -> _T | None:
        try:
            return decode(self.store.get(path))
        except NotFoundError:
            return None
        except NewerDocumentError as error:
            self.say("note", path, str(error))
        except (DocumentError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self.say("broken", path, str(error))
        return None

    def output(self, path: str, name: str, output: OutputDocument) -> None:
        """Check an output that a document says is there."""
        if self.store.info(output.manifest) is None:
            if not self._was_removed(path, output):
                self.say("damaged", path, f"output {name!r}: its manifest {output.manifest} is not there")
            return
        if not self._data:
            return
        if output not in self._verified:
            self._verified[output] = verify_output(self.workspace, output)
        if (wrong := self._verified[output]) is not None:
            self.say("damaged", path, f"output {name!r}: {wrong}")

    def _was_removed(self, path: str, output: OutputDocument) -> bool:
        """Return whether the data that a run's document names was removed on purpose, by itself or with its run."""
        if not path.startswith("runs/"):
            return False  # a record goes first
        tombstone = self.document(tombstone_path(output.folder), Tombstone, tombstones.SCHEMA)
        if tombstone is not None:
            return tombstone.removed is not None
        return not any(True for _ in self.store.walk("/".join(output.folder.split("/")[:3])))

    def objects(self, folder: str) -> Iterator[ObjectInfo]:
        """Yield the objects of a folder and those below it, sorted by path."""
        yield from sorted(self.store.walk(folder), key=lambda info: info.path)

"""What a workspace knows by name: what its file says, which is fixed, and what code registers under the root."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar, cast

import msgspec

from airflow_ml_pipelines.core.canonical import canonical_json
from airflow_ml_pipelines.core.documents import write_document
from airflow_ml_pipelines.core.errors import MlPipelinesError, did_you_mean
from airflow_ml_pipelines.core.layout import segment
from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.core.workspaces.registry import (
    FOLDERS,
    ComputeDocument,
    ComputeTargetSpec,
    DatastoreDocument,
    DatastoreSpec,
    read_or_skip,
)

__all__ = ["FRESH", "Named", "spec_content"]

FRESH = 5.0
"""Seconds for which what was read is taken for what is there: a plan asks for the same few names many times."""

_S = TypeVar("_S", bound=DatastoreSpec | ComputeTargetSpec)


class Named(Generic[_S]):
    """Specs by their names.

    :param noun: how an error calls one.
    :param where: how an error calls the workspace.
    :param error: the class of the error where there is none of a name.
    :param fixed: those that can't be replaced by registering.
    """

    def __init__(
        self,
        kind: type[DatastoreDocument | ComputeDocument],
        fixed: Iterable[_S],
        store: Callable[[], Store],
        *,
        noun: str,
        where: str,
        error: type[MlPipelinesError],
    ) -> None:
        self._noun = noun
        self._where = where
        self._error = error
        self._kind = kind
        self.fixed: Mapping[str, _S] = {spec.name: spec for spec in fixed}
        self._store = store
        self._lock = threading.RLock()
        self._read: tuple[float, Mapping[str, _S]] | None = None

    def all(self) -> Mapping[str, _S]:
        """Return all of them."""
        return MappingProxyType({**self._registered(), **self.fixed})

    def get(self, name: str) -> _S:
        """Return the one of a name. :raises MlPipelinesError: of the class that was given, where there is none."""
        spec = self.fixed.get(name) or self._registered().get(name) or self._registered(again=True).get(name)
        if spec is None:
            raise self._error(
                f"there is no {self._noun} {name!r} in {self._where}.{did_you_mean(name, self.all())}"
            )
        return spec

    def register(self, spec: _S) -> _S:
        """Register one, or replace a registered one. :raises MlPipelinesError: where the name is fixed to another."""
        fixed = self.fixed.get(spec.name)
        if fixed is not None:
            if spec_content(fixed) != spec_content(spec):
                raise self._error(
                    f"{self._noun} {spec.name!r} can't be registered: {self._where} has another one of that name; "
                    "take another name, or change it there"
                )
            return fixed
        document = cast("Callable[[_S], object]", self._kind)(spec)
        self._store().put(self._path(spec.name), write_document(document))
        self._registered(again=True)
        return spec

    def unregister(self, name: str) -> None:
        """Forget a registered one. :raises MlPipelinesError: where it was not registered."""
        registered = self._registered(again=True)
        if name not in registered:
            why = f"{self._where} says that there is one" if name in self.fixed else "it was not registered"
            raise self._error(
                f"{self._noun} {name!r} can't be unregistered: {why}.{did_you_mean(name, registered)}"
            )
        self._store().delete(self._path(name))
        self._registered(again=True)

    def _path(self, name: str) -> str:
        return f"{FOLDERS[self._kind]}/{segment(name)}.json"

    def _registered(self, *, again: bool = False) -> Mapping[str, _S]:
        with self._lock:
            if self._read is None or again or time.monotonic() - self._read[0] > FRESH:
                store = self._store()
                paths = sorted(
                    info.path for info in store.walk(FOLDERS[self._kind]) if info.path.endswith(".json")
                )
                documents = (read_or_skip(store, path, self._kind) for path in paths)
                specs = [cast("_S", document.spec) for document in documents if document is not None]
                self._read = (time.monotonic(), {spec.name: spec for spec in specs})
            return self._read[1]


def spec_content(spec: DatastoreSpec | ComputeTargetSpec) -> bytes:
    """Return what a spec says besides its name, as bytes to compare."""
    document: dict[str, Any] = msgspec.to_builtins(spec)
    del document["name"]
    return canonical_json(document)

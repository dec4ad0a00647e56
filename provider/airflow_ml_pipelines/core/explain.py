"""Says why a step runs: the difference between its key and the nearest of its earlier ones."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from airflow_ml_pipelines.core.errors import DocumentError, MlPipelinesError, StoreError
from airflow_ml_pipelines.core.history import recent_keys
from airflow_ml_pipelines.core.layout import manifest_path
from airflow_ml_pipelines.core.manifest import Manifest
from airflow_ml_pipelines.core.records import Record, find_record
from airflow_ml_pipelines.core.store import Store

__all__ = ["Difference", "diff_keys", "explain_miss"]

Manifests = Mapping[str, Callable[[], Manifest]]

_SHOWN = 5
_LONGEST = 120


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing in which two key documents differ.

    :param field: the field of the key document.
    :param text: the difference in words.
    """

    field: str
    text: str


def explain_miss(
    store: Store, pipeline: str, step: str, document: Mapping[str, Any], manifests: Manifests | None = None
) -> tuple[str, ...]:
    """Return why there is no result for a key document: how it differs from the nearest earlier one of the step.

    :param manifests: those that are not stored yet, by digest.
    """
    nearest: tuple[Difference, ...] | None = None
    origin = ""
    keys = recent_keys(store, pipeline, step)
    for key in keys:
        try:
            record = find_record(store, key)
        except DocumentError:
            continue
        if record is None:
            continue
        differences = diff_keys(record.document, document, store, manifests)
        if nearest is None or len(differences) < len(nearest):
            nearest, origin = differences, _name(record)
    if nearest is None:
        gone = "no earlier result of this step is left" if keys else "there is no earlier result of this step"
        return (gone,)
    if not nearest:
        return (f"the result of {origin} is no longer there",)
    return tuple(difference.text for difference in nearest)


def diff_keys(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    store: Store | None = None,
    manifests: Manifests | None = None,
) -> tuple[Difference, ...]:
    """Return in what two key documents differ.

    :param store: the workspace's root, where manifests say which files differ.
    :param manifests: those that are not stored yet, by digest.
    """
    found: list[Difference] = []
    library = _Library(store, manifests or {})

    def add(field: str, *texts: str) -> None:
        found.extend(Difference(field=field, text=text) for text in texts)

    for field in ("schema", "kind", "script", "version"):
        if old.get(field) != new.get(field):
            add(field, f"{field}: {_show(old.get(field))} → {_show(new.get(field))}")
    if old.get("source") != new.get("source"):
        add("source", f"source: {library.diff(str(old.get('source')), str(new.get('source')))}")
    if old.get("hash_paths") != new.get("hash_paths"):
        before, after = dict(old.get("hash_paths", ())), dict(new.get("hash_paths", ()))
        changed = [path for path in sorted({*before, *after}) if before.get(path) != after.get(path)]
        add("hash_paths", f"hash_paths: {', '.join(changed)} changed")
    if old.get("arguments") != new.get("arguments"):
        add("arguments", *_arguments(old.get("arguments", []), new.get("arguments", [])))
    add("parameters", *_mapping("parameter", old.get("parameters", {}), new.get("parameters", {})))
    add("environment", *_environment(old.get("environment", {}), new.get("environment", {})))
    add("inputs", *_inputs(library, old.get("inputs", {}), new.get("inputs", {})))
    add("outputs", *_mapping("output", old.get("outputs", {}), new.get("outputs", {})))
    return tuple(found)


def _name(record: Record) -> str:
    return f"run {record.origin.run} of {record.origin.pipeline}"


def _show(value: Any) -> str:
    text = value if isinstance(value, str) and value else "none" if value is None else json.dumps(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _arguments(old: list[Any], new: list[Any]) -> list[str]:
    before, after = [_argument(item) for item in old], [_argument(item) for item in new]
    texts = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        flag = after[c - 1] if c and after[c - 1].startswith("-") else ""
        label = f"argument {flag}" if flag else f"argument {c + 1}"
        texts.append(f"{label}: {' '.join(before[a:b]) or 'none'} → {' '.join(after[c:d]) or 'none'}")
    return texts


def _argument(parts: list[Mapping[str, Any]]) -> str:
    shown = []
    for part in parts:
        if "text" in part:
            shown.append(str(part["text"]))
        else:
            kind = "input" if "input" in part else "output"
            shown.append(f"<{kind} {part[kind]}>")
    return "".join(shown)


def _mapping(label: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    texts = []
    for name in sorted({*old, *new}):
        if name not in old:
            texts.append(f"{label} {name} is new")
        elif name not in new:
            texts.append(f"{label} {name} is gone")
        elif old[name] != new[name]:
            texts.append(f"{label} {name}: {_show(old[name])} → {_show(new[name])}")
    return texts


def _environment(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    texts = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if isinstance(before or after, list):
            gone = [f"-{item}" for item in before or () if item not in (after or ())]
            come = [f"+{item}" for item in after or () if item not in (before or ())]
            texts.append(f"environment {name}: {' '.join([*gone, *come]) or 'another order'}")
        elif name == "variables":
            both = {*(before or {}), *(after or {})}
            changed = sorted(n for n in both if (before or {}).get(n) != (after or {}).get(n))
            texts.append(f"environment variables: {', '.join(changed)} changed")
        else:
            texts.append(f"environment {name}: {_show(before)} → {_show(after)}")
    return texts


def _inputs(library: _Library, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    texts = []
    for name in sorted({*old, *new}):
        if name not in old:
            texts.append(f"input {name} is new")
            continue
        if name not in new:
            texts.append(f"input {name} is gone")
            continue
        for field in sorted({*old[name], *new[name]}):
            before, after = old[name].get(field), new[name].get(field)
            if before == after:
                continue
            if field == "data" and before and after and before.get("kind") == after.get("kind") == "content":
                texts.append(f"input {name}: {library.diff(before['digest'], after['digest'])}")
            elif field == "data":
                texts.append(f"input {name}: its data changed")
            else:
                texts.append(f"input {name}: {field} {_show(before)} → {_show(after)}")
    return texts


class _Library:
    """The manifests that are at hand."""

    def __init__(self, store: Store | None, manifests: Manifests) -> None:
        self._store = store
        self._manifests = manifests

    def diff(self, old: str, new: str) -> str:
        """Say in which files two manifests differ, as far as both are at hand."""
        before, after = self._files(old), self._files(new)
        if before is None or after is None:
            return "its files changed"
        texts = [f"{name} is new" for name in sorted(after.keys() - before.keys())]
        texts += [f"{name} is gone" for name in sorted(before.keys() - after.keys())]
        texts += [
            f"{name} changed" for name in sorted(after.keys() & before.keys()) if after[name] != before[name]
        ]
        more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
        return ", ".join(texts[:_SHOWN]) + more if texts else "its files changed"

    def _files(self, digest: str) -> dict[str, tuple[str, bool]] | None:
        with suppress(MlPipelinesError):  # it only serves an explanation
            if digest in self._manifests:
                return _by_path(self._manifests[digest]())
        for path in (manifest_path(digest), f"snapshots/{digest}.json"):
            with suppress(StoreError, DocumentError, ValueError):
                if self._store is not None:
                    return _by_path(Manifest.from_dict(json.loads(self._store.get(path))))
        return None


def _by_path(manifest: Manifest) -> dict[str, tuple[str, bool]]:
    return {entry.path: (entry.digest, entry.executable) for entry in manifest}

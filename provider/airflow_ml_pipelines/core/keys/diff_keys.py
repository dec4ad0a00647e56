"""Compares two key documents."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from airflow_ml_pipelines.core.canonical import canonical_json
from airflow_ml_pipelines.core.errors import MlPipelinesError
from airflow_ml_pipelines.core.keys.diff_files import Change, diff_files
from airflow_ml_pipelines.core.keys.differences import (
    ArgumentChange,
    Cause,
    Difference,
    FilesChange,
    PackageChange,
    ValueChange,
    VariableChange,
)
from airflow_ml_pipelines.core.keys.fingerprint import PENDING
from airflow_ml_pipelines.core.layout import manifest_path
from airflow_ml_pipelines.core.stores.store import Store

__all__ = ["Files", "Manifests", "diff_keys", "diff_values"]

Manifests = Mapping[str, Callable[[], bytes]]

_PLAIN = ("schema", "kind", "script", "version")
_PACKAGE = re.compile(r"\s*([A-Za-z0-9][\w.-]*)\s*(\[[^\]]*\])?\s*(.*)")
_LONGEST = 1000


def diff_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return in what two key documents differ. Which files differ is left to :class:`Files`."""
    # one that was stored has lists where one that was just made may have tuples
    old, new = (json.loads(canonical_json(document)) for document in (old, new))
    found: list[Difference] = [
        ValueChange(field=field, old=old.get(field), new=new.get(field))
        for field in _PLAIN
        if old.get(field) != new.get(field)
    ]
    if old.get("source") != new.get("source"):
        found.append(FilesChange(field="source"))
    before, after = dict(old.get("hash_paths", ())), dict(new.get("hash_paths", ()))
    found += (
        FilesChange(field="hash_paths", name=path)
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    )
    found += _arguments(old.get("arguments", []), new.get("arguments", []))
    found += diff_values("parameters", old.get("parameters", {}), new.get("parameters", {}))
    found += _environment(old.get("environment", {}), new.get("environment", {}))
    found += _inputs(old.get("inputs", {}), new.get("inputs", {}))
    found += _outputs(old.get("outputs", {}), new.get("outputs", {}))
    found += diff_values("databricks", old.get("databricks", {}), new.get("databricks", {}))
    found += diff_values("transfer", old.get("transfer", {}), new.get("transfer", {}))
    return tuple(found)


class Files:
    """Says which files differ, where the manifests are at hand.

    :param store: the workspace's root, where manifests are kept; None where they are not to be read.
    :param manifests: stored forms of those that are not stored yet, by digest.
    :param causes: gives the step that makes an input ("" for none), and why it made another one.
    """

    def __init__(
        self,
        store: Store | None = None,
        manifests: Manifests | None = None,
        causes: Callable[[str], tuple[str, tuple[Cause, ...]]] = lambda _: ("", ()),
    ) -> None:
        self._store = store
        self._manifests = manifests or {}
        self._causes = causes

    def fill_in(
        self, differences: Sequence[Difference], old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> tuple[Difference, ...]:
        """Return the differences of two key documents with the files that differ."""
        return tuple(
            self._fill_in(item, old, new) if isinstance(item, FilesChange) else item for item in differences
        )

    def _fill_in(self, change: FilesChange, old: Mapping[str, Any], new: Mapping[str, Any]) -> FilesChange:
        if change.field == "inputs":
            step, causes = self._causes(change.name)
            change = msgspec.structs.replace(change, step=step, causes=causes)
        if change.pending:
            return change
        before, after = (self._manifest(_digest(change, document)) for document in (old, new))
        if before is None or after is None:
            return change
        with suppress(MlPipelinesError):  # it only serves an explanation
            return msgspec.structs.replace(change, **diff_files(before, after)._asdict())
        return change

    def _manifest(self, digest: str) -> bytes | None:
        with suppress(MlPipelinesError):
            if digest in self._manifests:
                return self._manifests[digest]()
        for path in (manifest_path(digest), f"snapshots/{digest}.json"):
            with suppress(MlPipelinesError):
                if digest and self._store is not None:
                    return self._store.get(path)
        return None


def _digest(change: FilesChange, document: Mapping[str, Any]) -> str:
    if change.field == "source":
        return str(document.get("source"))
    if change.field == "hash_paths":
        return str(dict(document.get("hash_paths", ())).get(change.name, ""))
    return str(document["inputs"][change.name]["data"].get("digest", ""))


def _short(value: Any) -> Any:
    return value[:_LONGEST] + "…" if isinstance(value, str) and len(value) > _LONGEST else value


def diff_values(
    field: str, old: Mapping[str, Any], new: Mapping[str, Any], name: str = ""
) -> Iterator[ValueChange]:
    """Yield in what two mappings differ.

    :param name: what they are the parts of; "" where they are the field's own.
    """
    for key in sorted({*old, *new}):
        before, after = (_short(side.get(key, msgspec.UNSET)) for side in (old, new))
        if before != after and repr(before) != repr(after):  # not a number is no other one
            yield ValueChange(field=field, name=name or key, part=key if name else "", old=before, new=after)


def _arguments(old: Sequence[Any], new: Sequence[Any]) -> Iterator[ArgumentChange]:
    before, after = [_argument(item) for item in old], [_argument(item) for item in new]
    for kind, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind != "equal":
            option = after[c - 1] if c and after[c - 1].startswith("-") else ""
            yield ArgumentChange(
                place=c + 1,
                option=option,
                old=tuple(map(_short, before[a:b])),
                new=tuple(map(_short, after[c:d])),
            )


def _argument(parts: Sequence[Mapping[str, Any]]) -> str:
    shown = []
    for part in parts:
        if "text" in part:
            shown.append(str(part["text"]))
        else:
            kind = "input" if "input" in part else "output"
            shown.append(f"<{kind} {part[kind]}>")
    return "".join(shown)


def _environment(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for name in sorted({*old, *new}):
        before, after = old.get(name, msgspec.UNSET), new.get(name, msgspec.UNSET)
        if before == after:
            continue
        if name in ("pip", "conda"):
            yield from _packages(name, before or (), after or ())
        elif name == "variables":
            yield from _variables(before or {}, after or {})
        else:
            yield ValueChange(field="environment", name=name, old=_short(before), new=_short(after))


def _packages(group: str, old: Sequence[str], new: Sequence[str]) -> Iterator[Difference]:
    before, after = dict(map(_package, old)), dict(map(_package, new))
    if (
        before == after or len(before) != len(old) or len(after) != len(new)
    ):  # another order, or one named twice
        yield ValueChange(field="environment", name=group, old=list(old), new=list(new))
        return
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield PackageChange(group=group, name=name, old=before.get(name), new=after.get(name))


def _package(requirement: str) -> tuple[str, str]:
    """Return the name of a package, and its version or what else is asked for.

    >>> _package("pandas==2.2.3"), _package("uvicorn[standard] >= 0.30"), _package("python=3.12")
    (('pandas', '2.2.3'), ('uvicorn[standard]', '>= 0.30'), ('python', '3.12'))
    """
    match = _PACKAGE.fullmatch(requirement)
    if match is None or "://" in requirement:  # a place; the name is not certain
        return requirement, ""
    name, extras, rest = match.groups()
    version = re.fullmatch(r"={1,3}\s*([^\s,;=]+)", rest)
    return re.sub(r"[-_.]+", "-", name).lower() + (extras or ""), version[1] if version else rest.strip()


def _variables(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[VariableChange]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            change: Change = "added" if name not in old else "removed" if name not in new else "changed"
            yield VariableChange(name=name, change=change)


def _inputs(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for name in sorted({*old, *new}):
        if name not in old or name not in new:
            before, after = (side.get(name, msgspec.UNSET) for side in (old, new))
            yield ValueChange(field="inputs", name=name, old=before, new=after)
            continue
        yield from _data(name, old[name].get("data", {}), new[name].get("data", {}))
        leave = {"data", "form", "tabular"} if new[name].get("data", {}).get("kind") == PENDING else {"data"}
        one, other = (
            {key: item for key, item in side[name].items() if key not in leave} for side in (old, new)
        )
        yield from diff_values("inputs", one, other, name)


def _outputs(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[ValueChange]:
    for name in sorted({*old, *new}):
        if name not in old or name not in new:
            before, after = (side.get(name, msgspec.UNSET) for side in (old, new))
            yield ValueChange(field="outputs", name=name, old=before, new=after)
        else:
            yield from diff_values("outputs", old[name], new[name], name)


def _data(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    kinds = old.get("kind"), new.get("kind")
    if old == new:
        return
    if PENDING in kinds:
        yield FilesChange(field="inputs", name=name, pending=True)
    elif kinds[0] != kinds[1]:
        yield ValueChange(field="inputs", name=name, part="fingerprint", old=kinds[0], new=kinds[1])
    elif kinds[0] == "path":
        places = [json.dumps(side.get("locations")) for side in (old, new)]
        yield ValueChange(field="inputs", name=name, part="place", old=places[0], new=places[1])
    else:
        yield FilesChange(field="inputs", name=name)

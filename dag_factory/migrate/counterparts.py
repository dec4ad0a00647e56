"""What became of each class and method of Azure ML SDK v1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal

__all__ = ["Counterpart", "Method", "Status", "find_counterpart", "read_counterparts", "telling_methods"]

Status = Literal["same", "better", "different", "not there"]


@dataclass(frozen=True)
class Method:
    """A method or property.

    :param note: what is better or different, or what to do instead.
    """

    name: str
    status: Status
    note: str = ""


@dataclass(frozen=True)
class Counterpart:
    """A class of the SDK.

    :param module: where it was.
    :param becomes: its name here; None where it has no counterpart.
    :param note: what is better or different, or what to do instead.
    """

    name: str
    module: str
    status: Status
    becomes: str | None
    note: str
    methods: tuple[Method, ...]

    def find_method(self, name: str) -> Method | None:
        """Return what became of a method; None for one that the table does not have."""
        return next((method for method in self.methods if method.name == name), None)


@cache
def read_counterparts() -> Mapping[str, Counterpart]:
    """Return what became of each class, by its name there."""
    import yaml

    text = files(__package__).joinpath("counterparts.yaml").read_text(encoding="utf-8")
    return MappingProxyType({name: _build(name, fields) for name, fields in yaml.safe_load(text).items()})


def find_counterpart(name: str) -> Counterpart | None:
    """Return what became of a class; None for one that the table does not have."""
    return read_counterparts().get(name)


@cache
def telling_methods() -> Mapping[str, str]:
    """Return methods that are not there, and that only a class of the SDK can be meant by: what to do, by their names."""
    there = {method.name for item in _methods() for method in item if method.status != "not there"}
    return MappingProxyType(
        {
            method.name: method.note
            for item in _methods()
            for method in item
            if method.status == "not there" and "_" in method.name and method.name not in there
        }
    )


def _methods() -> Iterator[tuple[Method, ...]]:
    return (item.methods for item in read_counterparts().values())


def _build(name: str, fields: Mapping[str, Any]) -> Counterpart:
    instead = fields.get("instead")
    gone = isinstance(instead, str)
    status: Status = "not there" if gone else "better" if "better" in fields else "same"
    different = fields.get("different", {})
    if isinstance(different, str) or "becomes" in fields:
        status = "different"
    note = instead if gone else different if isinstance(different, str) else fields.get("better", "")
    changed = different if isinstance(different, dict) else {}
    methods = (
        *(Method(method, "same") for method in fields.get("same", ()) if method not in changed),
        *(Method(method, "different", text) for method, text in changed.items()),
        *(Method(method, "not there", text) for method, text in ({} if gone else instead or {}).items()),
    )
    becomes = None if gone else fields.get("becomes", name)
    return Counterpart(name, fields["module"], status, becomes, str(note).strip(), methods)

"""What a clean-up did, or would do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

__all__ = ["Action", "Item", "Kind", "Report", "Tally"]

Action = Literal["mark", "wait", "lift", "remove"]
"""``mark``: gets a tombstone; ``wait``: has one whose time has not come; ``lift``: loses it; ``remove``: goes now."""

Kind = Literal[
    "result",
    "run",
    "snapshot",
    "manifest",
    "lease",
    "set-aside record",
    "unfinished file",
    "submitted pipeline",
]


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that a clean-up has to do with.

    :param path: under the workspace's root.
    :param size: bytes; of a result those of its data, wherever they lie.
    :param until: for ``mark`` and ``wait``: from when on it is removed.
    """

    action: Action
    kind: Kind
    path: str
    size: int
    reason: str = ""
    until: float | None = None


class Tally(msgspec.Struct):
    """How many there are, and their bytes together."""

    count: int = 0
    size: int = 0

    def add(self, size: int) -> None:
        """Count one more."""
        self.count += 1
        self.size += size


@dataclass
class Report:
    """What a clean-up did, or would do.

    :param kept: the results that stay, by what keeps them.
    :param tallies: the others, by what happens to them and what they are.
    :param stopped: whether it was told to stop before it was through.
    :param on_item: told each thing, since there may be very many.
    """

    kept: dict[str, Tally] = field(default_factory=dict)
    tallies: dict[tuple[Action, Kind], Tally] = field(default_factory=dict)
    stopped: bool = False
    on_item: Callable[[Item], None] = lambda _: None

    def add(self, item: Item) -> None:
        """Count one more."""
        self.tallies.setdefault((item.action, item.kind), Tally()).add(item.size)
        self.on_item(item)

    def tally(self, action: Action, kind: Kind) -> Tally:
        """Return how many of a kind something happens to."""
        return self.tallies.get((action, kind), Tally())

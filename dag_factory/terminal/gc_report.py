"""Shows what a clean-up did, or would do: the largest things and sums for people, all of it for machines."""

from __future__ import annotations

import heapq
import sys
import tempfile
from typing import IO, TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.gc import Item, Policy, Report
    from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["GcReport"]

_MEANING = {
    "mark": "can be taken back until its time comes",
    "wait": "its time has not come",
    "lift": "its mark is taken back",
    "remove": "goes for good",
}
_IN_MEMORY = 1 << 20
_PIECE = 1 << 16


class GcReport:
    """Takes one thing after the other, of which there may be millions, and keeps few of them in memory.

    :param policy: None for what is taken back.
    :param limit: how many things to list.
    :param done: whether it was done, or only would be.
    :param as_json: whether to print one document for machines, with everything in it.
    """

    def __init__(
        self, workspace: Workspace, policy: Policy | None, limit: int, *, done: bool, as_json: bool
    ) -> None:
        self._workspace = workspace
        self._policy = policy
        self._limit = limit
        self._done = done
        self._as_json = as_json
        self._count = 0
        self._largest: list[tuple[int, int, Item]] = []
        self._all: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._all.close()

    def add(self, item: Item) -> None:
        """Take a thing that something happens to."""
        if self._as_json:
            import msgspec

            self._all.write((b",\n    " if self._count else b"\n    ") + msgspec.json.encode(item))
        elif len(self._largest) < self._limit:
            heapq.heappush(self._largest, (item.size, -self._count, item))
        elif item.size > self._largest[0][0]:
            heapq.heapreplace(self._largest, (item.size, -self._count, item))
        self._count += 1

    def print(self, report: Report) -> None:
        """Print what there is."""
        if self._as_json:
            self._print_json(report)
        else:
            self._print_tables(report)

    def _print_json(self, report: Report) -> None:
        """Print one document, whose list of things is copied piece by piece."""
        import msgspec

        head: dict[str, Any] = {
            "schema": 1,
            "workspace": self._workspace.name,
            "root": self._workspace.store.url,
            "policy": self._policy,
            "done": self._done,
            "stopped": report.stopped,
            "sums": [
                {"action": action, "kind": kind, "count": tally.count, "size": tally.size}
                for (action, kind), tally in report.tallies.items()
            ],
            "kept": [
                {"reason": reason, "count": tally.count, "size": tally.size}
                for reason, tally in report.kept.items()
            ],
        }
        text = msgspec.json.format(msgspec.json.encode(head), indent=2).decode()
        sys.stdout.write(f'{text.removesuffix("}").rstrip()},\n  "items": [')
        self._all.seek(0)
        while piece := self._all.read(_PIECE):
            sys.stdout.write(piece.decode())
        sys.stdout.write("\n  ]\n}\n" if self._count else "]\n}\n")

    def _print_tables(self, report: Report) -> None:
        from airflow_ml_pipelines.core.amounts import size_text
        from dag_factory.terminal.printing import moment_text, print_line, print_table

        items = [item for *_, item in sorted(self._largest, reverse=True)]
        if items:
            rows = [
                (
                    item.action,
                    item.kind,
                    size_text(item.size),
                    item.reason,
                    "" if item.until is None else moment_text(item.until),
                    item.path,
                )
                for item in items
            ]
            print_table(("ACTION", "KIND", "SIZE", "REASON", "GOES AFTER", "PATH"), rows)
            if self._count > len(items):
                print_line(f"… and {self._count - len(items)} smaller ones; see --limit, or --json for all")
            print_line("")
        sums: list[tuple[str, ...]] = [
            (action, kind, str(tally.count), size_text(tally.size), _MEANING[action])
            for (action, kind), tally in report.tallies.items()
        ]
        sums += [
            ("keep", "result", str(tally.count), size_text(tally.size), reason)
            for reason, tally in report.kept.items()
        ]
        if sums:
            print_table(("ACTION", "KIND", "COUNT", "SIZE", ""), sums)
        if last := self._last_line(report):
            print_line(last)

    def _last_line(self, report: Report) -> str:
        if not report.tallies:
            return "there is nothing to take back" if self._policy is None else "there is nothing to clean up"
        if not self._done:
            return "nothing was changed: this is what --delete would do"
        if any(action == "mark" for action, _ in report.tallies):
            return "`ml-pipelines gc --undo` takes marks back; a later `gc --delete` removes what they are on"
        return ""

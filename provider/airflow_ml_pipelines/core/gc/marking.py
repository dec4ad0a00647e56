"""Decides what is to go, and what of that goes now."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_ml_pipelines.core.amounts import seconds_text
from airflow_ml_pipelines.core.gc.ledger import Keeps, Ledger, Result, Run
from airflow_ml_pipelines.core.gc.owned import Owned
from airflow_ml_pipelines.core.gc.policy import DAY, Policy
from airflow_ml_pipelines.core.gc.report import Action, Item
from airflow_ml_pipelines.core.gc.roots import Kept
from airflow_ml_pipelines.core.keeping.tombstones import MARGIN
from airflow_ml_pipelines.core.stores.parallel import each
from airflow_ml_pipelines.core.stores.store import Store

__all__ = ["Marking", "describe"]

_AGAIN = "until IS NOT NULL AND removed IS NULL AND (kept OR used > placed)"
_DUE = "(removed = 1 OR (removed IS NULL AND until <= ?)) AND NOT (kept OR used > placed)"
_WAITING = "removed IS NULL AND until > ? AND NOT (kept OR used > placed)"
_FREE = "until IS NULL AND removed IS NULL AND NOT kept AND NOT marked"


class Marking:
    """Reads the ledger. What is yielded is to be done by whoever asks, one after the other.

    :param began: when the clean-up began, by the store's clock.
    """

    def __init__(
        self, store: Store, ledger: Ledger, kept: Kept, policy: Policy, began: float, owned: Owned
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._kept = kept
        self._policy = policy
        self._began = began
        self._owned = owned

    def used_again(self) -> Iterator[Result | Run]:
        """Yield what has a tombstone and is needed after all."""
        for result in self._ledger.results("until IS NOT NULL AND removed IS NULL AND NOT kept"):
            if self._has_kept_data(result):
                self._ledger.keep(result.folder, Keeps.DATASET)
        yield from self._ledger.results(_AGAIN)
        yield from self._ledger.runs(
            f"({_AGAIN}) OR (until IS NOT NULL AND removed IS NULL AND path IN staying)"
        )

    def due(self) -> Iterator[Result | Run]:
        """Yield what has a tombstone whose time has come."""
        yield from self.due_results()
        yield from self.due_runs()

    def due_results(self) -> Iterator[Result]:
        """Yield the results among them."""
        return self._ledger.results(_DUE, self._began - MARGIN)

    def due_runs(self) -> Iterator[Run]:
        """Yield the runs among them."""
        return self._ledger.runs(f"({_DUE}) AND path NOT IN staying", self._began - MARGIN)

    def waiting(self) -> Iterator[Result | Run]:
        """Yield what has a tombstone whose time has not come."""
        yield from self._ledger.results(_WAITING, self._began - MARGIN)
        yield from self._ledger.runs(_WAITING, self._began - MARGIN)

    def unneeded(self) -> Iterator[tuple[Result | Run, str]]:
        """Yield what is to get a tombstone, and why."""
        yield from self._nameless()
        if self._policy.older_than is not None:
            yield from self._old(self._policy.older_than)
        if self._policy.keep_size is not None:
            yield from self._too_much(self._policy.keep_size)
        if self._policy.older_than is not None:
            yield from self._old_runs(self._policy.older_than)

    def _nameless(self) -> Iterator[tuple[Result, str]]:
        free = self._ledger.results(f"{_FREE} AND NOT wanted AND run NOT IN going")
        for result, size in each(self._store, self._with_size, free):
            if size is not None and self._is_free(result):
                yield self._take(result._replace(size=size)), "no record and no run names it"

    def _with_size(self, result: Result) -> tuple[Result, int | None]:
        """Return a result with the bytes of its data, None where it has none."""
        sizes = [
            info.size
            for store, folder in self._owned.places(result.folder)
            for info in store.walk(folder, unfinished=True)
        ]
        return result, sum(sizes) if sizes else None

    def _old(self, seconds: float) -> Iterator[tuple[Result, str]]:
        where = f"{_FREE} AND wanted AND used < ?"
        for result in self._ledger.results(where, self._began - seconds):
            if self._is_free(result):
                yield self._take(result), f"not used for {_days(self._began - result.used)}"

    def _too_much(self, limit: int) -> Iterator[tuple[Result, str]]:
        too_much = sum(size for _, size in self._ledger.living().values()) - limit
        for result in self._ledger.least_recent(f"{_FREE} AND wanted AND size > 0"):
            if too_much <= 0:
                return
            if self._is_free(result):
                too_much -= result.size
                yield self._take(result), f"used least recently, {_days(self._began - result.used)} ago"

    def _old_runs(self, seconds: float) -> Iterator[tuple[Run, str]]:
        for run in self._ledger.runs(f"{_FREE} AND used < ? AND path NOT IN staying", self._began - seconds):
            self._ledger.mark(run)
            yield run, f"not used for {_days(self._began - run.used)}"

    def _is_free(self, result: Result) -> bool:
        if not self._has_kept_data(result):
            return True
        self._ledger.keep(result.folder, Keeps.DATASET)
        return False

    def _has_kept_data(self, result: Result) -> bool:
        return self._kept.has_any_data and any(map(self._kept.has_data, self._owned.folders(result.folder)))

    def _take(self, result: Result) -> Result:
        self._ledger.mark(result)
        return result


def describe(action: Action, thing: Result | Run, reason: str, until: float | None = None) -> Item:
    """Return what is told of a result or a run."""
    kind = "result" if isinstance(thing, Result) else "run"
    return Item(action=action, kind=kind, path=thing[0], size=thing.size, reason=reason, until=until)  # type: ignore[arg-type]


def _days(seconds: float) -> str:
    days = seconds / DAY
    return f"{days:.0f} days" if days >= 2 else seconds_text(seconds)

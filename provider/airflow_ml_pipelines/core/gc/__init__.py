"""Removes what nobody needs any more: marked first, removed after a while, and taken back by whoever uses it again.

What is kept
    Results that a record or a run names, what registered datasets, published pipelines and drafts are made of, pinned
    runs, and runs that go on. With an age, results that were not used for so long are named no more, and runs that are
    as old and have no result that stays go as a whole, as do pipelines that were only submitted to a server and have
    no run any more; with a size, the results that were not used for longest.
    Of an attempt its data goes (the folder on a datastore that it owns, never a destination that the user named); its
    logs, metrics and files stay as long as the run does. Snapshots and manifests go when no record and no run names
    them, seven days after they were written last.

Why nobody reads data that vanishes
    Let a result be somebody's who reads it (a step that takes it, or whose script has it as an input), and gc want it.

    1. gc writes a tombstone into the attempt's folder, with the moment ``until`` which it can be taken back, and ends.
       A later clean-up that begins after that moment removes the result, if, after it began, it has read the documents
       of all runs and found none that goes on and names it.
    2. A reader writes a document that names the result into the folder of its run (the plan, or the step's), then looks
       for a tombstone (:func:`~airflow_ml_pipelines.core.keeping.tombstones.claim`), and only then uses it.
    3. Where the reader finds no tombstone, its document was there before the tombstone was, thus before the clean-up
       that could remove the result began: that one sees it, and lets the result be as long as the run goes on.
    4. Where it finds one, it takes it back if the moment has not come; a clean-up looks at the tombstone once more
       before it removes anything, which it does after the moment alone, so it finds it gone. If the moment has come, the
       reader treats the result as lost: a record is taken out of the index and its step runs, an input is an error.
    5. Both go by the clock of the store, not by those of their machines; five seconds on either side are for stores that
       know whole seconds only.

    A run goes on until its result says otherwise or all its steps have ended; one that has been silent for seven days,
    and of whose scripts none holds a lease that was renewed in the last day, counts as lost. Every script that runs holds
    one, that of its key or one of its own. Where such a run awakes after all, its next step claims its inputs like any
    other (2), so it finds out.

    What was removed keeps a tombstone that says so; with the whole run gone, the manifests are missing. A step looks for
    both before its script starts, since an empty folder can be a fine input.

    Snapshots and manifests have no tombstones: whoever relies on one that is older than a day writes it anew, and gc
    removes those only that were written seven days ago, after a second look. How these two do not meet is written down
    in :mod:`airflow_ml_pipelines.core.keeping.fresh`. It takes a clean-up that is held up for a minute and a half between its
    last look at its clock and the store's removal of an object to lose one; the plan looks whether its snapshots are
    there once it is written, a job that finds none says so, and a manifest only serves explanations.

    One clean-up at a time: it holds a lease. One that lost it removes nothing more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import TypeVar

from airflow_ml_pipelines.core.canonical import digest_document
from airflow_ml_pipelines.core.errors import StoreError
from airflow_ml_pipelines.core.gc.ledger import Keeps, Ledger, Result, Run
from airflow_ml_pipelines.core.gc.marking import Marking, describe
from airflow_ml_pipelines.core.gc.owned import Owned
from airflow_ml_pipelines.core.gc.policy import DAY, GRACE_SECONDS, Policy
from airflow_ml_pipelines.core.gc.removal import remove_result, remove_run
from airflow_ml_pipelines.core.gc.report import Action, Item, Kind, Report, Tally
from airflow_ml_pipelines.core.gc.roots import ROOTS, Finder, Kept
from airflow_ml_pipelines.core.gc.shelves import find_old
from airflow_ml_pipelines.core.gc.submitted import find_submitted, remove_submitted
from airflow_ml_pipelines.core.gc.survey import Survey
from airflow_ml_pipelines.core.keeping.fresh import removing
from airflow_ml_pipelines.core.keeping.tombstones import (
    NAME,
    Tombstone,
    lift,
    read_tombstone,
    tombstone_path,
    write_tombstone,
)
from airflow_ml_pipelines.core.progress import advance, measured
from airflow_ml_pipelines.core.reuse.lease import Lease, acquire_lease
from airflow_ml_pipelines.core.stores.parallel import each
from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["GRACE_SECONDS", "Action", "Item", "Kind", "Policy", "Report", "Tally", "collect", "undo"]

_KEY = digest_document("ml-pipelines/gc/1", None)
_REASONS = {
    Keeps.PIN: "a pinned run made or took it",
    Keeps.LIFE: "a run that goes on made or took it",
    Keeps.DATASET: "a registered dataset has its data",
}
_NAMED = "a record or a run names it"
_BATCH = 200


def collect(
    workspace: Workspace,
    policy: Policy = Policy(),  # noqa: B008 - it is frozen
    *,
    delete: bool = False,
    owner: str = "gc",
    roots: tuple[Finder, ...] = ROOTS,
    on_item: Callable[[Item], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Report:
    """Clean a workspace up, or say what that would do.

    :param delete: do it; else nothing is written.
    :param owner: who does it, for others who want to.
    :param stop: asked again and again whether to leave it at what is done; nothing is left half-done then.
    :raises StoreError: where somebody else is at it, or something can't be read or removed.
    :raises DocumentError: where a document can't be read that may need what would be removed.
    """
    report = Report(on_item=on_item)
    if not delete:
        return _Collection(workspace, policy, roots, report, stop, None).run()
    found = acquire_lease(workspace.store, _KEY, owner, workspace.lease_seconds)
    if not isinstance(found, Lease):
        raise StoreError(
            f"{found.owner} on {found.host} is cleaning {workspace.store.url} up at this moment: wait until it has ended"
        )
    with found.kept() as lease:
        return _Collection(workspace, policy, roots, report, stop, lease).run()


def undo(
    workspace: Workspace,
    *,
    on_item: Callable[[Item], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Report:
    """Take back every tombstone that can be taken back; the others are reported as ``wait``."""
    store = workspace.store
    report = Report(on_item=on_item)
    with measured("looking for tombstones", unit="objects"):
        for item in each(store, lambda folder: _take_back(store, folder), _marked(store, stop)):
            if item is not None:
                report.add(item)
    report.stopped = stop()
    return report


def _marked(store: Store, stop: Callable[[], bool]) -> Iterator[str]:
    """Yield the folders of runs and attempts that have a tombstone."""
    for info in store.walk("runs"):
        if stop():
            return
        advance(1, "objects")
        folder, _, name = info.path.rpartition("/")
        if name == NAME and folder.count("/") in (2, 5):  # deeper ones are files of users
            yield folder


def _take_back(store: Store, folder: str) -> Item | None:
    tombstone = read_tombstone(store, folder)
    if tombstone is None or tombstone.removed is not None:
        return None
    action: Action = "lift" if lift(store, folder, tombstone) else "wait"
    kind: Kind = "run" if folder.count("/") == 2 else "result"
    return Item(action=action, kind=kind, path=folder, size=0, reason=tombstone.reason, until=tombstone.until)


_T = TypeVar("_T")
_R = TypeVar("_R")
_Removal = tuple[Result | Run, list[str]]
"""What is to be removed, with the keys of records that name a result, or the attempts of a run."""


class _Stopped(Exception):  # noqa: N818 - it is no error
    """Somebody wants the clean-up to end."""


class _Collection:
    """One clean-up.

    :param lease: None where nothing is to be written.
    """

    def __init__(
        self,
        workspace: Workspace,
        policy: Policy,
        roots: tuple[Finder, ...],
        report: Report,
        stop: Callable[[], bool],
        lease: Lease | None,
    ) -> None:
        self.store = workspace.store
        self.owned = Owned(workspace)
        self.policy = policy
        self.roots = roots
        self.report = report
        self.stop = stop
        self.lease = lease
        self.began = time.time() if lease is None else self.store.clock()

    def run(self) -> Report:
        try:
            self._run()
        except _Stopped:
            self.report.stopped = True
        return self.report

    def _run(self) -> None:
        began = self.began
        kept = Kept.of(self.store, began, self.roots)
        with Ledger() as ledger:
            survey = Survey(self.store, ledger, kept, began, self.owned, self._check)
            survey.look()
            if self.lease is not None:
                ledger.index()
            marking = Marking(self.store, ledger, kept, self.policy, began, self.owned)
            self._lift(marking, ledger)
            self._remove(marking, ledger)
            self._mark(marking)
            self._keep(ledger)
        if self.policy.older_than is not None:
            self._drop_submitted(self.policy.older_than)
        looked_at = "looking at snapshots, manifests and leases"
        finding = closing(find_old(self.store, survey.digests, began, self.policy.older_than))
        with measured(looked_at, unit="objects"), finding as old:
            self._drop(survey.unfinished)
            self._drop(old)

    def _lift(self, marking: Marking, ledger: Ledger) -> None:
        def lift_one(thing: Result | Run) -> Result | Run:
            if (
                self._writes()
            ):  # whoever looks at it after its time takes it for lost: nobody minds that it is gone
                self.store.delete(tombstone_path(thing[0]))
            return thing

        for thing in self._each(lift_one, marking.used_again()):
            ledger.unmark(thing)
            self.report.add(describe("lift", thing, "it is used again"))

    def _remove(self, marking: Marking, ledger: Ledger) -> None:
        def remove_one(task: _Removal) -> tuple[Result | Run, bool]:
            thing, names = task
            if not self._writes():
                return thing, True
            if isinstance(thing, Result):
                return thing, remove_result(self.store, self.owned, thing.folder, names)
            return thing, remove_run(self.store, self.owned, thing.path, names)

        tasks: tuple[Iterator[_Removal], ...] = (
            ((result, ledger.keys(result.folder)) for result in marking.due_results()),
            ((run, ledger.attempts(run.path)) for run in marking.due_runs()),
        )
        with measured("removing", lambda: sum(thing.size for thing in marking.due())):
            for kind in tasks:  # of a run the results go first
                for thing, removed in self._each(remove_one, kind):
                    if not removed:
                        ledger.unmark(thing)
                        continue
                    ledger.remove(thing)
                    self.report.add(describe("remove", thing, "its time has come"))
                    advance(thing.size)
        for thing in marking.waiting():
            self.report.add(describe("wait", thing, "", thing.until))

    def _mark(self, marking: Marking) -> None:
        placed = time.time() if self.lease is None else self.store.clock()
        until = placed + self.policy.grace

        def mark_one(task: tuple[Result | Run, str]) -> tuple[Result | Run, str]:
            thing, reason = task
            if self._writes():
                write_tombstone(self.store, thing[0], Tombstone(reason=reason, placed=placed, until=until))
            return task

        with measured("marking", unit="objects"):
            for thing, reason in self._each(mark_one, marking.unneeded()):
                self.report.add(describe("mark", thing, reason, until))
                advance(1, "objects")

    def _keep(self, ledger: Ledger) -> None:
        for keeps, (count, size) in ledger.living().items():
            reason = next((text for why, text in _REASONS.items() if why in keeps), _NAMED)
            tally = self.report.kept.setdefault(reason, Tally())
            tally.count += count
            tally.size += size

    def _drop_submitted(self, older_than: float) -> None:
        """Remove what was submitted long ago and has no runs any more; its snapshots follow in later clean-ups."""
        for old in find_submitted(self.store, self.began, older_than):
            self._check()
            if self._writes():
                remove_submitted(self.store, old)
            self.report.add(old.item)

    def _drop(self, items: Iterable[Item]) -> None:
        """Remove what has no tombstone."""
        if self.lease is None:
            for item in items:
                self._check()
                self.report.add(item)
            return
        left = iter(items)
        while batch := list(islice(left, _BATCH)):
            with removing(self.store, [item.path for item in batch]) as has_time:
                self._drop_batch(batch, has_time)

    def _drop_batch(self, batch: list[Item], has_time: Callable[[], bool]) -> None:
        def drop_one(item: Item) -> Item | None:
            info = self.store.info(item.path)
            if info is None or info.modified > self.began - DAY:  # somebody relies on it again
                return None
            if not self._writes() or not has_time():  # the next clean-up will see to it
                return None
            self.store.delete(item.path)
            return item

        for item in self._each(drop_one, batch):
            if item is not None:
                self.report.add(item)

    def _each(self, work: Callable[[_T], _R], things: Iterable[_T]) -> Iterator[_R]:
        """Yield what work makes of each thing; what was begun when it is told to stop is ended and yielded."""

        def until_stopped() -> Iterator[_T]:
            for thing in things:
                if self.stop():
                    return
                yield thing

        yield from each(self.store, work, until_stopped())
        self._check()

    def _check(self) -> None:
        if self.stop():
            raise _Stopped

    def _writes(self) -> bool:
        """Return whether anything is to be written. :raises StoreError: where another one has taken over."""
        if self.lease is not None and self.lease.lost:
            raise StoreError(
                "another clean-up has taken over, since this one was silent for too long: leave it to it"
            )
        return self.lease is not None

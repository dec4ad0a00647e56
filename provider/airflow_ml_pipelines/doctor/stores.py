"""Tries a store out: what everything here relies on, with objects of its own that are removed again."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from airflow_ml_pipelines.core.errors import NotFoundError, StoreError
from airflow_ml_pipelines.core.stores.meta import WEAK
from airflow_ml_pipelines.core.stores.store import CLOCK, Store
from airflow_ml_pipelines.doctor.findings import Finding

__all__ = ["FOLDER", "SKEW_SECONDS", "examine_store"]

FOLDER = ".ml-pipelines-doctor-"
"""What the name of a folder begins with that an examination makes and removes."""

SKEW_SECONDS = 5.0
"""How far this machine's clock may be from the store's before it is said; some stores know whole seconds only."""

_LEFT_SECONDS = 3600.0
_WRITERS = 8
_REPLACEMENTS = 10
_SIZE = 20_000


def examine_store(what: str, store: Store, *, root: bool) -> Iterator[Finding]:
    """Yield what a store does not do as it should, then what it does.

    :param what: how findings call it.
    :param root: whether it is where the workspace keeps everything, which can't do without.
    """
    try:
        folders = store.folders()
    except StoreError as error:
        advice = "check its URL, its credentials, and whether it can be reached from here"
        yield Finding(what, "error", str(error), advice)
        return
    folder = f"{FOLDER}{secrets.token_hex(6)}"
    try:
        store.put(f"{folder}/first", b"1")
    except StoreError as error:
        if root:
            yield Finding(what, "error", str(error), "runs can't be kept there: let this user write there")
        else:
            yield Finding(
                what, "warning", f"it can be read and not written: {error}", "steps can't put outputs there"
            )
        return
    try:
        done = ["read", "written"]
        for name, examine in _PARTS.items():
            found = examine(what, store, folder)
            if found is None:
                done.append(name)
            elif root or name not in _FOR_ROOTS:
                yield found
        skew, finding = _clock(what, store)
        if finding is not None:
            yield finding
        removed = _remove_left(store, [name for name in folders if name.startswith(FOLDER)])
        text = f"{', '.join(done)}; its clock and this machine's differ by {abs(skew):.1f} s"
        yield Finding(what, "ok", text + (f"; {removed} left by earlier looks removed" if removed else ""))
    finally:
        with suppress(StoreError):
            store.remove(folder)
            if CLOCK not in folders:
                store.remove(CLOCK)


def _listing(what: str, store: Store, folder: str) -> Finding | None:
    if [info.path for info in store.walk(folder)] == [f"{folder}/first"]:
        return None
    return Finding(
        what,
        "error",
        "an object that was just written is not in the listing",
        "outputs could be taken for incomplete: use a store with consistent listings",
    )


def _exclusive(what: str, store: Store, folder: str) -> Finding | None:
    """Let several writers create one object at the same moment."""
    if not store.conditional:
        return Finding(
            what,
            "warning",
            "it does not know exclusive create",
            "two runs may do the same work at once, and registrations at the same moment may be lost: keep the root on a "
            "local folder, S3, Azure or Google Cloud Storage where several write",
        )
    start = threading.Barrier(_WRITERS)

    def create(number: int) -> bool:
        start.wait(timeout=60)
        return store.create(f"{folder}/created", str(number).encode())

    with ThreadPoolExecutor(_WRITERS, thread_name_prefix="doctor") as pool:
        won = [number for number, made in enumerate(pool.map(create, range(_WRITERS))) if made]
    if len(won) == 1 and store.get(f"{folder}/created") == str(won[0]).encode():
        return None
    return Finding(
        what,
        "error",
        f"of {_WRITERS} writers that created one object at once {len(won)} were told that they did, expected 1",
        "leases don't hold there: several runs would make the same result; use a store with conditional writes",
    )


def _replacing(what: str, store: Store, folder: str) -> Finding | None:
    """Read an object again and again while it is replaced."""
    path, whole = f"{folder}/replaced", {letter * _SIZE for letter in (b"a", b"b")}
    store.put(path, b"a" * _SIZE)
    ended = threading.Event()
    wrong: list[str] = []

    def read() -> None:
        while not ended.is_set() and not wrong:
            try:
                data = store.get(path)
            except NotFoundError:
                wrong.append("was not there")
            else:
                if data not in whole:
                    wrong.append(f"had {len(data)} bytes of two writes")

    with ThreadPoolExecutor(1, thread_name_prefix="doctor") as pool:
        reader = pool.submit(read)
        try:
            for number in range(_REPLACEMENTS):
                store.put(path, (b"a", b"b")[number % 2] * _SIZE)
        finally:
            ended.set()
        reader.result()
    if not wrong:
        return None
    return Finding(
        what,
        "error",
        f"while an object was replaced, it {wrong[0]} for a reader",
        "half-written documents would be read there: use another store",
    )


def _versions(what: str, store: Store, folder: str) -> Finding | None:
    path, versions = f"{folder}/version", []
    for data in (b"one", b"two"):  # of the same size
        store.put(path, data)
        versions += [info.version for _ in range(2) if (info := store.info(path)) is not None]
    first, again, second, _ = (*versions, "", "", "", "")[:4]
    if first.startswith(WEAK):
        return Finding(
            what,
            "warning",
            "it gives objects no version of their own",
            "data from outside that lies there can't be told from other data: steps that read it run every time, "
            "unless their input says `fingerprint: path`",
        )
    if first == again != second:
        return None
    return Finding(
        what,
        "error",
        "the version of an object does not say whether it changed",
        "changed data could be taken for the same: give inputs from there `fingerprint: content`",
    )


_PARTS = {
    "listed": _listing,
    "created exclusively": _exclusive,
    "replaced at once": _replacing,
    "told apart by versions": _versions,
}
_FOR_ROOTS = frozenset({"created exclusively", "replaced at once"})


def _clock(what: str, store: Store) -> tuple[float, Finding | None]:
    """Return how far the store's clock is from this machine's, in seconds, and what there is to say of it."""
    before = time.time()
    there = store.clock()
    after = time.time()
    skew = there - after if there > after else there - before if there < before else 0.0
    if abs(skew) <= SKEW_SECONDS:
        return skew, None
    side = "behind" if skew > 0 else "ahead of"
    return skew, Finding(
        what,
        "warning",
        f"this machine's clock is {abs(skew):.0f} s {side} the store's",
        "set the clock (NTP): object stores refuse requests that are 15 minutes off, and the times that runs show are wrong",
    )


def _remove_left(store: Store, folders: list[str]) -> int:
    """Remove what an earlier examination left that was killed; return how many."""
    removed = 0
    now = store.clock() if folders else 0.0
    for folder in folders:
        if all(info.modified < now - _LEFT_SECONDS for info in store.walk(folder, unfinished=True)):
            store.remove(folder)
            removed += 1
    return removed

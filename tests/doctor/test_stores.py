"""A store that does not do what everything relies on is found out."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace

import pytest

from airflow_ml_pipelines.core.errors import StoreError
from airflow_ml_pipelines.core.stores.local_store import LocalStore
from airflow_ml_pipelines.core.stores.meta import WEAK
from airflow_ml_pipelines.core.stores.open import open_store
from airflow_ml_pipelines.doctor.stores import FOLDER, examine_store


class ReadOnly(LocalStore):
    def put(self, path, data):
        raise StoreError(f"{path} can't be written: Read-only file system")


class Unreadable(LocalStore):
    def folders(self, path=""):
        raise StoreError("it can't be listed: access is denied")


class FastClock(LocalStore):
    def clock(self):
        return super().clock() + 90


class SlowClock(LocalStore):
    def clock(self):
        return super().clock() - 3600


class LooksFirst(LocalStore):
    """Looks and then writes, so that several writers win."""

    def create(self, path, data):
        if self.info(path) is not None:
            return False
        time.sleep(0.05)
        self.put(path, data)
        return True


class Unconditional(LooksFirst):
    conditional = False


class NobodyWins(LocalStore):
    def create(self, path, data):
        super().create(path, data)
        return False


class Torn(LocalStore):
    """Writes in place."""

    def put(self, path, data):
        super().put(path, data[: len(data) // 2])
        time.sleep(0.01)
        super().put(path, data)


class Gone(LocalStore):
    """Removes before it writes."""

    def put(self, path, data):
        self.delete(path)
        time.sleep(0.01)
        super().put(path, data)


class LateListing(LocalStore):
    def walk(self, path="", *, unfinished=False):
        return iter(())


class OneVersion(LocalStore):
    def info(self, path):
        found = super().info(path)
        return found and replace(found, version="1")


class NewVersions(LocalStore):
    def info(self, path):
        found = super().info(path)
        return found and replace(found, version=os.urandom(4).hex())


class WeakVersions(LocalStore):
    def info(self, path):
        found = super().info(path)
        return found and replace(found, version=f"{WEAK}{found.size}")


CASES = [
    (ReadOnly, True, "error", "can't be written: Read-only file system", "let this user write there"),
    (ReadOnly, False, "warning", "it can be read and not written", "steps can't put outputs there"),
    (Unreadable, True, "error", "access is denied", "check its URL, its credentials"),
    (Unreadable, False, "error", "access is denied", "check its URL, its credentials"),
    (FastClock, True, "warning", "this machine's clock is 90 s behind the store's", "set the clock (NTP)"),
    (SlowClock, False, "warning", "this machine's clock is 3600 s ahead of the store's", "set the clock"),
    (LooksFirst, True, "error", "of 8 writers that created one object at once", "leases don't hold there"),
    (NobodyWins, True, "error", "at once 0 were told that they did", "leases don't hold there"),
    (Unconditional, True, "warning", "it does not know exclusive create", "two runs may do the same work"),
    (Torn, True, "error", "while an object was replaced, it had 10000 bytes", "half-written documents"),
    (Gone, True, "error", "while an object was replaced, it was not there", "half-written documents"),
    (LateListing, False, "error", "is not in the listing", "use a store with consistent listings"),
    (OneVersion, False, "error", "does not say whether it changed", "`fingerprint: content`"),
    (NewVersions, False, "error", "does not say whether it changed", "`fingerprint: content`"),
    (WeakVersions, False, "warning", "it gives objects no version of their own", "run every time"),
]


@pytest.mark.parametrize(
    ("kind", "root", "level", "text", "advice"),
    CASES,
    ids=[f"{case[0].__name__}-{'root' if case[1] else 'data'}" for case in CASES],
)
def test_what_is_wrong_with_a_store_is_said_with_what_to_do(tmp_path, kind, root, level, text, advice):
    store = kind(tmp_path / "store")
    wrong = [finding for finding in examine_store("it", store, root=root) if finding.level != "ok"]
    assert [finding.level for finding in wrong] == [level]
    assert text in wrong[0].text
    assert advice in wrong[0].advice
    assert os.listdir(tmp_path) in ([], ["store"])
    assert not (tmp_path / "store").exists() or os.listdir(tmp_path / "store") == []


@pytest.mark.parametrize("kind", [LooksFirst, Torn])
def test_where_no_leases_and_documents_are_kept_they_need_not_hold(tmp_path, kind):
    found = list(examine_store("it", kind(tmp_path), root=False))
    assert [finding.level for finding in found] == ["ok"]


@pytest.mark.parametrize("kind", ["local", "memory", "s3", "azurite", "gcs"])
@pytest.mark.parametrize("root", [True, False])
def test_a_good_store_is_found_good_and_left_as_it_was(tmp_path, request, kind, root):
    if kind == "local":
        store = LocalStore(tmp_path)
    elif kind == "memory":
        store = open_store(f"memory://doctor-{root}")
    else:
        server = request.getfixturevalue(kind)
        store = open_store(f"{server.bucket('doctor')}/{root}", **server.options)
    store.put("theirs/x", b"x")
    (finding,) = examine_store("it", store, root=root)
    assert finding.level == "ok"
    assert finding.text.startswith(
        "read, written, listed, created exclusively, replaced at once, told apart by versions; its clock and"
    )
    assert [info.path for info in store.walk(unfinished=True)] == ["theirs/x"]


def test_what_an_earlier_look_left_is_removed_once_it_is_old(tmp_path):
    store = LocalStore(tmp_path)
    for name in ("old", "new"):
        store.put(f"{FOLDER}{name}/first", b"1")
    hours_ago = time.time() - 7200
    os.utime(tmp_path / f"{FOLDER}old" / "first", (hours_ago, hours_ago))
    (finding,) = examine_store("it", store, root=True)
    assert finding.text.endswith("; 1 left by earlier looks removed")
    assert os.listdir(tmp_path) == [f"{FOLDER}new"]


def test_two_looks_at_once_do_not_disturb_each_other(tmp_path):
    found = []
    threads = [
        threading.Thread(target=lambda: found.extend(examine_store("it", LocalStore(tmp_path), root=True)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [finding.level for finding in found] == ["ok"] * 4
    assert os.listdir(tmp_path) == []

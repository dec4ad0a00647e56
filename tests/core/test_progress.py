"""Long work says how far it is."""

from __future__ import annotations

import threading
from contextvars import copy_context

import pytest

from airflow_ml_pipelines.core import progress
from airflow_ml_pipelines.core.amounts import seconds_text, size_text
from airflow_ml_pipelines.core.files.digest import CHUNK, digest_file
from airflow_ml_pipelines.core.files.statcache import NoStatCache, StatCache
from airflow_ml_pipelines.core.files.tree import scan_tree
from airflow_ml_pipelines.core.keys.fingerprint import fingerprint_data
from airflow_ml_pipelines.core.progress import (
    Meter,
    ProgressLog,
    advance,
    measured,
    progress_text,
    told_to,
)
from airflow_ml_pipelines.core.spec import Data, Location
from airflow_ml_pipelines.core.steps.snapshot import take_snapshot
from airflow_ml_pipelines.core.stores.fsspec_store import FsspecStore
from airflow_ml_pipelines.core.stores.local_store import LocalStore


class Listener:
    """Keeps all that it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float]] = []
        self.ended: list[Meter] = []

    def on_progress(self, meter: Meter) -> None:
        self.told.append((meter.what, meter.done))

    def on_end(self, meter: Meter) -> None:
        self.ended.append(meter)

    @property
    def done(self) -> dict[str, tuple[float, float | None]]:
        return {meter.what: (meter.done, meter.total) for meter in self.ended}


@pytest.fixture
def listener():
    listener = Listener()
    with told_to(listener):
        yield listener


def test_where_nobody_listens_nothing_is_counted():
    with measured("work", lambda: pytest.fail("nobody asked")):
        advance(1)


def test_a_listener_hears_when_work_begins_goes_on_and_ends(listener, monkeypatch):
    monkeypatch.setattr(progress, "_OFTEN", 0)
    with measured("work", 3, "files"):
        for _ in range(3):
            advance(1, "files")
    assert listener.told == [("work", 0), ("work", 1), ("work", 2), ("work", 3)]
    assert listener.done == {"work": (3, 3)}


def test_it_is_not_told_too_often(listener):
    with measured("work", 1000):
        for _ in range(1000):
            advance(1)
    assert len(listener.told) < 100
    assert listener.done == {"work": (1000, 1000)}


def test_work_that_fails_is_over_too(listener):
    with pytest.raises(ZeroDivisionError), measured("work"):
        1 / 0  # noqa: B018
    assert [meter.what for meter in listener.ended] == ["work"]
    advance(1)  # of nothing


def test_work_within_work_is_counted_for_itself(listener):
    with measured("files", 2, "files"):
        with measured("bytes", 10):
            advance(10)
        advance(1, "files")
        advance(99, "bytes")  # in another unit
    assert listener.done == {"bytes": (10, 10), "files": (1, 2)}


def test_a_thread_tells_the_listener_of_its_context(listener):
    def work():
        with measured("elsewhere", 1):
            advance(1)

    thread = threading.Thread(target=copy_context().run, args=(work,))
    thread.start()
    thread.join()
    threading.Thread(target=work).run()
    assert listener.done == {"elsewhere": (1, 1)}


# --- what is counted ---------------------------------------------------------------------------------------------


def test_bytes_of_new_files_are_counted_while_they_are_read(listener, tmp_path):
    (tmp_path / "data").mkdir()
    for number in range(5):
        (tmp_path / f"data/{number}").write_bytes(bytes(1000))
    scan_tree(tmp_path / "data", cache=StatCache(tmp_path / "cache"))
    assert listener.done == {f"reading {tmp_path}/data": (5000, 5000)}


def test_files_that_are_known_are_not_counted(listener, tmp_path, monkeypatch):
    monkeypatch.setattr("airflow_ml_pipelines.core.files.tree.RACY_NS", -1_000_000_000)
    (tmp_path / "data").mkdir()
    cache = StatCache(tmp_path / "cache")
    (tmp_path / "data/a").write_bytes(bytes(1000))
    scan_tree(tmp_path / "data", cache=cache)
    (tmp_path / "data/b").write_bytes(bytes(10))
    scan_tree(tmp_path / "data", cache=cache)
    assert listener.done == {f"reading {tmp_path}/data": (10, 10)}
    listener.ended.clear()
    scan_tree(tmp_path / "data", cache=cache)
    assert listener.ended == []


def test_a_large_file_is_counted_chunk_by_chunk(listener, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "_OFTEN", 0)
    file = tmp_path / "large"
    with open(file, "wb") as stream:
        stream.truncate(3 * CHUNK + 1)
    with measured("large", 3 * CHUNK + 1):
        digest_file(file)
    assert [done for _, done in listener.told] == [0, CHUNK, 2 * CHUNK, 3 * CHUNK, 3 * CHUNK + 1]


def test_packing_and_storing_a_snapshot_is_counted(listener, tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source/a.py").write_bytes(bytes(1000))
    take_snapshot(tmp_path / "source", cache=NoStatCache()).publish(LocalStore(tmp_path / "root"))
    assert listener.done[f"packing {tmp_path}/source"] == (1000, 1000)
    assert f"storing the snapshot of {tmp_path}/source" in listener.done


def test_reading_a_store_without_versions_is_counted(listener, tmp_path):
    store = FsspecStore(f"file://{tmp_path}/weak")
    store.put("in/a", bytes(1000))
    data = Data(locations=(Location(path="in", datastore="weak"),))
    fingerprint_data(data, lambda _: store, "content", NoStatCache())
    assert [done for what, done in listener.done.items() if what.startswith("reading 'in' in ")] == [
        (1000, 1000)
    ]


# --- how it is said ----------------------------------------------------------------------------------------------


def meter(done: float, total: float | None, unit="bytes", seconds: float = 10) -> Meter:
    return Meter("reading /data", total, unit, 100 - seconds, done)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (meter(1.2e9, 3.6e9), "reading /data: 1.2 GB of 3.6 GB, 120.0 MB/s, 20 s left"),
        (meter(5, 20, "files", 1), "reading /data: 5 of 20 files, 5 files/s, 3.0 s left"),
        (meter(0, 3.6e9), "reading /data: 0 B of 3.6 GB"),
        (meter(1.2e9, None), "reading /data: 1.2 GB"),
        (meter(7, None, "files"), "reading /data: 7 files"),
        (meter(0, None), "reading /data"),
        (meter(20, 10, "files", 1), "reading /data: 20 of 10 files, 20 files/s, 0.0 s left"),
    ],
)
def test_how_far_it_is_has_a_rate_and_the_time_that_is_left(given, text, monkeypatch):
    monkeypatch.setattr(progress.time, "monotonic", lambda: 100.0)
    assert progress_text(given) == text


def test_a_log_has_a_line_now_and_then_for_long_work_only(monkeypatch):
    lines: list[str] = []
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with told_to(ProgressLog(lines.append)), measured("reading /data", 100):
        for _ in range(25):
            clock[0] += 1
            advance(4)
    assert lines == [
        "reading /data: 40 B of 100 B, 4 B/s, 15 s left",
        "reading /data: 80 B of 100 B, 4 B/s, 5.0 s left",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.05, "0.1 s"), (9.94, "9.9 s"), (10, "10 s"), (119, "119 s"), (600, "10 min"), (7200, "2.0 h")],
)
def test_durations_are_short(seconds, text):
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2.5e6, "2.5 MB"), (1e9, "1.0 GB"), (2e15, "2000.0 TB")],
)
def test_sizes_are_short(size, text):
    assert size_text(size) == text

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_ml_pipelines.core.errors import InvalidPathError
from airflow_ml_pipelines.core.publishing import watches
from airflow_ml_pipelines.core.publishing.watches import Watch, finish, look, start
from airflow_ml_pipelines.core.stores.local_store import LocalStore
from airflow_ml_pipelines.core.stores.open import open_store

WATCH = Watch(datastore="lake", path="in", seconds=1)


class Lake:
    """A datastore whose files were written a while ago, and the watch of its folder ``in``."""

    def __init__(self, folder, watch=WATCH):
        self.root = LocalStore(folder / "root")
        self.store = LocalStore(folder / "lake")
        self.watch = watch
        self.clock = time.time() - 10_000

    def write(self, path, text="x"):
        self.store.put(path, text.encode())
        self.clock += 1
        os.utime(self.store.local_path(path), (self.clock, self.clock))

    def start(self):
        start(self.root, "w", self.watch, self.store)

    def look(self, *, keep=True):
        return look(self.root, "w", self.watch, self.store, keep=keep)

    def news(self):
        """Return what is new, and act on it."""
        batch = self.look()
        if batch is None:
            return []
        finish(self.root, "w", batch.number)
        return list(batch.changed)


@pytest.fixture
def lake(tmp_path):
    lake = Lake(tmp_path)
    lake.write("in/old.csv")
    lake.write("elsewhere/x.csv")
    lake.start()
    return lake


def test_what_was_there_before_is_no_news(lake):
    assert lake.news() == []


def test_a_new_and_a_changed_file_are_told_once(lake):
    lake.write("in/new.csv")
    lake.write("in/sub/deep.csv")
    assert lake.news() == ["in/new.csv", "in/sub/deep.csv"]
    assert lake.news() == []
    lake.write("in/old.csv", "y")
    assert lake.news() == ["in/old.csv"]
    assert lake.news() == []


def test_a_file_that_is_written_again_with_the_same_bytes_is_told_again(lake):
    lake.write("in/old.csv")
    assert lake.news() == ["in/old.csv"]


def test_a_file_that_went_and_comes_again_is_told_again(lake):
    lake.store.delete("in/old.csv")
    assert lake.news() == []
    lake.write("in/old.csv")
    assert lake.news() == ["in/old.csv"]


def test_what_was_found_and_not_acted_on_is_found_again_under_the_same_number(lake):
    lake.write("in/a.csv")
    first = lake.look()
    lake.write("in/b.csv")
    assert lake.look() == first
    finish(lake.root, "w", first.number)
    second = lake.look()
    assert (second.changed, second.number) == (("in/b.csv",), first.number + 1)


def test_a_look_that_keeps_nothing_tells_the_same_and_leaves_nothing(lake):
    lake.write("in/a.csv")
    before = sorted(info.path for info in lake.root.walk())
    told = lake.look(keep=False)
    assert sorted(info.path for info in lake.root.walk()) == before
    kept = lake.look()
    assert (told.number, told.changed) == (kept.number, kept.changed)
    assert lake.look(keep=False) == kept


def test_of_two_looks_at_once_both_find_the_same_batch(lake):
    for number in range(5):
        lake.write(f"in/{number}.csv")
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: lake.look(), range(4)))
        assert {batch.changed for batch in found} == {(f"in/{number}.csv",)}
        assert len({batch.number for batch in found}) == 1
        finish(lake.root, "w", found[0].number)


def test_a_file_that_is_being_written_is_left_until_its_writer_pauses(lake):
    lake.store.put("in/half.csv", b"a,b")
    assert lake.news() == []
    old = time.time() - 5
    os.utime(lake.store.local_path("in/half.csv"), (old, old))
    assert lake.news() == ["in/half.csv"]


def test_many_files_come_in_batches(lake, monkeypatch):
    monkeypatch.setattr(watches, "MOST", 3)
    for number in range(7):
        lake.write(f"in/{number}.csv")
    assert [len(lake.news()) for _ in range(4)] == [3, 3, 1, 0]
    lake.watch = msgspec.structs.replace(WATCH, run_per="poll")
    for number in range(7):
        lake.write(f"in/{number}.csv")
    assert [len(lake.news()) for _ in range(2)] == [7, 0]


def test_another_place_begins_anew(lake):
    lake.write("in/a.csv")
    lake.watch = msgspec.structs.replace(WATCH, path="elsewhere")
    assert lake.news() == []
    lake.write("elsewhere/y.csv")
    assert lake.news() == ["elsewhere/y.csv"]


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("", ["elsewhere/x.csv", "in/a.csv", "in/b.txt", "in/sub/[c].csv"]),
        ("in/*.csv", ["in/a.csv"]),
        ("in/**/*.csv", ["in/a.csv", "in/sub/[c].csv"]),
        ("in/sub/[c].csv", ["in/sub/[c].csv"]),
        ("in/b.txt", ["in/b.txt"]),
        ("nowhere", []),
    ],
)
def test_a_place_is_a_folder_a_file_or_a_glob(tmp_path, path, taken):
    lake = Lake(tmp_path, msgspec.structs.replace(WATCH, path=path))
    lake.start()
    for name in ("elsewhere/x.csv", "in/a.csv", "in/b.txt", "in/sub/[c].csv"):
        lake.write(name)
    assert lake.news() == taken


def test_a_path_that_leaves_the_datastore_is_refused(tmp_path):
    with pytest.raises(InvalidPathError):
        Lake(tmp_path, msgspec.structs.replace(WATCH, path="../up")).start()


def test_what_is_not_needed_any_more_goes(lake):
    for number in range(5):
        lake.write(f"in/{number}.csv")
        lake.news()
    assert len(list(lake.root.walk("watches"))) == 2


def test_an_object_store_says_itself_when_a_file_was_written(tmp_path):
    lake = Lake(tmp_path)
    lake.store = open_store("memory://lake")
    lake.start()
    lake.store.put("in/a.csv", b"x")
    assert lake.news() == ["in/a.csv"]
    assert lake.news() == []
    lake.store.put("in/a.csv", b"y")
    assert lake.news() == ["in/a.csv"]


@settings(max_examples=60, deadline=None)
@given(
    actions=st.lists(
        st.sampled_from(["write a", "write b", "delete a", "delete b", "look", "killed", "tell"]), max_size=25
    )
)
def test_every_writing_that_lasts_until_a_look_is_told_once_whoever_is_killed(actions, tmp_path_factory):
    lake = Lake(tmp_path_factory.mktemp("lake"))
    lake.start()
    news: set[str] = set()  # written since it was told last
    pending: set[str] = set()
    for action in [*actions, "look", "look"]:
        verb, _, name = action.partition(" ")
        path = f"in/{name}.csv"
        if verb == "write":
            lake.write(path)
            news.add(path)
        elif verb == "delete":
            lake.store.delete(path)
            news.discard(path)
        else:
            batch = lake.look(keep=verb != "tell")
            found = set(batch.changed) if batch else set()
            assert found == (pending or news)
            if verb == "tell" or not found:
                continue
            if not pending:
                pending, news = found, set()
            if verb == "look":
                finish(lake.root, "w", batch.number)
                pending = set()
    assert (news, pending) == (set(), set())

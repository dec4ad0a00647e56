from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import msgspec
import pytest

from airflow_ml_pipelines.core.errors import DocumentError
from airflow_ml_pipelines.core.publishing.states import change_state, read_state
from airflow_ml_pipelines.core.stores.local_store import LocalStore


class Basket(msgspec.Struct, frozen=True):
    things: tuple[str, ...]
    schema: int = 1


def put_in(root: str, thing: str) -> int:
    def add(last):
        return Basket((*(last.things if last else ()), thing))

    return len(change_state(LocalStore(root), "basket", Basket, add).things)


def test_there_is_no_state_before_the_first_change(tmp_path):
    assert read_state(LocalStore(tmp_path), "basket", Basket) is None


def test_a_change_is_made_to_the_last_state(tmp_path):
    assert [put_in(str(tmp_path), thing) for thing in "abc"] == [1, 2, 3]
    assert read_state(LocalStore(tmp_path), "basket", Basket) == Basket(("a", "b", "c"))


def test_a_change_that_changes_nothing_writes_nothing(tmp_path):
    store = LocalStore(tmp_path)
    put_in(str(tmp_path), "a")
    before = sorted(info.path for info in store.walk())
    assert change_state(store, "basket", Basket, lambda last: last) == Basket(("a",))
    assert sorted(info.path for info in store.walk()) == before


def test_a_change_that_is_refused_leaves_the_state(tmp_path):
    put_in(str(tmp_path), "a")

    def refuse(last):
        raise ValueError(last.things)

    with pytest.raises(ValueError, match="a"):
        change_state(LocalStore(tmp_path), "basket", Basket, refuse)
    assert read_state(LocalStore(tmp_path), "basket", Basket) == Basket(("a",))


def test_of_many_changes_at_once_none_is_lost(tmp_path):
    things = [str(number) for number in range(20)]
    with ProcessPoolExecutor(8, mp_context=get_context("spawn")) as pool:
        sizes = list(pool.map(put_in, [str(tmp_path)] * len(things), things))
    assert sorted(sizes) == list(range(1, 21))
    assert sorted(read_state(LocalStore(tmp_path), "basket", Basket).things) == sorted(things)


def test_a_state_that_cannot_be_read_is_named(tmp_path):
    put_in(str(tmp_path), "a")
    Path(tmp_path, "basket/2.json").write_text("{")
    with pytest.raises(DocumentError, match=r"basket/2\.json"):
        read_state(LocalStore(tmp_path), "basket", Basket)

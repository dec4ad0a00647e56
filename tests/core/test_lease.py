import multiprocessing
import threading
import time

import pytest

from airflow_ml_pipelines.core.layout import lease_folder
from airflow_ml_pipelines.core.reuse.lease import Lease, LeaseDocument, acquire_lease, find_holder
from airflow_ml_pipelines.core.stores.local_store import LocalStore

KEY = "ab" * 32


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path)


def age(store, seconds):
    """Make the highest lease older than it is, as if its holder had not beaten for a while."""
    import os

    path = max(store.walk(lease_folder(KEY)), key=lambda info: info.path).path
    local = store.local_path(path)
    then = local.stat().st_mtime - seconds
    os.utime(local, (then, then))


def test_one_gets_the_lease_and_the_other_learns_who_holds_it(store):
    first = acquire_lease(store, KEY, "first", 60)
    assert isinstance(first, Lease)
    second = acquire_lease(store, KEY, "second", 60)
    assert isinstance(second, LeaseDocument)
    assert second.owner == "first"


def test_the_same_owner_gets_its_lease_again(store):
    first = acquire_lease(store, KEY, "me", 60)
    again = acquire_lease(store, KEY, "me", 60)
    assert isinstance(again, Lease)
    assert again.number == first.number


def test_a_released_lease_is_free_at_once(store):
    lease = acquire_lease(store, KEY, "first", 60)
    lease.release()
    assert find_holder(store, KEY) is None
    assert isinstance(acquire_lease(store, KEY, "second", 60), Lease)


def test_an_expired_lease_is_taken_over_and_its_holder_notices(store):
    first = acquire_lease(store, KEY, "first", 60)
    age(store, 61)
    second = acquire_lease(store, KEY, "second", 60)
    assert isinstance(second, Lease)
    assert second.number == first.number + 1
    first.beat()
    assert first.lost
    first.release()
    assert find_holder(store, KEY).owner == "second"


def test_a_beat_keeps_a_lease_from_expiring(store):
    lease = acquire_lease(store, KEY, "first", 60)
    age(store, 61)
    lease.beat()
    assert isinstance(acquire_lease(store, KEY, "second", 60), LeaseDocument)


def test_a_kept_lease_outlives_its_seconds_and_is_free_after_the_block(store):
    lease = acquire_lease(store, KEY, "first", 0.4)
    with lease.kept():
        time.sleep(1)
        assert find_holder(store, KEY).owner == "first"
    assert find_holder(store, KEY) is None


def test_numbers_are_never_used_twice(store):
    numbers = []
    for owner in ("a", "b", "c"):
        lease = acquire_lease(store, KEY, owner, 60)
        numbers.append(lease.number)
        lease.release()
    assert numbers == [1, 2, 3]
    assert len(list(store.walk(lease_folder(KEY)))) == 1


def test_an_unreadable_lease_is_nobodys(store):
    store.put(f"{lease_folder(KEY)}/7.json", b"\x00 not json")
    lease = acquire_lease(store, KEY, "me", 60)
    assert isinstance(lease, Lease)
    assert lease.number == 8


def test_of_many_threads_exactly_one_gets_it(store):
    for round_ in range(5):
        barrier = threading.Barrier(8)
        got = []

        def take(number, round_=round_, barrier=barrier, got=got):
            barrier.wait()
            got.append(acquire_lease(store, f"{round_:064}", f"owner {number}", 60))

        threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winners = [item for item in got if isinstance(item, Lease)]
        assert len(winners) == 1
        assert {item.owner for item in got if isinstance(item, LeaseDocument)} == {winners[0].document.owner}


def _take_over(root, start, queue, number):
    start.wait()
    queue.put(isinstance(acquire_lease(LocalStore(root), KEY, f"owner {number}", 60), Lease))


def test_of_many_processes_exactly_one_takes_an_expired_lease_over(store, tmp_path):
    acquire_lease(store, KEY, "dead", 60)
    age(store, 61)
    spawn = multiprocessing.get_context("spawn")
    start, queue = spawn.Event(), spawn.Queue()
    processes = [
        spawn.Process(target=_take_over, args=(tmp_path, start, queue, number)) for number in range(4)
    ]
    for process in processes:
        process.start()
    start.set()
    won = [queue.get(timeout=30) for _ in processes]
    for process in processes:
        process.join(30)
    assert sorted(won) == [False, False, False, True]

"""What keeps a transfer from being done is told in one sentence, and nothing half-done is left."""

import subprocess

import pytest

from airflow_ml_pipelines.core.errors import StoreError
from airflow_ml_pipelines.core.files.statcache import StatCache
from airflow_ml_pipelines.core.stores.local_store import LocalStore
from airflow_ml_pipelines.core.stores.locations import find
from airflow_ml_pipelines.core.stores.open import open_store
from airflow_ml_pipelines.core.transfer.journal import StoredJournal
from airflow_ml_pipelines.core.transfer.plan import choose_place, list_copies
from airflow_ml_pipelines.core.transfer.transfer import transfer_files


@pytest.fixture
def source(tmp_path):
    store = LocalStore(tmp_path / "source")
    store.put("in/large.bin", b"x" * (9 << 20))
    for number in range(20):
        store.put(f"in/{number}.bin", b"y" * 100_000)
    return store


@pytest.fixture
def small_disk(tmp_path):
    """A file system with room for 4 MB, as `mount` makes it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", folder], capture_output=True)
    if made.returncode:
        pytest.skip("needs the right to mount a file system: run the tests as root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def transfer(source, target, folder):
    found = (find(source, "in"),)
    place = choose_place(
        found, target, "out", "'out' on datastore 'there'", source_type=None, target_type=None
    )
    journal = StoredJournal(LocalStore(folder / "root"), "ab", "out")
    copies = list_copies(found, place, StatCache(folder / "cache"))
    return transfer_files(
        copies, place, journal, "transfer-", delete_extra=False, check=lambda: None, log=print
    )


def test_a_full_disk(source, small_disk, tmp_path):
    target = LocalStore(small_disk)
    with pytest.raises(StoreError, match=r"out/.* can't be written: .*[Nn]o space left"):
        transfer(source, target, tmp_path)
    sizes = {info.path: info.size for info in target.walk(unfinished=True)}
    assert all(size == source.info(f"in{path.removeprefix('out')}").size for path, size in sizes.items())


def test_a_disk_that_can_only_be_read(source, small_disk, tmp_path):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(StoreError, match=r"can't be written: .*[Rr]ead-only file system"):
        transfer(source, LocalStore(small_disk), tmp_path)


@pytest.mark.parametrize(("server", "noun"), [("s3", "bucket"), ("azurite", "container")])
def test_a_container_that_is_not_there(source, server, noun, request, tmp_path):
    url = request.getfixturevalue(server).bucket("there").replace("there", "nowhere")
    target = open_store(f"{url}/x", **request.getfixturevalue(server).options)
    with pytest.raises(StoreError, match=f"there is no {noun} 'nowhere'; make it, or correct the URL"):
        transfer(source, target, tmp_path)


def test_wrong_credentials(source, azurite, tmp_path):
    wrong = azurite.connection_string.replace("AccountKey=Eby8", "AccountKey=Abcd")
    target = open_store(f"{azurite.bucket('there')}/x", connection_string=wrong)
    with pytest.raises(StoreError, match="access is denied .*check the datastore's connection") as caught:
        transfer(source, target, tmp_path)
    assert "Abcd" not in str(caught.value)

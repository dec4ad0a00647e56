"""Stores on a server with SSH: OpenSSH's own. What they have in common with others is in the contract."""

import json
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from servers.sftp import SftpServer

from airflow_ml_pipelines.core.errors import StoreError
from airflow_ml_pipelines.core.files.statcache import NoStatCache
from airflow_ml_pipelines.core.keys.fingerprint import fingerprint_data
from airflow_ml_pipelines.core.spec import Data, Location
from airflow_ml_pipelines.core.stores.connections import connection_options
from airflow_ml_pipelines.core.stores.local_store import LocalStore
from airflow_ml_pipelines.core.stores.locations import find
from airflow_ml_pipelines.core.stores.open import open_store
from airflow_ml_pipelines.core.transfer.journal import NoJournal
from airflow_ml_pipelines.core.transfer.plan import choose_place, list_copies
from airflow_ml_pipelines.core.transfer.transfer import transfer_files

pytest.importorskip("sshfs", reason="pip install sshfs")


@pytest.fixture
def folder(sftp, request):
    """A folder of the server's, and its URL."""
    path = sftp.home / re.sub(r"\W+", "-", request.node.name)
    path.mkdir()
    return path, f"sftp://127.0.0.1:{sftp.port}{path}"


def test_a_connection_opens_a_store(sftp, folder, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_FILES", json.dumps(sftp.connection))
    path, url = folder
    (path / "a").write_bytes(b"x")
    options = connection_options("files", "datastore 'files'", url)
    assert open_store(url, **options).get("a") == b"x"
    options.pop("key_filename")
    options["private_key"] = sftp.key.read_text()
    assert open_store(url, **options).get("a") == b"x"


def test_a_server_that_is_not_known_is_not_talked_to(sftp, folder, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    options = sftp.options
    del options["known_hosts"]
    with pytest.raises(StoreError, match=r"server's key is not known here.*known_hosts.*host_key"):
        open_store(folder[1], **options)
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/known_hosts").write_text(sftp.known_hosts.read_text())
    assert list(open_store(folder[1], **options).walk()) == []


def test_a_server_with_another_key_is_not_talked_to(sftp, folder):
    other = sftp.key.with_suffix(".pub").read_text().rpartition(" ")[0]
    options = {**sftp.options, "host_key": other}
    del options["known_hosts"]
    with pytest.raises(StoreError, match="server's key is not known here"):
        open_store(folder[1], **options)
    assert list(open_store(folder[1], **{**options, "known_hosts": None}).walk()) == []


def test_a_login_that_is_refused_is_told(sftp, folder, tmp_path):
    with pytest.raises(StoreError, match=r"(?i)can't be opened: .*permission denied"):
        open_store(folder[1], **{**sftp.options, "client_keys": [str(sftp.known_hosts.parent / "host_key")]})


def test_many_threads_share_a_store(sftp, folder):
    store = open_store(folder[1], **sftp.options)
    barrier = threading.Barrier(16)

    def work(number):
        barrier.wait(60)
        for turn in range(5):
            store.put(f"{number}/{turn}", b"%d" % number * 1000)
            assert store.get(f"{number}/{turn}") == b"%d" % number * 1000
            with store.open(f"{number}/{turn}") as file:
                assert file.read(2) == (b"%d" % number * 2)[:2]

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert len(list(store.walk())) == 80


def test_links_are_what_they_lead_to(sftp, folder):
    path, url = folder
    (path / "file").write_bytes(b"a longer one than its path")
    (path / "link").symlink_to("file")
    (path / "lost").symlink_to("nowhere")
    store = open_store(url, **sftp.options)
    assert {info.path: info.size for info in store.walk()} == {"file": 26, "link": 26}


def test_a_store_outlives_its_connection(tmp_path_factory):
    server = SftpServer(tmp_path_factory.mktemp("sftp"))
    server.start()
    try:
        store = open_store(server.url, **server.options)
        store.put("a", b"x")
        server.stop()
        with pytest.raises(StoreError, match="can't be"):
            store.get("a")
        server.start()
        assert store.get("a") == b"x"
    finally:
        server.stop()


def test_its_files_are_known_by_their_content(sftp, folder):
    path, url = folder
    data = Data(locations=(Location(datastore="files", path="a.csv"),))

    def fingerprint(text):
        (path / "a.csv").write_text(text)
        os.utime(path / "a.csv", (1_700_000_000, 1_700_000_000))  # the server knows whole seconds
        return fingerprint_data(
            data, lambda _: open_store(url, **sftp.options), "content", NoStatCache()
        ).document

    first = fingerprint("x\n1\n")
    assert fingerprint("x\n2\n") != first
    assert fingerprint("x\n1\n") == first


@pytest.mark.parametrize("way", ["there", "back"])
def test_files_are_transferred(sftp, folder, way, tmp_path):
    here, there = LocalStore(tmp_path / "here"), open_store(f"{folder[1]}/{way}", **sftp.options)
    source, target = (here, there) if way == "there" else (there, here)
    wanted = {f"{number % 3}/ä {number}": os.urandom(number * 1000) for number in range(40)}
    for name, data in wanted.items():
        source.put(name, data)
    found = (find(source, ""),)
    place = choose_place(found, target, "copy", "copy", source_type=None, target_type=None)
    copies = list_copies(found, place, NoStatCache())
    transfer_files(
        copies, place, NoJournal(), "t-", delete_extra=False, check=lambda: None, log=lambda _: None
    )
    assert {info.path: target.get(info.path) for info in target.walk("copy")} == {
        f"copy/{name}": data for name, data in wanted.items()
    }

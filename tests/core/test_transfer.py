"""Files are copied between every two kinds of stores, checked, and taken up where a killed transfer was."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from servers.azurite import ACCOUNT

from airflow_ml_pipelines.core.errors import DataError, StoreError
from airflow_ml_pipelines.core.files.digest import digest_bytes
from airflow_ml_pipelines.core.files.statcache import StatCache
from airflow_ml_pipelines.core.progress import told_to
from airflow_ml_pipelines.core.stores.fsspec_store import FsspecStore
from airflow_ml_pipelines.core.stores.local_store import LocalStore
from airflow_ml_pipelines.core.stores.locations import find
from airflow_ml_pipelines.core.stores.open import open_store
from airflow_ml_pipelines.core.transfer import local as local_copies
from airflow_ml_pipelines.core.transfer import streams, transfer
from airflow_ml_pipelines.core.transfer.journal import StoredJournal, place_key
from airflow_ml_pipelines.core.transfer.plan import choose_place, list_copies, refuse_overlap
from airflow_ml_pipelines.core.transfer.services import service_copier
from airflow_ml_pipelines.core.transfer.shards import copy_share, divide
from airflow_ml_pipelines.core.transfer.transfer import transfer_files

ODD_NAMES = (
    "with space",
    "per%20cent%",
    "plus+sign",
    "hash#mark",
    "naïve-数据",
    ".hidden",
    "deep/er/x",
    "[1]*",
)
FILES = {name: name.encode() * 3 for name in ODD_NAMES} | {"empty": b"", "large": os.urandom(9 << 20)}

_numbers = count()


def make_store(kind, folder, server):
    number = next(_numbers)
    if kind == "local":
        return LocalStore(folder / f"store-{number}")
    if kind == "memory":
        return FsspecStore(f"memory://transfer-{number}/store")
    bucket = server(kind).bucket(f"transfer-{number % 2}")
    return open_store(f"{bucket}/{number}", **server(kind).options)


class Transfers:
    """Transfers from one store to another, with a journal that lasts."""

    def __init__(self, folder, source, target):
        self.root = LocalStore(folder / "root")
        self.cache = StatCache(folder / "cache")
        self.source, self.target = source, target
        self.said = []

    def run(self, path="in", to="out", *, delete_extra=False, check=lambda: None, **types):
        found = (find(self.source, path),)
        types = {"source_type": None, "target_type": None, **types}
        place = choose_place(found, self.target, to, f"{to!r} in {self.target.url}", **types)
        refuse_overlap(found, place)
        key = place_key(self.target, to)
        return transfer_files(
            list_copies(found, place, self.cache),
            place,
            StoredJournal(self.root, key, to),
            f"transfer-{key[:8]}-",
            delete_extra=delete_extra,
            check=check,
            log=self.said.append,
        )

    def there(self, folder="out"):
        infos = self.target.walk(folder, unfinished=True)
        return {info.path.removeprefix(f"{folder}/"): self.target.get(info.path) for info in infos}


PAIRS = [
    ("local", "local"),
    ("local", "memory"),
    ("memory", "local"),
    ("local", "s3"),
    ("s3", "local"),
    ("s3", "s3"),
    ("local", "azurite"),
    ("azurite", "s3"),
    ("azurite", "azurite"),
    ("local", "gcs"),
    ("gcs", "s3"),
    ("memory", "s3"),
]


@pytest.fixture(params=PAIRS, ids="-to-".join)
def transfers(request, tmp_path):
    source, target = (make_store(kind, tmp_path, request.getfixturevalue) for kind in request.param)
    for name, data in FILES.items():
        source.put(f"in/{name}", data)
    return Transfers(tmp_path, source, target)


@pytest.fixture
def local(tmp_path):
    transfers = Transfers(tmp_path, LocalStore(tmp_path / "source"), LocalStore(tmp_path / "target"))
    for name, data in FILES.items():
        transfers.source.put(f"in/{name}", data)
    return transfers


@pytest.mark.parametrize("kind", ["s3", "azurite"])
def test_a_service_copies_from_bucket_to_bucket_by_itself(kind, tmp_path, request, monkeypatch):
    source, target = (make_store(kind, tmp_path, request.getfixturevalue) for _ in range(2))
    assert source.config.bucket != target.config.bucket
    for name, data in FILES.items():
        source.put(f"in/{name}", data)
    monkeypatch.setattr(streams, "_read", None)  # nothing comes here
    transfers = Transfers(tmp_path, source, target)
    transfers.run()
    assert transfers.there() == FILES
    assert transfers.run().copied == 0


@pytest.mark.parametrize("kind", ["s3", "azurite", "gcs"])
def test_a_service_copies_within_a_bucket_by_itself(kind, tmp_path, request, monkeypatch):
    source = make_store(kind, tmp_path, request.getfixturevalue)
    target = open_store(f"{source.url}-copy", **request.getfixturevalue(kind).options)
    for name, data in FILES.items():
        source.put(f"in/{name}", data)
    monkeypatch.setattr(streams, "_read", None)  # nothing comes here
    transfers = Transfers(tmp_path, source, target)
    transfers.run()
    assert transfers.there() == FILES


def signed(azurite, container, permissions="racwdl"):
    """Return what opens a container of Azurite with a signature for it alone."""
    given = f"BlobEndpoint={azurite.endpoint};AccountName={ACCOUNT};"
    signature = azurite.signature(azurite.bucket(container).removeprefix("abfs://"), permissions)
    return {"connection_string": given + f"SharedAccessSignature={signature}"}


@pytest.mark.parametrize("containers", [("signed-1", "signed-2"), ("signed-1", "signed-1")])
def test_containers_that_are_opened_with_signatures_are_copied_by_the_service(
    containers, tmp_path, azurite, monkeypatch
):
    source, target = (
        open_store(f"{azurite.bucket(name)}/{next(_numbers)}", **signed(azurite, name)) for name in containers
    )
    for name, data in FILES.items():
        source.put(f"in/{name}", data)
    monkeypatch.setattr(streams, "_read", None)  # nothing comes here
    transfers = Transfers(tmp_path, source, target)
    transfers.run()
    assert transfers.there() == FILES
    assert transfers.run().copied == 0


def test_a_signature_that_does_not_allow_to_write_is_an_error_without_the_signature(tmp_path, azurite):
    source = open_store(f"{azurite.bucket('signed-1')}/{next(_numbers)}", **azurite.options)
    source.put("in/x", b"x")
    target = open_store(f"{azurite.bucket('signed-2')}/1", **signed(azurite, "signed-2", "rl"))
    with pytest.raises(StoreError, match="'in/x' in .* can't be copied to .*403") as caught:
        Transfers(tmp_path, source, target).run()
    assert "sig=" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "is_service"),
    [
        ({"account_key": "a2V5"}, {"account_key": "a2V5"}, True),
        ({"sas_token": "sp=rl&sig=x"}, {"account_key": "a2V5"}, True),
        ({"sas_token": "?sp=rl&sig=x"}, {"sas_token": "sp=racwl&sig=y"}, True),
        ({"sas_token": "sp=rl&sip=10.0.0.1&sig=x"}, {"account_key": "a2V5"}, False),
        ({"account_key": "a2V5"}, {"account_key": "a2V5", "account_name": "other"}, False),
        ({"client_id": "i", "client_secret": "s", "tenant_id": "t"}, {"account_key": "a2V5"}, False),
    ],
)
def test_which_containers_of_azure_are_of_one_service(one, other, is_service):
    source, target = (
        open_store(f"abfs://{name}/x", **{"account_name": "someone", **options})
        for name, options in (("a", one), ("b", other))
    )
    assert (service_copier(source, target) is not None) is is_service


def test_a_blob_that_changes_before_it_is_copied_is_named(tmp_path, request):
    source, target = (make_store("azurite", tmp_path, request.getfixturevalue) for _ in range(2))
    source.put("in/a", b"one")

    def change():
        source.put("in/a", b"two")

    with pytest.raises(DataError, match="'in/a' in .* changed while it was copied"):
        Transfers(tmp_path, source, target).run(check=change)
    assert target.info("out/a") is None


def test_what_is_too_large_for_the_service_comes_through_here(tmp_path, request, monkeypatch):
    source, target = (make_store("s3", tmp_path, request.getfixturevalue) for _ in range(2))
    for name, data in FILES.items():
        source.put(f"in/{name}", data)
    came, read = [], streams._read
    monkeypatch.setattr(streams, "_read", lambda copy, *ends: came.append(copy.name) or read(copy, *ends))
    monkeypatch.setattr(
        transfer, "service_copier", lambda *stores: replace(service_copier(*stores), largest=8 << 20)
    )
    transfers = Transfers(tmp_path, source, target)
    transfers.run()
    assert transfers.there() == FILES
    assert set(came) == {"large"}


@pytest.mark.parametrize("files", [1, 150], ids=["one", "many"])
def test_an_object_that_changes_before_the_service_copies_it_is_named_and_copied_next_time(
    files, tmp_path, s3
):
    source, target = (open_store(f"{s3.bucket('changing')}/{next(_numbers)}", **s3.options) for _ in range(2))
    for number in range(files):
        source.put(f"in/{number}", b"one")
    with pytest.raises(DataError, match="'in/0' in .* changed while it was copied"):
        Transfers(tmp_path, source, target).run(check=lambda: source.put("in/0", b"two"))
    Transfers(tmp_path, source, target).run()
    assert target.get("out/0") == b"two"


def test_every_file_is_there_with_its_bytes(transfers):
    done = transfers.run()
    assert transfers.there() == FILES
    assert (done.copied, done.size) == (len(FILES), sum(map(len, FILES.values())))
    assert {entry.path: entry.size for entry in done.manifest} == {n: len(data) for n, data in FILES.items()}
    for entry in done.manifest:
        assert entry.version == transfers.target.info(f"out/{entry.path}").version
        assert entry.digest == digest_bytes(FILES[entry.path]) or ":" in entry.digest


def test_what_is_there_is_not_copied_again(transfers):
    first = transfers.run()
    again = transfers.run()
    assert again.copied == 0
    assert again.manifest == first.manifest


def test_an_edit_that_keeps_the_size_is_copied(transfers):
    transfers.run()
    transfers.source.put("in/with space", FILES["with space"][::-1])
    again = transfers.run()
    assert again.copied == 1
    assert transfers.there() == {**FILES, "with space": FILES["with space"][::-1]}


def test_a_copy_that_somebody_changed_is_copied_again(transfers):
    transfers.run()
    transfers.target.put("out/with space", FILES["with space"][::-1])
    assert transfers.run().copied == 1
    assert transfers.there() == FILES


def test_what_is_gone_from_the_source_goes_from_the_destination(transfers):
    transfers.run()
    transfers.source.delete("in/large")
    again = transfers.run()
    assert (again.copied, again.removed) == (0, 1)
    assert transfers.there() == {name: data for name, data in FILES.items() if name != "large"}


def test_one_file_is_copied_to_the_name_that_is_given(transfers):
    done = transfers.run("in/large", "other.bin")
    assert transfers.target.get("other.bin") == FILES["large"]
    assert done.manifest.single
    assert [entry.path for entry in done.manifest] == ["other.bin"]


def test_one_file_is_copied_into_a_folder(transfers):
    transfers.target.put("out/before", b"x")
    transfers.run("in/with space", "out")
    assert transfers.there() == {"before": b"x", "with space": FILES["with space"]}


def test_files_of_others_are_refused_before_anything_is_copied(transfers):
    transfers.target.put("out/notes.txt", b"mine")
    with pytest.raises(DataError, match=r"that no transfer has brought: out/notes\.txt.*delete_extra"):
        transfers.run()
    assert transfers.there() == {"notes.txt": b"mine"}
    transfers.run(delete_extra=True)
    assert transfers.there() == FILES


class StopHereError(Exception):
    pass


def test_what_was_copied_before_an_end_is_not_copied_again(local):
    calls = count()

    def check():
        if next(calls) == 5:
            raise StopHereError

    with pytest.raises(StopHereError):
        local.run(check=check)
    assert 0 < len(local.there()) < len(FILES)
    left = len(FILES) - len(local.there())
    assert local.run().copied == left
    assert local.there() == FILES


def test_what_a_killed_transfer_left_half_written_goes_and_what_others_write_stays(local):
    mark = place_key(local.target, "out")[:8]
    local.target.put(f"out/deep/.~transfer-{mark}-77-abc", b"ha")
    local.target.put("out/.~88-def", b"another's")
    local.run()
    assert local.there() == {**FILES, ".~88-def": b"another's"}


def test_what_a_killed_transfer_left_beside_its_one_file_goes(local):
    mark = place_key(local.target, "other.bin")[:8]
    local.target.put(f".~transfer-{mark}-77-abc", b"ha")
    local.target.put(".~88-def", b"another's")
    local.run("in/large", "other.bin")
    assert sorted(info.path for info in local.target.walk(unfinished=True)) == [".~88-def", "other.bin"]


def test_a_damaged_journal_means_that_files_are_copied_again(local):
    local.run()
    for info in list(local.root.walk("transfers")):
        local.root.put(info.path, b"{")
    local.target.put("out/with space", b"bad")
    assert local.run(delete_extra=True).copied == len(FILES)
    assert local.there() == FILES


@pytest.mark.parametrize(
    ("path", "to", "types", "problem"),
    [
        (
            "in",
            "out",
            {"source_type": "file"},
            "expected one file, as source_reference_type says, found a folder",
        ),
        ("in/large", "out", {"source_type": "directory"}, "expected a folder, as source_reference_type says"),
        (
            "in",
            "out",
            {"target_type": "file"},
            "the source 'in' in .* is a folder: give the path of a folder",
        ),
        ("in", "taken", {}, "'taken' in .* is a file, and the source 'in' in .* is a folder"),
        ("in/large", "full", {"target_type": "file"}, "expected a file or nothing there, found a folder"),
        ("none", "out", {}, "there is nothing at 'none'"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_copied(local, path, to, types, problem):
    local.target.put("taken", b"x")
    local.target.put("full/x", b"x")
    with pytest.raises(DataError, match=problem):
        local.run(path, to, **types)
    assert local.there() == {}


@pytest.mark.parametrize(("path", "to"), [("in", "in"), ("in", "in/copy"), ("in/deep", "in"), ("in/*", "in")])
def test_a_source_is_not_copied_into_itself(local, path, to):
    local.target = local.source
    with pytest.raises(DataError, match="one is, or lies in, the other"):
        local.run(path, to)


def test_a_folder_that_can_not_be_written_is_named(local, tmp_path):
    (tmp_path / "target").write_text("a file")
    with pytest.raises(StoreError, match="can't be written: a part of its path is a file"):
        local.run()


def test_a_file_that_changes_while_it_is_copied_is_an_error(request, tmp_path, monkeypatch):
    transfers = Transfers(
        tmp_path, LocalStore(tmp_path / "s"), make_store("s3", tmp_path, request.getfixturevalue)
    )
    transfers.source.put("in/large", FILES["large"])
    read = streams._read_file

    def read_and_write(file, *arguments):
        transfers.source.put("in/large", b"else")
        return read(file, *arguments)

    monkeypatch.setattr(streams, "_read_file", read_and_write)
    with pytest.raises(DataError, match=r"'in/large' in .* changed while it was copied"):
        transfers.run()
    assert transfers.there() == {}


def test_an_object_that_changes_while_it_is_copied_is_an_error(request, tmp_path):
    transfers = Transfers(
        tmp_path, make_store("s3", tmp_path, request.getfixturevalue), LocalStore(tmp_path / "t")
    )
    transfers.source.put("in/x", b"before")
    found = find(transfers.source, "in")
    place = choose_place((found,), transfers.target, "out", "out", source_type=None, target_type=None)
    copies = list_copies((found,), place, transfers.cache)
    transfers.source.put("in/x", b"after!")
    journal = StoredJournal(transfers.root, "ab", "out")
    with pytest.raises(DataError, match=r"'in/x' in .* changed while it was copied"):
        transfer_files(copies, place, journal, "transfer-", delete_extra=False, check=lambda: None, log=print)
    assert transfers.there() == {}


@pytest.mark.parametrize("size", [100, 9 << 20], ids=["small", "large"])
@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.write_bytes(b"else" * (file.stat().st_size // 4)),
        lambda file: file.write_bytes(b"shorter"),
        lambda file: os.truncate(file, file.stat().st_size + 1),
        lambda file: file.unlink(),
        lambda file: (file.unlink(), os.mkfifo(file)),
        lambda file: (file.unlink(), file.mkdir()),
    ],
    ids=["same size", "shorter", "longer", "gone", "a pipe", "a folder"],
)
def test_a_file_that_is_another_by_the_time_it_is_copied_is_an_error(size, change, tmp_path):
    transfers = Transfers(tmp_path, LocalStore(tmp_path / "source"), LocalStore(tmp_path / "target"))
    transfers.source.put("in/x", b"x" * size)
    file = tmp_path / "source/in/x"
    os.utime(file, ns=(10**18, 10**18))
    with pytest.raises(DataError, match=r"'in/x' in .* (changed while it was copied|can't be read)"):
        transfers.run(check=lambda: change(file))
    assert transfers.there() == {}


@pytest.mark.parametrize("size", [100, 9 << 20], ids=["small", "large"])
def test_a_copy_with_other_bytes_is_an_error_and_does_not_stay(size, tmp_path, monkeypatch):
    transfers = Transfers(tmp_path, LocalStore(tmp_path / "source"), LocalStore(tmp_path / "target"))
    transfers.source.put("in/x", os.urandom(size))
    transfers.target.put("out/x", b"before")
    monkeypatch.setattr(local_copies, "_read_back", lambda aside, size: bytes(size))
    monkeypatch.setattr(
        local_copies.shutil, "copyfile", lambda _, aside: Path(aside).write_bytes(bytes(size))
    )
    with pytest.raises(DataError, match="'out/x' in .* has other bytes than 'in/x'"):
        transfers.run(delete_extra=True)
    assert transfers.there() == {"x": b"before"}


@pytest.mark.parametrize("size", [100, 9 << 20], ids=["small", "large"])
def test_what_came_from_elsewhere_is_read_again_before_it_is_put_in_place(size, tmp_path, s3, monkeypatch):
    source = open_store(f"{s3.bucket('changing')}/{next(_numbers)}", **s3.options)
    transfers = Transfers(tmp_path, source, LocalStore(tmp_path / "target"))
    source.put("in/x", os.urandom(size))
    monkeypatch.setattr(streams, "digest_file", lambda aside: (digest_bytes(b"other"), size))
    with pytest.raises(DataError, match="'out/x' in .* has other bytes than 'in/x'"):
        transfers.run()
    assert transfers.there() == {}


class Heard:
    """Keeps how far work was in the end."""

    def __init__(self):
        self.ends = {}

    def on_progress(self, meter):
        pass

    def on_end(self, meter):
        self.ends[meter.what.partition(" ")[0]] = (meter.done, meter.total)


def test_how_far_a_transfer_is_counts_each_byte_once(transfers):
    with told_to(heard := Heard()):
        transfers.run()
    size = sum(map(len, FILES.values()))
    assert heard.ends["copying"] == (size, size)


def test_a_digest_that_is_known_is_that_of_the_copy_or_there_is_none(tmp_path):
    """A file may have been changed in a way that its time stamps do not show."""
    transfers = Transfers(tmp_path, LocalStore(tmp_path / "source"), LocalStore(tmp_path / "target"))
    transfers.source.put("in/x", b"one")
    found = (find(transfers.source, "in"),)
    place = choose_place(found, transfers.target, "out", "out", source_type=None, target_type=None)
    copies = [
        replace(copy, digest=digest_bytes(b"two")) for copy in list_copies(found, place, transfers.cache)
    ]
    journal = StoredJournal(transfers.root, "ab", "out")
    with pytest.raises(DataError, match=r"'in/x' in .* changed while it was copied"):
        transfer_files(copies, place, journal, "transfer-", delete_extra=False, check=lambda: None, log=print)
    assert transfers.there() == {}


def test_shares_are_of_about_one_size_and_the_same_for_everybody(local):
    for number in range(200):
        local.source.put(f"many/{number}", b"x" * (number * 1000))
    found = (find(local.source, "many"),)
    place = choose_place(found, local.target, "out", "out", source_type=None, target_type=None)
    copies = list_copies(found, place, local.cache)
    shares = divide(copies, 4)
    assert sorted(copy.name for share in shares for copy in share) == sorted(copy.name for copy in copies)
    sizes = [sum(copy.info.size for copy in share) for share in shares]
    assert max(sizes) < 1.02 * min(sizes)
    assert divide(copies[::-1], 4) == shares


def test_what_shares_have_copied_at_once_is_only_checked_afterwards(local):
    found = (find(local.source, "in"),)
    place = choose_place(found, local.target, "out", "out", source_type=None, target_type=None)
    key = place_key(local.target, "out")

    def share(shard):
        return copy_share(
            list_copies(found, place, local.cache),
            shard,
            3,
            place,
            StoredJournal(local.root, key, "out"),
            f"transfer-{key[:8]}-",
            delete_extra=False,
            check=lambda: None,
            log=local.said.append,
        )

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(share, range(3))) == len(FILES)
    assert local.run().copied == 0
    assert local.there() == FILES

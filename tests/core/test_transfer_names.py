"""Names that a destination can't have are refused before anything is copied; links lead a transfer nowhere else."""

import os

import pytest

from airflow_ml_pipelines.core.errors import DataError, StoreError
from airflow_ml_pipelines.core.files.statcache import NoStatCache
from airflow_ml_pipelines.core.stores.local_store import LocalStore
from airflow_ml_pipelines.core.stores.locations import Found, find
from airflow_ml_pipelines.core.stores.open import open_store
from airflow_ml_pipelines.core.transfer import names
from airflow_ml_pipelines.core.transfer.journal import StoredJournal
from airflow_ml_pipelines.core.transfer.plan import Place, choose_place, list_copies, refuse_overlap
from airflow_ml_pipelines.core.transfer.transfer import transfer_files


@pytest.fixture
def source(tmp_path):
    return LocalStore(tmp_path / "source")


@pytest.fixture
def target(tmp_path):
    return LocalStore(tmp_path / "target")


@pytest.fixture
def run(tmp_path):
    def run(source, target, path="in", to="out", *, delete_extra=False):
        found = (find(source, path),)
        place = choose_place(found, target, to, f"{to!r}", source_type=None, target_type=None)
        refuse_overlap(found, place)
        transfer_files(
            list_copies(found, place, NoStatCache()),
            place,
            StoredJournal(LocalStore(tmp_path / "root"), "ab", to),
            "transfer-",
            delete_extra=delete_extra,
            check=lambda: None,
            log=print,
        )
        infos = target.walk(to, unfinished=True)
        return {info.path.removeprefix(f"{to}/"): target.get(info.path) for info in infos}

    return run


NAMES = [
    ("local", "line\nbreak", None),
    ("local", "back\\slash", None),
    ("local", "x" * 250, None),
    ("local", os.fsdecode(b"\xff\xfe"), "its name is not UTF-8"),
    ("s3", "back\\slash", None),
    ("s3", "e\u0301 \u00e9", None),
    ("s3", "C:\\con.", None),
    ("s3", "line\nbreak", "its name has a line break, a tab, or another control character"),
    ("s3", "bell\x07/x", "its name has a line break, a tab, or another control character"),
    ("s3", os.fsdecode(b"\xff\xfe"), "its name is not UTF-8"),
    ("azurite", "dot.", None),
    ("azurite", "C:\\x", "Azure takes the backslash in its name for a slash"),
]


@pytest.mark.parametrize(("kind", "name", "reason"), NAMES)
def test_a_name_is_copied_as_it_is_or_refused_before_anything_is_copied(
    kind, name, reason, source, target, run, request, tmp_path
):
    source.put("in/a", b"a")
    source.put(f"in/{name}", b"x")
    if kind != "local":
        server = request.getfixturevalue(kind)
        target = open_store(f"{server.bucket('names')}/{tmp_path.name}", **server.options)
    if reason is None:
        assert run(source, target) == {"a": b"a", name: b"x"}
    else:
        with pytest.raises(DataError, match=f"of the source can't be copied to 'out': {reason}. Rename it"):
            run(source, target)
        assert list(target.walk(unfinished=True)) == []


def test_names_that_are_one_on_the_file_system_are_refused(source, target, run, monkeypatch):
    source.put("in/Data/x", b"1")
    source.put("in/data/x", b"2")
    monkeypatch.setattr(names, "_are_one", lambda folder, one, other: True)
    with pytest.raises(
        DataError, match="'Data/x' and 'data/x' of the source are one name on the file system"
    ):
        run(source, target)
    assert not target.root.exists()


def test_names_that_differ_by_case_alone_are_two_where_the_file_system_says_so(source, target, run, tmp_path):
    files = {"Data/x": b"1", "data/x": b"2", "\u00e9": b"3", "e\u0301": b"4", "\u00c9": b"5"}
    for name, data in files.items():
        source.put(f"in/{name}", data)
    (tmp_path / "try").touch()
    if (tmp_path / "TRY").exists():
        pytest.skip("this file system knows no case")
    assert run(source, target) == files
    assert sorted(os.listdir(target.root)) == ["out"]


def test_a_file_takes_the_place_of_a_folder_and_the_other_way_round(source, target, run):
    for files in ({"a/b/c": b"1", "k": b"k"}, {"a": b"2", "k": b"k"}, {"a/b": b"3", "k": b"k"}):
        if source.root.exists():
            source.remove("in")
        for name, data in files.items():
            source.put(f"in/{name}", data)
        assert run(source, target) == files


def test_a_large_number_of_empty_folders_keeps_no_file_from_its_place(source, target, run):
    for number in range(1000):
        (target.root / f"out/a/{number // 10}/{number}").mkdir(parents=True)
        (source.root / f"in/none/{number}").mkdir(parents=True)
    source.put("in/a", b"x")
    assert run(source, target) == {"a": b"x"}


@pytest.mark.parametrize("to", ["in", "in/below", ""])
def test_a_destination_that_is_the_source_by_a_link_is_refused(to, source, target, run):
    source.put("in/a", b"x")
    source.put("other", b"mine")
    target.root.symlink_to(source.root)
    with pytest.raises(DataError, match="can't be the destination of 'in' .*one is, or lies in, the other"):
        run(source, target, to=to, delete_extra=True)
    assert (source.get("in/a"), source.get("other")) == (b"x", b"mine")


@pytest.mark.parametrize(("one", "other"), [("s3://b/x", "s3a://b"), ("az://b", "abfs://b/x")])
def test_a_destination_that_is_the_source_by_another_scheme_is_refused(one, other):
    options = {"account_name": "a", "account_key": "a2V5"} if "s3" not in one else {"key": "k", "secret": "s"}
    stores = [open_store(url, **options) for url in (one, other)]
    source, target = ((store, "in" if store.config.prefix else "x/in") for store in stores)
    with pytest.raises(DataError, match="one is, or lies in, the other"):
        refuse_overlap([Found(*source, "folder", "in", [])], Place(*target, False, "'in'"))


def test_what_lies_beyond_a_link_in_the_destination_is_not_removed(source, target, run, tmp_path):
    source.put("in/a", b"x")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/p").write_text("mine")
    (target.root / "out").mkdir(parents=True)
    (target.root / "out/link").symlink_to(tmp_path / "precious")
    with pytest.raises(DataError, match=r"lie where a link leads to: out/link/p\. They are not removed"):
        run(source, target, delete_extra=True)
    assert (tmp_path / "precious/p").read_text() == "mine"
    assert not (target.root / "out/a").exists()


def test_a_link_that_leads_nowhere_is_left_out_and_one_that_leads_back_is_an_error(source, target, run):
    source.put("in/a", b"x")
    (source.root / "in/dangling").symlink_to(source.root / "none")
    assert run(source, target) == {"a": b"x"}
    (source.root / "in/loop").symlink_to(source.root / "in")
    with pytest.raises(StoreError, match=r"link .*/in/loop leads back to .*remove it or ignore it"):
        run(source, target)

import json
import os
import time

import pytest

from airflow_ml_pipelines.core.errors import DataError
from airflow_ml_pipelines.core.stores.open import open_store
from airflow_ml_pipelines.runtime import staging
from airflow_ml_pipelines.runtime.stop import Stop, StoppedError
from airflow_ml_pipelines.runtime.stores import Stores

SHOW = """
    import json, os, sys
    top = sys.argv[1]
    files = {}
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            files[os.path.relpath(path, top)] = [open(path).read(), os.path.islink(path)]
    print(json.dumps({"path": top, "is_file": os.path.isfile(top), "files": files}))
"""


@pytest.fixture
def show(bench):
    """What a script finds of an input: its path, and text and whether it is a link of each file."""

    def run(item, **options):
        job = bench.job(SHOW, arguments=(({"input": "data"},),), inputs={"data": item})
        result = bench.launch(job, **options)
        assert result.status == "finished", result.error
        found = json.loads(bench.stdout[-1])
        if found["is_file"]:
            found["files"] = None
        return found

    return run


@pytest.fixture
def some(bench):
    for name in ("a/x.csv", "a/b/y.csv", "a/z.txt", "c/x.csv", "top.csv"):
        bench.data.put(name, name.encode())
    return bench.data


@pytest.fixture
def opener(bench, memory):
    """Opens the memory store under its URL, as a store with credentials is opened."""
    for name in ("a/x.csv", "a/b/y.csv", "a/z.txt", "c/x.csv", "top.csv"):
        memory.put(name, name.encode())
    return {"open_store": lambda url: memory if url == memory.url else open_store(url)}


# --- mount -------------------------------------------------------------------------------------------------------


def test_a_mounted_folder_is_the_folder_itself(bench, some, show):
    found = show(bench.input("a"))
    assert found["path"] == f"{bench.folder}/data/a"
    assert found["files"]["b/y.csv"] == ["a/b/y.csv", False]


def test_a_mounted_file_is_the_file_itself(bench, some, show):
    assert show(bench.input("a/x.csv")) == {
        "path": f"{bench.folder}/data/a/x.csv",
        "is_file": True,
        "files": None,
    }


def test_the_whole_store_can_be_mounted(bench, some, show):
    assert show(bench.input(""))["path"] == f"{bench.folder}/data"


def test_a_path_may_begin_with_a_slash(bench, some, show):
    assert show(bench.input("/a/"))["path"] == f"{bench.folder}/data/a"


def test_a_mounted_file_can_be_asked_for_as_a_folder(bench, some, show):
    assert show(bench.input("a/x.csv", form="folder"))["files"] == {"x.csv": ["a/x.csv", True]}


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("a/*.csv", {"x.csv"}),
        ("a/**/*.csv", {"x.csv", "b/y.csv"}),
        ("*/x.csv", {"a/x.csv", "c/x.csv"}),
        ("a/?.[ct]*", {"x.csv", "z.txt"}),
        ("a/**", {"x.csv", "z.txt", "b/y.csv"}),
    ],
)
def test_a_mounted_pattern_is_a_folder_of_links(bench, some, show, pattern, files):
    found = show(bench.input(pattern))["files"]
    assert set(found) == files
    assert all(link for _, link in found.values())


def test_a_pattern_of_one_file_can_be_asked_for_as_a_file(bench, some, show):
    found = show(bench.input("a/*.txt", form="file"))
    assert found["is_file"]
    assert os.path.basename(found["path"]) == "z.txt"


def test_several_locations_are_below_what_they_have_in_common(bench, some, show):
    assert set(show(bench.input("a/x.csv", "a/b/y.csv"))["files"]) == {"x.csv", "b/y.csv"}
    assert set(show(bench.input("a/x.csv", "c"))["files"]) == {"a/x.csv", "c/x.csv"}
    assert set(show(bench.input("a", "a/b"))["files"]) == {"x.csv", "z.txt", "b/y.csv"}


def test_locations_of_two_stores_go_into_one_folder(bench, some, show, opener, memory):
    memory.put("m/other.csv", b"other")
    item = bench.input("a/x.csv")
    item = type(item)(mode="mount", locations=(*item.locations, {"store": memory.url, "path": "m/other.csv"}))
    assert show(item, **opener)["files"] == {"x.csv": ["a/x.csv", True], "other.csv": ["other", False]}


def test_two_files_of_one_name_are_refused(bench, some, opener, memory):
    item = bench.input("a/x.csv")
    item = type(item)(mode="mount", locations=(*item.locations, {"store": memory.url, "path": "c/x.csv"}))
    with pytest.raises(DataError, match=r"input 'data': two files would be called 'x\.csv'.*make two inputs"):
        bench.launch(bench.job("pass", inputs={"data": item}), **opener)


def test_another_store_is_copied(bench, show, opener, memory):
    assert show(bench.input("a", store=memory), **opener)["files"] == {
        "x.csv": ["a/x.csv", False],
        "b/y.csv": ["a/b/y.csv", False],
        "z.txt": ["a/z.txt", False],
    }
    assert show(bench.input("a/x.csv", store=memory), **opener)["is_file"]


# --- download ----------------------------------------------------------------------------------------------------


def test_a_download_is_a_copy_of_the_script_s_own(bench, some):
    script = "import sys; open(sys.argv[1] + '/x.csv', 'w').write('scribbled')"
    bench.run(script, arguments=(({"input": "i"},),), inputs={"i": bench.input("a", mode="download")})
    assert bench.data.get("a/x.csv") == b"a/x.csv"


def test_a_downloaded_file_is_a_file(bench, some, show):
    found = show(bench.input("a/x.csv", mode="download"))
    assert found["is_file"]
    assert found["path"].endswith("/data/x.csv")
    assert not found["path"].startswith(f"{bench.folder}/data")


# --- path_on_compute ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["mount", "download"])
def test_path_on_compute_is_below_the_source_directory(bench, some, show, mode):
    found = show(bench.input("a", mode=mode, path_on_compute="input/here"))
    assert found["path"].endswith("/code/input/here")
    assert found["files"]["x.csv"] == ["a/x.csv", False]


@pytest.mark.parametrize("mode", ["mount", "download"])
def test_what_was_made_at_an_absolute_path_is_taken_away_again(bench, some, show, mode):
    place = bench.folder / "somewhere" / "deep"
    assert show(bench.input("a", mode=mode, path_on_compute=str(place)))["path"] == str(place)
    assert not os.path.lexists(place)
    assert bench.data.get("a/x.csv") == b"a/x.csv"


@pytest.mark.parametrize(("path", "name"), [("in.csv", "in.csv"), ("in/", "x.csv"), ("kept", "x.csv")])
def test_path_on_compute_of_a_file_is_the_file_s_path_or_its_folder_s(bench, some, path, name):
    item = bench.input("a/x.csv", mode="download", path_on_compute=path)
    job = bench.job(SHOW, arguments=(({"input": "i"},),), inputs={"i": item}, files={"kept/a": ""})
    assert bench.launch(job).status == "finished"
    assert os.path.basename(json.loads(bench.stdout[-1])["path"]) == name


@pytest.mark.parametrize("mode", ["mount", "download"])
def test_what_is_at_path_on_compute_is_not_replaced_unasked(bench, some, mode):
    place = bench.folder / "taken"
    place.mkdir()
    (place / "mine").write_text("mine")
    for overwrite in (False, True) if mode == "mount" else (False,):
        item = bench.input("a", mode=mode, path_on_compute=str(place), overwrite=overwrite)
        with pytest.raises(DataError, match="input 'i': path_on_compute"):
            bench.run("pass", inputs={"i": item})
    assert (place / "mine").read_text() == "mine"


def test_a_download_with_overwrite_goes_into_the_folder_that_is_there(bench, some, show):
    place = bench.folder / "taken"
    place.mkdir()
    (place / "x.csv").write_text("old")
    (place / "mine").write_text("mine")
    found = show(bench.input("a", mode="download", path_on_compute=str(place), overwrite=True))
    assert found["files"]["x.csv"] == ["a/x.csv", False]
    assert found["files"]["mine"] == ["mine", False]
    assert (place / "mine").exists()


# --- direct ------------------------------------------------------------------------------------------------------


def test_a_direct_input_is_a_local_path_or_a_url(bench, some, opener, memory):
    script = "import sys; print(sys.argv[1])"
    for item, value in (
        (bench.input("a", mode="direct"), f"{bench.folder}/data/a"),
        (bench.input("a/*.csv", mode="direct"), f"{bench.folder}/data/a/*.csv"),
        (bench.input("a", "c", mode="direct"), f"{bench.folder}/data/a;{bench.folder}/data/c"),
        (bench.input("a", mode="direct", store=memory), f"{memory.url}/a"),
    ):
        bench.launch(bench.job(script, arguments=(({"input": "i"},),), inputs={"i": item}), **opener)
        assert bench.stdout[-1] == value


# --- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["mount", "download", "direct"])
def test_missing_data_is_named_with_what_there_is(bench, some, mode):
    with pytest.raises(DataError, match=r"input 'data': .*'a/nothing'.*x\.csv"):
        bench.run("pass", inputs={"data": bench.input("a/nothing", mode=mode)})
    assert bench.result["status"] == "failed"
    assert "a/nothing" in bench.result["error"]


def test_a_pattern_that_nothing_matches_is_named(bench, some):
    with pytest.raises(DataError, match=r"input 'data': .*a/\*\.parquet"):
        bench.run("pass", inputs={"data": bench.input("a/*.parquet")})


def test_a_folder_where_a_file_is_expected_is_named(bench, some):
    with pytest.raises(DataError, match="input 'data': expected one file, found the folder 'a'"):
        bench.run("pass", inputs={"data": bench.input("a", form="file")})
    with pytest.raises(DataError, match="expected one file, found 2 files"):
        bench.run("pass", inputs={"data": bench.input("*/x.csv", form="file")})


def test_an_empty_output_of_an_earlier_step_is_an_empty_folder(bench, show, opener, memory):
    os.makedirs(bench.folder / "data" / "empty")
    assert show(bench.input("empty", form="folder"))["files"] == {}
    assert show(bench.input("empty", form="folder", mode="download"))["files"] == {}
    assert show(bench.input("empty", form="folder", store=memory), **opener)["files"] == {}


def test_an_input_of_no_location_is_refused(bench):
    with pytest.raises(DataError, match="input 'data': it has no locations"):
        bench.run("pass", inputs={"data": bench.input()})


def test_a_disk_that_takes_no_more_is_named(bench, some, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(staging.shutil, "copyfile", full)
    place = bench.folder / "place"
    with pytest.raises(DataError, match="input 'i' can't be made ready: .*No space left on device"):
        bench.run("pass", inputs={"i": bench.input("a", mode="download", path_on_compute=str(place))})
    assert not place.exists()


def test_thousands_of_files_are_no_trouble(bench):
    folder = bench.folder / "data" / "many"
    for part in range(5):
        os.makedirs(folder / str(part))
        for number in range(400):
            (folder / str(part) / str(number)).write_bytes(b"x")
    script = "import os, sys; print(sum(len(names) for _, _, names in os.walk(sys.argv[1])))"
    for item in (bench.input("many", mode="download"), bench.input("many/**/*")):
        assert bench.run(script, arguments=(({"input": "i"},),), inputs={"i": item}) == ["2000"]


def test_a_cancel_ends_a_copy(bench, some, tmp_path):
    for number in range(50):
        bench.data.put(f"many/{number}", b"x")
    job = bench.job("pass", inputs={"i": bench.input("many", mode="download")})
    told = iter([None, None, "enough"])
    stop = Stop(lambda: next(told))
    stop._next = 0
    started = time.monotonic()

    class Hurried(Stop):
        reason = property(lambda self: next(told))

    with pytest.raises(StoppedError, match="enough"):
        staging.stage_inputs(
            job, Stores(job, open_store), tmp_path / "in", tmp_path, Hurried(lambda: None), {}
        )
    assert time.monotonic() - started < 60
    assert len(list((tmp_path / "in").rglob("*"))) < 50


def test_the_caller_is_asked_a_few_times_a_second_and_no_more():
    asked = []
    stop = Stop(lambda: asked.append(1))
    for _ in range(1000):
        stop.check()
    assert len(asked) == 1

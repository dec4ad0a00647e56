"""``ml-pipelines gc``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from airflow_ml_pipelines.core.amounts import read_size
from airflow_ml_pipelines.core.gc import _KEY
from airflow_ml_pipelines.core.keeping import tombstones
from airflow_ml_pipelines.core.reuse.lease import acquire_lease
from airflow_ml_pipelines.core.stores.open import open_store
from dag_factory.cli import main

YAML = """
parameters: {word: ok}
steps:
  make:
    script: make.py
    source_directory: src
    outputs: {made: }
    arguments: ["${{ outputs.made }}", "${{ parameters.word }}"]
"""
MAKE = "import pathlib, sys\npathlib.Path(sys.argv[1], 'out').write_text(sys.argv[2] * 500)\n"
DAY = 24 * 3600.0


class Shop:
    """A workspace in which two runs were made, the first of them long ago."""

    def __init__(self, project, capsys):
        self.folder = project.folder
        self.capsys = capsys
        project.write("workspace.yaml")
        project.write("src/make.py", MAKE)
        project.write("shop.pipeline.yaml", YAML)
        for word in ("old", "younger"):
            self.age(40)
            assert main(["run", "-q", "shop.pipeline.yaml", "-p", f"word={word}"]) == 0
        self.capsys.readouterr()
        runs = (self.root / "runs/shop").iterdir()
        self.old, self.young = sorted((run.name for run in runs), key=self.size)

    @property
    def root(self):
        return self.folder / ".ml-pipelines"

    def size(self, run):
        (file,) = self.root.glob(f"data/*/outputs/shop/{run}/make/1/made/out")
        return file.stat().st_size

    def age(self, days):
        for file in self.root.rglob("*"):
            if file.is_file():
                when = file.stat().st_mtime - days * DAY
                os.utime(file, (when, when))

    def wait(self, days):
        """Let time pass for what is marked."""
        self.age(days)
        for file in self.root.rglob(tombstones.NAME):
            found = json.loads(file.read_text())
            file.write_text(json.dumps({**found, "until": found["until"] - days * DAY}))
            self.age(0)

    def gc(self, *arguments, code=0):
        assert main(["gc", *arguments]) == code
        return self.capsys.readouterr().out

    def sums(self, *arguments, code=0):
        """Return how many of what something happens to, of results and runs."""
        found = json.loads(self.gc(*arguments, "--json", code=code))
        sums = {(item["action"], item["kind"]): item["count"] for item in found["sums"]}
        return {key: number for key, number in sums.items() if key[1] in ("result", "run")}

    def files(self):
        return {path: path.read_bytes() for path in self.root.rglob("*") if path.is_file()}


@pytest.fixture
def shop(project, capsys):
    return Shop(project, capsys)


OLD = ("--older-than", "30d")


def test_a_look_shows_what_would_go_and_what_stays_and_writes_nothing(shop):
    before = shop.files()
    lines = shop.gc(*OLD).splitlines()
    assert shop.files() == before
    assert lines[0].split() == ["ACTION", "KIND", "SIZE", "REASON", "GOES", "AFTER", "PATH"]
    result = next(line for line in lines if line.endswith(f"runs/shop/{shop.old}/steps/make/1"))
    assert result.split()[:8] == ["mark", "result", "1.5", "kB", "not", "used", "for", "40"]
    assert any(line.split()[:4] == ["keep", "result", "1", "3.5"] for line in lines)
    assert lines[-1] == "nothing was changed: this is what --delete would do"
    assert shop.young not in "".join(lines)


def test_what_is_marked_goes_after_the_grace(shop):
    assert shop.sums(*OLD, "--delete") == {("mark", "result"): 1, ("mark", "run"): 1}
    assert shop.sums("--delete") == {("wait", "result"): 1, ("wait", "run"): 1}
    shop.wait(8)
    assert shop.sums("--delete") == {("remove", "result"): 1, ("remove", "run"): 1}
    assert not (shop.root / f"runs/shop/{shop.old}").exists()
    assert shop.size(shop.young) == 3500
    assert shop.sums() == {}


def test_a_grace_can_be_given(shop):
    shop.gc(*OLD, "--delete", "--grace", "2d")
    shop.wait(3)
    assert shop.sums("--delete")[("remove", "result")] == 1


def test_a_size_can_be_given(shop):
    assert ("mark", "result") not in shop.sums("--keep-size", "5kB")
    assert shop.sums("--keep-size", "4 kB")[("mark", "result")] == 1
    assert shop.sums("--keep-size", "0")[("mark", "result")] == 2


def test_undo_takes_marks_back(shop):
    shop.gc(*OLD, "--delete")
    assert shop.sums("--undo") == {("lift", "result"): 1, ("lift", "run"): 1}
    assert shop.gc("--undo") == "there is nothing to take back\n"
    assert list(shop.root.rglob(tombstones.NAME)) == []


def test_a_pinned_run_stays_until_the_pin_is_taken_out(shop):
    assert shop.gc("--pin", shop.old) == f"run {shop.old} of shop is pinned\n"
    assert ("mark", "result") not in shop.sums(*OLD)
    assert "a pinned run made or took it" in shop.gc(*OLD)
    head, pin = shop.gc("--pins").splitlines()
    assert head.split() == ["RUN", "PIPELINE", "PINNED", "BY", "SINCE"]
    assert pin.split()[:2] == [shop.old, "shop"]
    (known,) = json.loads(shop.gc("--pins", "--json"))["pins"]
    assert known["run"] == shop.old
    assert shop.gc("--unpin", f"shop/{shop.old}") == f"run {shop.old} of shop is pinned no more\n"
    assert shop.gc("--pins") == "no run is pinned\n"
    assert shop.sums(*OLD)[("mark", "result")] == 1


def test_many_things_are_counted_and_the_largest_are_listed(shop):
    lines = shop.gc("--older-than", "0s", "--limit", "2").splitlines()
    sizes = [" ".join(line.split()[2:4]) for line in lines[1:3]]
    assert lines[3].startswith("… and ")
    document = json.loads(shop.gc("--older-than", "0s", "--limit", "2", "--json"))
    largest = sorted((item["size"] for item in document["items"]), reverse=True)
    assert [float(size.split()[0]) for size in sizes] == [round(size / 1000, 1) for size in largest[:2]]
    assert len(document["items"]) == sum(item["count"] for item in document["sums"]) > 2
    assert document["done"] is False
    assert document["policy"] == {"older_than": 0, "keep_size": None, "grace": 7 * DAY}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--delete", "--undo"], "--delete and --undo can't be done at once: give one of them"),
        (["--undo", "--older-than", "3d"], "--older-than means nothing to --undo: leave it out"),
        (["--pins", "--keep-size", "3GB"], "--keep-size means nothing to --pins: leave it out"),
        (["--pin", "x", "--grace", "3d"], "--grace means nothing to --pin: leave it out"),
        (["--older-than", "30"], "argument --older-than: expected a duration such as 90s, 10m, 1h30m or 2d"),
        (["--keep-size", "much"], "argument --keep-size: expected a size such as 500MB, 1.5TB or 100GiB"),
        (["--keep-size", "-1"], "argument --keep-size: expected"),
        (["--limit", "none"], "argument --limit: expected a number from 1 on"),
    ],
)
def test_what_can_not_be_understood_is_told(arguments, message, project, capsys):
    project.write("workspace.yaml")
    try:
        code = main(["gc", *arguments])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert message in capsys.readouterr().err


def test_a_run_that_there_is_not_can_not_be_pinned(shop):
    assert main(["gc", "--pin", shop.old[:-1]]) == 1
    assert f"Did you mean '{shop.old}'" in shop.capsys.readouterr().err
    assert main(["gc", "--unpin", shop.old]) == 1
    assert f"run '{shop.old}' of 'shop' is not pinned" in shop.capsys.readouterr().err


def test_two_at_once_are_one_too_many(shop):
    acquire_lease(open_store(str(shop.root)), _KEY, "ann, gc --delete", 60)
    assert main(["gc", "--delete"]) == 1
    assert "ann, gc --delete on " in shop.capsys.readouterr().err
    shop.gc()  # a look is free


SLOW = """
import sys, time
from airflow_ml_pipelines.core import gc
from dag_factory.cli import main

real = gc.remove_result

def slow(*arguments):
    print("begun", file=sys.stderr, flush=True)
    time.sleep(1)
    return real(*arguments)

gc.remove_result = slow
sys.exit(main(["gc", "--delete"]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_at_ctrl_c_what_is_begun_is_ended_and_the_rest_is_left(number, shop):
    shop.gc("--older-than", "0s", "--delete")
    shop.wait(8)
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr.readline() == "begun\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines() == [
        "stopping after what is begun; once more to leave at once",
        "interrupted: what is listed is done, nothing is half-done; the same command goes on with the rest",
    ]
    assert [line.split()[:3] for line in out.splitlines() if "result" in line][-1] == [
        "remove",
        "result",
        "1",
    ]
    states = [json.loads(file.read_text()) for file in shop.root.rglob(tombstones.NAME)]
    assert sorted("done" in state for state in states if "removed" in state) == [True]
    assert shop.sums("--delete") == {("remove", "result"): 1, ("remove", "run"): 2}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("12", 12),
        ("12 B", 12),
        ("1kB", 1000),
        ("1.5 MB", 1_500_000),
        ("100GB", 100 * 10**9),
        ("2T", 2 * 10**12),
        ("1KiB", 1024),
        (" 3 gib ", 3 << 30),
    ],
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "1 1", "-1", "1,5MB", "1e3", "5 bytes", "1XB", "\u0661GB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="expected a size such as"):
        read_size(text)

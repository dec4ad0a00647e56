"""Every broken argument, folder, archive and document is told in plain words by the command that meets it."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from airflow_ml_pipelines.core.files.archive import write_archive
from airflow_ml_pipelines.core.steps import snapshot
from dag_factory.cli import main

PIPELINE = """
parameters:
  word: ok
  count: {default: 2, minimum: 1, maximum: 9}
  rate: 0.5
  flag: false
  kind: {default: a, enum: [a, b]}
  where: {type: data, default: {path: in}}
  must: {type: string}
data:
  words: {path: in}
steps:
  copy:
    script: copy.py
    source_directory: src
    inputs: {words: words}
    outputs: {made: }
    arguments: ["${{ inputs.words }}", "${{ outputs.made }}", "${{ parameters.word }}"]
"""
COPY = "import pathlib, sys\npathlib.Path(sys.argv[2], 'out').write_text('x')\n"


class World:
    """A folder with a pipeline that is right, until something is broken."""

    def __init__(self, folder):
        self.folder = folder
        self.write("workspace.yaml", "")
        self.write("p.pipeline.yaml", PIPELINE)
        self.write("src/copy.py", COPY)
        self.write("none.py", "x = 1\n")
        self.write("words.txt", "words")
        self.write(".ml-pipelines/data/workspaceblobstore/in/words.txt", "words")

    def write(self, path, text):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def edit(self, old, new):
        self.write("p.pipeline.yaml", PIPELINE.replace(old, new))

    def link(self, path, target):
        (self.folder / path).symlink_to(target)


@pytest.fixture
def world(tmp_path, monkeypatch):
    folder = tmp_path / "world"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ML_PIPELINES_WORKSPACE", raising=False)
    return World(folder)


RUN = ["run", "p.pipeline.yaml", "-p", "must=x"]

ARGUMENTS = {
    "no command": ([], 2, "usage: ml-pipelines [-h] [--version] COMMAND ..."),
    "a command that there is not": (["rnu"], 2, "error: argument COMMAND: there is no 'rnu'. Did you mean 'run'?"),
    "no file": (["run"], 2, "error: the following arguments are required: FILE"),
    "an option that there is not": ([*RUN, "--paralel", "2"], 2, "unrecognized arguments: --paralel 2"),
    "no number": ([*RUN, "--parallel", "x"], 2, "expected a number from 1 on, found 'x'"),
    "nothing at once": ([*RUN, "--parallel", "0"], 2, "expected a number from 1 on, found '0'"),
    "a file that there is not": (["run", "q.pipeline.yaml"], 1, "error: there is no file q.pipeline.yaml (in "),
    "a folder": (["run", "src"], 1, "error: there is no file src (in "),
    "a file of another kind": (["run", "words.txt"], 1, "expected a *.pipeline.yaml or a *.py; found words.txt"),
    "a workspace in place of a pipeline": (["run", "workspace.yaml"], 1, "workspace.yaml:1:1: the file is empty"),
    "a script without a pipeline": (["run", "none.py"], 1, "none.py has no Pipeline in a variable"),
    "an object that there is not": (["run", "none.py:p"], 1, "none.py has no 'p'. There are none."),
    "an object that is no pipeline": (["run", "none.py:x"], 1, "none.py: 'x' is no Pipeline but a int"),
    "a name of 300 characters": (["run", "n" * 300], 1, f"error: {'n' * 300}: File name too long"),
    "an emoji": (["run", "🚀.pipeline.yaml"], 1, "there is no file 🚀.pipeline.yaml"),
    "a line break": (["run", "a\nb"], 1, "there is no file a\nb"),
    "no equals sign": ([*RUN, "-p", "word"], 2, "error: -p word: expected name=value"),
    "a parameter that there is not": ([*RUN, "-p", "wrod=x"], 1, "there is no parameter 'wrod'. Did you mean 'word'?"),
    "a parameter that is missing": (["run", "p.pipeline.yaml"], 1, "parameter 'must' has no default: give it a value"),
    "text for a number": ([*RUN, "-p", "count=two"], 1, "parameter 'count' takes a whole number, found 'two'"),
    "a fraction for a whole number": ([*RUN, "-p", "count=2.5"], 1, "takes a whole number, found '2.5'"),
    "a number out of bounds": ([*RUN, "-p", "count=10"], 1, "integer, at least 1 and at most 9, not 10"),
    "no number for a number": ([*RUN, "-p", "rate=nan"], 1, "parameter 'rate' takes number, not nan"),
    "a number too large": ([*RUN, "-p", "rate=1e999"], 1, "parameter 'rate' takes number, not inf"),
    "a digit of another script": ([*RUN, "-p", "flag=on"], 1, "parameter 'flag' takes true or false, found 'on'"),
    "a choice that there is not": ([*RUN, "-p", "kind=c"], 1, "string, one of 'a', 'b', not 'c'"),
    "data without a datastore": ([*RUN, "-p", "where=in"], 1, "takes data as datastore:path or a URL, found 'in'"),
    "data that is no JSON": ([*RUN, "-p", "where={x"], 1, "'{x' is no JSON"),
    "data of other fields": ([*RUN, "-p", 'where={"pth": "x"}'], 1, "expected data as {'datastore': …"),
    "two parameters that are wrong": ([*RUN, "-p", "count=x", "-p", "rate=y"], 1, "takes a whole number, found 'x'"),
    "a workspace that there is not": ([*RUN, "--workspace", "gone"], 1, "there is no workspace file"),
    "a workspace that is a script": ([*RUN, "--workspace", "src/copy.py"], 1, "src/copy.py:1:1: expected a mapping of fields to values, found the text"),
    "a run that there is not": (["show", "gone"], 1, "gone"),
    "runs that there are not": (["diff", "one", "two"], 1, "one"),
    "a dataset that there is not": (["datasets", "gone"], 1, "gone"),
    "a run to explain that there is not": (["explain", "gone"], 1, "gone"),
    "a format that there is not": (["lint", ".", "--format", "xml"], 2, "argument --format: there is no 'xml'. There are: github, json, text."),
    "nothing to check": (["lint", "src"], 2, "error: there is no *.pipeline.yaml in src"),
    "an argument too many": (["schema", "x"], 2, "unrecognized arguments: x"),
}  # fmt: skip


@pytest.mark.parametrize("title", ARGUMENTS)
def test_arguments(world, capsys, title):
    arguments, code, message = ARGUMENTS[title]
    expect(capsys, arguments, code, message)


def replace(*pairs):
    """Break the definition: each old text is replaced by a new one."""

    def change(world):
        text = PIPELINE
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        world.write("p.pipeline.yaml", text)

    return change


def listen(world):
    """A server that says nothing but what no client of HTTP understands, at a port that the pipeline names."""
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()
    replace(("data:\n  words: {path: in}", f"data:\n  words: {{url: 'http://127.0.0.1:{port}/x'}}"))(world)


FOLDERS = {
    "a link out of the source directory": (
        lambda world: world.link("src/link", "../workspace.yaml"),
        "src/link leads to",
    ),
    "a link to a folder far away": (
        lambda world: world.link("src/etc", "/etc"),
        "src/etc leads to /etc, out of",
    ),
    "a link to nothing": (lambda world: world.link("src/gone", "nowhere"), "src/gone leads to 'nowhere'"),
    "a link to itself": (lambda world: world.link("src/self", "self"), "src/self leads to 'self'"),
    "a link that leads back": (lambda world: world.link("src/back", "."), "src/back leads back to"),
    "a pipe": (lambda world: os.mkfifo("src/pipe"), "src/pipe is neither a file nor a folder"),
    "a name that is no UTF-8": (
        lambda world: Path(os.fsdecode(b"src/caf\xe9.txt")).write_text("x"),
        "is not UTF-8: rename the file or ignore it",
    ),
    "a name with a backslash": (
        lambda world: world.write("src/a\\b", "x"),
        "rename the file or ignore it",
    ),
    "data that there is not": (replace(("path: in}\nsteps", "path: out}\nsteps")), "out"),
    "a glob that fits nothing": (replace(("path: in}\nsteps", "path: '*.csv'}\nsteps")), "*.csv"),
    "data that leaves the datastore": (replace(("path: in}\nsteps", "path: ../../x}\nsteps")), "../../x"),
    "a datastore that there is not": (
        replace(("path: in}\nsteps", "datastore: laek, path: in}\nsteps")),
        "there is no datastore 'laek'",
    ),
    "a dataset that there is not": (
        replace(("path: in}\nsteps", "dataset: words}\nsteps")),
        "there is no dataset 'words'",
    ),
    "an environment that there is not": (
        replace(("    script: copy.py", "    script: copy.py\n    environment: sklearn")),
        "there is no environment 'sklearn'",
    ),
    "a compute target that there is not": (
        replace(("    script: copy.py", "    script: copy.py\n    compute_target: gpu")),
        "there is no compute target 'gpu'",
    ),
    "a server that does not answer": (listen, "http://127.0.0.1"),
    "hash_paths that there are not": (
        replace(("    script: copy.py", "    script: copy.py\n    hash_paths: [../lib]")),
        "hash_paths '../lib'",
    ),
}


@pytest.mark.parametrize("title", FOLDERS)
def test_folders_and_data(world, capsys, title):
    break_it, message = FOLDERS[title]
    break_it(world)
    expect(capsys, RUN, 1, message)


# --- what is stored ----------------------------------------------------------------------------------------------


def archive(*names, mode=0o100644, data=b"x"):
    """The bytes of an archive that somebody else made."""

    def make(_):
        with tempfile.TemporaryFile() as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
                for name in names:
                    info = zipfile.ZipInfo("placeholder")
                    info.filename = info.orig_filename = name
                    info.external_attr = mode << 16
                    info.compress_type = zipfile.ZIP_DEFLATED
                    target.writestr(info, data)
            file.seek(0)
            return file.read()

    return make


def newer(data):
    return re.sub(rb'"schema": ?\d+', b'"schema": 99', data, count=1)


def cut(data):
    return data[: len(data) // 2]


def emptied(_):
    return b""


def other(_):
    return b"[1, 2]"


RUN_FILE, STEP, RECORD = "runs/p/*/run.json", "runs/p/*/steps/copy.json", "reuse/*/*.json"
MANIFEST, SNAPSHOT, LIST = "runs/p/*/steps/copy/1/manifests/made.json", "snapshots/*.zip", "snapshots/*.json"
SHOW, AGAIN, ANEW = ["show", "<run>"], RUN, [*RUN, "--regenerate-outputs"]

STORED = {
    "a run of a newer version": (RUN_FILE, newer, SHOW, 1, "newer version"),
    "half of a run": (RUN_FILE, cut, SHOW, 1, "run.json"),
    "an empty run": (RUN_FILE, emptied, SHOW, 1, "run.json"),
    "a run that is something else": (RUN_FILE, other, SHOW, 1, "run.json"),
    "a step of a newer version": (STEP, newer, SHOW, 1, "newer version"),
    "half of a step": (STEP, cut, SHOW, 1, "steps/copy.json"),
    "a record of a newer version": (RECORD, newer, AGAIN, 0, "newer"),
    "half of a record": (RECORD, cut, AGAIN, 0, "record"),
    "an empty record": (RECORD, emptied, AGAIN, 0, "record"),
    "a record that is something else": (RECORD, other, AGAIN, 0, "record"),
    "half of a manifest": (MANIFEST, cut, AGAIN, 0, "manifest"),
    "an archive that leaves its folder": (SNAPSHOT, archive("../evil"), ANEW, 1, "'..'"),
    "an archive with an absolute path": (SNAPSHOT, archive("/tmp/evil"), ANEW, 1, "absolute"),
    "an archive with a link": (SNAPSHOT, archive("copy.py", mode=0o120777), ANEW, 1, "regular"),
    "an archive with a file twice": (SNAPSHOT, archive("copy.py", "copy.py"), ANEW, 1, "comes twice"),
    "an archive with a file in a file": (SNAPSHOT, archive("copy.py", "copy.py/x"), ANEW, 1, "both a file and a folder"),
    "an archive without the script": (SNAPSHOT, archive("other.py"), ANEW, 1, "copy.py"),
    "half of an archive": (SNAPSHOT, cut, ANEW, 1, "damaged"),
    "an empty archive": (SNAPSHOT, emptied, ANEW, 1, "damaged"),
    "an archive that is something else": (SNAPSHOT, other, ANEW, 1, "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("title", STORED)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_documents_and_archives(world, capsys, title):
    pattern, change, command, code, message = STORED[title]
    assert main(RUN) == 0
    run = re.search(r"run (\S+) of p", capsys.readouterr().out)[1]
    (file,) = Path(".ml-pipelines").glob(pattern)
    file.write_bytes(change(file.read_bytes()))
    expect(capsys, [run if word == "<run>" else word for word in command], code, message)
    assert not list(world.folder.rglob("evil"))


# --- files of odd sizes, and what may not be read ----------------------------------------------------------------


def test_an_empty_file_is_data_like_any_other(world, capsys):
    world.write(".ml-pipelines/data/workspaceblobstore/in/words.txt", "")
    world.write("src/empty.txt", "")
    expect(capsys, RUN, 0, "1 file, 1 B")
    expect(capsys, RUN, 0, "1 step: 1 reused")


def test_an_empty_script_makes_no_output_and_says_so(world, capsys):
    world.write("src/copy.py", "")
    expect(capsys, RUN, 0, "made (0 files, 0 B)")


def test_a_sparse_file_of_5_gigabytes_is_planned_in_little_memory(world, capsys):
    with Path(".ml-pipelines/data/workspaceblobstore/in/large.bin").open("wb") as file:
        file.truncate(5 << 30)
    code = (
        "import resource, sys; from dag_factory.cli import main; "
        "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)); sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "plan", *RUN[1:]], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "there is no earlier result of this step" in done.stdout


def test_a_file_that_changes_while_its_snapshot_is_taken_is_named(world, capsys, monkeypatch):
    world.write("src/notes.txt", "")

    def grow_and_write(entries, target):
        with Path("src/notes.txt").open("a") as file:
            file.write("more\n")
        return write_archive(entries, target)

    monkeypatch.setattr(snapshot, "write_archive", grow_and_write)
    expect(
        capsys,
        RUN,
        1,
        "src has changed since its snapshot was taken (notes.txt): wait until nothing writes to it",
    )


@contextlib.contextmanager
def as_stranger(folder):
    """Let a folder belong to a user who may not do everything, and be that user."""
    if os.getuid():
        yield
        return
    nobody = 65534
    for path in (folder, *folder.rglob("*")):
        os.chown(path, nobody, nobody)
    os.seteuid(nobody)
    try:
        yield
    finally:
        os.seteuid(0)


FORBIDDEN = {
    "a folder of sources": ("src/lib", 0o000, "src/lib", 1),
    "a script": ("src/copy.py", 0o000, "src/copy.py", 1),
    "a folder of data": (".ml-pipelines/data/workspaceblobstore/in", 0o000, "in", 1),
    "the root": (".ml-pipelines", 0o500, ".ml-pipelines", 1),
    "the workspace file": ("workspace.yaml", 0o000, "workspace.yaml: it can't be read: Permission denied", 1),
    "the definition": ("p.pipeline.yaml", 0o000, "p.pipeline.yaml: it can't be read: Permission denied", 1),
}


@pytest.mark.parametrize("title", FORBIDDEN)
def test_what_may_not_be_read_or_written_is_named(world, capsys, monkeypatch, title):
    path, mode, message, code = FORBIDDEN[title]
    main(RUN), capsys.readouterr()  # what is imported on the way may not be there for a stranger
    with tempfile.TemporaryDirectory(prefix="stranger-") as name:
        folder = Path(name)
        monkeypatch.chdir(folder)
        monkeypatch.setenv("ML_PIPELINES_CACHE", str(folder / "cache"))
        World(folder).write("src/lib/x.py", "")
        with as_stranger(folder):
            Path(path).chmod(mode)
            expect(capsys, RUN, code, message)
            Path(path).chmod(0o700)


def expect(capsys, arguments, code, message):
    """Run a command, which ends with a code and says something on standard error, and never shows a traceback."""
    try:
        found = main(arguments)
    except SystemExit as end:
        found = end.code
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert message in err + out
    assert found == code, err

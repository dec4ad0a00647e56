"""``ml-pipelines check`` says what is not as it should be in a workspace, and whose doing it is."""

from __future__ import annotations

import json

import pytest

from dag_factory.cli import main

YAML = """
name: shop
data:
  words: {datastore: workspaceblobstore, path: in}
steps:
  prepare:
    script: prepare.py
    source_directory: src
    inputs: {words: words}
    outputs: {made: {}}
    arguments: ["${{inputs.words}}", "${{outputs.made}}"]
"""


@pytest.fixture
def store(ws, project, capsys):
    """The store of a workspace in which a run was made."""
    project.copy_script("src/prepare.py")
    ws.core.datastore().put("in/words.txt", b"words")
    project.write("shop.pipeline.yaml", YAML)
    assert main(["run", "shop.pipeline.yaml"]) == 0
    capsys.readouterr()
    return ws.core.store


def one(store, folder, ending):
    (path,) = (info.path for info in store.walk(folder) if info.path.endswith(ending))
    return path


def test_after_a_run_everything_is_consistent(store, capsys):
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "everything is consistent\n"


def test_what_is_half_written_is_broken_and_named(store, capsys):
    path = one(store, "reuse", ".json")
    store.put(path, store.get(path)[:-7])
    assert main(["check"]) == 1
    head, finding, *_, sum_ = capsys.readouterr().out.splitlines()
    assert head.split() == ["LEVEL", "PATH", "FINDING"]
    assert finding.split()[:2] == ["broken", path]
    assert "is no JSON document" in finding
    assert sum_.startswith("1 broken")


def test_an_output_that_somebody_changed_is_damaged_unless_data_is_left_out(ws, store, capsys):
    data = ws.core.datastore()
    data.put(one(data, "outputs", "all.txt"), b"WORDS ")
    assert main(["check", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["broken"], document["damaged"]) == (1, 0, len(document["findings"]))
    assert "all.txt" in document["findings"][0]["text"]
    assert main(["check", "--no-data"]) == 0


def test_a_note_alone_is_no_failure(store, capsys):
    store.put("strange/file", b"")
    assert main(["check"]) == 0
    _, finding, sum_ = capsys.readouterr().out.splitlines()
    assert finding.split(maxsplit=2) == ["note", "strange", "nothing that this version knows"]
    assert sum_ == "1 note"


def test_a_workspace_that_cannot_be_read_is_an_error(project, capsys):
    project.write(
        "workspace.yaml",
        "name: shop\nroot: {url: 's3://bucket/top', options: {endpoint_url: 'http://127.0.0.1:9'}}\n",
    )
    assert main(["check"]) == 1
    assert capsys.readouterr().err.startswith("error: ")

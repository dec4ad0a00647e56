"""Keys that stay as they are, and a message that says why where they don't."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_ml_pipelines.core.errors import DocumentError
from airflow_ml_pipelines.testing import assert_key_stable, key_documents

YAML = """
parameters: {depth: 8}
data: {rows: {datastore: lake, path: rows}}
steps:
  prepare:
    script: step.py
    source_directory: src
    inputs: {rows: rows}
    outputs: {made: }
    environment: {pip: [pandas==2.2.3]}
  train:
    script: step.py
    source_directory: src
    inputs: {made: "${{ steps.prepare.outputs.made }}"}
    arguments: [--depth, "${{ parameters.depth }}"]
"""
FILE = "shop.pipeline.yaml"


@pytest.fixture
def golden(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("src").mkdir()
    Path("src/step.py").write_text("print(1)\n")
    Path(FILE).write_text(YAML)
    file = tmp_path / "golden/keys.json"
    assert_key_stable(FILE, file)
    return file


def change(old: str, new: str) -> None:
    text = Path(FILE).read_text()
    assert old in text
    Path(FILE).write_text(text.replace(old, new))


def test_the_file_is_made_once_and_then_compared(golden):
    before = golden.read_bytes()
    assert_key_stable(FILE, golden)
    assert golden.read_bytes() == before


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda: change("depth: 8", "depth: 4"), "step train: argument --depth: 8 → 4"),
        (lambda: change("2.2.3", "3.0.1"), "step prepare: pip package pandas: 2.2.3 → 3.0.1"),
        (lambda: change("path: rows", "path: lines"), "step prepare: input rows: place"),
        (lambda: change("  train:", "  fit:"), "step fit is new"),
        (lambda: Path("src/__new.txt").touch(), "step prepare: source: __new.txt is new"),
        (lambda: Path("src/step.py").write_text("print(2)\n"), "step train: source: step.py changed"),
    ],
)
def test_a_change_is_named(golden, edit, message):
    edit()
    with pytest.raises(AssertionError) as found:
        assert_key_stable(FILE, golden)
    assert message in str(found.value)
    assert "--update-keys" in str(found.value)
    assert_key_stable(FILE, golden, update=True)
    assert_key_stable(FILE, golden)


@pytest.mark.parametrize(
    "edit",
    [
        lambda: change("steps:", "description: of the whole\nsteps:"),
        lambda: change("  train:\n", "  train:\n    description: fits\n    retries: 3\n"),
        lambda: change(
            "    source_directory: src\n    inputs: {made:", "    source_directory: ./src\n    inputs: {made:"
        ),
        lambda: (Path("src/__pycache__").mkdir(), Path("src/__pycache__/x.pyc").touch()),
    ],
)
def test_what_is_in_no_key_changes_nothing(golden, edit):
    edit()
    assert_key_stable(FILE, golden)


def test_parameters_and_sources_can_be_left_to_the_test(golden, tmp_path):
    other = tmp_path / "other.json"
    assert_key_stable(FILE, other, parameters={"depth": 4}, source=False)
    Path("src/step.py").write_text("print(2)\n")
    assert_key_stable(FILE, other, parameters={"depth": 4}, source=False)
    with pytest.raises(AssertionError, match="argument --depth: 4 → 5"):
        assert_key_stable(FILE, other, parameters={"depth": 5}, source=False)


def test_keys_are_the_same_on_every_machine(golden):
    steps = key_documents(FILE).steps
    assert steps["train"]["inputs"]["made"]["data"] == {
        "kind": "pending",
        "step": "prepare",
        "output": "made",
    }
    assert steps["prepare"]["environment"]["python"] == "any"
    assert str(Path.cwd()) not in golden.read_text()


def test_a_file_that_has_no_keys_is_one_clear_message(golden):
    golden.write_text("{}")
    with pytest.raises(DocumentError, match="has no keys of a pipeline"):
        assert_key_stable(FILE, golden)
    golden.write_text(json.dumps({"schema": 99, "steps": {}}))
    with pytest.raises(DocumentError, match="schema 99"):
        assert_key_stable(FILE, golden)

"""The Python that the documentation shows runs: the blocks of a page one after the other, in one namespace."""

from __future__ import annotations

import re
import sqlite3
import textwrap
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)

COPY = """
    import argparse, pathlib
    known, rest = argparse.ArgumentParser().parse_known_args()
    given = dict(zip(rest[::2], rest[1::2]))
    target = pathlib.Path(given.get("--prepared", ".") if "prepare" in __file__ else ".", "made.txt")
    target.write_text("made")
"""

# what a page's reader has already
WORKSPACE = "from dag_factory import *\nws = Workspace.from_config()\n"
PIPELINE = f"""{WORKSPACE}
prepared = OutputFileDatasetConfig("prepared")
prepare = PythonScriptStep("prepare.py", name="prepare", source_directory="prepare", arguments=["--prepared", prepared])
model = OutputFileDatasetConfig("model")
train = PythonScriptStep(
    "train.py",
    name="train",
    source_directory="train",
    arguments=["--prepared", prepared.as_input("prepared"), "--model", model, PipelineParameter("max_depth", 8)],
)
pipeline = Pipeline(ws, steps=[train], name="digits")
experiment = Experiment(ws, "digits")
"""
PAGES = {
    "README.md": "",
    "docs/python.md": "",
    "docs/data.md": f"""{WORKSPACE}
Datastore.register(ws, "shop", "sqlite:///shop.db")
Datastore.register(ws, "archive", "archive")
store = lake = ws.get_default_datastore()
""",
    "docs/publish.md": f"""{PIPELINE}
run = experiment.submit(pipeline)
run.wait_for_completion()
""",
    "docs/operators.md": PIPELINE,
    "docs/compute.md": PIPELINE,
}
LEFT_OUT = {
    "from azureml.core import Workspace, Dataset": "what is shown is the code before it was moved",
    "register_azure_blob_container(": "it asks Azure; tests/dag_factory/datastores/test_authoring_azure_datastores.py",
    "class TestSlurm": "its compute target is a third party's; tests/testing/test_compute_target.py has one like it",
    "with LocalAirflow(": "all of tests/system starts one",
    "import airflow_client": "it asks an Airflow server; tests/system/test_rest_on_a_scheduler.py",
    "requests.post(": "it asks an Airflow server; tests/system/test_rest_on_a_scheduler.py",
    '"arrivals",': "its pipeline needs a parameter that this page does not show; tests/dag_factory/publishing/test_authoring_schedules.py",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a reader would be: a workspace with data, the scripts of the steps, a database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    (tmp_path / "workspace.yaml").write_text(f"name: docs\nroot: {tmp_path}/root\n")
    for name in ("prepare", "train"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.py").write_text(textwrap.dedent(COPY))
    store = tmp_path / "root/data/workspaceblobstore"
    for name in ("train-images/a.png", "images/a/b.png", "photos/DE/2024-01-01/a.png"):
        (store / name).parent.mkdir(parents=True)
        (store / name).write_bytes(b"image")
    (store / "sales").mkdir()
    (store / "sales/2026-01-01.csv").write_text("city,price\nBonn,100.5\nUlm,7\n")
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("CREATE TABLE sales (id INTEGER, city TEXT, price REAL)")
    shop.close()
    return tmp_path


def test_every_page_with_python_is_known():
    pages = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")]
    found = {page.relative_to(PROJECT).as_posix() for page in pages if BLOCK.search(page.read_text())}
    elsewhere = {
        "docs/quickstart.md": "tests/test_documented_commands.py",
        "docs/testing.md": "tests/test_documented_commands.py",
        "docs/migration.md": "tests/test_documented_commands.py",
        "docs/scripts.md": "a script of a step: tests/runtime",
        "docs/databricks.md": "it needs a workspace of Databricks; its tests have a server that speaks as one",
        "docs/dags.md": "the DAG file of tests/system",
        "docs/operations.md": "a DAG file of Airflow's alone",
    }
    assert found == {*PAGES, *elsewhere}


@pytest.mark.parametrize("name", PAGES)
def test_python_of_a_page_runs(name, folder, capfd):
    namespace: dict[str, object] = {"__file__": str(folder / "dags.py"), "__name__": "documented"}
    exec(PAGES[name], namespace)
    for block in BLOCK.findall((PROJECT / name).read_text()):
        if not any(mark in block for mark in LEFT_OUT):
            exec(compile(block, name, "exec"), namespace)


def test_what_is_left_out_is_there():
    text = "".join((PROJECT / name).read_text() for name in PAGES)
    assert [mark for mark in LEFT_OUT if mark not in text] == []

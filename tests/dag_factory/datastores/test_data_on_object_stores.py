"""Every way to pass data to a step and from it, with the workspace's root and its datastores on object stores."""

from __future__ import annotations

import json

import pytest

from dag_factory import (
    DataPath,
    DataPathComputeBinding,
    DataReference,
    Dataset,
    Datastore,
    Experiment,
    OutputFileDatasetConfig,
    Pipeline,
    PipelineData,
    PipelineParameter,
    PythonScriptStep,
    Workspace,
)

SHOW = """
import json, os, pathlib, sys
from azureml.core import Run
target, *sources = sys.argv[1:]
found = {}
for source in sources:
    path = pathlib.Path(source)
    if path.is_dir():
        found.update({file.name: file.read_text() for file in sorted(path.rglob("*")) if file.is_file()})
    elif path.is_file():
        found[path.name] = path.read_text()
    else:
        found[source] = "no path"
for name, item in Run.get_context().input_datasets.items():
    if hasattr(item, "to_pandas_dataframe") and not isinstance(item, str):
        found[name] = item.to_pandas_dataframe()["x"].tolist()
os.makedirs(target, exist_ok=True)
pathlib.Path(target, "found.json").write_text(json.dumps(found))
"""
WRITE = """
import os, pathlib, sys
os.makedirs(sys.argv[1], exist_ok=True)
pathlib.Path(sys.argv[1], "t.csv").write_text("x,y\\n1,a\\n2,b\\n")
"""


@pytest.fixture(params=["s3", "azurite", "gcs"])
def far(request, project, tmp_path, monkeypatch):
    """A workspace whose root is on a server, and a datastore on another bucket of it."""
    server = request.getfixturevalue(request.param)
    monkeypatch.setenv("AIRFLOW_CONN_FAR", json.dumps(server.connection))
    root = f"{server.bucket('forms')}/{tmp_path.name}"
    ws = Workspace.create("far", show_output=False, root={"url": root, "connection": "far"})
    Datastore.register(ws, "lake", f"{server.bucket('lake')}/{tmp_path.name}", connection="far")
    project.write("files/a.txt", "A")
    project.write("files/sub/b.txt", "B")
    project.write("table.csv", "x,y\n5,a\n6,b\n")
    project.write("steps/show.py", SHOW)
    project.write("steps/write.py", WRITE)
    for store in (ws.get_default_datastore(), Datastore(ws, "lake")):
        store.upload("files", "files", show_progress=False)
        store.upload_files(["table.csv"], target_path="tables", show_progress=False)
    return ws


def show(ws, project, arguments=(), inputs=(), before=()):
    """Run a step that shows what it finds; return it."""
    out = OutputFileDatasetConfig("shown")
    step = PythonScriptStep(
        "show.py", arguments=[out, *arguments], inputs=list(inputs), source_directory="steps", name="show"
    )
    run = Experiment(ws, "forms").submit(Pipeline(ws, [*before, step]))
    assert run.wait_for_completion(show_output=False) == "Finished"
    target = project.folder / f"got-{run.id}"
    run.find_step_run("show")[0].get_output_data("shown").download(str(target))
    (file,) = target.rglob("found.json")
    return json.loads(file.read_text())


FILES = {"a.txt": "A", "b.txt": "B"}


def test_inputs_of_every_form(far, project):
    lake = Datastore(far, "lake")
    files = Dataset.File.from_files((lake, "files"))
    assert show(far, project, [files.as_named_input("n").as_mount()]) == FILES
    assert show(far, project, [files.as_named_input("n").as_download()]) == FILES
    assert show(far, project, [files.as_mount()]) == FILES
    one = Dataset.File.from_files((lake, "files/a.txt")).as_named_input("n").as_mount()
    assert show(far, project, [one]) == {"a.txt": "A"}
    reference = DataReference(lake, "ref", "files")
    assert show(far, project, [reference], [reference]) == FILES
    downloaded = reference.as_download()
    assert show(far, project, [downloaded], [downloaded]) == FILES
    table = Dataset.Tabular.from_delimited_files((lake, "tables/*.csv")).as_named_input("table")
    assert show(far, project, inputs=[table]) == {"table": [5, 6]}
    direct = files.as_named_input("n")
    (place,) = show(far, project, [direct])
    assert place.endswith("/files")
    assert "://" in place


def test_data_that_a_parameter_names(far, project):
    path = PipelineParameter("given", DataPath(Datastore(far, "lake"), "files"))
    pair = (path, DataPathComputeBinding(mode="mount"))
    assert show(far, project, [pair], [pair]) == FILES


@pytest.mark.parametrize("mode", ["mount", "upload"])
def test_outputs_of_every_form(far, project, mode):
    lake = Datastore(far, "lake")
    plain = OutputFileDatasetConfig("made", destination=(lake, f"made/{mode}/{{run-id}}/{{output-name}}"))
    made = (plain.as_mount() if mode == "mount" else plain.as_upload()).register_on_complete(f"made-{mode}")
    write = PythonScriptStep("write.py", arguments=[made], source_directory="steps", name="write")
    found = show(far, project, [made.as_input("n")], before=[write])
    assert found == {"t.csv": "x,y\n1,a\n2,b\n"}
    dataset = Dataset.get_by_name(far, f"made-{mode}")
    assert dataset.version == 1
    assert dataset.data.locations[0].datastore == "lake"
    assert dataset.data.locations[0].path.startswith(f"made/{mode}/")
    assert dataset.to_path() == ["/t.csv"]


def test_an_output_can_be_read_as_a_table(far, project):
    made = OutputFileDatasetConfig("made")
    write = PythonScriptStep("write.py", arguments=[made], source_directory="steps", name="write")
    table = made.read_delimited_files().as_input("table")
    assert show(far, project, inputs=[table], before=[write]) == {"table": [1, 2]}


@pytest.mark.parametrize("mode", ["mount", "upload"])
def test_pipeline_data(far, project, mode):
    data = PipelineData("data", Datastore(far, "lake"), output_mode=mode)
    write = PythonScriptStep(
        "write.py", arguments=[data], outputs=[data], source_directory="steps", name="write"
    )
    assert show(far, project, [data], [data], [write]) == {"t.csv": "x,y\n1,a\n2,b\n"}
    again = data.as_dataset().as_named_input("n")
    assert show(far, project, [again], [again], [write]) == {"t.csv": "x,y\n1,a\n2,b\n"}

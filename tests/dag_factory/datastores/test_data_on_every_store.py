"""Every way to pass data to a step and from it, with the workspace's root and its datastores on every kind of store."""

from __future__ import annotations

import json

import pytest
from servers.web import TOKEN, web_server

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
PARQUET = """
import sys
import duckdb
rows = "SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS t(x, y)"
duckdb.execute(f"COPY ({rows}) TO '{sys.argv[1]}' (FORMAT parquet, PARTITION_BY (x), OVERWRITE_OR_IGNORE)")
"""


@pytest.fixture(params=["local", "s3", "azurite", "gcs", "sftp"])
def far(request, project, tmp_path, monkeypatch):
    """A workspace whose root is on a server (or in a folder), and a datastore on another bucket or folder of it."""
    if request.param == "local":
        ws = Workspace.create("far", show_output=False, root=str(tmp_path / "root"))
        Datastore.register(ws, "lake", str(tmp_path / "lake"))
    else:
        server = request.getfixturevalue(request.param)
        monkeypatch.setenv("AIRFLOW_CONN_FAR", json.dumps(server.connection))
        root, lake = (
            f"{server.url}/{name}" if request.param == "sftp" else server.bucket(name)
            for name in ("forms", "lake")
        )
        place = {"url": f"{root}/{tmp_path.name}", "connection": "far"}
        ws = Workspace.create("far", show_output=False, root=place)
        Datastore.register(ws, "lake", f"{lake}/{tmp_path.name}", connection="far")
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
    found = show(far, project, [direct])
    if far.core.root.url.startswith(("/", "file:")):  # where the place itself is a folder
        assert found == FILES
    else:
        (place,) = found
        assert place.endswith("/files")
        assert "://" in place
    everything = Dataset.File.from_files([(lake, "files/*.txt"), (lake, "files/**/b.txt")])
    assert show(far, project, [everything.as_named_input("n").as_mount()]) == FILES


def test_inputs_from_a_web_server_that_wants_a_token(project, tmp_path, monkeypatch):
    pytest.importorskip("aiohttp", reason="pip install aiohttp")
    ws = Workspace.create("web", show_output=False)
    project.write("steps/show.py", SHOW)
    connection = {"conn_type": "http", "password": TOKEN}
    monkeypatch.setenv("AIRFLOW_CONN_SITE", json.dumps(connection))
    with web_server(tmp_path, tls=False) as (url, server):
        server.files |= {"a.txt": b"A", "table.csv": b"x,y\n5,a\n6,b\n"}
        Datastore.register(ws, "site", f"{url}/guarded", connection="site")
        site = Datastore(ws, "site")
        file = Dataset.File.from_files((site, "a.txt"))
        one = {"a.txt": "A"}
        assert show(ws, project, [file.as_named_input("n").as_mount()]) == one
        assert show(ws, project, [file.as_named_input("n").as_download()]) == one
        assert show(ws, project, [file.as_mount()]) == one
        reference = DataReference(site, "ref", "a.txt").as_download()
        assert show(ws, project, [reference], [reference]) == one
        table = Dataset.Tabular.from_delimited_files((site, "table.csv")).as_named_input("table")
        assert show(ws, project, inputs=[table]) == {"table": [5, 6]}
        open_to_all = Dataset.File.from_files([f"{url}/moved/a.txt", f"{url}/unknown-length/table.csv"])
        found = show(ws, project, [open_to_all.as_named_input("n").as_mount()])
        assert sorted(found) == ["a.txt", "table.csv"]


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
    parquet = OutputFileDatasetConfig("parquet")
    project.write("steps/parquet.py", PARQUET)
    write = PythonScriptStep("parquet.py", arguments=[parquet], source_directory="steps", name="write")
    table = parquet.read_parquet_files(partition_format="/x={x}/*.parquet", set_column_types={"x": "long"})
    registered = table.register_on_complete("parts")
    assert show(far, project, inputs=[registered.as_input("table")], before=[write]) == {"table": [1, 2]}
    assert Dataset.get_by_name(far, "parts").to_pandas_dataframe()["x"].tolist() == [1, 2]


@pytest.mark.parametrize("mode", ["mount", "upload"])
def test_pipeline_data(far, project, mode):
    data = PipelineData("data", Datastore(far, "lake"), output_mode=mode)
    write = PythonScriptStep(
        "write.py", arguments=[data], outputs=[data], source_directory="steps", name="write"
    )
    assert show(far, project, [data], [data], [write]) == {"t.csv": "x,y\n1,a\n2,b\n"}
    again = data.as_dataset().as_named_input("n")
    assert show(far, project, [again], [again], [write]) == {"t.csv": "x,y\n1,a\n2,b\n"}

"""Steps that copy data: as they are written, what they do, and when they do nothing."""

from __future__ import annotations

import json

import pytest

from airflow_ml_pipelines.core.check import check_workspace
from dag_factory import (
    DataPath,
    DataPathComputeBinding,
    DataReference,
    Dataset,
    Datastore,
    DataTransferStep,
    DefinitionError,
    Experiment,
    OutputFileDatasetConfig,
    Pipeline,
    PipelineData,
    PipelineDefinition,
    PipelineParameter,
    PythonScriptStep,
    SqlDataReference,
)
from dag_factory.dags.doc_page import doc_page


@pytest.fixture
def lake(ws, project):
    lake = Datastore.register(ws, "lake", str(project.folder / "lake"))
    for name in ("a.txt", "sub/b.txt"):
        project.write(f"files/{name}", name)
    ws.get_default_datastore().upload("files", "raw", show_progress=False)
    return lake


@pytest.fixture
def submit(ws):
    def submit(*steps, status="Finished", **options):
        run = Experiment(ws, "transfers").submit(Pipeline(ws, list(steps)), **options)
        assert run.wait_for_completion(show_output=False, raise_on_error=False) == status
        return run

    return submit


def there(project, folder="lake"):
    top = project.folder / folder
    return {str(file.relative_to(top)): file.read_text() for file in top.rglob("*") if file.is_file()}


def raw(ws, path="raw"):
    return DataReference(ws.get_default_datastore(), "raw", path)


def copy(ws, lake, **options):
    return DataTransferStep("copy", raw(ws), DataReference(lake, "there", "in"), **options)


def decisions(run):
    return {step.name: step.is_reused for step in run.get_steps()}


def test_a_folder_is_copied(ws, lake, project, submit):
    run = submit(copy(ws, lake))
    assert there(project) == {"in/a.txt": "a.txt", "in/sub/b.txt": "sub/b.txt"}
    (step,) = run.find_step_run("copy")
    metrics = step.get_metrics()
    assert (metrics["files"], metrics["files_copied"], metrics["bytes_copied"]) == (2, 2, 14)
    assert metrics["bytes_per_second"] > 0
    assert "copied 2 of 2 files" in step.get_stdout_log()


def test_it_is_reused_until_the_source_or_the_destination_changes(ws, lake, project, submit):
    assert decisions(submit(copy(ws, lake))) == {"copy": False}
    assert decisions(submit(copy(ws, lake))) == {"copy": True}
    ws.get_default_datastore().upload_files(
        [str(project.write("a.txt", "A.TXT"))], target_path="raw", overwrite=True, show_progress=False
    )
    again = submit(copy(ws, lake))
    assert decisions(again) == {"copy": False}
    assert again.find_step_run("copy")[0].get_metrics()["files_copied"] == 1
    assert there(project)["in/a.txt"] == "A.TXT"
    project.write("lake/in/a.txt", "a.txt")
    assert decisions(submit(copy(ws, lake))) == {"copy": False}
    assert there(project)["in/a.txt"] == "A.TXT"


def test_what_was_removed_from_the_source_is_removed_and_what_others_wrote_is_not(ws, lake, project, submit):
    submit(copy(ws, lake))
    (project.folder / "lake/in/notes.txt").write_text("mine")
    project.write("files/c.txt", "c")
    ws.get_default_datastore().upload("files", "raw", show_progress=False)
    failed = submit(copy(ws, lake), status="Failed")
    assert "in/notes.txt" in failed.find_step_run("copy")[0].error
    assert "in/c.txt" not in there(project)
    submit(copy(ws, lake, delete_extra=True))
    assert there(project).keys() == {"in/a.txt", "in/sub/b.txt", "in/c.txt"}


def test_another_step_reads_what_was_copied_and_comes_after(ws, lake, project, submit):
    project.copy_script("read/read.py")
    step = copy(ws, lake)
    out = OutputFileDatasetConfig("out", destination=(lake, "read"))
    read = PythonScriptStep("read.py", arguments=[step.get_output().as_mount(), out], source_directory="read")
    submit(read)
    assert there(project, "lake/read") == {"all.txt": "a.txtsub/b.txt"}


@pytest.mark.parametrize(
    "make_source",
    [
        lambda ws: (DataPath(ws.get_default_datastore(), "raw/sub"), DataPathComputeBinding()),
        lambda ws: (
            PipelineParameter("what", DataPath(ws.get_default_datastore(), "raw/sub")),
            DataPathComputeBinding(),
        ),
        lambda ws: Dataset.File.from_files([(ws.get_default_datastore(), "raw/sub")]),
        lambda ws: (
            Dataset.File.from_files([(ws.get_default_datastore(), "raw/sub")]).as_named_input("x").as_mount()
        ),
        lambda ws: DataReference(ws.get_default_datastore(), path_on_datastore="raw/sub"),
    ],
    ids=["data path", "parameter", "dataset", "named input", "data reference"],
)
def test_a_source_may_be_all_that_a_step_reads(ws, lake, project, submit, make_source):
    submit(DataTransferStep("copy", make_source(ws), DataReference(lake, path_on_datastore="in")))
    assert there(project) == {"in/b.txt": "sub/b.txt"}


def test_an_output_of_another_step_is_copied(ws, lake, project, submit):
    project.copy_script("read/read.py")
    made = PipelineData("made")
    read = PythonScriptStep(
        "read.py",
        arguments=[raw(ws).as_mount(), made],
        inputs=[raw(ws).as_mount()],
        outputs=[made],
        source_directory="read",
    )
    submit(read, DataTransferStep("copy", made, DataReference(lake, path_on_datastore="in")))
    assert there(project) == {"in/all.txt": "a.txtsub/b.txt"}


@pytest.mark.parametrize(
    "output", [PipelineData("mine"), OutputFileDatasetConfig("mine")], ids=["data", "config"]
)
def test_a_destination_may_be_an_output_of_the_step(ws, lake, submit, output, tmp_path):
    run = submit(DataTransferStep("copy", raw(ws, "raw/a.txt"), output))
    run.find_step_run("copy")[0].get_output_data("destination").download(str(tmp_path / "got"))
    (file,) = (tmp_path / "got").rglob("a.txt")
    assert file.read_text() == "a.txt"


@pytest.mark.parametrize(
    ("path", "to", "types", "expected"),
    [
        ("raw/a.txt", "b.txt", {}, {"b.txt"}),
        ("raw/a.txt", "in", {"destination_reference_type": "directory"}, {"in/a.txt"}),
        ("raw/a.txt", "full", {}, {"full/x", "full/a.txt"}),
        ("raw/*.txt", "in", {}, {"in/a.txt"}),
        ("raw", "in", {"source_reference_type": "directory"}, {"in/a.txt", "in/sub/b.txt"}),
    ],
)
def test_types_say_whether_a_place_is_that_of_a_file_or_of_a_folder(
    ws, lake, project, submit, path, to, types, expected
):
    if to == "full":
        project.write("lake/full/x", "x")
    submit(DataTransferStep("copy", raw(ws, path), DataReference(lake, path_on_datastore=to), **types))
    assert there(project).keys() == expected


def test_a_type_that_does_not_fit_fails_the_step_with_a_plain_error(ws, lake, project, submit):
    step = copy(ws, lake, source_reference_type="file")
    failed = submit(step, status="Failed")
    error = failed.find_step_run("copy")[0].error
    assert "expected one file, as source_reference_type says, found a folder with 2 files" in error
    assert there(project) == {}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (lambda ws, lake: (None, DataReference(lake)), "source_data_reference is missing"),
        (lambda ws, lake: (raw(ws), None), "destination_data_reference is missing"),
        (
            lambda ws, lake: (raw(ws), SqlDataReference("db", sql_query="SELECT 1")),
            "a query can't be written to",
        ),
        (lambda ws, lake: (raw(ws), "somewhere"), "expected a DataReference, .*; found "),
        (
            lambda ws, lake: (raw(ws), DataReference(lake), None, "folder"),
            "expected 'file' or 'directory', found",
        ),
    ],
)
def test_what_can_not_be_copied_is_refused_at_once(ws, lake, arguments, problem):
    with pytest.raises((DefinitionError, TypeError), match=problem):
        DataTransferStep("copy", *arguments(ws, lake))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "expected sql_table or sql_query, found none"),
        ({"sql_table": "a", "sql_query": "b"}, "found both"),
        ({"sql_table": "a; DROP TABLE b"}, "expected a table, or schema.table, of letters"),
        ({"sql_stored_procedure": "p"}, "give sql_query that does"),
        ({"sql_query": " "}, "the query is empty"),
    ],
)
def test_a_reference_to_a_database_is_to_a_table_or_a_query(fields, problem):
    with pytest.raises(DefinitionError, match=problem):
        SqlDataReference("db", **fields)


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (lambda ws, lake: DataTransferStep("copy", raw(ws), PipelineData("x"), shards=2), "give it a path"),
        (
            lambda ws, lake: DataTransferStep(
                "copy", raw(ws), DataReference(lake, path_on_datastore="{run-id}"), shards=2
            ),
            "without placeholders",
        ),
        (
            lambda ws, lake: DataTransferStep(
                "copy", raw(ws), SqlDataReference("db", sql_table="t"), shards=2
            ),
            "rows go to one place",
        ),
    ],
)
def test_what_can_not_be_divided_is_refused(ws, lake, step, problem):
    with pytest.raises(DefinitionError, match=problem):
        Pipeline(ws, [step(ws, lake)])


def test_a_transfer_in_shares_is_several_tasks_before_the_one_that_completes_it(ws, lake):
    dag = Pipeline(ws, [copy(ws, lake, shards=3)], name="shares").to_dag()
    assert set(dag.task_ids) == {
        "plan",
        "copy.reuse",
        "copy.copy_1",
        "copy.copy_2",
        "copy.copy_3",
        "copy.run",
    }
    assert dag.get_task("copy.run").upstream_task_ids == {
        "copy.reuse",
        "copy.copy_1",
        "copy.copy_2",
        "copy.copy_3",
    }
    assert dag.get_task("copy.copy_2").upstream_task_ids == {"copy.reuse"}
    assert dag.get_task("copy.reuse").share_task_ids == ["copy.copy_1", "copy.copy_2", "copy.copy_3"]


def test_shares_mean_nothing_in_one_process(ws, lake, project, submit):
    submit(copy(ws, lake, shards=3))
    assert there(project) == {"in/a.txt": "a.txt", "in/sub/b.txt": "sub/b.txt"}


YAML = """
name: transfers
steps:
  copy:
    transfer:
      source: {path: raw}
      destination: {datastore: lake, path: in, register: copied}
      source_type: directory
      delete_extra: true
  read:
    source_directory: read
    script: read.py
    arguments: ["${{ steps.copy.outputs.destination }}", "${{ outputs.out }}"]
    outputs: {out: {datastore: lake, path: read}}
"""


def test_yaml_says_the_same(ws, lake, project, submit):
    project.copy_script("read/read.py")
    file = project.write("transfers.pipeline.yaml", YAML)
    run = Experiment(ws, "transfers").submit(Pipeline.load_yaml(ws, str(file)))
    assert run.wait_for_completion(show_output=False) == "Finished"
    assert there(project, "lake/in").keys() == {"a.txt", "sub/b.txt"}
    assert there(project, "lake/read") == {"all.txt": "a.txtsub/b.txt"}
    assert Dataset.get_by_name(ws, "copied").version == 1


@pytest.mark.parametrize("shards", [1, 4])
def test_a_pipeline_in_code_is_the_same_as_its_yaml(ws, lake, shards):
    step = copy(ws, lake, shards=shards, delete_extra=True, destination_reference_type="directory")
    table = DataTransferStep(
        "append", step.get_output(), SqlDataReference("db", sql_table="main.sales"), allow_reuse=False
    )
    query = DataTransferStep(
        "ask",
        SqlDataReference("db", sql_query="SELECT 1 AS one"),
        DataReference(lake, path_on_datastore="one.csv"),
    )
    spec = Pipeline(ws, [table, query]).to_spec()
    definition = PipelineDefinition.from_spec(spec)
    read = PipelineDefinition.from_yaml(definition.to_yaml())
    assert json.loads(read.model_dump_json()) == json.loads(definition.model_dump_json())
    assert read.to_spec(spec.base_directory) == spec


def test_a_step_says_which_files_of_its_source_changed(ws, lake, project, submit):
    submit(copy(ws, lake))
    file = project.write("a.txt", "A.TXT")
    ws.get_default_datastore().upload_files(
        [str(file)], target_path="raw", overwrite=True, show_progress=False
    )
    assert submit(copy(ws, lake)).find_step_run("copy")[0].reasons == ("input source: a.txt changed",)
    types = {"source_reference_type": "directory"}
    (reason,) = submit(copy(ws, lake, **types)).find_step_run("copy")[0].reasons
    assert reason == "transfer source_type is new"


def test_the_checker_knows_what_transfers_leave(ws, lake, submit):
    submit(copy(ws, lake, shards=2))
    assert list(check_workspace(ws.core)) == []


def test_a_published_pipeline_copies(ws, lake, project):
    published = Pipeline(ws, [copy(ws, lake)], name="copies").publish("copies")
    run = published.submit(ws, "copies")
    assert run.wait_for_completion(show_output=False) == "Finished"
    assert there(project).keys() == {"in/a.txt", "in/sub/b.txt"}


def test_the_page_of_a_dag_says_what_is_copied_and_where_to(ws, lake):
    table = DataTransferStep("load", raw(ws), SqlDataReference("shop", sql_table="sales"))
    page = doc_page(Pipeline(ws, [copy(ws, lake), table], name="copies").to_spec())
    assert "copies to `in` on `lake`" in page
    assert "copies to table `sales` of `shop`" in page

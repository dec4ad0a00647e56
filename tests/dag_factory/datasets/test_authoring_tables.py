"""Tables and sets of files: smaller ones, written ones, versions and what differs between them."""

from __future__ import annotations

import pytest

from airflow_ml_pipelines.core.spec import RegisteredDataset
from dag_factory import (
    DataError,
    Dataset,
    DefinitionError,
    Experiment,
    OutputFileDatasetConfig,
    Pipeline,
    PythonScriptStep,
    WorkspaceError,
)


@pytest.fixture
def store(ws, project):
    project.write("a.csv", "x,y\n1,a\n2,b\n3,c\n")
    project.write("b.csv", "x,y\n4,d\n")
    store = ws.get_default_datastore()
    store.upload_files(["a.csv", "b.csv"], target_path="in", show_progress=False)
    return store


@pytest.fixture
def table(store):
    return Dataset.Tabular.from_delimited_files((store, "in/*.csv"))


def rows(dataset):
    return dataset.to_pandas_dataframe().to_dict("list")


def test_a_smaller_table_is_a_table(table):
    assert rows(table.filter(table["x"] > 1).take(2)) == {"x": [2, 3], "y": ["b", "c"]}
    assert rows(table.keep_columns("y").skip(3)) == {"y": ["d"]}
    one, two = table.random_split(0.5, seed=1)
    assert sorted(rows(one)["x"] + rows(two)["x"]) == [1, 2, 3, 4]


def test_a_smaller_table_can_be_registered_and_found_again(table, ws):
    made = table.filter(table["y"] == "b").register(ws, "only b")
    assert (made.version, made.id) == (1, "only b:1")
    assert rows(Dataset.get_by_id(ws, "only b:1")) == {"x": [2], "y": ["b"]}
    assert table.filter(table["y"] == "b").register(ws, "only b", create_new_version=True).version == 1
    assert table.filter(table["y"] == "c").register(ws, "only b", create_new_version=True).version == 2
    with pytest.raises(DefinitionError, match="expected a dataset's id such as"):
        Dataset.get_by_id(ws, "only b")


def test_a_script_gets_the_smaller_table(table, ws, project):
    project.write(
        "steps/count.py",
        """
        import pathlib, sys
        from azureml.core import Run
        table = Run.get_context().input_datasets["table"]
        frame = table.keep_columns("x").to_pandas_dataframe()
        pathlib.Path(sys.argv[1], "sum.txt").write_text(str(frame["x"].tolist()))
        """,
    )
    out = OutputFileDatasetConfig("out")

    def run(dataset):
        step = PythonScriptStep(
            "count.py", arguments=[out], inputs=[dataset.as_named_input("table")], source_directory="steps"
        )
        done = Experiment(ws, "tables").submit(Pipeline(ws, [step]))
        assert done.wait_for_completion(show_output=False) == "Finished"
        (found,) = done.get_steps()
        target = project.folder / f"got-{done.id}"
        found.get_output_data("out").download(str(target))
        (text,) = (file.read_text() for file in target.rglob("sum.txt"))
        return found.is_reused, text

    assert run(table.filter(table["x"] < 3)) == (False, "[1, 2]")
    assert run(table.filter(table["x"] < 3))[0]
    assert not run(table.filter(table["x"] < 4))[0]


def test_parquet_and_json_lines_are_tables_as_well(table, store, project):
    folder = table.to_parquet_files(target=(store, "parquet"))
    assert folder.to_path() == ["/part-00000.parquet"]
    again = Dataset.Tabular.from_parquet_files((store, "parquet/*.parquet"), include_path=True)
    assert rows(again.drop_columns("Path")) == rows(table)
    assert set(rows(again)["Path"]) == {"/parquet/part-00000.parquet"}
    project.write("a.jsonl", '{"x": 1}\n{"x": 2}\n')
    store.upload_files(["a.jsonl"], target_path="json", show_progress=False)
    assert rows(Dataset.Tabular.from_json_lines_files((store, "json"))) == {"x": [1, 2]}


def test_a_table_without_a_target_is_written_to_a_folder_of_its_own(table, store):
    one, two = table.to_csv_files(), table.to_csv_files(separator=";")
    assert one.data != two.data
    assert table.to_csv_files().data == one.data
    assert rows(Dataset.Tabular.from_delimited_files((store, one.data.locations[0].path))) == rows(table)


def test_a_data_frame_becomes_a_dataset(store, ws):
    import pandas as pd

    frame = pd.DataFrame({"x": [1, 2], "y": ["a", None]})
    made = Dataset.Tabular.register_pandas_dataframe(frame, (store, "frames"), "mine", "a frame", {"k": "v"})
    assert (made.name, made.version, made.description, made.tags) == ("mine", 1, "a frame", {"k": "v"})
    assert made.to_pandas_dataframe()["x"].tolist() == [1, 2]
    assert Dataset.Tabular.register_pandas_dataframe(frame, store, "other").version == 1
    again = Dataset.Tabular.register_pandas_dataframe(frame, (store, "frames"), "mine", "a frame")
    assert again.version == 1
    frame.loc[0, "x"] = 7
    assert Dataset.Tabular.register_pandas_dataframe(frame, (store, "frames"), "mine").version == 2
    with pytest.raises(TypeError, match="expected a pandas data frame"):
        Dataset.Tabular.register_pandas_dataframe([1], (store, "frames"), "mine")


def test_files_can_be_chosen(store):
    files = Dataset.File.from_files((store, "in"))
    assert files.take(1).to_path() == ["/a.csv"]
    assert files.skip(1).to_path() == ["/b.csv"]
    one, two = files.random_split(0.5, seed=4)
    assert sorted(one.to_path() + two.to_path()) == ["/a.csv", "/b.csv"]
    assert files.filter(files.file_metadata("Size") < 10).to_path() == ["/b.csv"]
    with pytest.raises(DefinitionError, match="Did you mean 'Size'"):
        files.file_metadata("size")
    with pytest.raises(DataError, match="no file of the dataset is left"):
        files.skip(2)


def test_files_can_be_mounted(store, tmp_path):
    with Dataset.File.from_files((store, "in")).mount() as mount:
        assert mount.mount_point.endswith("/in")
    with Dataset.File.from_files((store, "in/b*")).mount(str(tmp_path / "m")) as mount:
        assert (tmp_path / "m/b.csv").exists()
    assert not (tmp_path / "m").exists()
    assert store.store.info("in/b.csv") is not None


def test_a_diff_names_files_and_columns(table, store, project):
    same = Dataset.Tabular.from_delimited_files((store, "in"))
    assert not table.diff(same)
    assert str(table.diff(same)) == "no difference"
    project.write("a.csv", "x,z\nq,9\n")
    project.write("c.csv", "x,z\n1,2\n")
    store.upload_files(["a.csv", "c.csv", "b.csv"], target_path="new", show_progress=False)
    store.store.delete("new/b.csv")
    new = Dataset.Tabular.from_delimited_files((store, "new"))
    found = new.diff(table)
    assert found
    assert (found.files_added, found.files_removed, found.files_changed) == (
        ("/c.csv",),
        ("/b.csv",),
        ("/a.csv",),
    )
    assert (found.columns_added, found.columns_removed) == (("z",), ("y",))
    assert found.columns_changed == (("x", "BIGINT", "VARCHAR"),)
    assert "~ column x: BIGINT → VARCHAR" in str(found)


def test_a_copy_of_a_file_is_no_difference(store, project):
    store.upload_files(["a.csv", "b.csv"], target_path="copy", show_progress=False)
    one, two = (Dataset.File.from_files((store, folder)) for folder in ("in", "copy"))
    assert not one.diff(two)


def test_a_profile_needs_no_pandas(table):
    assert [(item.name, item.type, item.count) for item in table.profile()] == [
        ("x", "BIGINT", 4),
        ("y", "VARCHAR", 4),
    ]


def test_a_table_of_no_workspace_needs_a_target(project):
    project.write("t.csv", "x\n1\n")
    loose = Dataset.Tabular.from_delimited_files(f"file://{project.folder}/t.csv")
    assert rows(loose) == {"x": [1]}
    with pytest.raises(WorkspaceError, match="give target="):
        loose.to_csv_files()


def test_operations_survive_yaml(table, ws, project):
    project.copy_script("steps/copy.py")
    day = table.with_timestamp_columns("y").filter((table["x"] > 1) & ~table["y"].is_null()).take(2)
    step = PythonScriptStep("copy.py", inputs=[day.as_named_input("t")], source_directory="steps")
    pipeline = Pipeline(ws, [step])
    pipeline.to_yaml("p.pipeline.yaml")
    again = Pipeline.load_yaml(ws, "p.pipeline.yaml")
    assert again.to_spec().steps[0].inputs[0].source == day.data
    assert not isinstance(day.to_spec(), RegisteredDataset)

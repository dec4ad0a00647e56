from __future__ import annotations

import pytest

from airflow_ml_pipelines.core.spec import Data, Location, RegisteredDataset
from dag_factory import (
    DataError,
    DataPath,
    Dataset,
    DatasetConsumptionConfig,
    DefinitionError,
    FileDataset,
    PipelineParameter,
    TabularDataset,
    WorkspaceError,
)


@pytest.fixture
def store(ws, project):
    project.write("images/a.txt", "a")
    project.write("images/sub/b.txt", "b")
    project.write("table.csv", "x;y\n1;2.5\n3;nothing\n")
    store = ws.get_default_datastore()
    store.upload("images", "images", show_progress=False)
    store.upload_files(["table.csv"], target_path="tables", show_progress=False)
    return store


def test_paths_become_locations(store):
    dataset = Dataset.File.from_files([(store, "images/"), DataPath(store, "tables/*.csv")])
    assert dataset.to_spec().locations == (
        Location(datastore="workspaceblobstore", path="images"),
        Location(datastore="workspaceblobstore", path="tables/*.csv"),
    )


def test_one_path_needs_no_list(store):
    assert (
        Dataset.File.from_files((store, "images")).to_spec()
        == Dataset.File.from_files([(store, "images")]).to_spec()
    )


def test_a_url_is_a_location_of_its_own():
    dataset = Dataset.File.from_files("https://example.org/data/iris.csv")
    assert dataset.to_spec() == Data(locations=(Location(path="https://example.org/data/iris.csv"),))


def test_a_path_without_a_datastore_is_refused():
    with pytest.raises(DefinitionError, match=r"write|given with its datastore"):
        Dataset.File.from_files("images/")


@pytest.mark.parametrize("wrong", [[], [()], 5, [("workspaceblobstore", "x", "y")]])
def test_what_is_no_path_is_refused(wrong):
    with pytest.raises((TypeError, DefinitionError), match="expected"):
        Dataset.File.from_files(wrong)


def test_making_a_dataset_looks_at_no_data(store):
    dataset = Dataset.File.from_files([(store, "not there/")])
    with pytest.raises(DataError, match="not there"):
        dataset.to_path()


def test_to_path_is_relative_to_the_dataset(store):
    assert Dataset.File.from_files([(store, "images")]).to_path() == ["/a.txt", "/sub/b.txt"]


def test_download_keeps_the_tree_and_refuses_what_is_in_the_way(store, tmp_path):
    dataset = Dataset.File.from_files([(store, "images")])
    assert dataset.download(tmp_path / "x") == [str(tmp_path / "x/a.txt"), str(tmp_path / "x/sub/b.txt")]
    with pytest.raises(DataError, match="overwrite=True"):
        dataset.download(tmp_path / "x")
    assert len(dataset.download(tmp_path / "x", overwrite=True)) == 2


def test_download_of_nothing_can_be_no_error(store, tmp_path):
    dataset = Dataset.File.from_files([(store, "gone")])
    assert dataset.download(tmp_path, ignore_not_found=True) == []
    with pytest.raises(DataError):
        dataset.download(tmp_path)


def test_a_table_is_read_as_it_is_said_to_be(store):
    dataset = Dataset.Tabular.from_delimited_files([(store, "tables/table.csv")], separator=";")
    frame = dataset.to_pandas_dataframe()
    assert list(frame.columns) == ["x", "y"]
    assert frame["x"].tolist() == [1, 3]


def test_options_of_tables_reach_the_spec(store):
    dataset = Dataset.Tabular.from_delimited_files(
        [(store, "tables")],
        validate=False,
        include_path=True,
        infer_column_types=False,
        set_column_types={"x": "long"},
        separator="\t",
        header="only_first_file",
        partition_format="/{place}/x.csv",
        support_multi_line=True,
        empty_as_string=True,
        encoding="latin1",
    )
    table = dataset.to_spec().tabular
    assert (table.include_path, table.infer_column_types, table.set_column_types) == (
        True,
        False,
        {"x": "long"},
    )
    assert (table.separator, table.header, table.partition_format) == (
        "\t",
        "only_first_file",
        "/{place}/x.csv",
    )
    assert (table.support_multi_line, table.empty_as_string, table.encoding) == (True, True, "latin1")


@pytest.mark.parametrize(
    "options",
    [{"header": "sometimes"}, {"separator": ""}, {"include_path": "yes"}, {"set_column_types": ["x"]}],
)
def test_a_wrong_option_of_a_table_is_refused(store, options):
    with pytest.raises((TypeError, DefinitionError), match=r"expected|empty"):
        Dataset.Tabular.from_delimited_files([(store, "tables")], **options)


def test_registering_makes_versions(store, ws):
    first = Dataset.File.from_files([(store, "images")]).register(ws, "pictures", tags={"a": 1})
    again = Dataset.File.from_files([(store, "images")]).register(ws, "pictures")
    assert (first.name, first.version, again.version) == ("pictures", 1, 1)
    other = Dataset.File.from_files([(store, "images/sub")])
    with pytest.raises(WorkspaceError, match="create_new_version=True"):
        other.register(ws, "pictures")
    assert other.register(ws, "pictures", create_new_version=True).version == 2
    assert Dataset.get_by_name(ws, "pictures").version == 2
    assert Dataset.get_by_name(ws, "pictures", version=1).to_path() == ["/a.txt", "/sub/b.txt"]
    assert Dataset.get_by_name(ws, "pictures", version=1).tags == {"a": "1"}
    assert ws.datasets["pictures"].version == 2


def test_a_registered_table_comes_back_as_one(store, ws):
    Dataset.Tabular.from_delimited_files([(store, "tables/table.csv")], separator=";").register(ws, "t")
    found = Dataset.get_by_name(ws, "t")
    assert isinstance(found, TabularDataset)
    assert len(found.to_pandas_dataframe()) == 2


def test_a_registered_dataset_is_pinned_to_its_version(store, ws):
    Dataset.File.from_files([(store, "images")]).register(ws, "pictures")
    found = Dataset.get_by_name(ws, "pictures")
    assert isinstance(found, FileDataset)
    assert found.to_spec() == RegisteredDataset(dataset="pictures", version=1)


def test_a_workspace_and_a_name_are_the_latest_when_a_run_begins(ws):
    port = DatasetConsumptionConfig("x", (ws, "pictures")).to_port()
    assert port.source == RegisteredDataset(dataset="pictures")
    port = DatasetConsumptionConfig("x", (ws, "pictures", 3)).to_port()
    assert port.source == RegisteredDataset(dataset="pictures", version=3)


def test_an_unknown_dataset_is_named_with_the_nearest(store, ws):
    Dataset.File.from_files([(store, "images")]).register(ws, "pictures")
    with pytest.raises(WorkspaceError, match="pictures"):
        Dataset.get_by_name(ws, "picture")
    with pytest.raises(DefinitionError, match="'latest'"):
        Dataset.get_by_name(ws, "pictures", version="newest")


def test_consumption_modes(store):
    config = Dataset.File.from_files([(store, "images")]).as_named_input("images")
    assert config.to_port().mode == "direct"
    assert config.as_mount("/data/x").to_port().mode == "mount"
    assert config.as_mount("/data/x").to_port().path_on_compute == "/data/x"
    assert config.as_download().to_port().mode == "download"
    assert config.to_port().name == config.as_download().to_port().name == "images"


def test_a_table_has_no_files_to_mount(store):
    config = Dataset.Tabular.from_delimited_files([(store, "tables")]).as_named_input("t")
    with pytest.raises(DefinitionError, match="to_pandas_dataframe"):
        config.as_mount()


def test_a_parameter_can_stand_for_a_dataset(store):
    parameter = PipelineParameter("which", Dataset.File.from_files([(store, "images")]))
    port = DatasetConsumptionConfig("x", parameter).as_mount().to_port()
    assert port.source is parameter
    with pytest.raises(TypeError, match="expected a dataset"):
        DatasetConsumptionConfig("x", PipelineParameter("n", 1))


@pytest.mark.parametrize("name", ["1x", "a-b", "", "a b"])
def test_names_that_no_script_can_find_are_refused(store, name):
    with pytest.raises(DefinitionError, match="letters, digits"):
        Dataset.File.from_files([(store, "images")]).as_named_input(name)


def test_a_name_that_hides_a_variable_is_warned_of(store):
    with pytest.warns(UserWarning, match="'PATH'"):
        Dataset.File.from_files([(store, "images")]).as_named_input("path")


def test_a_fingerprint_can_be_chosen(store):
    config = DatasetConsumptionConfig("x", Dataset.File.from_files([(store, "images")]), fingerprint="path")
    assert config.as_mount().to_port().fingerprint == "path"
    with pytest.raises(DefinitionError, match="'content', 'etag', 'path'"):
        DatasetConsumptionConfig("x", Dataset.File.from_files([(store, "images")]), fingerprint="md5")


def test_a_folder_is_uploaded_as_a_dataset(ws, project):
    project.write("new/a.txt", "a")
    project.write("new/b.csv", "b")
    dataset = Dataset.File.upload_directory("new", (ws.get_default_datastore(), "up"), pattern="*.txt")
    assert dataset.to_path() == ["/a.txt"]
    with pytest.raises(DataError, match="no file in new matches"):
        Dataset.File.upload_directory("new", (ws.get_default_datastore(), "up"), pattern="*.json")

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from airflow_ml_pipelines.core.errors import DataError, WorkspaceError
from airflow_ml_pipelines.core.globs import split_glob
from airflow_ml_pipelines.core.spec import Data, Location, TabularFormat
from airflow_ml_pipelines.core.stores.local_store import LocalStore
from airflow_ml_pipelines.core.stores.locations import find
from airflow_ml_pipelines.core.workspaces.workspace import Workspace as CoreWorkspace
from airflow_ml_pipelines.runtime.datasets import FileDataset, LocalData, TabularDataset
from airflow_ml_pipelines.runtime.surroundings import Dataset, Datastore, Workspace


@pytest.fixture
def folder(tmp_path):
    for name, text in {
        "in/a.csv": "x,y\n1,a\n2,b\n",
        "in/b.csv": "x,y\n3,c\n",
        "in/deep/c.csv": "x,y\n4,d\n",
        "in/readme.txt": "text",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def part(place, kind="auto", label=""):
    return {"place": str(place), "kind": kind, "label": label or "/" + os.path.basename(str(place))}


@pytest.fixture(params=["duckdb", "pandas"])
def engine(request, monkeypatch):
    """What tables are read with: DuckDB where it is there, else pandas."""
    if request.param == "pandas":
        monkeypatch.setattr("airflow_ml_pipelines.runtime.datasets.has_engine", lambda: False)
    return request.param


def table(text, tmp_path, *, name="t.csv", label="", more=(), **options):
    """Read text (and more files) as a table; return the columns."""
    parts = []
    for number, content in enumerate((text, *more)):
        path = tmp_path / f"{number}-{name}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        parts.append(part(path, "file", label or f"/{number}-{name}"))
    frame = TabularDataset(parts, options).to_pandas_dataframe()
    return {column: frame[column].tolist() for column in frame.columns}


# --- files -------------------------------------------------------------------------------------------------------


def test_a_file_dataset_lists_its_files(folder):
    dataset = FileDataset([part(folder / "in/*.csv", "glob"), part(folder / "in/deep")])
    assert dataset.to_path() == ["/a.csv", "/b.csv", "/c.csv"]
    assert FileDataset([part(folder / "in/a.csv")]).to_path() == ["/a.csv"]
    assert FileDataset([part(folder / "in")]).to_path() == ["/a.csv", "/b.csv", "/deep/c.csv", "/readme.txt"]


@pytest.mark.parametrize(
    "pattern", ["[^a]*", "[!a]*", "[ab].csv", "**/*.csv", "**/c*", "*/*.csv", "[[:lower:]].csv", "dee?/**"]
)
def test_a_glob_means_to_a_script_what_it_means_to_the_workspace(pattern, folder):
    seen = [path[1:] for path in FileDataset([part(folder / "in" / pattern, "glob")]).to_path()]
    found = find(LocalStore(folder / "in"), pattern)
    base = split_glob(pattern)[0]
    assert seen == [path.removeprefix(base).lstrip("/") for path in found.files]


def test_a_file_dataset_is_downloaded(folder):
    dataset = FileDataset([part(folder / "in")])
    paths = dataset.download(str(folder / "target"))
    assert [os.path.relpath(path, folder / "target") for path in paths] == [
        "a.csv",
        "b.csv",
        "deep/c.csv",
        "readme.txt",
    ]
    (folder / "target/a.csv").write_text("mine")
    with pytest.raises(DataError, match=r"a\.csv: it is there already; use overwrite=True"):
        dataset.download(str(folder / "target"))
    assert (folder / "target/a.csv").read_text() == "mine"
    dataset.download(str(folder / "target"), overwrite=True)
    assert (folder / "target/a.csv").read_text().startswith("x,y")
    assert os.path.isfile(dataset.download()[0])


def test_what_is_not_there_is_named(folder):
    with pytest.raises(DataError, match=r"there is no file in .*nothing"):
        FileDataset([part(folder / "nothing")]).to_path()
    with pytest.raises(DataError, match=r"there is no file that matches .*\.parquet"):
        FileDataset([part(folder / "in/*.parquet")]).to_path()
    assert FileDataset([part(folder / "nothing")]).download(ignore_not_found=True) == []


def test_a_file_dataset_is_mounted(folder):
    with FileDataset([part(folder / "in")]).mount() as mount:
        assert mount.mount_point == str(folder / "in")
    assert (folder / "in/a.csv").exists()
    context = FileDataset([part(folder / "in")]).mount(str(folder / "point"))
    context.start()
    assert sorted(os.listdir(context.mount_point)) == ["a.csv", "b.csv", "deep", "readme.txt"]
    context.stop()
    assert not os.path.lexists(folder / "point")
    with FileDataset([part(folder / "in/*.csv")]).mount() as mount:
        assert sorted(os.listdir(mount.mount_point)) == ["a.csv", "b.csv"]
    assert not os.path.exists(mount.mount_point)
    assert (folder / "in/a.csv").exists()


def test_nothing_is_mounted_over_what_is_there(folder):
    with pytest.raises(DataError, match="can't mount at"):
        FileDataset([part(folder / "in/deep")]).mount(str(folder / "in")).start()
    assert (folder / "in/a.csv").exists()


def test_files_elsewhere_are_read_through_fsspec(folder):
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    system.pipe({"/script-data/a.csv": b"x\n1\n", "/script-data/d/b.csv": b"x\n2\n"})
    whole = FileDataset([part("memory://script-data")])
    assert whole.to_path() == ["/a.csv", "/d/b.csv"]
    assert [Path(path).read_text() for path in whole.download(str(folder / "got"))] == ["x\n1\n", "x\n2\n"]
    assert FileDataset([part("memory://script-data/a.csv")]).to_path() == ["/a.csv"]
    assert FileDataset([part("memory://script-data/**/*.csv")]).to_path() == ["/a.csv", "/d/b.csv"]


def test_what_fsspec_lacks_is_said_with_another_way():
    pytest.importorskip("fsspec")
    with pytest.raises(DataError, match=r"gopher://x/y can't be reached from the script"):
        FileDataset([part("gopher://x/y")]).to_path()
    code = (
        "import sys; sys.modules['fsspec'] = None; sys.modules['fsspec.core'] = None\n"
        "from airflow_ml_pipelines.runtime.datasets import FileDataset\n"
        "FileDataset([{'place': 's3://b/k'}]).to_path()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert "is not installed" in last
    assert "as_mount() or as_download()" in last


# --- tables ------------------------------------------------------------------------------------------------------


def test_a_table_is_all_its_files(engine, folder):
    frame = TabularDataset([part(folder / "in/**/*.csv", "glob")], {}).to_pandas_dataframe()
    assert frame.to_dict("list") == {"x": [1, 2, 3, 4], "y": ["a", "b", "c", "d"]}
    assert list(frame.index) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("text", "more", "options", "columns"),
    [
        ("x;y\n1;2\n", (), {"separator": ";"}, {"x": [1], "y": [2]}),
        ("x||y\n1||2\n", (), {"separator": "||"}, {"x": [1], "y": [2]}),
        ("x\ty\n1\t2\n", (), {"separator": "\t"}, {"x": [1], "y": [2]}),
        ("1,2\n", (), {"header": False}, {"Column1": [1], "Column2": [2]}),
        ("1,2\n", ("3,4\n",), {"header": "none"}, {"Column1": [1, 3], "Column2": [2, 4]}),
        ("x,y\n1,2\n", ("3,4\n",), {"header": "only_first_file"}, {"x": [1, 3], "y": [2, 4]}),
        ("x,y\n1,2\n", ("X,Y\n3,4\n",), {"header": "all_files_same"}, {"x": [1, 3], "y": [2, 4]}),
        ("x\n007\n", (), {"infer_column_types": False}, {"x": ["007"]}),
        ("x,y\n007,1\n", (), {"set_column_types": {"x": "string"}}, {"x": ["007"], "y": [1]}),
        ("x\n1.0\n", (), {"set_column_types": {"x": "long"}}, {"x": [1]}),
        ("x\n1\n", (), {"set_column_types": {"x": "float"}}, {"x": [1.0]}),
        ("x\nyes\n0\n", (), {"set_column_types": {"x": "bool"}}, {"x": [True, False]}),
        ("x,y\n,1\n", (), {"empty_as_string": True}, {"x": [""], "y": [1]}),
        ('x,y\n"two\nlines",1\n', (), {"support_multi_line": True}, {"x": ["two\nlines"], "y": [1]}),
        ("ż\nó\n".encode(), (), {"encoding": "utf8"}, {"ż": ["ó"]}),
        ("﻿ż\nó\n".encode(), (), {"encoding": "utf8"}, {"ż": ["ó"]}),
        ("é\nè\n".encode("latin1"), (), {"encoding": "iso88591"}, {"é": ["è"]}),
        ("é\nè\n".encode("utf16"), (), {"encoding": "utf16"}, {"é": ["è"]}),
        ("x\n1\n", (), {"include_path": True}, {"Path": ["/0-t.csv"], "x": [1]}),
        ("", ("x\n1\n",), {}, {"x": [1]}),
        ("x\n1\nq\n", (), {}, {"x": ["1", "q"]}),
        ("x\n1\n1.5\n", (), {}, {"x": [1.0, 1.5]}),
        ("x\n1e3\n.5\n", (), {}, {"x": [1000.0, 0.5]}),
        ("x\nTrue\nfalse\n", (), {}, {"x": [True, False]}),
        ("x,x\n1,2\n", (), {}, {"x": [1], "x.1": [2]}),
        ("x,X,x\n1,2,3\n", (), {}, {"x": [1], "X.1": [2], "x.2": [3]}),
        (",y\n1,2\n", (), {}, {"Unnamed: 0": [1], "y": [2]}),
        ("x y\n1 2\n", (), {"separator": " "}, {"x": [1], "y": [2]}),
        ("x§y\n1§2\n", (), {"separator": "§"}, {"x": [1], "y": [2]}),
        ("x\x01y\n1\x012\n", (), {"separator": "\x01"}, {"x": [1], "y": [2]}),
        ("x,y\r1,2\r", (), {}, {"x": [1], "y": [2]}),
        ("\n\r\nx,y\n1,2\n", (), {}, {"x": [1], "y": [2]}),
        ("\n\n1,2\n", (), {"header": False}, {"Column1": [1], "Column2": [2]}),
        ("x,y\n", (), {}, {"x": [], "y": []}),
        ('x\n"a ""b"" c"\n', (), {}, {"x": ['a "b" c']}),
        ('x,y\n"a,b",2\n', (), {}, {"x": ["a,b"], "y": [2]}),
        ('x,y\n"a\nb",2\nc,3\n', (), {"support_multi_line": True}, {"x": ["a\nb", "c"], "y": [2, 3]}),
        ("x\n2024-13-01\n", (), {}, {"x": ["2024-13-01"]}),
        ("数\n1\n".encode("gb18030"), (), {"encoding": "gb18030"}, {"数": [1]}),
        ("€\n1\n".encode("cp1252"), (), {"encoding": "windows1252"}, {"€": [1]}),
        (
            "Path,.file\n1,2\n",
            (),
            {"include_path": True},
            {"Path": ["/0-t.csv"], "Path_1": [1], ".file": [2]},
        ),
    ],
)
def test_tables_are_read_as_they_are_said_to_be(engine, tmp_path, text, more, options, columns):
    assert table(text, tmp_path, more=more, **options) == columns


def test_files_with_different_headers_have_the_columns_of_all(engine, tmp_path):
    found = table("x,y\n1,2\n", tmp_path, more=("y,z\n3,4\n",), header="all_files_different")
    assert set(found) == {"x", "y", "z"}
    assert found["y"] == [2, 3]


def test_values_that_do_not_fit_their_type_are_missing(engine, tmp_path):
    found = table(
        "a,b,c\nx,maybe,2.5\n", tmp_path, set_column_types={"a": "double", "b": "boolean", "c": "long"}
    )
    assert [str(values[0]) for values in found.values()] == ["nan", "<NA>", "<NA>"]


def test_dates_are_time_stamps(engine, tmp_path):
    found = table("a,b,c\n2024-02-03,2024-02-03T04:05:06Z,03/02/2024\n", tmp_path)
    assert [str(values[0]) for values in found.values()] == [
        "2024-02-03 00:00:00",
        "2024-02-03 04:05:06+00:00",
        "03/02/2024",
    ]
    assert (
        str(table("a\n03/02/2024\n", tmp_path, set_column_types={"a": "datetime"})["a"][0])
        == "2024-03-02 00:00:00"
    )
    assert table("a\n2024-02-03\n", tmp_path, set_column_types={"a": "string"}) == {"a": ["2024-02-03"]}


def test_columns_come_from_the_path(engine, tmp_path):
    found = table(
        "x\n1\n",
        tmp_path,
        label="/root/Sales/2024/02/03/data.csv",
        partition_format="/{Department}/{Date:yyyy/MM/dd}/data.csv",
    )
    assert {name: str(values[0]) for name, values in found.items()} == {
        "Department": "Sales",
        "Date": "2024-02-03 00:00:00",
        "x": "1",
    }
    with pytest.raises(DataError, match="does not fit the partition_format"):
        table("x\n1\n", tmp_path, label="/a.csv", partition_format="{Department}/data.csv")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("x\n1\n", {"set_column_types": {"y": "long"}}, r"no column 'y'\."),
        ("x\n1\n", {"set_column_types": {"x": "lang"}}, r"can't be of type 'lang'\. Did you mean 'long'"),
        ("x\n1\n", {"header": "al_files_same"}, "Did you mean 'all_files_same'"),
        ("x\n1\n2,3\n", {}, r"/0-t\.csv can't be read as delimited text"),
        (b"x\n\xff\n", {}, r"/0-t\.csv can't be read as delimited text .*encoding 'utf8'"),
        ("x\n1\n", {"encoding": "klingon"}, "klingon"),
        ('x,y\n1,2\n"ab,2\n3,4\n', {}, r"/0-t\.csv can't be read as delimited text"),
        ("x\n1\n", {"separator": '"'}, "expected a separator of one to 4 bytes without quotes"),
        ("x\n1\n", {"separator": "-----"}, "expected a separator of one to 4 bytes"),
        (
            "x\n1\n",
            {"partition_format": "/{D:yyyy-MM}/t.csv", "label": "/2024-13/t.csv"},
            "month must be in 1..12",
        ),
    ],
)
def test_mistakes_with_tables_are_told(engine, tmp_path, text, options, message):
    with pytest.raises(DataError, match=message):
        table(text, tmp_path, **options)


def test_a_table_can_be_made_smaller(folder):
    dataset = TabularDataset([part(folder / "in/**/*.csv", "glob")], {})
    assert dataset.skip(1).take(2).keep_columns("y").to_pandas_dataframe().to_dict("list") == {
        "y": ["b", "c"]
    }
    assert dataset.drop_columns(["y"]).to_pandas_dataframe().to_dict("list") == {"x": [1, 2, 3, 4]}
    with pytest.raises(DataError, match="no column 'z'"):
        dataset.keep_columns("z").to_pandas_dataframe()


def test_a_local_path_is_a_table_and_files_as_well(folder):
    data = LocalData(folder / "in/a.csv")
    assert os.path.isfile(data)
    assert list(data.to_pandas_dataframe().columns) == ["x", "y"]
    assert len(data.download(str(folder / "t"))) == 1
    with LocalData(folder / "in").mount() as mount:
        assert os.listdir(mount.mount_point)


def test_pandas_that_is_missing_is_named(folder):
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "from airflow_ml_pipelines.runtime.datasets import TabularDataset\n"
        f"TabularDataset([{part(folder / 'in/a.csv')!r}], {{}}).to_pandas_dataframe()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith("ImportError: to_pandas_dataframe() needs pandas")


# --- datasets and datastores by name -----------------------------------------------------------------------------


@pytest.fixture
def workspace(folder):
    """A workspace with data and a registered dataset, as a script sees it."""
    core = CoreWorkspace.local(folder / "ws", "ws")
    core.datastore().put("in/a.csv", b"x;y\n1;2\n")
    data = Data(
        locations=(Location(datastore="workspaceblobstore", path="in/*.csv"),),
        tabular=TabularFormat(separator=";"),
    )
    core.register_dataset("my iris", data)
    core.register_dataset("my iris", Data(locations=(Location(datastore="workspaceblobstore", path="in"),)))
    stores = {name: core.datastore(name).url for name in core.datastores()}
    return Workspace("ws", core.store.url, stores, core.default_datastore)


def test_registered_datasets_are_found_by_name(workspace):
    frame = Dataset.get_by_name(workspace, "my iris", version=1).to_pandas_dataframe()
    assert frame.to_dict("list") == {"x": [1], "y": [2]}
    assert Dataset.get_by_name(workspace, name="my iris").to_path() == ["/a.csv"]


def test_what_is_not_registered_is_told(workspace):
    with pytest.raises(WorkspaceError, match="there is no dataset 'wine' in workspace 'ws'"):
        Dataset.get_by_name(workspace, "wine")
    with pytest.raises(WorkspaceError, match=r"no version 7\. There are: 1, 2"):
        Dataset.get_by_name(workspace, "my iris", version=7)
    with pytest.raises(
        WorkspaceError, match=r"no datastore 'workspaceblobstor'\. Did you mean 'workspaceblobstore'"
    ):
        Datastore.get(workspace, "workspaceblobstor")


def test_a_script_makes_datasets_of_a_datastore(workspace):
    store = Datastore(workspace, "workspaceblobstore")
    assert store is workspace.get_default_datastore() is Datastore.get_default(workspace)
    assert Dataset.File.from_files((store, "in/**")).to_path() == ["/a.csv"]
    assert Dataset.File.from_files([store.path("in"), (store, "in/a.csv")]).to_path() == ["/a.csv", "/a.csv"]
    table = Dataset.Tabular.from_delimited_files(path=[(store, "in/a.csv")], separator=";", validate=False)
    assert table.to_pandas_dataframe().shape == (1, 2)
    with pytest.raises(DataError, match="expected a path"):
        Dataset.File.from_files(3)


def test_a_script_copies_files_to_and_from_a_datastore(workspace, folder):
    store = workspace.get_default_datastore()
    store.upload(str(folder / "in"), target_path="up")
    store.upload_files([str(folder / "in/a.csv")], relative_root=str(folder), target_path="more")
    assert store.download(str(folder / "got"), prefix="up") == 4
    assert (folder / "got/up/deep/c.csv").read_text() == "x,y\n4,d\n"
    assert store.download(str(folder / "got"), prefix="more/in/a.csv") == 1
    assert (folder / "got/more/in/a.csv").exists()
    with pytest.raises(DataError, match=r"up/a\.csv is on datastore 'workspaceblobstore' already"):
        store.upload(str(folder / "in"), target_path="up")
    store.upload(str(folder / "in"), target_path="up", overwrite=True)


# --- in a script -------------------------------------------------------------------------------------------------


def test_direct_inputs_of_a_script_are_datasets(bench, memory):
    bench.data.put("in/a.csv", b"x;y\n1;2\n")
    bench.data.put("in/b.csv", b"x;y\n3;4\n")
    memory.put("far/c.csv", b"x;y\n5;6\n")
    script = """
        from azureml.core import Run
        inputs = Run.get_context().input_datasets
        print(inputs["table"].to_pandas_dataframe().values.tolist())
        print(inputs["far"].to_pandas_dataframe().values.tolist())
        print(inputs["files"].to_path(), type(inputs["mounted"]).__name__, sorted(inputs))
    """
    options = {"separator": ";", "include_path": True}
    job = bench.job(
        textwrap.dedent(script),
        inputs={
            "table": bench.input("in/*.csv", mode="direct", tabular=options),
            "far": bench.input("far", mode="direct", tabular=options, store=memory),
            "files": bench.input("in/*.csv", mode="direct"),
            "mounted": bench.input("in"),
        },
    )
    from airflow_ml_pipelines.core.stores.open import open_store

    result = bench.launch(job, open_store=lambda url: memory if url == memory.url else open_store(url))
    assert result.status == "finished", result.error
    assert [json.loads(line.replace("'", '"')) for line in bench.stdout[:2]] == [
        [["/in/a.csv", 1, 2], ["/in/b.csv", 3, 4]],
        [["/far/c.csv", 5, 6]],
    ]
    assert bench.stdout[2] == "['/a.csv', '/b.csv'] str ['far', 'files', 'mounted', 'table']"

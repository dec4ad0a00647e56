"""Names for parts of the paths of files: ``partition_format``."""

import importlib
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from servers.serving import serving

from airflow_ml_pipelines.core.spec import Data, Location
from airflow_ml_pipelines.core.stores.open import open_store
from dag_factory import (
    DataError,
    DataPath,
    Dataset,
    Datastore,
    DefinitionError,
    Experiment,
    OutputFileDatasetConfig,
    Pipeline,
    PythonScriptStep,
)
from dag_factory.definitions.definition import PipelineDefinition

FORM = "/{Country}/{Day:yyyy-MM-dd}/*.txt"
PATHS = ("DE/2024-01-01/a.txt", "DE/2024-01-02/a.txt", "US/2024-01-01/a.txt", "US/2024-01-01/b.txt")


@pytest.fixture
def store(ws, project):
    for path in PATHS:
        project.write(f"up/{path}", path)
    store = ws.get_default_datastore()
    store.upload("up", "images", show_progress=False)
    return store


@pytest.fixture
def images(store):
    return Dataset.File.from_files((store, "images"), partition_format=FORM)


def day(number):
    return datetime(2024, 1, number, tzinfo=UTC).replace(tzinfo=None)


def test_files_are_chosen_by_parts_of_their_paths(images):
    assert images.partition_keys == ["Country", "Day"]
    german = images.filter(images["Country"] == "DE")
    assert [file.path for file in german.files().values()] == [f"images/{path}" for path in PATHS[:2]]
    early = german.filter((german["Day"] < day(2)) & (german.file_metadata("Size") > 0))
    assert [file.path for file in early.files().values()] == [f"images/{PATHS[0]}"]


def test_files_of_one_name_stay_apart(images, tmp_path):
    german = images.filter(images["Country"] == "DE")
    assert german.to_path() == ["/2024-01-01/a.txt", "/2024-01-02/a.txt"]
    first, rest = images.random_split(0.5, seed=1)
    assert len(first.to_path()) + len(rest.to_path()) == 4
    german.download(tmp_path / "here")
    assert (tmp_path / "here/2024-01-02/a.txt").read_text() == PATHS[1]


def test_files_of_one_name_in_two_datastores_are_refused(ws, store, tmp_path):
    (tmp_path / "other/images").mkdir(parents=True)
    (tmp_path / "other/images/a.txt").write_text("another")
    other = Datastore.register(ws, "other", str(tmp_path / "other"))
    both = Dataset.File.from_files([(store, f"images/{PATHS[0]}"), (other, "images/a.txt")])
    for use in (both.files, lambda: both.download(tmp_path / "here")):
        with pytest.raises(DataError, match=r"two files would be called 'a\.txt'"):
            use()
    assert not (tmp_path / "here").exists()


def test_what_parts_there_are_can_be_asked(images):
    assert images.get_partition_key_values(["Country"]) == [{"Country": "DE"}, {"Country": "US"}]
    assert images.get_partition_key_values() == [
        {"Country": "DE", "Day": day(1)},
        {"Country": "DE", "Day": day(2)},
        {"Country": "US", "Day": day(1)},
    ]


def test_tables_can_be_asked_as_well(store):
    table = Dataset.Tabular.from_delimited_files((store, "images"), partition_format=FORM)
    assert table.partition_keys == ["Country", "Day"]
    assert table.get_partition_key_values(["Country"]) == [{"Country": "DE"}, {"Country": "US"}]


def test_the_form_stays_with_a_registered_dataset(ws, images):
    images.register(ws, "images")
    again = Dataset.get_by_name(ws, "images")
    assert len(again.filter(again["Country"] == "US").files()) == 2


def test_files_of_one_name_are_read_by_a_step(ws, project, images):
    project.copy_script("src/copy.py")
    german = images.filter(images["Country"] == "DE")
    out = OutputFileDatasetConfig("out")
    step = PythonScriptStep(
        "copy.py", source_directory="src", arguments=[german.as_named_input("files").as_download(), out]
    )
    run = Experiment(ws, "e").submit(Pipeline(ws, [step]))
    run.wait_for_completion(show_output=False)
    (made,) = run.get_steps()
    place = made.get_output("out").get_port_data_reference()
    assert place.datastore.store.get(f"{place.path_on_datastore}/all.txt").decode() == "".join(PATHS[:2])


def test_an_output_becomes_a_dataset_with_names_for_parts(ws, project):
    project.write(
        "src/make.py",
        """
        import pathlib, sys
        for country in ("DE", "US"):
            folder = pathlib.Path(sys.argv[1], country)
            folder.mkdir(parents=True)
            (folder / "a.txt").write_text(country)
        """,
    )
    out = OutputFileDatasetConfig("out", partition_format="/{Country}/a.txt").register_on_complete("made")
    pipeline = Pipeline(ws, [PythonScriptStep("make.py", source_directory="src", arguments=[out])])
    Experiment(ws, "e").submit(pipeline).wait_for_completion(show_output=False)
    made = Dataset.get_by_name(ws, "made")
    assert made.get_partition_key_values() == [{"Country": "DE"}, {"Country": "US"}]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda images: images["Cuntry"], r"there is no 'Cuntry'.*Did you mean 'Country'\?"),
        (lambda images: images.get_partition_key_values(["Year"]), "there is no 'Year'"),
        (lambda _: Dataset.File.from_files("https://a/b", partition_format="/{a}/{a}/x"), "can't be used"),
        (lambda _: OutputFileDatasetConfig("o", partition_format="/{1}/x"), "can't be used"),
    ],
)
def test_a_mistake_is_told(images, wrong, error):
    with pytest.raises(DefinitionError, match=error):
        wrong(images)


def test_a_path_of_another_form_is_named(store, project):
    project.write("other.txt", "x")
    store.upload_files(["other.txt"], target_path="images", show_progress=False)
    images = Dataset.File.from_files((store, "images"), partition_format=FORM)
    with pytest.raises(DataError, match="/images/other.txt does not fit the partition_format"):
        images.get_partition_key_values()


def test_it_may_stand_in_a_definition(project):
    project.write("s.py")
    text = """
    data:
      images: {path: images, partition_format: "/{Country}/*.txt"}
    steps:
      a:
        script: s.py
        inputs: {images: images}
        outputs: {made: {register: made, partition_format: "/{Country}/a.txt"}}
    """
    file = project.write("p.pipeline.yaml", text)
    spec = PipelineDefinition.from_yaml(file).to_spec()
    (step,) = spec.steps
    assert step.inputs[0].source == Data(
        locations=(Location(path="images"),), partition_format="/{Country}/*.txt"
    )
    assert step.outputs[0].partition_format == "/{Country}/a.txt"
    broken = project.write("q.pipeline.yaml", text.replace("/{Country}/", "/{a}{a}/"))
    with pytest.raises(DefinitionError, match=r"(?s)q.pipeline.yaml:2.*can't be used.*q.pipeline.yaml:7"):
        PipelineDefinition.from_yaml(broken).to_spec()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *given):
        pass


ODD = "a b%2F#?=ü"


def test_rows_are_written_into_folders_by_their_values(ws, store, project):
    project.write("t.csv", f"city,year,price\nRome,2024,1\n{ODD},2024,2\nRome,2025,3\n")
    store.upload_files(["t.csv"], target_path="tables", show_progress=False)
    table = Dataset.Tabular.from_delimited_files((store, "tables/t.csv"))
    made = table.partition_by(["city", "year"], (store, "by-city"), name="by city", show_progress=False)
    assert (made.name, made.version, made.partition_keys) == ("by city", 1, ["city", "year"])
    again = Dataset.get_by_name(ws, "by city")
    frame = again.to_pandas_dataframe().sort_values("price")
    assert frame.to_dict("list") == {
        "city": ["Rome", ODD, "Rome"],
        "year": [2024, 2024, 2025],
        "price": [1, 2, 3],
    }
    assert again.filter(again["year"] == 2025).to_pandas_dataframe()["price"].tolist() == [3]
    assert sorted(info.path.rpartition("/")[0] for info in store.store.walk("by-city")) == sorted(
        ["by-city/city=Rome/year=2024", "by-city/city=Rome/year=2025", f"by-city/city={ODD}/year=2024"]
    )
    target = DataPath(store, "files")
    files = table.partition_by(["city"], target, show_progress=False, partition_as_file_dataset=True)
    assert len(files.filter(files["city"] == "Rome").to_path()) == 1


@pytest.mark.parametrize(
    ("text", "keys", "error"),
    [
        ("a,b\n,1\n", ["a"], "column 'a' has a missing value, which can't be the name of a folder"),
        ("a,b\nx/y,1\n", ["a"], "column 'a' has the value 'x/y', which can't be"),
        ("a,b\nx,1\n", ["a", "b"], "no column is left for the files"),
        ("a,b\nx,1\n", ["c"], "there is no column 'c'"),
        ("a-b,c\nx,1\n", ["a-b"], "'a-b' has other signs than letters"),
        ("a,b\nx,1\n", [], "expected one column at least"),
    ],
)
def test_what_can_not_be_written_into_folders_leaves_none(store, project, text, keys, error):
    project.write("t.csv", text)
    store.upload_files(["t.csv"], target_path="tables", show_progress=False)
    table = Dataset.Tabular.from_delimited_files((store, "tables/t.csv"))
    with pytest.raises((DataError, DefinitionError), match=error):
        table.partition_by(keys, (store, "made"), show_progress=False)
    assert list(store.store.walk("made")) == []
    with pytest.raises(DataError, match="'tables' on datastore 'workspaceblobstore' has files"):
        table.partition_by(["a"] if "a," in text else ["c"], (store, "tables"))


def test_a_url_without_a_datastore_is_looked_at_as_a_whole(ws, project, s3, monkeypatch):
    monkeypatch.setitem(importlib.import_module("fsspec.config").conf, "s3", s3.options)
    for name, value in s3.options.items():  # for the step
        monkeypatch.setenv(f"FSSPEC_S3_{name.upper()}", value)
    store = open_store(s3.bucket("partitions"), **s3.options)
    for country, price in (("DE", 3), ("US", 4)):
        store.put(f"sales/{country}/day.csv", f"price\n{price}\n".encode())
        project.write(f"sales/{country}/day.csv", f"price\n{price}\n")
    project.write(
        "src/show.py",
        """
        import pathlib, sys
        from azureml.core import Run
        frame = Run.get_context().input_datasets["table"].to_pandas_dataframe()
        rows = sorted(zip(frame["Country"], frame["price"]))
        pathlib.Path(sys.argv[1], "rows.txt").write_text(repr([(str(a), int(b)) for a, b in rows]))
        """,
    )
    expected = [("DE", 3), ("US", 4)]
    for folder in ("s3://partitions/sales", (project.folder / "sales").as_uri()):
        for paths in (f"{folder}/*/day.csv", folder, [f"{folder}/{name}/day.csv" for name in ("DE", "US")]):
            form = "/sales/{Country}/day.csv"
            files = Dataset.File.from_files(paths, partition_format=form)
            assert files.get_partition_key_values() == [{"Country": "DE"}, {"Country": "US"}], paths
            table = Dataset.Tabular.from_delimited_files(paths, partition_format=form)
            frame = table.to_pandas_dataframe()
            assert sorted(zip(frame["Country"], frame["price"], strict=True)) == expected, paths
        out = OutputFileDatasetConfig("out")
        named = table.as_named_input("table")
        step = PythonScriptStep("show.py", source_directory="src", arguments=[out], inputs=[named])
        run = Experiment(ws, "e").submit(Pipeline(ws, [step]))
        assert run.wait_for_completion(show_output=False) == "Finished"
        (made,) = run.get_steps()
        place = made.get_output("out").get_port_data_reference()
        assert place.datastore.store.get(f"{place.path_on_datastore}/rows.txt").decode() == repr(expected)


def test_a_web_address_is_looked_at_as_a_whole(tmp_path):
    for country, price in (("DE", 3), ("US", 4)):
        (tmp_path / "sales" / country).mkdir(parents=True)
        (tmp_path / "sales" / country / "day.csv").write_text(f"price\n{price}\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    with serving(server) as url:
        addresses = [f"{url}/sales/{country}/day.csv" for country in ("DE", "US")]
        files = Dataset.File.from_files(addresses, partition_format="/sales/{Country}/day.csv")
        assert files.get_partition_key_values(["Country"]) == [{"Country": "DE"}, {"Country": "US"}]
        table = Dataset.Tabular.from_delimited_files(addresses, partition_format="/sales/{Country}/day.csv")
        frame = table.to_pandas_dataframe()
    assert sorted(zip(frame["Country"], frame["price"], strict=True)) == [("DE", 3), ("US", 4)]

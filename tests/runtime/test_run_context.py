import io
import json
import textwrap
from pathlib import Path

import pytest

from airflow_ml_pipelines.core.errors import DataError, DocumentError
from airflow_ml_pipelines.core.metrics import read_events, read_metrics, read_properties, read_tags
from airflow_ml_pipelines.runtime import run as run_module
from airflow_ml_pipelines.runtime.run import Run, RunEnvironmentException


@pytest.fixture
def step(tmp_path, monkeypatch, clean_run):
    """A run as a script's process sees it, in this process. Its folder is ``step.folder``."""
    attempt = tmp_path / "root/runs/pipe/run-1/steps/step/1"
    directory = tmp_path / "code"
    for folder in (attempt, directory):
        folder.mkdir(parents=True)
    document = {
        "run": {
            "workspace": "ws",
            "experiment": "exp",
            "pipeline": "pipe",
            "run": "run-1",
            "step": "step",
            "step_name": "My step",
            "attempt": 2,
            "id": "pipe.run-1.step.2",
        },
        "workspace": {
            "name": "ws",
            "root": f"file://{tmp_path}/root",
            "datastores": {"data": f"file://{tmp_path}/data", "other": "memory://other"},
            "default_datastore": "data",
        },
        "parent_folder": f"file://{tmp_path}/root/runs/pipe/run-1",
        "folder": str(attempt),
        "events": str(attempt / "metrics.jsonl"),
        "directory": str(directory),
        "script": "train.py",
        "started": 1700000000.0,
        "tags": {"started": "by hand"},
        "properties": {"azureml.git.commit": "abc"},
        "outputs": {"model": "/somewhere/model"},
        "pipeline_parameters": {"rate": 0.1},
    }
    file = tmp_path / "run.json"
    file.write_text(json.dumps(document))
    monkeypatch.setenv("ML_PIPELINES_RUN", str(file))
    monkeypatch.chdir(directory)
    run = Run.get_context()
    run.folder = attempt
    run.root = tmp_path / "root"
    return run


def events(run):
    return read_events((run.folder / "metrics.jsonl").read_bytes())


# --- what it is --------------------------------------------------------------------------------------------------


def test_a_run_knows_what_it_is(step):
    assert (step.id, step.number, step.name, step.display_name) == (
        "pipe.run-1.step.2",
        2,
        "My step",
        "My step",
    )
    assert (step.status, step.get_status(), step.type) == ("Running", "Running", "azureml.StepRun")
    assert (step.parent.id, step.parent.name, step.parent.parent) == ("run-1", "pipe", None)
    assert Run.get_context() is step


def test_a_run_knows_its_experiment_and_workspace(step):
    workspace = step.experiment.workspace
    assert (step.experiment.name, workspace.name) == ("exp", "ws")
    assert sorted(workspace.datastores) == ["data", "other"]
    assert workspace.get_default_datastore().name == "data"
    assert str(workspace.get_default_datastore().path("a/b")) == f"{step.root.parent}/data/a/b"
    assert workspace.datastores["other"].path("a").url == "memory://other/a"


def test_details_are_a_plain_document(step):
    details = json.loads(json.dumps(step.get_details()))
    assert details["runId"] == "pipe.run-1.step.2"
    assert details["startTimeUtc"] == "2023-11-14T22:13:20Z"
    assert details["runDefinition"] == {"script": "train.py", "parameters": {"rate": 0.1}}


def test_the_end_is_the_launcher_s_business(step):
    step.flush()
    step.complete()
    step.fail("why")
    assert step.wait_for_completion(show_output=True)["status"] == "Running"
    assert [(event["kind"], event["value"]) for event in events(step)] == [("note", "why")]


# --- metrics -----------------------------------------------------------------------------------------------------


def test_metrics_are_read_as_they_were_logged(step):
    step.log("once", 1.5, description="what it is", step=3)
    for number in range(3):
        step.log("often", number)
    step.log("text", "words")
    step.log_list("list", [1, 2])
    step.log_row("rows", x=1, y="a")
    step.log_row("rows", x=2, y="b")
    step.log_table("table", {"a": [1, 2], "b": [3, 4]})
    step.parent.log("of the pipeline", 7)
    expected = {
        "once": 1.5,
        "often": [0, 1, 2],
        "text": "words",
        "list": [1, 2],
        "rows": {"x": [1, 2], "y": ["a", "b"]},
        "table": {"a": [1, 2], "b": [3, 4]},
    }
    assert step.get_metrics() == expected == read_metrics(events(step))
    assert step.get_metrics("once") == {"once": 1.5}
    assert step.get_metrics(recursive=True) == {step.id: expected}
    assert step.parent.get_metrics() == {"of the pipeline": 7} == read_metrics(events(step), parent=True)
    assert (events(step)[0]["description"], events(step)[0]["step"]) == ("what it is", 3)


def test_numbers_of_numpy_are_numbers(step):
    np = pytest.importorskip("numpy")
    step.log("a", np.float32(0.5))
    step.log("b", np.int64(3))
    step.log("c", np.bool_(1))
    step.log("d", np.array(2.5))
    step.log("e", np.float64(1.5))
    step.log("f", np.str_("s"))
    step.log_list("g", np.array([1, 2]))
    step.log_row("h", x=np.int8(1), y=np.array([1, 2]), z=np.array(3))
    step.log_table("i", {"x": np.array([0.5])})
    found = step.get_metrics()
    assert found == {
        "a": 0.5,
        "b": 3,
        "c": True,
        "d": 2.5,
        "e": 1.5,
        "f": "s",
        "g": [1, 2],
        "h": {"x": 1, "y": [1, 2], "z": 3},
        "i": {"x": [0.5]},
    }
    assert [type(found[name]) for name in "abcdef"] == [float, int, bool, float, float, str]


def test_other_numbers_are_numbers_too(step):
    import decimal
    import enum
    import fractions

    step.log("a", decimal.Decimal("0.5"))
    step.log("b", fractions.Fraction(1, 4))
    step.log("c", enum.IntEnum("E", "X").X)
    step.log("d", enum.Enum("S", {"X": "x"}, type=str).X)
    step.log("e", float("nan"))
    found = step.get_metrics()
    assert found.pop("e") != 0
    assert found == {"a": 0.5, "b": 0.25, "c": 1, "d": "x"}


@pytest.mark.parametrize("value", [[1], (1, 2), {"a": 1}, None, object(), b"x", 1j])
def test_what_is_no_number_and_no_text_is_no_metric(step, value):
    with pytest.raises(TypeError, match=r"log\('x', …\) takes a number or text, found"):
        step.log("x", value)
    assert step.get_metrics() == {}


def test_a_list_is_told_where_it_belongs(step):
    with pytest.raises(TypeError, match="use log_list"):
        step.log("x", [1])
    with pytest.raises(TypeError, match="takes a list, found str"):
        step.log_list("x", "abc")
    with pytest.raises(TypeError, match="takes a dict of columns"):
        step.log_table("x", [1])
    with pytest.raises(TypeError, match="needs a name"):
        step.log("", 1)


@pytest.mark.parametrize(
    "method", ["log_confusion_matrix", "log_accuracy_table", "log_residuals", "log_predictions"]
)
def test_documents_are_metrics(step, method):
    document = {"schema_type": method[4:], "schema_version": "1.0.0", "data": {"matrix": [[1, 0], [0, 1]]}}
    getattr(step, method)("m", document)
    getattr(step, method)("text", json.dumps(document))
    assert step.get_metrics() == {"m": document, "text": document}
    with pytest.raises(ValueError, match="'schema_type', 'schema_version' and 'data'"):
        getattr(step, method)("x", {"data": 1})


# --- images ------------------------------------------------------------------------------------------------------


def test_an_image_is_a_file_of_the_run(step, tmp_path):
    image = tmp_path / "plot.jpg"
    image.write_bytes(b"jpg")
    step.log_image("my plot", path=str(image))
    step.log_image("my plot", path=str(image))
    assert step.get_metrics() == {"my plot": ["outputs/images/my plot.jpg", "outputs/images/my plot-2.jpg"]}
    assert (step.folder / "outputs/images/my plot-2.jpg").read_bytes() == b"jpg"


def test_a_figure_becomes_a_png(step):
    figure = pytest.importorskip("matplotlib.figure").Figure()
    figure.subplots().plot([1, 2])
    step.log_image("curve", plot=figure)
    assert (step.folder / step.get_metrics()["curve"]).read_bytes().startswith(b"\x89PNG")


def test_an_image_is_a_file_or_a_figure(step):
    for given in ({}, {"path": "a", "plot": object()}):
        with pytest.raises(ValueError, match="a path or a plot"):
            step.log_image("x", **given)


# --- files -------------------------------------------------------------------------------------------------------


def test_files_are_found_by_the_names_they_were_given(step, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    step.upload_file("outputs/kept/a.txt", str(tmp_path / "a.txt"))
    step.upload_file("b.txt", io.BytesIO(b"b"))
    step.upload_file("logs/c.txt", io.StringIO("c"))
    assert step.get_file_names() == ["logs/user/c.txt", "outputs/b.txt", "outputs/kept/a.txt"]
    for name in ("outputs/kept/a.txt", "kept/a.txt"):
        step.download_file(name, str(tmp_path / "again.txt"))
        assert (tmp_path / "again.txt").read_text() == "a"
    step.download_file("b.txt")
    assert (tmp_path / "code/b.txt").read_text() == "b"
    step.download_files(prefix="logs/", output_directory=str(tmp_path / "got"))
    assert (tmp_path / "got/logs/user/c.txt").read_text() == "c"
    assert [event["name"] for event in events(step)] == ["outputs/kept/a.txt", "b.txt", "logs/c.txt"]


def test_what_lies_in_outputs_is_a_file_of_the_run(step, tmp_path):
    (tmp_path / "code/outputs").mkdir()
    (tmp_path / "code/outputs/m.bin").write_text("m")
    assert step.get_file_names() == ["outputs/m.bin"]
    step.download_file("outputs/m.bin", str(tmp_path / "m"))
    assert (tmp_path / "m").read_text() == "m"
    step.upload_file("outputs/m.bin", "outputs/m.bin")
    assert (step.folder / "outputs/m.bin").read_text() == "m"


def test_folders_and_lists_of_files_can_be_added(step, tmp_path):
    for name in ("d/a", "d/e/b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    step.upload_folder("all", str(tmp_path / "d"))
    step.upload_files(["one"], [str(tmp_path / "d/a")])
    assert step.get_file_names() == ["outputs/all/a", "outputs/all/e/b", "outputs/one"]
    with pytest.raises(ValueError, match="found 2 names and 1 paths"):
        step.upload_files(["a", "b"], ["c"])


@pytest.mark.parametrize("name", ["../../escape", "/etc/passwd", "", "a/../../b", "a\0b"])
def test_no_file_leaves_the_run_s_folder(step, name):
    with pytest.raises(DataError, match="can't be the name of a file"):
        step.upload_file(name, io.BytesIO(b""))


def test_mistakes_with_files_are_told(step, tmp_path):
    step.upload_file("a", io.BytesIO(b"1"))
    with pytest.raises(DataError, match="has a file 'outputs/a' already"):
        step.upload_file("outputs/a", io.BytesIO(b"2"))
    with pytest.raises(DataError, match="is not there"):
        step.upload_file("b", str(tmp_path / "no"))
    with pytest.raises(DataError, match="use upload_folder"):
        step.upload_file("b", str(tmp_path))
    with pytest.raises(DataError, match="is no folder"):
        step.upload_folder("b", str(tmp_path / "no"))
    with pytest.raises(DataError, match=r"has no file 'outputs/aa'\. Did you mean 'outputs/a'"):
        step.download_file("outputs/aa")
    assert (step.folder / "outputs/a").read_bytes() == b"1"


def test_there_is_no_model_registry(step):
    with pytest.raises(NotImplementedError, match="register_on_complete"):
        step.register_model("m", model_path="outputs/m")


# --- tags and properties -----------------------------------------------------------------------------------------


def test_tags_are_set_on_top_of_those_of_the_submission(step):
    step.tag("kind", "svm")
    step.tag("bare")
    step.set_tags({"more": 1})
    step.parent.tag("best", True)
    assert step.get_tags() == {"started": "by hand", "kind": "svm", "bare": "", "more": "1"}
    assert step.parent.get_tags() == {"started": "by hand", "best": "True"}
    assert read_tags(events(step)) == {"kind": "svm", "bare": "", "more": "1"}
    assert read_tags(events(step), parent=True) == {"best": "True"}


def test_a_property_is_written_once(step):
    step.add_properties({"a": 1})
    step.add_properties({"a": "1"})
    with pytest.raises(ValueError, match="property 'a' is '1' already"):
        step.add_properties({"b": 2, "a": 2})
    assert step.get_properties() == {"a": "1", "azureml.git.commit": "abc"}
    assert read_properties(events(step)) == {"a": "1"}


# --- the pipeline's run ------------------------------------------------------------------------------------------


@pytest.fixture
def others(step):
    """Two other steps of the same run: one that ran, one that was reused; and an earlier attempt of the first."""
    run = step.root / "runs/pipe/run-1"
    folders = {"prepare": "runs/pipe/run-1/steps/prepare/2", "load": "runs/pipe/run-0/steps/load/1"}
    for name, folder in {**folders, "earlier": "runs/pipe/run-1/steps/prepare/1"}.items():
        (step.root / folder).mkdir(parents=True)
        lines = [
            {"kind": "metric", "name": "own", "form": "scalar", "value": name, "at": 1},
            {"kind": "metric", "name": "all", "form": "scalar", "value": name, "at": 2, "parent": True},
        ]
        (step.root / folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    plan = {
        "steps": [
            {
                "step": "load",
                "decision": "reuse",
                "folder": folders["load"],
                "reused_from": {"id": "pipe.run-0.load.1"},
            },
            {"step": "prepare", "decision": "run"},
        ]
    }
    (run / "plan.json").write_text(json.dumps(plan))
    document = {"step": "prepare", "status": "finished", "folder": folders["prepare"], "attempt": 2}
    (run / "steps/prepare.json").write_text(json.dumps(document))
    (run / "steps/broken.json").write_text("{")
    return step


def test_the_pipeline_s_metrics_are_those_of_all_steps_that_ran(others):
    others.parent.log("all", "here")
    others.log("own", "here")
    assert others.parent.get_metrics() == {"all": ["prepare", "here"]}


def test_the_pipeline_s_children_are_its_steps(others):
    children = {child.name: child for child in others.parent.get_children()}
    assert {name: child.status for name, child in children.items()} == {
        "load": "Completed",
        "prepare": "Completed",
    }
    assert {name: child.get_metrics() for name, child in children.items()} == {
        "load": {"own": "load"},
        "prepare": {"own": "prepare"},
    }
    assert list(others.get_children()) == []


def test_metrics_of_the_pipeline_and_its_steps_come_by_id(others):
    found = others.parent.get_metrics(recursive=True)
    assert found["run-1"] == {"all": "prepare"}
    assert found["pipe.run-1.prepare.2"] == {"own": "prepare"}
    assert found["pipe.run-0.load.1"] == {"own": "load"}


# --- data --------------------------------------------------------------------------------------------------------


def test_a_name_that_there_is_not_is_told_with_those_that_there_are(step):
    assert step.output_datasets["model"] == "/somewhere/model"
    with pytest.raises(KeyError) as caught:
        step.output_datasets["modle"]
    assert str(caught.value) == "the step has no output 'modle'. Did you mean 'model'? There are: model."
    with pytest.raises(KeyError, match="the step has no input 'x'"):
        step.input_datasets["x"]
    assert step.input_datasets.get("x") is None


# --- without an orchestrator -------------------------------------------------------------------------------------


@pytest.fixture
def offline(tmp_path, monkeypatch, clean_run, capsys):
    monkeypatch.chdir(tmp_path)
    run = Run.get_context()
    assert capsys.readouterr().err.count("\n") == 1
    return run


def test_offline_there_is_one_warning_and_one_run(offline, capsys):
    assert Run.get_context() is offline
    assert capsys.readouterr().err == ""
    assert offline.id.startswith("OfflineRun")
    assert isinstance(offline, run_module.OfflineRun)


def test_offline_everything_that_scripts_use_is_there(offline, tmp_path, capsys):
    offline.log("acc", 0.5)
    offline.parent.log("all", 1)
    offline.tag("a", "b")
    assert capsys.readouterr().err == "metric acc = 0.5\nmetric all = 1\ntag a = b\n"
    assert offline.get_metrics() == {"acc": 0.5}
    assert offline.parent.get_metrics() == {"all": 1}
    assert offline.get_tags() == {"a": "b"}
    assert offline.experiment.workspace.get_default_datastore().name == "workspaceblobstore"
    assert list(offline.parent.get_children()) == []
    offline.complete()


def test_offline_files_go_to_outputs(offline, tmp_path):
    (tmp_path / "f.txt").write_text("x")
    for _ in range(2):  # a script is run again and again
        offline.upload_file("f.txt", "f.txt")
    offline.log_image("i", path="f.txt")
    assert (tmp_path / "outputs/f.txt").read_text() == "x"
    assert offline.get_file_names() == ["outputs/f.txt", "outputs/images/i.txt"]
    assert offline.get_metrics() == {"i": "outputs/images/i.txt"}


def test_offline_inputs_come_from_variables(offline, tmp_path, monkeypatch):
    (tmp_path / "iris.csv").write_text("a,b\n1,2\n")
    monkeypatch.setenv("AZUREML_DATAREFERENCE_iris", str(tmp_path / "iris.csv"))
    iris = offline.input_datasets["iris"]
    assert Path(iris).read_text().startswith("a,b")
    assert iris.to_path() == ["/iris.csv"]
    with pytest.raises(KeyError, match="AZUREML_DATAREFERENCE_<name>"):
        offline.input_datasets["other"]


def test_offline_can_be_refused(clean_run, offline):
    with pytest.raises(RunEnvironmentException, match="allow_offline=False"):
        Run.get_context(allow_offline=False)


def test_a_variable_that_is_left_over_is_named(clean_run, monkeypatch, tmp_path):
    monkeypatch.setenv("ML_PIPELINES_RUN", str(tmp_path / "gone.json"))
    with pytest.raises(DocumentError, match="is gone"):
        Run.get_context()


# --- in a script -------------------------------------------------------------------------------------------------


def test_a_script_finds_its_run(bench):
    script = """
        from airflow_ml_pipelines.runtime import Run
        run = Run.get_context(allow_offline=False)
        run.log("x", 1)
        run.upload_file("a.txt", "main.py")
        print(run.id, run.parent.id, run.experiment.workspace.name, run.get_metrics(), run.get_tags(), run.output_datasets)
        print(run.get_properties())
    """
    found = bench.run(
        script, tags={"t": "v"}, git={"azureml.git.commit": "abc"}, outputs={"o": bench.output("out")}
    )
    assert found == [
        f"pipe.run-1.step.1 run-1 ws {{'x': 1}} {{'t': 'v'}} {{'o': '{bench.folder}/data/out'}}",
        "{'azureml.git.commit': 'abc'}",
    ]
    assert (bench.attempt / "outputs/a.txt").exists()
    assert "outputs/a.txt" in bench.result["files"]


def test_every_process_of_a_script_finds_its_run(bench):
    script = """
        import multiprocessing, subprocess, sys
        from azureml.core import Run

        def work(number):
            Run.get_context().log("square", number * number)

        if __name__ == "__main__":
            for method in ("spawn", "fork"):
                with multiprocessing.get_context(method).Pool(2) as pool:
                    pool.map(work, [1, 2])
            code = "from azureml.core import Run; Run.get_context().log('square', 9)"
            subprocess.run([sys.executable, "-c", code], check=True)
            print(sorted(Run.get_context().get_metrics()["square"]))
    """
    assert bench.run(textwrap.dedent(script)) == ["[1, 1, 4, 4, 9]"]

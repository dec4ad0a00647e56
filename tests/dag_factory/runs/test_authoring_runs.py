from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time

import pytest

from airflow_ml_pipelines.core.workspaces.server import AirflowServer
from dag_factory import (
    DataError,
    DataPath,
    DataPathComputeBinding,
    DataReference,
    Dataset,
    Datastore,
    Experiment,
    MlPipelinesError,
    OutputFileDatasetConfig,
    ParameterError,
    Pipeline,
    PipelineData,
    PipelineParameter,
    PipelineRun,
    PythonScriptStep,
    StepFailedError,
    WorkspaceError,
)
from dag_factory.runs.remote import RemoteRun


class Chain:
    """Two steps: ``prepare`` copies what was uploaded, ``train`` copies that with a word."""

    def __init__(self, ws, project):
        project.copy_script("prepare/prepare.py")
        project.copy_script("train/train.py")
        project.write("words.txt", "some words\n")
        ws.get_default_datastore().upload_files(["words.txt"], target_path="in", show_progress=False)
        self.ws = ws
        self.project = project
        self.word = PipelineParameter("word", "ok")

    def pipeline(self):
        made, trained = OutputFileDatasetConfig(), OutputFileDatasetConfig("trained")
        words = Dataset.File.from_files([(self.ws.get_default_datastore(), "in")])
        prepare = PythonScriptStep(
            "prepare.py", source_directory="prepare", arguments=[words.as_mount(), made]
        )
        train = PythonScriptStep(
            "train.py", source_directory="train", arguments=[made.as_input(), trained, self.word]
        )
        return Pipeline(self.ws, [prepare, train])

    def run(self, **options):
        run = Experiment(self.ws, "chain").submit(self.pipeline(), **options)
        assert run.wait_for_completion(show_output=False) == "Finished"
        return run


@pytest.fixture
def chain(ws, project):
    return Chain(ws, project)


def ran(run):
    return [step.name for step in run.get_steps() if not step.is_reused]


def test_a_run_makes_outputs(chain, tmp_path):
    run = chain.run()
    (train,) = run.find_step_run("train.py")
    data = train.get_output_data("trained")
    assert data.datastore_name == "workspaceblobstore"
    assert data.download(tmp_path / "down") == 1
    assert (tmp_path / "down" / data.path_on_datastore / "all.txt").read_text() == "some words\nok"
    assert (train.get_output("trained").files, train.get_output("trained").size) == (1, 13)


def test_the_same_again_runs_nothing(chain):
    first = chain.run()
    again = chain.run()
    assert ran(first) == ["prepare.py", "train.py"]
    assert ran(again) == []
    step = again.find_step_run("train.py")[0]
    assert step.reused_from.run == first.id
    assert step.get_output_data("trained").path_on_datastore == (
        first.find_step_run("train.py")[0].get_output_data("trained").path_on_datastore
    )
    assert step.get_properties()["azureml.isreused"] == "true"
    assert step.get_properties()["azureml.reusedrunid"] == first.find_step_run("train.py")[0].id


def test_the_same_pipeline_object_notices_an_edit(chain):
    pipeline = chain.pipeline()
    experiment = Experiment(chain.ws, "chain")
    experiment.submit(pipeline).wait_for_completion(show_output=False)
    chain.project.write("train/more.txt", "new")
    run = experiment.submit(pipeline)
    run.wait_for_completion(show_output=False)
    assert ran(run) == ["train.py"]


def test_changed_data_runs_what_reads_it(chain):
    chain.run()
    chain.project.write("words.txt", "other words\n")
    store = chain.ws.get_default_datastore()
    store.upload_files(["words.txt"], target_path="in", overwrite=True, show_progress=False)
    assert ran(chain.run()) == ["prepare.py", "train.py"]


def test_a_parameter_runs_what_uses_it(chain):
    chain.run()
    run = chain.run(pipeline_parameters={"word": "other"})
    assert ran(run) == ["train.py"]
    assert run.parameters == {"word": "other"}
    assert "other" in " ".join(run.find_step_run("train.py")[0].reasons)


def test_everything_can_be_made_again(chain):
    chain.run()
    assert ran(chain.run(regenerate_outputs=True)) == ["prepare.py", "train.py"]


def test_another_experiment_reuses_it_as_well(chain):
    chain.run()
    run = chain.pipeline().submit("another")
    run.wait_for_completion(show_output=False)
    assert ran(run) == []


def test_output_names_follow_the_place(chain):
    run = chain.run()
    assert list(run.find_step_run("prepare.py")[0].get_outputs()) == ["output_1"]


def test_show_output_prints_what_scripts_print_and_how_steps_end(chain, capsys):
    Experiment(chain.ws, "chain").submit(chain.pipeline()).wait_for_completion()
    text = capsys.readouterr().out
    assert "[prepare.py] copied 1" in text
    assert "[train.py] finished in" in text
    assert text.rstrip().endswith("Finished")
    Experiment(chain.ws, "chain").submit(chain.pipeline()).wait_for_completion(show_output=True)
    text = capsys.readouterr().out
    assert "2 steps: 2 reused" in text
    assert "copied" not in text


def test_any_process_can_open_a_run(chain):
    run = chain.run(tags={"who": "me"})
    code = """
        import sys
        from dag_factory import PipelineRun, Workspace
        run = PipelineRun.get(Workspace.from_config(), sys.argv[1])
        print(run.get_status(), run.experiment.name, run.get_tags(), run.parent)
        print([step.name for step in run.children], run.wait_for_completion(show_output=False))
        print(run.get_pipeline_output("trained").path_on_datastore)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), run.id], capture_output=True, text=True, check=True
    )
    first, second, third = done.stdout.splitlines()
    assert first == "Finished chain {'who': 'me'} None"
    assert second == "['prepare.py', 'train.py'] Finished"
    assert third == run.get_pipeline_output("trained").path_on_datastore


def test_an_unknown_run_is_refused(chain):
    with pytest.raises(WorkspaceError, match="there is no run 'gone'"):
        PipelineRun.get(chain.ws, "gone")


def test_unknown_outputs_are_named_with_the_nearest(chain):
    run = chain.run()
    with pytest.raises(DataError, match="Did you mean 'trained'"):
        run.get_pipeline_output("traind")
    with pytest.raises(DataError, match="Did you mean 'trained'"):
        run.find_step_run("train.py")[0].get_output("traind")
    assert run.find_step_run("gone") == []


def test_an_experiment_knows_its_runs(chain):
    first, second = chain.run(), chain.run()
    assert [run.id for run in Experiment(chain.ws, "chain").get_runs()] == [second.id, first.id]
    assert list(chain.ws.experiments) == ["chain"]


def test_logs_metrics_and_files_can_be_read(ws, project):
    project.write(
        "s/s.py",
        """
        import sys
        from azureml.core import Run
        run = Run.get_context()
        run.log("loss", 0.5)
        run.parent.log("best", 1)
        run.tag("kind", "small")
        open("outputs/model.txt", "w").write("m")
        print("out"); print("err", file=sys.stderr)
        """.replace('open("outputs', '__import__("os").makedirs("outputs", exist_ok=True); open("outputs'),
    )
    pipeline = Pipeline(ws, [PythonScriptStep("s.py", source_directory="s")])
    first = pipeline.submit("logs")
    first.wait_for_completion(show_output=False)
    again = pipeline.submit("logs")
    again.wait_for_completion(show_output=False)
    for run in (first, again):
        (step,) = run.get_steps()
        assert step.get_metrics() == {"loss": 0.5}
        assert step.get_metrics("gain") == {}
        assert step.get_tags() == {"kind": "small"}
        assert step.get_stdout_log() == "out\n"
        assert step.get_stderr_log() == "err\n"
        assert "outputs/model.txt" in step.get_file_names()
        assert step.get_details_with_logs()["logFiles"]["logs/stdout.txt"] == "out\n"
        assert run.get_metrics() == {"best": 1}
        assert run.get_metrics(recursive=True)[step.id] == {"loss": 0.5}
    step.download_file("outputs/model.txt", "copy.txt")
    assert (project.folder / "copy.txt").read_text() == "m"
    with pytest.raises(DataError, match=r"outputs/model\.txt"):
        step.download_file("outputs/modell.txt")


def test_wrong_parameters_are_refused_at_once(chain):
    experiment = Experiment(chain.ws, "chain")
    with pytest.raises(ParameterError, match="Did you mean 'word'"):
        experiment.submit(chain.pipeline(), pipeline_parameters={"wrod": "x"})
    with pytest.raises(ParameterError, match="takes string"):
        experiment.submit(chain.pipeline(), pipeline_parameters={"word": 5})
    assert list(experiment.get_runs()) == []


def test_wrong_keywords_are_refused(chain):
    with pytest.raises(TypeError, match="Did you mean 'regenerate_outputs'"):
        Experiment(chain.ws, "chain").submit(chain.pipeline(), regenerate_output=True)
    with pytest.raises(TypeError, match="expected a Pipeline"):
        Experiment(chain.ws, "chain").submit("pipeline")


def test_the_old_word_for_parameters_is_taken(chain):
    run = Experiment(chain.ws, "chain").submit(chain.pipeline(), pipeline_params={"word": "x"})
    run.wait_for_completion(show_output=False)
    assert run.parameters == {"word": "x"}


def test_names_that_the_workspace_lacks_are_refused_at_once(chain):
    step = PythonScriptStep("train.py", source_directory="train", compute_target="gpu")
    with pytest.raises(MlPipelinesError, match=r"step 'train\.py': .*'gpu'"):
        Experiment(chain.ws, "chain").submit(Pipeline(chain.ws, [step]))


def test_a_failed_step_raises_its_error(ws, project, capsys):
    project.write("s/bad.py", "raise SystemExit('it is broken')")
    run = Pipeline(ws, [PythonScriptStep("bad.py", source_directory="s")]).submit("bad")
    with pytest.raises(StepFailedError, match=r"step 'bad\.py' failed(.|\n)*it is broken"):
        run.wait_for_completion()
    assert run.get_status() == "Failed"
    assert run.wait_for_completion(show_output=False, raise_on_error=False) == "Failed"
    (step,) = run.get_steps()
    assert step.get_status() == "Failed"
    assert "it is broken" in step.error
    with pytest.raises(DataError, match="it is failed"):
        step.get_outputs()
    with pytest.raises(StepFailedError):
        step.wait_for_completion(show_output=False)
    assert PipelineRun.get(ws, run.id).get_status() == "Failed"
    assert "failed" in capsys.readouterr().out


def test_steps_that_do_not_need_the_failed_one_can_go_on(ws, project):
    project.write("s/bad.py", "raise SystemExit(1)")
    project.write("s/good.py", "print('good')")
    output = OutputFileDatasetConfig("o")
    bad = PythonScriptStep("bad.py", source_directory="s", arguments=[output])
    after = PythonScriptStep("good.py", name="after", source_directory="s", arguments=[output.as_input()])
    good = PythonScriptStep("good.py", source_directory="s", allow_reuse=False)
    waits = PythonScriptStep("good.py", name="waits", source_directory="s", allow_reuse=False)
    waits.run_after(good)
    run = Experiment(ws, "e").submit(Pipeline(ws, [bad, after, waits]), continue_on_step_failure=True)
    assert run.wait_for_completion(show_output=False, raise_on_error=False) == "Failed"
    statuses = {step.name: step.get_status() for step in run.get_steps()}
    assert statuses == {"bad.py": "Failed", "after": "Canceled", "good.py": "Finished", "waits": "Finished"}


def test_a_run_that_can_not_begin_raises_why(ws, project):
    project.write("s/s.py")
    pipeline = Pipeline(
        ws,
        [
            PythonScriptStep(
                "s.py",
                source_directory="s",
                inputs=[DataReference(ws.get_default_datastore(), "x", "not/there")],
            )
        ],
    )
    run = pipeline.submit("e")
    with pytest.raises(DataError, match="not/there"):
        run.wait_for_completion(show_output=False)
    assert run.get_status() == "Failed"
    assert PipelineRun.get(ws, run.id).get_status() == "Failed"


def test_waiting_can_stop_before_the_end_and_a_run_can_be_canceled(ws, project):
    project.write("s/slow.py", "import time; print('begun', flush=True); time.sleep(60)")
    run = Pipeline(ws, [PythonScriptStep("slow.py", source_directory="s")]).submit("e")
    assert run.wait_for_completion(show_output=False, timeout_seconds=0.2) == "Running"
    threading.Timer(0.2, run.cancel).start()
    began = time.monotonic()
    assert run.wait_for_completion(show_output=False) == "Canceled"
    assert time.monotonic() - began < 30
    assert next(run.get_steps()).wait_for_completion(show_output=False) == "Canceled"
    assert PipelineRun.get(ws, run.id).get_status() == "Canceled"


def test_a_run_of_another_process_has_to_be_canceled_there(chain, monkeypatch):
    run = chain.run()
    monkeypatch.setattr("dag_factory.runs.local._runs", {})
    other = PipelineRun.get(chain.ws, run.id)
    other.cancel()
    other.folder.store.delete(f"{other.folder.path}/result.json")
    other.folder.store.delete(f"{other.folder.path}/steps/train.json")
    with pytest.raises(MlPipelinesError, match="cancel it where it runs"):
        other.cancel()


def test_data_parameters_take_paths_and_datasets(ws, project):
    project.copy_script("s/s.py")
    for name in ("one", "two"):
        project.write(f"{name}.txt", name)
    store = ws.get_default_datastore()
    store.upload_files(["one.txt", "two.txt"], show_progress=False)
    parameter = PipelineParameter("which", DataPath(store, "one.txt"))
    pair = (parameter, DataPathComputeBinding())
    made = PipelineData("made", store, output_name="made_here", pipeline_output_name="result")
    step = PythonScriptStep(
        "s.py", source_directory="s", arguments=[pair, made], inputs=[pair], outputs=[made]
    )
    pipeline = Pipeline(ws, [step])

    def content(**options):
        run = Experiment(ws, "e").submit(pipeline, **options)
        run.wait_for_completion(show_output=False)
        data = PipelineRun.get(ws, run.id).get_pipeline_output("result")
        assert data.path_on_datastore == run.get_pipeline_output("made_here").path_on_datastore
        return store.store.get(f"{data.path_on_datastore}/all.txt")

    assert content() == b"one"
    assert content(pipeline_parameters={"which": DataPath(store, "two.txt")}) == b"two"
    assert content(pipeline_parameters={"which": Dataset.File.from_files((store, "two.txt"))}) == b"two"


def test_registered_outputs_become_datasets(ws, project):
    project.copy_script("s/s.py")
    project.write("in.txt", "x")
    ws.get_default_datastore().upload_files(["in.txt"], show_progress=False)
    made = OutputFileDatasetConfig("made", (ws.get_default_datastore(), "kept/{run-id}"))
    made.register_on_complete("kept", tags={"a": "b"})
    source = Dataset.File.from_files([(ws.get_default_datastore(), "in.txt")])
    step = PythonScriptStep("s.py", source_directory="s", arguments=[source.as_mount(), made])
    run = Pipeline(ws, [step]).submit("e")
    run.wait_for_completion(show_output=False)
    dataset = Dataset.get_by_name(ws, "kept")
    assert (dataset.version, dataset.tags, dataset.to_path()) == (1, {"a": "b"}, ["/all.txt"])
    assert run.get_pipeline_output("made").path_on_datastore.startswith("kept/")


class Refused(RemoteRun):
    """A run that a server ended before it had a plan."""

    def status(self):
        return "Failed"


def test_a_run_on_a_server_that_could_not_begin_says_why(ws, project):
    server = AirflowServer("http://localhost:1")
    remote = Refused(server, "Flow", "run-1", "http://localhost:1/dags/Flow/runs/run-1")
    run = PipelineRun(Experiment(ws, "Flow"), "run-1", remote=remote)
    with pytest.raises(
        StepFailedError, match="failed before its first step: see http://localhost:1/dags/Flow"
    ):
        run.wait_for_completion(show_output=False)
    run.folder.write_result("Failed", "there is no parameter 'alhpa'")
    with pytest.raises(StepFailedError, match="failed before its first step: there is no parameter 'alhpa'"):
        run.wait_for_completion(show_output=False)


def test_interrupting_the_wait_cancels_the_run(ws, project, monkeypatch):
    project.write("s/slow.py", "import time; time.sleep(60)")
    run = Pipeline(ws, [PythonScriptStep("slow.py", source_directory="s")]).submit("e")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run._local.feed, "follow", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run.wait_for_completion(show_output=False)
    run._local.thread.join(30)
    assert run.get_status() == "Canceled"


def test_a_script_that_does_not_wait_leaves_a_finished_run(ws, project):
    project.write("s/s.py", "import time; time.sleep(0.1)")
    project.write(
        "go.py",
        """
        from dag_factory import Pipeline, PythonScriptStep, Workspace
        first = PythonScriptStep("s.py", name="first", source_directory="s")
        second = PythonScriptStep("s.py", name="second", source_directory="s", allow_reuse=False)
        second.run_after(first)
        print(Pipeline(Workspace.from_config(), [second]).submit("e").id)
        """,
    )
    done = subprocess.run([sys.executable, "go.py"], capture_output=True, text=True, check=True)
    run = PipelineRun.get(ws, done.stdout.split()[0])
    assert [step.get_status() for step in run.get_steps()] == ["Finished", "Finished"]
    assert "goes on in a process of its own" in done.stdout


def test_outputs_on_another_datastore(ws, project, tmp_path):
    Datastore.register(ws, "lake", str(tmp_path / "lake"))
    project.copy_script("s/s.py")
    project.write("in.txt", "x")
    ws.get_default_datastore().upload_files(["in.txt"], show_progress=False)
    source = Dataset.File.from_files([(ws.get_default_datastore(), "in.txt")])
    made = OutputFileDatasetConfig("made")
    step = PythonScriptStep("s.py", source_directory="s", arguments=[source.as_download(), made])
    run = Pipeline(ws, [step], default_datastore=Datastore(ws, "lake")).submit("e")
    run.wait_for_completion(show_output=False)
    data = run.get_pipeline_output("made")
    assert data.datastore.name == "lake"
    assert (tmp_path / "lake" / data.path_on_datastore / "all.txt").read_text() == "x"

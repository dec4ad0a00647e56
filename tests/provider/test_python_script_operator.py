import os
import signal
import threading
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from airflow.sdk import DAG, Param  # noqa: TID253
from airflow.sdk.log import mask_secret  # noqa: TID253
from msgspec.structs import replace

from airflow_ml_pipelines._airflow import AirflowException, AirflowFailException
from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.core.runs.folder import RunFolder
from airflow_ml_pipelines.core.spec import (
    EnvironmentSpec,
    InputPath,
    OutputPath,
    OutputSpec,
    RegisterSpec,
    Text,
)
from airflow_ml_pipelines.core.steps.decide import decide, open_step
from airflow_ml_pipelines.operators.python_script import PythonScriptOperator
from dag_factory.cli import main

try:
    from airflow.sdk.exceptions import TaskDeferred
except ImportError:
    from airflow.exceptions import TaskDeferred


def _output(outcome, name="out"):
    return Path(unquote(urlsplit(outcome.value["outputs"][name]).path))


# --- in a DAG that has a plan ------------------------------------------------------------------------------------


def test_it_runs_the_script_and_returns_where_its_outputs_are(tasks, run_task):
    run_task(tasks["plan"], conf={"alpha": 3})
    run_task(tasks["prepare.run"])
    done = run_task(tasks["train.run"])
    assert done.value["decision"] == "run"
    assert len(done.value["key"]) == 64
    assert (_output(done) / "out.txt").read_text() == "3"


def test_what_the_script_prints_is_in_the_log(tasks, run_task, capsys, caplog):
    caplog.set_level("INFO")
    run_task(tasks["plan"])
    run_task(tasks["prepare.run"])
    assert "at work on" in caplog.text + "".join(capsys.readouterr())


def test_a_cleared_step_runs_although_it_was_reused(tasks, run_task, first):
    run_task(tasks["plan"], "r2")
    done = run_task(tasks["prepare.run"], "r2")
    assert (done.value["decision"], done.value["reason"]) == ("run", "the task was cleared")


def test_a_result_that_another_run_has_made_since_is_taken(tasks, run_task):
    run_task(tasks["plan"], "r1")
    run_task(tasks["plan"], "r2")
    made = run_task(tasks["prepare.run"], "r2")
    taken = run_task(tasks["prepare.run"], "r1")
    assert taken.value["decision"] == "reuse"
    assert taken.value["outputs"] == made.value["outputs"]


def test_it_waits_without_a_slot_for_a_run_that_makes_the_same(tasks, run_task, workspace):
    run_task(tasks["plan"], "r1")
    run_task(tasks["plan"], "r2")
    decide(open_step(workspace, RunFolder(workspace.store, "pipeline", "r2"), "prepare"))
    with pytest.raises(TaskDeferred) as caught:
        run_task(tasks["prepare.run"], "r1")
    assert caught.value.method_name == "resume"


def test_a_registered_output_is_an_asset_whose_event_has_its_version(tasks, run_task):
    [asset] = tasks["train.run"].outlets
    assert (asset.name, asset.uri) == ("model", "ml-pipelines://datasets/model")
    run_task(tasks["plan"])
    run_task(tasks["prepare.run"])
    done = run_task(tasks["train.run"])
    [(of, event)] = done.events.items()
    assert of == "model"
    assert event.extra["version"] == 1
    assert len(event.extra["digest"]) == 64


def test_a_script_that_fails_may_be_retried(tasks, run_task, source, workspace):
    (source / "step.py").write_text("raise SystemExit('no way')")
    run_task(tasks["plan"])
    with pytest.raises(AirflowException, match="step 'prepare' failed") as caught:
        run_task(tasks["prepare.run"], max_tries=1)
    assert not isinstance(caught.value, AirflowFailException)
    folder = RunFolder(workspace.store, "pipeline", "r1")
    assert folder.read_failure() is None  # not while there are tries left
    with pytest.raises(AirflowException):
        run_task(tasks["prepare.run"], try_number=2, max_tries=1)
    assert folder.read_failure().step == "prepare"


def test_a_step_whose_run_has_failed_is_not_retried(tasks, run_task, workspace):
    run_task(tasks["plan"])
    RunFolder(workspace.store, "pipeline", "r1").write_failure("train", "it broke")
    with pytest.raises(AirflowFailException, match="'train' failed"):
        run_task(tasks["prepare.run"])


def test_killing_the_task_kills_the_script(tasks, run_task, source, tmp_path, monkeypatch):
    pid = tmp_path / "pid"
    (source / "step.py").write_text(
        f"import os, pathlib, time\npathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\ntime.sleep(60)"
    )
    run_task(tasks["plan"])
    killed = []
    real = PythonScriptOperator._run

    def run(self, *given):
        killed.append(self)
        return real(self, *given)

    def kill():
        while not pid.exists() or not pid.read_text():
            time.sleep(0.02)
        killed[0].on_kill()

    threading.Thread(target=kill, daemon=True).start()
    monkeypatch.setattr(PythonScriptOperator, "_run", run)
    with pytest.raises(AirflowException, match="the task was killed"):
        run_task(tasks["prepare.run"])
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), signal.SIGCONT)


def test_a_time_out_of_airflow_kills_the_script(tasks, run_task, source, tmp_path, workspace):
    class TimedOutError(BaseException):
        """What Airflow raises in the task."""

    def raise_it(*_):
        raise TimedOutError

    pid = tmp_path / "pid"
    (source / "step.py").write_text(
        f"import os, pathlib, time\npathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\ntime.sleep(60)"
    )
    run_task(tasks["plan"])
    before = signal.signal(signal.SIGALRM, raise_it)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(TimedOutError):
            run_task(tasks["prepare.run"])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if pid.exists():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), signal.SIGCONT)
    assert RunFolder(workspace.store, "pipeline", "r1").read_step("prepare").status == "canceled"


# --- in any other DAG --------------------------------------------------------------------------------------------


@pytest.fixture
def written(workspace, source):
    """Two tasks of a hand-written DAG."""
    with DAG("written", schedule=None, params={"alpha": Param(1, type="integer")}):
        write = ["--write", OutputPath(output="out")]
        prepare = PythonScriptOperator(
            task_id="prepare",
            script_name="step.py",
            source_directory=source,
            arguments=[*write, "--alpha", "{{ params.alpha }}"],
            outputs=["out"],
        )
        train = PythonScriptOperator(
            task_id="train",
            script_name="step.py",
            source_directory=source,
            arguments=[
                *write,
                "--read",
                InputPath(input="data"),
                ("--al", "pha"),
                ("<", "{{ run_id }}", ">"),
            ],
            inputs={"data": prepare.output_of("out")},
            outputs=[OutputSpec(name="out", register=RegisterSpec(name="model"))],
        )
    return prepare, train


def test_it_needs_no_plan(written, run_task):
    prepare, train = written
    assert train.upstream_task_ids == {"prepare"}
    assert run_task(prepare).value["decision"] == "run"
    assert (_output(run_task(train)) / "out.txt").read_text() == "1<r1>"


def test_it_ends_well_where_it_reuses_and_says_so(written, run_task):
    prepare, _ = written
    made = run_task(prepare, "r1")
    taken = run_task(prepare, "r2")
    assert taken.value["decision"] == "reuse"
    assert taken.value["reused_from"] == "written/r1"
    assert taken.value["outputs"] == made.value["outputs"]
    assert taken.skipped == []


def test_the_command_line_shows_and_explains_its_steps(written, run_task, capsys):
    for run, conf in (("r1", None), ("r2", {"alpha": 2})):
        for task in written:
            run_task(task, run, conf=conf)
    capsys.readouterr()
    assert main(["show", "r2"]) == 0
    text = capsys.readouterr().out
    assert "run r2 of written, experiment written: Finished" in text
    assert [line.split()[:2] for line in text.splitlines()[-2:]] == [
        ["prepare", "finished"],
        ["train", "finished"],
    ]
    assert main(["explain", "r2", "prepare"]) == 0
    assert "argument --alpha: 1 → 2" in capsys.readouterr().out
    assert main(["explain", "r2", "train"]) == 0
    assert "  input data: 1 file changed (step prepare: argument --alpha: 1 → 2)" in capsys.readouterr().out
    assert main(["diff", "r1", "r2"]) == 0
    assert "train:" in capsys.readouterr().out


def test_a_template_decides_with_the_value_that_it_has(written, run_task):
    prepare, _ = written
    run_task(prepare, "r1")
    assert run_task(prepare, "r2", conf={"alpha": 2}).value["reason"] == "argument --alpha: 1 → 2"


def test_regenerate_outputs_as_a_param_makes_it_run(written, run_task):
    prepare, _ = written
    run_task(prepare, "r1")
    assert run_task(prepare, "r2", conf={"regenerate_outputs": True}).value["decision"] == "run"


def test_parameters_and_variables_are_set_for_the_script(workspace, run_task, source):
    (source / "show.py").write_text(
        "import os, sys\nopen(sys.argv[1] + '/o', 'w').write(os.environ['AML_PARAMETER_depth'] + os.environ['WHO'])"
    )
    with DAG("written", schedule=None):
        task = PythonScriptOperator(
            task_id="show",
            script_name="show.py",
            source_directory=source,
            arguments=[OutputPath(output="out")],
            outputs=["out"],
            script_parameters={"depth": "{{ 1 + 1 }}"},
            environment=EnvironmentSpec(variables={"WHO": "nobody"}),
            environment_variables={"WHO": "{{ dag.dag_id }}"},
        )
    assert (_output(run_task(task)) / "o").read_text() == "2written"


def test_the_value_of_a_variable_is_kept_nowhere(workspace, run_task, source, caplog):
    caplog.set_level("DEBUG")
    with DAG("written", schedule=None):
        task = PythonScriptOperator(
            task_id="a",
            script_name="step.py",
            source_directory=source,
            arguments=["--write", OutputPath(output="out")],
            outputs=["out"],
            environment_variables={"FISH": "{{ 'swor' + 'dfish' }}"},
        )
    made = run_task(task)
    kept = [workspace.store.get(info.path) for info in workspace.store.walk()]
    assert len(kept) > 5
    assert not [data for data in kept if b"swordfish" in data]
    assert "swordfish" not in str(made.value) + caplog.text


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"arguments": ["--password", "{{ params.password }}"]}, "argument 2"),
        ({"arguments": [("postgres://", "u:{{ params.password }}", "@host")]}, "argument 1"),
        ({"script_parameters": {"password": "{{ params.password }}"}}, "script parameter 'password'"),
    ],
)
def test_a_secret_that_would_be_kept_is_refused(workspace, run_task, source, given, what):
    mask_secret("s3cret-of-airflow")
    with DAG("written", schedule=None, params={"password": "s3cret-of-airflow"}):
        task = PythonScriptOperator(task_id="t", script_name="step.py", source_directory=source, **given)
    with pytest.raises(AirflowFailException, match=f"task 't': {what} has a secret in it"):
        run_task(task)
    assert not [
        info for info in workspace.store.walk() if b"s3cret-of-airflow" in workspace.store.get(info.path)
    ]


def test_a_secret_that_a_template_gives_is_taken_out_of_what_the_script_writes(
    workspace, run_task, source, caplog, capsys
):
    mask_secret("s3cret-of-airflow")
    (source / "show.py").write_text("import os; print('it is', os.environ['WORD'])")
    with DAG("written", schedule=None, params={"word": "s3cret-of-airflow"}):
        task = PythonScriptOperator(
            task_id="show",
            script_name="show.py",
            source_directory=source,
            environment_variables={"WORD": "{{ params.word }}"},
        )
    with caplog.at_level("INFO"):
        run_task(task)
    assert "it is ***" in caplog.text + capsys.readouterr().out
    kept = {info.path: workspace.store.get(info.path) for info in workspace.store.walk()}
    assert any(b"it is ***" in data for data in kept.values())
    assert not [path for path, data in kept.items() if b"s3cret-of-airflow" in data]


def test_a_mapped_task_has_a_step_for_each_index(workspace, run_task, source):
    with DAG("written", schedule=None):
        mapped = PythonScriptOperator.partial(
            task_id="map",
            script_name="step.py",
            source_directory=source,
            outputs=["out"],
            arguments=["--write", OutputPath(output="out"), "--alpha", "{{ ti.map_index }}"],
        ).expand(version=["a", "b"])
    for index in range(2):
        done = run_task(mapped.unmap({"version": "ab"[index]}), map_index=index)
        assert (_output(done) / "out.txt").read_text() == str(index)
    folder = RunFolder(workspace.store, "written", "r1")
    assert [folder.read_step(f"map-{index}").status for index in range(2)] == ["finished", "finished"]


def test_foreign_data_is_given_by_its_path(workspace, run_task, source, tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.txt").write_text("rows")
    with DAG("written", schedule=None):
        task = PythonScriptOperator(
            task_id="read",
            script_name="step.py",
            source_directory=source,
            arguments=["--read", InputPath(input="raw"), "--write", OutputPath(output="out")],
            inputs={"raw": tmp_path / "raw"},
            outputs=["out"],
        )
    assert (_output(run_task(task, "r1")) / "out.txt").read_text() == "rows"
    (tmp_path / "raw" / "b.txt").write_text("more")
    assert run_task(task, "r2").value["reason"] == "input raw: b.txt is new"


def test_a_relative_source_directory_is_beside_the_dag_file(workspace, run_task, tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "a.py").write_text("print('hello')")
    with DAG("written", schedule=None) as dag:
        task = PythonScriptOperator(task_id="a", script_name="a.py", source_directory="scripts")
    dag.fileloc = str(tmp_path / "dag.py")
    assert run_task(task).value["decision"] == "run"


def test_the_definition_digest_tells_the_order_of_arguments(source):
    def digest(*arguments):
        with DAG("written", schedule=None):
            return PythonScriptOperator(
                task_id="a", script_name="a.py", arguments=arguments
            ).definition_digest

    assert digest("--a", "1", "--b", "2") != digest("--a", "2", "--b", "1")
    assert digest("--a", InputPath(input="x")) != digest("--a", InputPath(input="y"))
    assert digest("--a", Text(text="1")) == digest("--a", Text(text="1"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "either step"),
        ({"script_name": "a.py", "step": "a"}, "either step"),
        ({"step": "a"}, "pipeline is needed"),
        ({"script_name": "a.py", "arguments": "--a 1"}, "found the text '--a 1'"),
        ({"script_name": "a.py", "outputs": "out"}, "the text 'out'"),
        ({"script_name": "a.py", "outputs": ["out", "out"]}, "two are named 'out'"),
        ({"script_name": "a.py", "outputs": [3]}, r"found 3 \(int\)"),
        ({"script_name": "a.py", "inputs": {"raw": 3}}, r"input 'raw': .*found 3 \(int\)"),
    ],
)
def test_a_task_that_could_not_run_is_refused_when_the_dag_is_read(given, words):
    with DAG("written", schedule=None), pytest.raises(DefinitionError, match=words):
        PythonScriptOperator(task_id="a", **given)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([InputPath(input="dta")], "argument 1: there is no input 'dta'. There are none."),
        (["x", OutputPath(output="uot")], "argument 2: there is no output 'uot'. Did you mean 'out'"),
        ([None], "argument 1: expected text"),
    ],
)
def test_a_wrong_argument_is_named(workspace, run_task, source, arguments, words):
    with DAG("written", schedule=None):
        task = PythonScriptOperator(
            task_id="a", script_name="step.py", source_directory=source, arguments=arguments, outputs=["out"]
        )
    with pytest.raises(AirflowFailException) as caught:
        run_task(task)
    assert words in str(caught.value)


def test_an_output_that_does_not_exist_is_named(written):
    with pytest.raises(DefinitionError, match=r"no output 'uot'\. Did you mean 'out'"):
        written[0].output_of("uot")


def test_a_step_of_a_pipeline_has_no_templates(pipeline, make_tasks):
    prepare = replace(pipeline.steps[0], version="{{ 1 / 0 }}")
    task = make_tasks(replace(pipeline, steps=(prepare,)))["prepare.run"]
    assert not task.arguments
    assert not task.script_parameters
    assert not task.environment_variables

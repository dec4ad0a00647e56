import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import msgspec
import pytest
from project import made, step

from airflow_ml_pipelines.core.errors import (
    DataError,
    DefinitionError,
    ParameterError,
    SnapshotError,
    WorkspaceError,
)
from airflow_ml_pipelines.core.plans.plan import make_plan
from airflow_ml_pipelines.core.reuse.records import find_record
from airflow_ml_pipelines.core.runs.folder import RunFolder, open_run
from airflow_ml_pipelines.core.runs.new_run import new_run
from airflow_ml_pipelines.core.spec import EnvironmentSpec, OutputSpec, RegisterSpec
from airflow_ml_pipelines.execution.runner import run_pipeline

ALL = ["prepare", "report", "train"]


def reasons(outcome, name):
    return " | ".join(outcome.steps[name].reasons)


def output(project, outcome, name):
    document = outcome.steps[name].outputs["out"]
    return project.workspace.datastore(document.datastore).get(f"{document.path}/out.txt").decode()


def replace_step(spec, name, **fields):
    steps = tuple(msgspec.structs.replace(s, **fields) if s.id == name else s for s in spec.steps)
    return msgspec.structs.replace(spec, steps=steps)


def test_the_first_run_runs_all_and_the_second_nothing(project):
    first = project.run()
    assert first.status == "Finished"
    assert project.ran() == ALL
    assert "no earlier result" in reasons(first, "prepare")
    assert output(project, first, "train") == "data one"
    second = project.run()
    assert second.status == "Finished"
    assert project.ran() == []
    assert {document.status for document in second.steps.values()} == {"reused"}
    assert second.steps["train"].reused_from.run == first.folder.run
    assert output(project, second, "train") == "data one"


def test_a_step_that_has_only_ever_taken_results_of_another_one_says_why_it_runs(project):
    """A pipeline under another name takes what the first one made; then something changes."""
    project.run()
    other = msgspec.structs.replace(project.spec, name="other")
    project.run(other)
    project.ran()
    changed = project.run(other, parameters={"word": "two"})
    assert project.ran() == ["train"]
    assert reasons(changed, "train") == "argument 3: one → two"


def test_a_changed_parameter_runs_only_what_uses_it(project):
    project.run()
    project.ran()
    changed = project.run(parameters={"word": "two"})
    assert project.ran() == ["train"]
    assert "one → two" in reasons(changed, "train")
    assert output(project, changed, "train") == "data two"
    project.run(parameters={"word": "one"})
    assert project.ran() == []


def test_a_changed_script_runs_again_and_is_named(project):
    project.run()
    project.ran()
    path = project.folder / "report" / "report.py"
    path.write_text(path.read_text() + "# changed\n")
    changed = project.run()
    assert project.ran() == ["report"]
    assert "report.py changed" in reasons(changed, "report")


def test_a_changed_input_file_runs_what_reads_it_and_is_named(project):
    project.run()
    project.ran()
    project.workspace.datastore().put("in/b.txt", b"more ")
    changed = project.run()
    assert project.ran() == ALL
    assert "b.txt is new" in reasons(changed, "prepare")


def test_what_changed_first_is_named_along_the_whole_chain(project):
    project.run()
    project.workspace.datastore().put("in/b.txt", b"more ")
    changed = project.run()
    root = "step Prepare: input data: b.txt is new"
    assert reasons(changed, "train") == f"input data: out.txt changed ({root})"
    explained = changed.steps["train"].explanation
    (difference,) = explained.differences
    assert (difference.step, [cause.text for cause in difference.causes]) == ("prepare", [root])
    assert explained.against.pipeline == "pipe"
    assert (
        RunFolder(project.workspace.store, "pipe", changed.folder.run).steps()["train"].explanation
        == explained
    )


def test_a_dry_plan_says_what_is_known_of_steps_that_depend_on_others(project):
    project.run()
    project.workspace.datastore().put("in/b.txt", b"more ")
    path = project.folder / "report" / "report.py"
    path.write_text(path.read_text() + "# changed\n")
    plan = make_plan(project.workspace, new_run(project.spec), dry=True)
    assert plan.step("report").reasons == ("depends on step prepare", "source: report.py changed")
    assert plan.step("report").explanation.reasons == (
        "source: report.py changed",
        "input data: step prepare runs before it (input data: b.txt is new)",
    )
    assert plan.step("train").reasons == ("depends on step prepare",)


def test_the_objects_of_a_store_that_is_not_read_are_named(project):
    spec = replace_step(
        project.spec,
        "prepare",
        inputs=(msgspec.structs.replace(project.spec.step("prepare").inputs[0], fingerprint="etag"),),
    )
    project.run(spec)
    project.workspace.datastore().put("in/b.txt", b"more ")
    assert reasons(project.run(spec), "prepare") == "input data: b.txt is new"


def test_a_touched_file_is_no_change(project):
    project.run()
    project.ran()
    data = project.workspace.datastore().local_path("in/a.txt")
    for path in (data, project.folder / "train" / "train.py"):
        os.utime(path, (1, 1))
    project.run()
    assert project.ran() == []


def test_equal_bytes_upstream_end_the_chain_of_reruns(project):
    project.run()
    project.ran()
    path = project.folder / "prepare" / "prepare.py"
    path.write_text(path.read_text() + "# changed\n")
    second = project.run()
    assert project.ran() == ["prepare"]
    assert second.steps["train"].status == "reused"


def test_a_step_without_reuse_always_runs_and_is_not_recorded(project):
    spec = replace_step(project.spec, "report", allow_reuse=False)
    project.run(spec)
    project.ran()
    second = project.run(spec)
    assert project.ran() == ["report"]
    assert "allow_reuse is false" in reasons(second, "report")
    project.run()
    assert project.ran() == ["report"]


def test_regenerate_outputs_runs_all_and_its_results_are_reused(project):
    project.run()
    project.ran()
    forced = project.run(regenerate_outputs=True)
    assert project.ran() == ALL
    assert "regenerate_outputs is true" in reasons(forced, "train")
    again = project.run()
    assert project.ran() == []
    assert again.steps["train"].reused_from.run == forced.folder.run


def test_a_deleted_output_runs_its_step_again_and_says_so(project):
    first = project.run()
    project.ran()
    document = first.steps["train"].outputs["out"]
    project.workspace.datastore().delete(f"{document.path}/out.txt")
    second = project.run()
    assert project.ran() == ["train"]
    assert "out.txt is gone" in reasons(second, "train")


@pytest.mark.parametrize("damage", [b"other bytes", b"data onx"])
def test_a_damaged_output_is_set_aside_and_runs_again(project, damage):
    first = project.run()
    project.ran()
    document = first.steps["train"].outputs["out"]
    project.workspace.datastore().put(f"{document.path}/out.txt", damage)
    second = project.run()
    assert project.ran() == ["train"]
    assert "out.txt has" in reasons(second, "train")
    key = first.steps["train"].key
    kept = json.loads(project.workspace.store.get(f"reuse/set-aside/{key}/1.json"))
    assert kept["record"]["key"] == key
    assert find_record(project.workspace.store, key).origin.run == second.folder.run


def test_an_output_that_was_copied_with_other_time_stamps_is_still_good(project):
    first = project.run()
    project.ran()
    document = first.steps["train"].outputs["out"]
    os.utime(project.workspace.datastore().local_path(f"{document.path}/out.txt"), (1, 1))
    project.run()
    assert project.ran() == []


def test_a_record_that_a_newer_version_wrote_is_a_miss_with_a_reason(project):
    first = project.run()
    project.ran()
    key = first.steps["train"].key
    path = f"reuse/{key[:2]}/{key}.json"
    document = json.loads(project.workspace.store.get(path))
    project.workspace.store.put(path, json.dumps({**document, "schema": 99}).encode())
    second = project.run()
    assert project.ran() == ["train"]
    assert "schema 99" in reasons(second, "train")


def test_pipelines_share_results(project):
    project.run()
    project.ran()
    other = msgspec.structs.replace(project.spec, name="other")
    outcome = project.run(other)
    assert project.ran() == []
    assert outcome.steps["prepare"].reused_from.pipeline == "pipe"


def test_a_failed_step_is_told_frees_its_lease_and_is_never_reused(project):
    project.script("train", "import sys; sys.exit('no luck')")
    failed = project.run()
    assert failed.status == "Failed"
    assert "no luck" in failed.errors["train"]
    assert failed.steps["train"].status == "failed"
    assert failed.folder.status() == "Failed"
    again = project.run()
    assert again.status == "Failed"
    assert again.steps["prepare"].status == "reused"


def test_without_continue_the_rest_is_canceled_and_with_it_goes_on(project):
    project.script("prepare", "import sys; sys.exit(1)")
    outcome = project.run()
    assert {name: document.status for name, document in outcome.steps.items()} == {
        "prepare": "failed",
        "train": "canceled",
        "report": "canceled",
    }
    project.script("prepare", "import sys, pathlib; pathlib.Path(sys.argv[2], 'x').write_text('x')")
    project.script("train", "import sys; sys.exit(1)")
    slow = "import sys, time, pathlib; time.sleep(0.5); pathlib.Path(sys.argv[2], 'x').write_text('x')"
    project.script("report", slow)
    outcome = project.run(continue_on_step_failure=True)
    assert outcome.status == "Failed"
    assert outcome.steps["report"].status == "finished"


def test_a_running_step_is_ended_when_another_fails(project):
    project.script("train", "import sys, time; time.sleep(0.7); sys.exit(1)")
    project.script("report", "import time; time.sleep(60)")
    outcome = project.run()
    assert outcome.steps["report"].status == "canceled"
    assert "'train' failed" in outcome.steps["report"].error


def test_a_run_can_be_canceled(project):
    project.script("prepare", "import time; time.sleep(60)")
    cancel = threading.Event()
    threading.Timer(1, cancel.set).start()
    outcome = run_pipeline(project.workspace, new_run(project.spec), cancel=cancel)
    assert outcome.status == "Canceled"
    assert outcome.steps["prepare"].status == "canceled"


def test_data_that_changes_while_a_step_runs_is_not_recorded(project):
    data = project.workspace.datastore().local_path("in/a.txt")
    project.script(
        "prepare", f"import sys; open({str(data)!r}, 'a').write('!'); open(sys.argv[2] + '/o', 'w')"
    )
    outcome = project.run()
    assert "input 'data' changed while the step ran" in reasons(outcome, "prepare")
    assert outcome.steps["prepare"].status == "finished"
    assert project.run().steps["prepare"].status == "finished"


def test_a_step_that_writes_into_its_input_is_not_recorded(project):
    project.script("train", "import sys; open(sys.argv[1] + '/scribble', 'w'); open(sys.argv[2] + '/o', 'w')")
    outcome = project.run()
    assert "scribble is new" in reasons(outcome, "train")


@pytest.mark.parametrize(
    ("break_it", "error", "text"),
    [
        (
            lambda p: (p.folder / "train/train.py").rename(p.folder / "train/t.py"),
            DefinitionError,
            r"train\.py",
        ),
        (lambda p: (p.folder / "train").rename(p.folder / "gone"), SnapshotError, "Train"),
        (lambda p: p.workspace.datastore().delete("in/a.txt"), DataError, "input 'data' of step 'Prepare'"),
    ],
    ids=["script", "folder", "data"],
)
def test_what_is_missing_is_named_before_anything_runs(project, break_it, error, text):
    break_it(project)
    with pytest.raises(error, match=text):
        project.run()
    assert project.ran() == []


def test_all_wrong_parameters_are_named_at_once(project):
    with pytest.raises(ParameterError) as caught:
        project.run(parameters={"word": 3, "wrod": "x"})
    assert "parameter 'word' takes string, not 3 (int)" in str(caught.value)
    assert "there is no parameter 'wrod'. Did you mean 'word'?" in str(caught.value)


def test_a_dry_plan_writes_nothing(project):
    project.run()
    before = {info.path for info in project.workspace.store.walk()}
    plan = make_plan(project.workspace, new_run(project.spec, parameters={"word": "x"}), dry=True)
    assert [item.decision for item in plan.steps] == ["reuse", "run", "reuse"]
    assert {info.path for info in project.workspace.store.walk()} == before


def test_registered_outputs_are_datasets_once_a_content(project):
    spec = replace_step(
        project.spec, "train", outputs=(OutputSpec(name="out", register=RegisterSpec(name="model")),)
    )
    for word, version in (("one", 1), ("one", 1), ("two", 2)):
        project.run(spec, parameters={"word": word})
        assert project.workspace.dataset("model").version == version


def test_a_destination_is_filled_in_and_belongs_to_the_key(project):
    project.run()
    project.ran()
    spec = replace_step(
        project.spec, "train", outputs=(OutputSpec(name="out", path="models/{output-name}/{run-id}"),)
    )
    outcome = project.run(spec)
    assert project.ran() == ["train"]
    run = outcome.folder.run
    assert outcome.steps["train"].outputs["out"].path == f"models/out/pipe.{run}.train.1"


def test_a_run_is_found_by_its_id(project):
    outcome = project.run()
    folder = open_run(project.workspace.store, outcome.folder.run)
    assert folder.status() == "Finished"
    assert folder.read_run().parameters == {"word": "one"}


def test_nothing_secret_of_the_environment_is_kept(project, monkeypatch):
    monkeypatch.setenv("SOURCE_OF_TOKEN", "hunter2-secret")
    project.script(
        "train", "import os, sys; open(sys.argv[2] + '/seen', 'w').write(str(len(os.environ['TOKEN'])))"
    )
    environment = EnvironmentSpec(variables={"TOKEN": "env:SOURCE_OF_TOKEN"})
    outcome = project.run(replace_step(project.spec, "train", environment=environment))
    made = outcome.steps["train"].outputs["out"]
    assert project.workspace.datastore(made.datastore).get(f"{made.path}/seen") == b"14"
    for info in project.workspace.store.walk():
        assert b"hunter2-secret" not in project.workspace.store.get(info.path), info.path


def test_a_secret_that_is_written_down_is_refused_before_anything_is_kept(project):
    environment = EnvironmentSpec(variables={"API_TOKEN": "hunter2-secret"})
    with pytest.raises(WorkspaceError, match="env:API_TOKEN"):
        project.run(replace_step(project.spec, "train", environment=environment))
    for info in project.workspace.store.walk():
        assert b"hunter2-secret" not in project.workspace.store.get(info.path), info.path


RUNNER = """
    import sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from project import Project
    import msgspec, airflow_ml_pipelines.core.workspaces.workspace as w
    import json
    spec = msgspec.json.decode(Path({spec!r}).read_bytes(), type=__import__(
        "airflow_ml_pipelines.core.spec", fromlist=["PipelineSpec"]).PipelineSpec)
    from airflow_ml_pipelines.core.runs.new_run import new_run
    from airflow_ml_pipelines.execution.runner import run_pipeline
    workspace = w.Workspace.local({root!r})
    workspace.lease_seconds = {lease}
    outcome = run_pipeline(workspace, new_run(spec))
    print(outcome.status, {{n: d.outputs["out"].digest for n, d in outcome.steps.items()}} if not outcome.errors else "")
"""


def start(project, tmp_path, lease=60.0):
    spec = tmp_path / "spec.json"
    if not spec.exists():  # others that were started may be reading it
        spec.write_bytes(msgspec.json.encode(project.spec))
    code = RUNNER.format(
        tests=os.path.dirname(__file__), spec=str(spec), root=str(project.folder / "ws"), lease=lease
    )
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_of_twenty_runs_at_once_each_step_runs_once(project, tmp_path):
    processes = [start(project, tmp_path) for _ in range(20)]
    results = {process.communicate(timeout=120)[0] for process in processes}
    assert len(results) == 1
    assert results.pop().startswith("Finished")
    assert project.ran() == ALL


def test_when_the_holder_is_killed_another_takes_over(project, tmp_path):
    mark = tmp_path / "mark"
    project.script(
        "prepare",
        f"""
        import os, pathlib, sys, time
        mark = pathlib.Path({str(mark)!r})
        if not mark.exists():
            pathlib.Path(sys.argv[2], "half").write_text("half")
            mark.write_text(str(os.getpid()))
            time.sleep(600)
        pathlib.Path(sys.argv[2], "whole").write_text("whole")
        """,
    )
    first = start(project, tmp_path, lease=2)
    deadline = time.monotonic() + 30
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    second = start(project, tmp_path, lease=2)
    time.sleep(1)
    assert second.poll() is None
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate(timeout=10)
    out, _ = second.communicate(timeout=60)
    assert out.startswith("Finished")
    digest = find_record(project.workspace.store, project.run().steps["prepare"].key).outputs["out"]
    assert digest.files == 1


def test_the_steps_of_a_pipeline_that_need_each_other_only_by_order(project):
    spec = msgspec.structs.replace(
        project.spec,
        steps=(
            project.spec.steps[0],
            step("train", made("prepare")),
            step("report", made("prepare"), after=("train",)),
        ),
    )
    outcome = project.run(spec)
    assert outcome.steps["train"].finished <= outcome.steps["report"].started

"""What becomes of each task, on a real scheduler, when something changed since the run before."""

import os
import time

STEPS = ("prepare", "train", "compare")
ALL = {"plan": "success"} | {f"{step}.{task}": "success" for step in STEPS for task in ("reuse", "run")}


def states(**steps: str) -> dict[str, str]:
    """The states that are expected: ``plan`` reused by the plan, ``sensor`` by the sensor, ``run`` if it ran."""
    of = {"plan": ("skipped", "skipped"), "sensor": ("success", "skipped"), "run": ("success", "success")}
    expected = {"plan": "success"}
    for step, how in steps.items():
        expected[f"{step}.reuse"], expected[f"{step}.run"] = of[how]
    return expected


def test_a_first_run_runs_every_step_and_says_why(flow):
    assert flow.airflow.states(flow.name, flow.first) == ALL
    log = flow.airflow.task_log(flow.name, flow.first, "plan")
    assert "there is no earlier result of this step" in log
    assert "0 of 3 steps are reused" in log
    assert "step prepare is at work" in flow.airflow.task_log(flow.name, flow.first, "prepare.run")


def test_an_unchanged_run_is_one_task(flow):
    run = flow.run()
    assert run.state == "success"
    assert run.states == states(prepare="plan", train="plan", compare="plan")
    assert flow.ran() == []
    assert "3 of 3 steps are reused" in run.log("plan")
    link = flow.airflow.links(flow.name, run.run_id, "plan")["Reused from"]
    assert link.startswith(f"/dags/{flow.name}/runs/manual__")


def test_a_changed_parameter_runs_what_depends_on_it(flow):
    run = flow.run(alpha=2)
    assert run.state == "success"
    assert run.states == states(prepare="plan", train="run", compare="run")
    assert flow.ran() == ["compare", "train"]
    assert "argument --alpha: 1 → 2" in run.log("plan")
    assert "input data: train.txt changed" in run.log("compare.reuse")
    assert flow.run(alpha=1).states == states(prepare="plan", train="plan", compare="plan")


def test_a_changed_script_runs_its_step(flow):
    script = flow.script("train")
    script.write_text(script.read_text() + "\nprint('more')\n")
    run = flow.run()
    assert run.states == states(prepare="plan", train="run", compare="sensor")
    assert flow.ran() == ["train"]
    assert "source: step.py changed" in run.log("plan")


def test_a_changed_input_file_runs_all_that_read_it(flow):
    (flow.raw / "a.txt").write_text("Other rows\n")
    run = flow.run()
    assert run.states == states(prepare="run", train="run", compare="run")
    assert flow.ran() == ["compare", "prepare", "train"]
    assert "input data: a.txt changed" in run.log("plan")


def test_a_touched_input_file_changes_nothing(flow):
    file = flow.raw / "a.txt"
    os.utime(file, (time.time() + 5, time.time() + 5))
    file.write_bytes(file.read_bytes())
    assert flow.run().states == states(prepare="plan", train="plan", compare="plan")
    assert flow.ran() == []


def test_equal_bytes_from_upstream_are_taken_as_unchanged(flow):
    # `prepare` writes everything in small letters
    file = flow.raw / "a.txt"
    file.write_text(file.read_text().upper())
    run = flow.run()
    assert run.state == "success"
    assert run.states == states(prepare="run", train="sensor", compare="sensor")
    assert flow.ran() == ["prepare"]
    assert "is reused from run" in run.log("train.reuse")
    link = flow.airflow.links(flow.name, run.run_id, "train.reuse")["Reused from"]
    assert link.endswith("/tasks/train.run")


def test_a_step_without_reuse_always_runs(flows):
    flow = flows["always"]
    flow.airflow.wait_for_run(flow.name, flow.start())
    assert flow.ran() == ["compare", "prepare", "train"]
    run = flow.run()
    expected = states(prepare="plan", train="run", compare="sensor")
    del expected["train.reuse"]
    assert run.states == expected
    assert flow.ran() == ["train"]
    assert "allow_reuse is false" in run.log("plan")


def test_regenerate_outputs_runs_everything(flow):
    run = flow.run(regenerate_outputs=True)
    assert run.states == ALL
    assert flow.ran() == ["compare", "prepare", "train"]
    assert "regenerate_outputs is true" in run.log("plan")
    assert flow.run().states == states(prepare="plan", train="plan", compare="plan")


def test_a_deleted_output_is_made_again(flow):
    (flow.first_run.output("train") / "train.txt").unlink()
    run = flow.run()
    assert run.states == states(prepare="plan", train="run", compare="sensor")
    assert flow.ran() == ["train"]
    assert "output 'out': train.txt is gone" in run.log("plan")


def test_a_corrupted_output_is_made_again_and_its_record_set_aside(flow):
    file = flow.first_run.output("train") / "train.txt"
    file.write_bytes(file.read_bytes()[::-1])
    run = flow.run()
    assert run.states == states(prepare="plan", train="run", compare="sensor")
    assert flow.ran() == ["train"]
    log = run.log("plan")
    assert "output 'out': train.txt has other content" in log
    assert "the damaged record is set aside as reuse/set-aside/" in log


def test_a_reused_task_that_is_cleared_runs(flow):
    run = flow.run()
    assert run.states == states(prepare="plan", train="plan", compare="plan")
    flow.airflow.clear(flow.name, run.run_id, ["train.run"])
    assert flow.airflow.wait_for_run(flow.name, run.run_id) == "success"
    assert flow.ran() == ["train"]
    assert run.states["train.run"] == "success"
    assert "the task was cleared" in run.log("train.run")
    flow.airflow.clear(flow.name, run.run_id, ["prepare.reuse", "prepare.run"])
    assert flow.airflow.wait_for_run(flow.name, run.run_id) == "success"
    assert flow.ran() == ["prepare"]
    assert run.states == states(prepare="run", train="plan", compare="plan") | {"train.run": "success"}

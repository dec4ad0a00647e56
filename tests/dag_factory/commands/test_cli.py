from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from dag_factory import Dataset
from dag_factory.cli import main, make_parser

YAML = """
parameters:
  word: ok
  count: 2
  rate: 0.5
  flag: false
data:
  words: {datastore: workspaceblobstore, path: in}
steps:
  prepare:
    script: prepare.py
    source_directory: src
    inputs: {words: words}
    outputs: {made: {}}
    arguments: ["${{inputs.words}}", "${{outputs.made}}", "${{parameters.word}}"]
  train:
    script: train.py
    source_directory: src
    inputs: {made: "${{steps.prepare.outputs.made}}"}
    outputs: {trained: {}}
    arguments: ["${{inputs.made}}", "${{outputs.trained}}", "${{parameters.count}}", "${{parameters.flag}}"]
"""

PYTHON = """
from dag_factory import Pipeline, PythonScriptStep, Workspace
ws = Workspace.from_config()
hello = Pipeline(ws, [PythonScriptStep("hello.py", source_directory="src")])
"""


@pytest.fixture
def shop(ws, project):
    project.copy_script("src/prepare.py")
    project.copy_script("src/train.py")
    project.write("src/hello.py", "print('hello')")
    project.write("words.txt", "words ")
    ws.get_default_datastore().upload_files(["words.txt"], target_path="in", show_progress=False)
    project.write("shop.pipeline.yaml", YAML)
    project.write("shop.py", PYTHON)
    return project


def run_id(text):
    return next(line.split()[1] for line in text.splitlines() if line.startswith("run "))


def test_run_runs_and_then_reuses(shop, capsys):
    assert main(["run", "shop.pipeline.yaml"]) == 0
    text = capsys.readouterr().out
    assert "[prepare] copied 1" in text
    assert text.splitlines()[-1].startswith("run local-")
    assert "Finished in" in text
    assert main(["run", "shop.pipeline.yaml"]) == 0
    text = capsys.readouterr().out
    assert "2 steps: 2 reused" in text
    assert "copied" not in text


def test_parameters_are_typed(shop, capsys):
    assert main(["run", "shop.pipeline.yaml"]) == 0
    assert main(["run", "shop.pipeline.yaml", "-p", "count=3", "-p", "flag=true", "-p", "rate=1"]) == 0
    text = capsys.readouterr().out
    assert "[train] running: argument 3: 2 False → 3 True" in text or "2 → 3" in text


@pytest.mark.parametrize(
    ("given", "code", "text"),
    [
        ("count=three", 1, "takes a whole number, found 'three'"),
        ("flag=maybe", 1, "takes true or false"),
        ("rate=fast", 1, "takes a number"),
        ("wrod=x", 1, "Did you mean 'word'"),
        ("word", 2, "expected name=value"),
    ],
)
def test_wrong_parameters_are_one_clear_message(shop, capsys, given, code, text):
    assert main(["run", "shop.pipeline.yaml", "-p", given]) == code
    found = capsys.readouterr()
    assert text in found.err
    assert "Traceback" not in found.err
    assert found.out == ""


def test_plan_says_what_would_run_and_why_and_runs_nothing(shop, ws, capsys):
    before = {info.path for info in ws.core.store.walk("runs")}
    assert main(["plan", "shop.pipeline.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["STEP", "DECISION", "REASON"]
    assert lines[1].split()[:2] == ["prepare", "run"]
    assert lines[2].split()[:2] == ["train", "depends"]
    assert {info.path for info in ws.core.store.walk("runs")} == before
    assert main(["run", "-q", "shop.pipeline.yaml"]) == 0
    capsys.readouterr()
    assert main(["plan", "shop.pipeline.yaml", "-p", "count=5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ["prepare", "reuse"]
    assert lines[2].split()[:2] == ["train", "run"]
    assert "5" in lines[2]
    assert lines[3] == "1 to reuse, 1 to run, 0 to be decided on the way"


def test_columns_are_aligned(shop, capsys):
    main(["plan", "shop.pipeline.yaml"])
    head, first, second, _ = capsys.readouterr().out.splitlines()
    assert head.index("DECISION") == first.index("run") == second.index("depends")


def test_show_has_steps_reasons_times_and_outputs(shop, capsys):
    main(["run", "-q", "shop.pipeline.yaml"])
    run = run_id(capsys.readouterr().out)
    assert main(["show", run]) == 0
    text = capsys.readouterr().out
    assert f"run {run} of shop, experiment shop: Finished" in text
    assert "parameters word='ok', count=2" in text
    rows = {line.split()[0]: line for line in text.splitlines() if line[:1].isalpha()}
    assert "finished" in rows["train"]
    assert "trained (1 file, " in rows["train"]
    assert "there is no earlier result" in rows["train"]
    assert "\033" not in text


def test_show_without_a_run_lists_the_latest(shop, capsys):
    for _ in range(2):
        main(["run", "-q", "shop.pipeline.yaml", "--experiment", "night"])
    latest = run_id(capsys.readouterr().out.splitlines()[-1])
    assert main(["show", "--limit", "1"]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[1].split()[:4] == [latest, "shop", "night", "Finished"]
    assert "1 older ones" in text


def test_show_of_an_unknown_run_is_one_clear_message(shop, capsys):
    assert main(["show", "gone"]) == 1
    assert capsys.readouterr().err.startswith("error: there is no run 'gone'")


def test_explain_says_what_a_run_would_do_and_why(shop, capsys):
    main(["run", "-q", "shop.pipeline.yaml"])
    shop.write("words.txt", "other words, and more")
    main(["init", "elsewhere"])  # a workspace further down is not that of the file
    shop.write(".ml-pipelines/data/workspaceblobstore/in/words.txt", "other words")
    capsys.readouterr()
    assert main(["explain", "shop.pipeline.yaml", "-p", "count=3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("prepare: run, compared with run local-")
    assert lines[1:3] == ["  input words: 1 file changed", "    ~ words.txt  6 B → 11 B"]
    assert lines[3].startswith("train: depends, compared with run local-")
    assert lines[4:] == [
        "  argument 3: 2 → 3",
        "  input made: step prepare runs before it (input words: words.txt changed)",
    ]
    assert main(["explain", "shop.pipeline.yaml", "train", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["pipeline"], document["run"]) == (1, "shop", None)
    assert [(step["step"], step["state"]) for step in document["steps"]] == [("train", "depends")]


def test_explain_says_what_a_run_did_and_why(shop, capsys):
    main(["run", "-q", "shop.pipeline.yaml"])
    first = run_id(capsys.readouterr().out)
    main(["run", "-q", "shop.pipeline.yaml", "-p", "count=3"])
    second = run_id(capsys.readouterr().out)
    assert main(["explain", second]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"prepare: reused: same key as in run {first} of shop"
    assert lines[1].startswith(f"train: finished, compared with run {first} of shop (")
    assert lines[2] == "  argument 3: 2 → 3"
    assert main(["explain", second, "prepare", "--against", first]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "  nothing differs"
    assert main(["explain", second, "trian"]) == 1
    assert "Did you mean 'train'" in capsys.readouterr().err
    assert main(["explain", second, "-p", "count=3"]) == 2
    assert "is a run that was" in capsys.readouterr().err


def test_diff_compares_two_runs(shop, capsys):
    main(["run", "-q", "shop.pipeline.yaml"])
    first = run_id(capsys.readouterr().out)
    main(["run", "-q", "shop.pipeline.yaml", "-p", "count=3"])
    second = run_id(capsys.readouterr().out)
    assert main(["diff", first, second]) == 0
    text = capsys.readouterr().out
    rows = [line.split() for line in text.splitlines()]
    assert ["parameter", "count", "2", "3"] in rows
    assert any(row[:1] == ["prepare"] and row[-2:] == ["the", "same"] for row in rows)
    assert "train:\n  argument 3: 2 → 3\n  output trained: 1 file changed\n" in text
    assert main(["diff", first, second, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["parameters"] == [
        {"type": "value", "field": "parameters", "name": "count", "old": 2, "new": 3}
    ]


def test_plan_and_show_print_documents_for_machines(shop, capsys):
    assert main(["plan", "shop.pipeline.yaml", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["schema"] == 1
    assert [(step["step"], step["decision"]) for step in plan["steps"]] == [
        ("prepare", "run"),
        ("train", "depends"),
    ]
    main(["run", "-q", "shop.pipeline.yaml"])
    run = run_id(capsys.readouterr().out)
    assert main(["show", run, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["schema"], shown["status"], shown["run"]["run"]) == (1, "Finished", run)
    assert [step["status"] for step in shown["steps"]] == ["finished", "finished"]
    assert main(["show", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["runs"]
    assert (listed["run"], listed["pipeline"], listed["status"]) == (run, "shop", "Finished")


def test_a_run_that_can_not_be_read_hides_no_other(shop, ws, capsys):
    main(["run", "-q", "shop.pipeline.yaml"])
    run = run_id(capsys.readouterr().out)
    ws.core.store.put("runs/shop/newer/run.json", b'{"schema": 99}')
    ws.core.store.put("runs/shop/broken/run.json", b"{")
    assert main(["show"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["RUN", run]


def test_datasets_lists_what_is_registered_and_where_it_comes_from(shop, ws, capsys):
    assert main(["datasets"]) == 0
    assert capsys.readouterr().out == "no dataset is registered\n"
    shop.write(
        "shop.pipeline.yaml", YAML.replace("outputs: {trained: {}}", "outputs: {trained: {register: model}}")
    )
    main(["run", "-q", "shop.pipeline.yaml"])
    first = run_id(capsys.readouterr().out)
    main(["run", "-q", "shop.pipeline.yaml", "-p", "count=3"])
    second = run_id(capsys.readouterr().out)
    Dataset.File.from_files((ws.get_default_datastore(), "in")).register(ws, "words")
    assert main(["datasets"]) == 0
    head, model, words = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head == ["NAME", "VERSION", "FILES", "SIZE", "REGISTERED", "ORIGIN", "DATA"]
    assert model[:5] == ["model", "2", "1", "15", "B"]
    assert " ".join(model[7:13]) == f"step train of shop, run {second}"
    assert (words[:2], words[-1]) == (["words", "1"], "workspaceblobstore:in")
    assert main(["datasets", "model", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [(item["version"], item["origin"]["run"]) for item in document["datasets"]] == [
        (2, second),
        (1, first),
    ]
    assert main(["datasets", "modle"]) == 1
    assert "Did you mean 'model'" in capsys.readouterr().err


def test_a_python_file_with_one_pipeline_is_run(shop, capsys):
    assert main(["run", "shop.py"]) == 0
    assert main(["run", "shop.py:hello"]) == 0
    text = capsys.readouterr().out
    assert "[hello.py] hello" in text
    assert "of shop" in text


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        (
            PYTHON + "other = Pipeline(ws, list(hello.steps))\n",
            "shop.py",
            "has 2 pipelines, hello, other: say which",
        ),
        (PYTHON, "shop.py:helo", "Did you mean 'hello'"),
        (PYTHON, "shop.py:ws", "'ws' is no Pipeline but a Workspace"),
        ("x = 1\n", "shop.py", "has no Pipeline"),
        ("\nx = 1 / 0\n", "shop.py", "shop.py:2:5: ZeroDivisionError: division by zero\n  2 | x = 1 / 0\n"),
        ("x = (\n", "shop.py", "shop.py:1:5: "),
        (PYTHON.replace("hello.py", "helo.py"), "shop.py", "there is no script 'helo.py'"),
        (PYTHON, "gone.py", "there is no file gone.py"),
        (PYTHON, "words.txt", r"expected a *.pipeline.yaml or a *.py"),
    ],
)
def test_a_wrong_target_is_one_clear_message(shop, capsys, text, target, message):
    (shop.folder / "shop.py").write_text(text)
    assert main(["run", target]) == 1
    found = capsys.readouterr().err
    assert message in found
    assert "Traceback" not in found


def test_a_failed_run_exits_with_1(shop, capsys):
    shop.write("src/hello.py", "raise SystemExit('broken')")
    assert main(["run", "shop.py"]) == 1
    text = capsys.readouterr().out
    assert "[hello.py] failed: step 'hello.py' failed" in text
    assert "Failed in" in text
    run = run_id("\n".join(line for line in text.splitlines() if "Failed in" in line))
    assert main(["show", run]) == 0
    assert "broken" in capsys.readouterr().out


def test_regenerate_outputs_runs_all(shop, capsys):
    main(["run", "shop.py"])
    capsys.readouterr()
    assert main(["run", "shop.py", "--regenerate-outputs"]) == 0
    assert "regenerate_outputs is true" in capsys.readouterr().out


def test_init_makes_a_workspace(project, capsys):
    assert main(["init", "here", "--name", "new"]) == 0
    assert "workspace 'new' is in" in capsys.readouterr().out
    assert (project.folder / "here/workspace.yaml").is_file()
    assert main(["init", "here"]) == 1
    assert "there is a workspace already" in capsys.readouterr().err


def test_without_a_workspace_it_says_what_to_do(project, capsys):
    project.write("a.pipeline.yaml", "steps: {a: {script: a.py}}\n")
    project.write("a.py")
    assert main(["run", "a.pipeline.yaml"]) == 1
    assert "workspace.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["fly"], ["run"], ["run", "x", "--parallel", "0"], ["show", "--limit", "x"]]
)
def test_what_can_not_be_understood_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_without_a_command_the_help_says_which_there_are(capsys):
    assert main([]) == 2
    text = capsys.readouterr().err
    (commands,) = (a for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction))
    assert [line.split()[0] for line in text.splitlines() if line.startswith("  ") and line[2] != " "] == [
        *commands.choices
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["help"], "to begin:"),
        (["help", "plan"], "Say what a run would do"),
        (["--version"], "ml-pipelines 0."),
    ],
)
def test_help_and_version_are_asked_for_in_the_usual_ways(arguments, text, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 0
    assert text in capsys.readouterr().out


def test_a_second_init_leaves_the_workspace_as_it_is(shop, capsys):
    before = (shop.folder / "workspace.yaml").read_text()
    assert main(["init"]) == 1
    assert "there is a workspace already, and it was left as it is: " in capsys.readouterr().err
    assert (shop.folder / "workspace.yaml").read_text() == before


def test_where_nothing_has_run_show_says_how_to_begin(shop, capsys):
    assert main(["show"]) == 0
    assert capsys.readouterr().out == "there is no run yet: start one with `ml-pipelines run FILE`\n"
    assert main(["show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["plann"], "there is no 'plann'. Did you mean 'plan'?"),
        (["lint", "--format", "jsn", "x"], "Did you mean 'json'?"),
    ],
)
def test_a_word_that_there_is_not_is_told_from_those_that_there_are(arguments, text, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert text in capsys.readouterr().err


def test_another_workspace_can_be_named(shop, tmp_path, capsys):
    main(["init", str(tmp_path / "second"), "--name", "second"])
    assert main(["run", "shop.py", "--workspace", str(tmp_path / "second")]) == 0
    assert (tmp_path / "second/.ml-pipelines/runs").is_dir()


def test_ctrl_c_cancels_the_run_and_exits_with_130(shop, ws):
    shop.write("src/hello.py", "import time; print('begun', flush=True); time.sleep(60)")
    process = subprocess.Popen(
        [sys.executable, "-m", "dag_factory.cli", "run", "shop.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    while "begun" not in process.stdout.readline():
        assert process.poll() is None
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "Canceled" in out
    assert time.monotonic() - began < 20


def test_a_run_goes_on_when_nobody_reads_about_it(shop, ws, capfd):
    shop.write("src/hello.py", "import time\nfor n in range(3000): print('line', n)")
    command = f"{sys.executable} -m dag_factory.cli run shop.py | head -n 1"
    subprocess.run(["sh", "-c", command], check=True, timeout=60)
    assert main(["show"]) == 0
    found = capfd.readouterr()
    assert "Finished" in found.out
    assert "Traceback" not in found.err


def test_an_unchanged_run_imports_nothing_heavy(shop):
    code = """
import sys
from dag_factory import Dataset
from dag_factory.cli import main
assert main(["run", "shop.py"]) == 0
print("heavy:", *[m for m in ("airflow", "pandas", "fsspec", "numpy", "rich", "concurrent.futures.process") if m in sys.modules])
"""
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "1 reused" in done.stdout
    assert done.stdout.splitlines()[-1] == "heavy:"


# --- compute targets ---------------------------------------------------------------------------------------------


def test_pools_shows_what_it_would_make(shop, project, capsys):
    (project.folder / "workspace.yaml").write_text(
        "name: shop\ncompute_targets: {box: {type: docker, max_nodes: 3}}\n"
    )
    assert main(["pools", "--dry-run"]) == 0
    assert "ml-pipelines-shop-box  3" in capsys.readouterr().out


def test_pools_says_where_there_are_none(shop, capsys):
    assert main(["pools"]) == 0
    assert capsys.readouterr().out == "no compute target of the workspace file has max_nodes\n"


def test_reap_says_where_there_is_nothing(shop, capsys):
    assert main(["reap"]) == 0
    assert capsys.readouterr().out == "there is nothing that nobody needs\n"


def test_a_target_with_options_that_there_are_not_is_named_with_its_line(shop, project, capsys):
    (project.folder / "workspace.yaml").write_text("compute_targets:\n  box: {type: docker, imag: x}\n")
    assert main(["reap"]) == 1
    assert (
        "workspace.yaml:2:8: compute_targets.box: compute target 'box' of type 'docker': unknown option 'imag'"
        in (capsys.readouterr().err)
    )

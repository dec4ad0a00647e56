from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from dag_factory.cli import main

GOOD = "steps:\n  a: {script: a.py}\n"
BAD = "steps:\n  a:\n    scrip: a.py\n  b:\n    script: gone.py\n"


@pytest.fixture
def folder(project):
    project.write("a.py")
    project.write("good.pipeline.yaml", GOOD)
    return project


def test_all_errors_of_all_files_are_named(folder, capsys):
    assert main(["lint", "."]) == 0
    assert capsys.readouterr().out == "1 of 1 definition without errors\n"
    folder.write("more/bad.pipeline.yaml", BAD)
    folder.write("more/worse.pipeline.yaml", "steps: [\n")
    folder.write(".hidden/no.pipeline.yaml", "steps: [\n")
    assert main(["lint", "."]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "more/bad.pipeline.yaml:2:3: steps.a: the field 'script' is missing",
        next(line for line in lines if "3:5: steps.a.scrip: unknown field. Did you mean 'script'?" in line),
        "more/bad.pipeline.yaml:5:13: steps.b.script: there is no file 'gone.py' in the source directory '.'",
        "more/worse.pipeline.yaml:1:9: a value is missing here, or the end of a `[` or `{`",
        "1 of 3 definitions without errors",
    ]
    assert lines[1:3] == ["  2 |   a:", "    |   ^"]


def test_nothing_to_check_is_a_usage_error(folder, capsys):
    folder.write("empty/x.txt")
    assert main(["lint", "empty"]) == 2
    assert main(["lint", "gone"]) == 1
    assert "there is no gone" in capsys.readouterr().err


def test_two_definitions_of_one_name_can_not_be_one_dag(folder, capsys):
    folder.write("x/other.pipeline.yaml", "name: good\nsteps: {a: {script: a.py}}\n")
    folder.write("x/a.py")
    assert main(["lint", "."]) == 1
    text = capsys.readouterr().out
    assert (
        "x/other.pipeline.yaml:1:7: name: good.pipeline.yaml has the name 'good' already: take another\n"
        in text
    )


def test_a_workspace_file_is_checked_too(folder, capsys):
    folder.write("workspace.yaml", "nme: a\n")
    assert main(["lint", "workspace.yaml"]) == 1
    assert "workspace.yaml:1:1: nme: unknown field. Did you mean 'name'?" in capsys.readouterr().out


def test_machines_get_one_document(folder, capsys):
    folder.write("bad.pipeline.yaml", BAD)
    assert main(["lint", "--format", "json", "."]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["checked"]) == (1, 2)
    assert document["problems"][0] == {
        "file": "bad.pipeline.yaml",
        "line": 2,
        "column": 3,
        "end_column": 4,
        "message": "steps.a: the field 'script' is missing",
    }
    assert [(problem["line"], problem["column"]) for problem in document["problems"]] == [
        (2, 3),
        (3, 5),
        (5, 13),
    ]
    assert main(["lint", "--format", "json", "good.pipeline.yaml"]) == 0
    assert json.loads(capsys.readouterr().out) == {"schema": 1, "checked": 1, "problems": []}


def test_github_shows_errors_beside_their_lines(folder, capsys):
    folder.write("100%, or: more.pipeline.yaml", "name: m\nstpes: 1\nsteps: {a: {script: 'a\n\n  b'}}\n")
    assert main(["lint", "--format", "github", "100%, or: more.pipeline.yaml"]) == 1
    first, second, last = capsys.readouterr().out.splitlines()
    assert first.startswith(
        "::error file=100%25%2C or%3A more.pipeline.yaml,line=2,endLine=2,col=1,endColumn=6,title=ml-pipelines::"
        "stpes: unknown field. Did you mean 'steps'?"
    )
    assert second.endswith("there is no file 'a\\nb' in the source directory '.'. There are: a.py.")
    assert last == "0 of 1 definition without errors"


def test_python_files_are_run_and_checked(folder, capsys):
    folder.write("good.py", "x = 1\n")
    folder.write("bad.py", "import dag_factory\ndag_factory.PipelineParameter('x', None)\n")
    assert main(["lint", "good.py"]) == 0
    assert main(["lint", "bad.py"]) == 1
    assert "bad.py:2" in capsys.readouterr().out


@pytest.mark.parametrize("place", ["variable", "file", "neither"])
def test_what_airflow_would_leave_out_is_left_out_without_it(folder, monkeypatch, place):
    folder.write(".airflowignore", "b.d/.*\n")
    folder.write("bad/x.pipeline.yaml", "steps: [\n")
    folder.write(
        "airflow/airflow.cfg", f"[core]\ndag_ignore_file_syntax = {'regexp' if place == 'file' else 'glob'}\n"
    )
    environment = {**os.environ, "AIRFLOW_HOME": str(folder.folder / "airflow")}
    if place == "variable":
        environment["AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX"] = "regexp"
    code = "import sys; from dag_factory.cli import main; code = main(['lint', '.']); assert 'airflow' not in sys.modules; sys.exit(code)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == (1 if place == "neither" else 0), done.stderr


WORKSPACE = """
    name: w
    compute_targets: {gpu-cluster: {type: docker}}
    environments: {sklearn: {pip: [scikit-learn]}}
    datastores: {lake: data}
"""
NAMES = """
    default_compute_target: gpu-clustr
    parameters:
      where: {type: data, default: {datastore: laek, path: x}}
    data:
      one: {datastore: laek, path: a}
      two: {paths: [{datastore: laek, path: b}, {datastore: lake, path: b}]}
      three: {dataset: gone}
      four: {dataset: made}
    steps:
      a:
        script: a.py
        compute_target: gpu-cluster
        environment: sklern
        inputs: {four: four, one: one, two: two}
        parameters: {datastore: no-name-of-one, compute_target: likewise}
        outputs: {out: {datastore: lake, register: made}, out2: {datastore: laek}}
      b: {script: a.py, environment: AzureML-Minimal, compute_target: local, inputs: {x: three}}
"""


def complaints(text):
    """The line, place and message of each finding."""
    return re.findall(r"pipeline\.yaml:(\d+):\d+: (.*?) in workspace", text)


def test_names_are_looked_up_in_the_workspace_in_reach(folder, capsys):
    folder.write("p/names.pipeline.yaml", NAMES)
    folder.write("p/a.py")
    assert main(["lint", "."]) == 0  # there is no workspace
    folder.write("workspace.yaml", WORKSPACE)
    capsys.readouterr()
    assert main(["lint", "."]) == 1
    said = capsys.readouterr()
    assert complaints(said.out) == [
        ("1", "default_compute_target: there is no compute target 'gpu-clustr'"),
        ("3", "parameters.where.default.datastore: there is no datastore 'laek'"),
        ("5", "data.one.datastore: there is no datastore 'laek'"),
        ("6", "data.two.paths[0].datastore: there is no datastore 'laek'"),
        ("7", "data.three.dataset: there is no dataset 'gone'"),
        ("13", "steps.a.environment: there is no environment 'sklern'"),
        ("16", "steps.a.outputs.out2.datastore: there is no datastore 'laek'"),
    ]
    assert "Did you mean 'gpu-cluster'?" in said.out
    assert "Did you mean 'sklearn'?" in said.out
    assert said.out.endswith("1 of 2 definitions without errors\n")
    assert said.err == ""
    assert not (folder.folder / ".ml-pipelines").exists()  # nothing is made


def test_a_workspace_may_be_given(folder, capsys, tmp_path):
    folder.write("good.pipeline.yaml", GOOD.replace("a.py}", "a.py, compute_target: gpu-cluster}"))
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "workspace.yaml").write_text("name: other\n")
    folder.write("workspace.yaml", WORKSPACE)
    assert main(["lint", "."]) == 0
    capsys.readouterr()
    assert main(["lint", "--workspace", str(tmp_path / "w"), "."]) == 1
    assert "there is no compute target 'gpu-cluster' in workspace 'other'" in capsys.readouterr().out
    assert main(["lint", "--workspace", "gone", "."]) == 1
    assert "there is no workspace file" in capsys.readouterr().err


def test_names_that_code_registered_are_known(folder, ws, capsys):
    from airflow_ml_pipelines.core.spec import EnvironmentSpec
    from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec

    ws.core.register_compute_target(ComputeTargetSpec("mine", "docker"))
    ws.core.register_environment(EnvironmentSpec(name="env"))
    folder.write(
        "good.pipeline.yaml", "steps: {a: {script: a.py, compute_target: mine, environment: env:1}}\n"
    )
    assert main(["lint", "."]) == 0
    folder.write(
        "good.pipeline.yaml", "steps: {a: {script: a.py, compute_target: mine, environment: env:2}}\n"
    )
    capsys.readouterr()
    assert main(["lint", "."]) == 1
    assert "has no version 2" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["nme: w\n", "root: s3://bucket/x\nroot_is: wrong\n"])
def test_a_workspace_that_is_wrong_is_a_note(folder, capsys, text):
    folder.write("workspace.yaml", text)
    assert main(["lint", "."]) == 0
    assert "note: names of things of the workspace are not looked up" in capsys.readouterr().err


def test_a_root_that_can_not_be_opened_is_a_note_where_it_would_be_needed(folder, capsys, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    root = 'root: {url: "s3://bucket/x", credentials: {key: "env:NO_SUCH_KEY"}}\n'
    folder.write("workspace.yaml", f"{root}compute_targets: {{box: {{type: docker}}}}\n")
    folder.write("good.pipeline.yaml", "steps: {a: {script: a.py, compute_target: box}}\n")
    assert main(["lint", "."]) == 0
    assert capsys.readouterr().err == ""
    folder.write("good.pipeline.yaml", "steps: {a: {script: a.py, compute_target: boxx}}\n")
    assert main(["lint", "."]) == 0
    assert "NO_SUCH_KEY" in capsys.readouterr().err


def test_the_names_of_a_python_file_are_looked_up_in_its_own_workspace(folder, ws, capsys):
    folder.write(
        "named.py",
        """
        from dag_factory import Pipeline, PythonScriptStep, Workspace
        step = PythonScriptStep("a.py", name="one", source_directory=".", compute_target="locl")
        pipeline = Pipeline(Workspace.from_config(), [step], name="p")
        """,
    )
    assert main(["lint", "named.py"]) == 1
    assert "named.py:1:1: step 'one': there is no compute target 'locl'" in capsys.readouterr().out

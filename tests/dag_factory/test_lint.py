from __future__ import annotations

import json
import os
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

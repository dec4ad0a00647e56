"""The commands about definitions: ``graph`` and ``list``."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ET

import pytest

from dag_factory.cli import main

GOOD = """\
name: {name}
description: What it does
schedule: {schedule}
steps:
  a: {{script: a.py, outputs: {{out: }}, arguments: ["${{{{ outputs.out }}}}"]}}
  b: {{script: b.py, inputs: {{data: "${{{{ steps.a.outputs.out }}}}"}}}}
"""
BROKEN = "schedule: '@daily'\nsteps:\n  a: {scrpt: a.py}\n"


@pytest.fixture
def folder(project):
    project.write("a.py", "import sys, pathlib\npathlib.Path(sys.argv[1], 'x').write_text('x')\n")
    project.write("b.py", "print('b')\n")
    project.write("one.pipeline.yaml", GOOD.format(name="one", schedule="'@daily'"))
    return project


# --- graph --------------------------------------------------------------------------------------------------------


def test_graph_prints_mermaid(folder, capsys):
    assert main(["graph", "one.pipeline.yaml"]) == 0
    assert capsys.readouterr().out == 'flowchart TD\n  s1["a"]\n  s2["b"]\n  s1 -->|"out"| s2\n'


@pytest.mark.parametrize(
    ("options", "is_svg"),
    [
        (["-o", "x.svg"], True),
        (["-o", "x.SVG"], True),
        (["-o", "x.mmd"], False),
        (["-o", "x", "--format", "svg"], True),
        (["-o", "x.svg", "--format", "mermaid"], False),
    ],
)
def test_graph_writes_what_the_file_is_called_after_or_what_is_asked_for(folder, capsys, options, is_svg):
    assert main(["graph", "one.pipeline.yaml", *options]) == 0
    assert capsys.readouterr().out == ""
    text = (folder.folder / options[1]).read_text()
    assert text.startswith("<svg ") == is_svg
    if is_svg:
        assert [element.text for element in ET.fromstring(text).iter() if element.tag.endswith("}text")] == [
            "a",
            "b",
            "out",
        ]


def test_graph_of_a_pipeline_in_python(ws, folder, capsys):
    folder.write(
        "one.py",
        "from dag_factory import Pipeline, PythonScriptStep, Workspace\n"
        "p = Pipeline(Workspace.from_config(), [PythonScriptStep('b.py', name='it')])\n",
    )
    assert main(["graph", "one.py"]) == 0
    assert 's1["it"]' in capsys.readouterr().out


def test_graph_of_a_definition_that_is_wrong_says_so_and_writes_nothing(folder, capsys):
    folder.write("bad.pipeline.yaml", BROKEN)
    assert main(["graph", "bad.pipeline.yaml", "-o", "x.svg"]) == 1
    assert "bad.pipeline.yaml:3:7: steps.a.scrpt: unknown field" in capsys.readouterr().err
    assert not os.path.exists("x.svg")


def test_graph_into_a_folder_that_is_not_there_says_so(folder, capsys):
    assert main(["graph", "one.pipeline.yaml", "-o", "nowhere/x.svg"]) == 1
    assert "nowhere/x.svg" in capsys.readouterr().err


# --- list ---------------------------------------------------------------------------------------------------------


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_list_has_the_pipelines_of_a_folder_and_below(folder, capsys):
    folder.write("sub/two.pipeline.yml", GOOD.format(name="second", schedule="{every: 2h}"))
    folder.write("sub/a.py")
    folder.write("sub/b.py")
    folder.write("sub/three.pipeline.yaml", "steps: {a: {script: a.py}}\n")
    assert main(["list"]) == 0
    assert rows(capsys.readouterr().out) == [
        ["PIPELINE", "SCHEDULE", "STEPS", "STATUS", "LAST", "RUN", "STARTED", "FILE"],
        ["one", "@daily", "2", "one.pipeline.yaml"],
        ["three", "1", "sub/three.pipeline.yaml"],
        ["second", "every", "2.0", "h", "2", "sub/two.pipeline.yml"],
    ]
    assert main(["list", "sub", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == 1
    assert found["pipelines"][1] == {
        "name": "second",
        "file": "sub/two.pipeline.yml",
        "description": "What it does",
        "schedule": "every 2.0 h",
        "steps": ["a", "b"],
        "last_run": None,
        "error": None,
    }


def test_list_says_how_the_last_run_ended(ws, folder, capsys):
    assert main(["run", "-q", "one.pipeline.yaml"]) == 0
    folder.write("b.py", "raise SystemExit('no')")
    assert main(["run", "-q", "one.pipeline.yaml"]) == 1
    last = capsys.readouterr().out.splitlines()[-1].split()[1]
    assert main(["list", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["pipelines"]
    assert found["last_run"]["run"] == last
    assert found["last_run"]["status"] == "Failed"
    assert main(["list"]) == 0
    assert f"Failed  {last}" in capsys.readouterr().out


def test_list_finds_the_workspace_above_the_folder_or_takes_the_one_that_is_named(
    ws, folder, capsys, monkeypatch
):
    assert main(["run", "-q", "one.pipeline.yaml"]) == 0
    monkeypatch.chdir(folder.folder.parent)
    capsys.readouterr()
    for options in ([], ["--workspace", "project/workspace.yaml"]):
        assert main(["list", "project", "--json", *options]) == 0
        (found,) = json.loads(capsys.readouterr().out)["pipelines"]
        assert found["last_run"]["status"] == "Finished"
    assert main(["list", "project", "--workspace", "nowhere"]) == 1
    assert "there is no workspace file" in capsys.readouterr().err


def test_list_has_a_definition_that_is_wrong_with_what_is_wrong(ws, folder, capsys):
    folder.write("bad.pipeline.yaml", BROKEN)
    assert main(["list"]) == 1
    text = capsys.readouterr().out
    assert ["bad", "error", "bad.pipeline.yaml"] in rows(text)
    assert "bad.pipeline.yaml:3:7: steps.a.scrpt: unknown field. Did you mean 'script'?" in text
    assert main(["list", "--json"]) == 1
    bad, one = json.loads(capsys.readouterr().out)["pipelines"]
    assert "bad.pipeline.yaml:3:7: steps.a.scrpt: unknown field" in bad["error"]
    assert one["error"] is None


def test_list_of_a_folder_without_pipelines_says_so(project, capsys):
    assert main(["list"]) == 0
    assert capsys.readouterr().out == "there is no *.pipeline.yaml in .\n"
    assert main(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"schema": 1, "pipelines": []}


def test_list_of_a_folder_that_is_not_there_is_no_command(project, capsys):
    assert main(["list", "nowhere"]) == 2
    assert "there is no folder nowhere" in capsys.readouterr().err

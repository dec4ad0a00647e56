"""Every broken file gets every message that it should, each with its place, and no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_ml_pipelines.core.errors import DefinitionError, WorkspaceError
from airflow_ml_pipelines.workspace_file import load_workspace
from broken.cases import read_cases
from dag_factory.definitions.definition import PipelineDefinition
from dag_factory.pipelines.lint import lint_files


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a script, in which the process is."""
    (tmp_path / "a.py").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def messages_of(error, text, name):
    """The messages of an error with their places, after a look at what it shows of the text."""
    lines = text.replace("\r\n", "\n").split("\n")
    for finding in error.findings:
        assert finding.file == name
        if finding.excerpt:
            shown, marks = finding.excerpt.splitlines()
            assert shown.startswith(f"  {finding.line} | ")
            assert marks.rstrip("^") != marks
        if finding.excerpt and text.isascii() and len(lines[finding.line - 1]) < 100:
            assert marks.index("^") - marks.index("|") - 2 == finding.column - 1
    assert str(error) == "\n".join(map(str, error.findings))
    return [f"{finding.line}:{finding.column}: {finding.message}" for finding in error.findings]


@pytest.mark.parametrize("case", read_cases("definitions"))
def test_all_that_is_wrong_with_a_definition_is_told(folder, case):
    (folder / "p.pipeline.yaml").write_text(case.text, newline="")
    with pytest.raises(DefinitionError) as caught:
        PipelineDefinition.from_yaml(Path("p.pipeline.yaml")).to_spec()
    found = messages_of(caught.value, case.text, "p.pipeline.yaml")
    assert case.fits(found), "\n".join(found)


@pytest.mark.parametrize("case", read_cases("workspaces"))
def test_all_that_is_wrong_with_a_workspace_file_is_told(folder, case):
    (folder / "workspace.yaml").write_text(case.text, newline="")
    with pytest.raises(WorkspaceError) as caught:
        load_workspace("workspace.yaml")
    found = messages_of(caught.value, case.text, str(folder / "workspace.yaml"))
    assert case.fits(found), "\n".join(found)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("case", read_cases("pipelines"))
def test_all_that_is_wrong_with_a_python_file_is_told(folder, case):
    """With the line of the call, also where the mistake is noticed later."""
    (folder / "workspace.yaml").write_text("")
    (folder / "p.py").write_text(case.text)
    found = lint_files([Path("p.py")])[Path("p.py")]
    shown = [
        f"{finding.file.removeprefix(f'{folder}/')}:{finding.line}:{finding.column}: {finding.message}".replace(
            f"{folder}/", ""
        )
        for finding in found
    ]
    assert case.fits(shown), "\n".join(shown)
    assert all(finding.excerpt for finding in found)

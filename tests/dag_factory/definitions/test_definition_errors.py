"""Errors of definitions; ``tests/broken`` has what each mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.written.problems import Problem
from dag_factory.definitions.definition import PipelineDefinition

WRONG_BINDING = """\
steps:
  train:
    script: a.py
    inputs: {images: {path: images}}
    arguments: [--in, "${{ inputs.image }}"]
"""


def test_an_error_shows_the_line_and_marks_the_place(project):
    project.write("a.py")
    project.write("p.pipeline.yaml", WRONG_BINDING)
    with pytest.raises(DefinitionError) as caught:
        PipelineDefinition.from_yaml(Path("p.pipeline.yaml")).to_spec()
    assert str(caught.value).splitlines()[1:] == [
        '  5 |     arguments: [--in, "${{ inputs.image }}"]',
        "    |                        ^^^^^^^^^^^^^^^^^^^^",
    ]


def test_an_error_in_a_line_with_tabs_marks_the_place_below_it(project):
    project.write("a.py")
    project.write("p.pipeline.yaml", "steps:\n  a: {script: a.py,\tretries: -1}\n")
    with pytest.raises(DefinitionError) as caught:
        PipelineDefinition.from_yaml(Path("p.pipeline.yaml"))
    assert str(caught.value).splitlines()[2] == "    | " + " " * 19 + "\t" + " " * 9 + "^^"


def test_wrong_fields_and_wrong_names_are_told_at_once(project):
    project.write("a.py")
    project.write(
        "p.pipeline.yaml",
        """
        parameters:
          alpha: {type: numbr, default: 1}
        steps:
          train:
            scrpt: a.py
            arguments: ["${{ inputs.x }}", "${{ parameters.alpha }}", "${{ parameters.beta }}"]
          test: {script: a.py, after: [trian]}
          test: {script: a.py}
        """,
    )
    with pytest.raises(DefinitionError) as caught:
        PipelineDefinition.from_yaml(Path("p.pipeline.yaml"))
    places = [f"{finding.line}:{finding.column}" for finding in caught.value.findings]
    assert places == ["2:17", "4:3", "5:5", "6:18", "6:64", "7:32", "8:3"]


def test_problems_are_there_for_programs_too():
    with pytest.raises(DefinitionError) as caught:
        PipelineDefinition.from_document({"name": "p", "steps": {"a": {"script": "a.py", "retires": 1}}})
    (problem,) = caught.value.problems
    assert isinstance(problem, Problem)
    assert problem.path == ("steps", "a", "retires")
    assert str(caught.value).startswith("steps.a.retires: unknown field. Did you mean 'retries'?")


def test_definitions_that_come_from_no_file_have_errors_without_positions(project):
    definition = PipelineDefinition.from_document({"name": "p", "steps": {"a": {"script": "a.py"}}})
    with pytest.raises(
        DefinitionError,
        match=r"^pipeline 'p': steps\.a\.script: there is no file 'a\.py' in the source directory /",
    ):
        definition.to_spec()


def test_a_file_that_does_not_exist_is_named():
    with pytest.raises(DefinitionError, match=r"nowhere\.pipeline\.yaml: there is no such file"):
        PipelineDefinition.from_yaml(Path("nowhere.pipeline.yaml"))


def test_a_file_that_is_no_text_is_named(project):
    (project.folder / "p.pipeline.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(DefinitionError, match=r"p\.pipeline\.yaml: it is no UTF-8 text \(byte 6\)"):
        PipelineDefinition.from_yaml(Path("p.pipeline.yaml"))


def test_aliases_that_grow_without_end_are_refused(project):
    lines = ["x-0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"x-{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    text = "\n".join([*lines, "steps: {a: {script: a.py, tags: *a11}}"]) + "\n"
    with pytest.raises(DefinitionError, match="aliases make more than 100000 values"):
        PipelineDefinition.from_yaml(text)


def test_nesting_without_end_is_refused():
    with pytest.raises(DefinitionError):
        PipelineDefinition.from_yaml("steps:\n  " + "[" * 5000 + "\n")

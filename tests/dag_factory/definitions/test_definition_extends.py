"""Definitions that extend a file with defaults."""

from __future__ import annotations

import subprocess
import sys

import pytest

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory.definitions.definition import PipelineDefinition

DEFAULTS = """
owner: team
retries: 2
tags: [team, nightly]
x-room: &room {a: b}
default_environment: {python: "3.12", pip: [numpy]}
parameters:
  alpha: {default: 1.0, minimum: 0, description: How much.}
"""
PIPELINE = """
extends: ../defaults.yaml
retries: 5
tags: [mine]
default_environment: {pip: [pandas]}
parameters:
  alpha: {default: 2.0}
  beta: 3
steps:
  a: {script: a.py}
"""


@pytest.fixture
def read(project):
    project.write("pipelines/a.py")
    project.write("a.py")

    def write_and_read(**files):
        for name, text in files.items():
            project.write(f"{name.replace('__', '/')}.yaml", text)
        first = next(iter(files))
        return PipelineDefinition.from_yaml(project.folder / f"{first.replace('__', '/')}.yaml")

    return write_and_read


def problems_of(caught, project):
    found = [
        f"{finding.file}:{finding.line}:{finding.column}: {finding.message}"
        for finding in caught.value.findings
    ]
    return [text.replace(f"{project.folder}/", "") for text in found]


def test_mappings_are_merged_and_all_else_is_replaced(read):
    definition = read(pipelines__p=PIPELINE, defaults=DEFAULTS)
    assert definition.name == "p"
    assert (definition.owner, definition.retries, definition.tags) == ("team", 5, ("mine",))
    assert definition.default_environment.python == "3.12"
    assert definition.default_environment.pip == ("pandas",)
    alpha = definition.parameters["alpha"]
    assert (alpha.default, alpha.minimum, alpha.description) == (2.0, 0, "How much.")
    assert list(definition.parameters) == ["alpha", "beta"]


def test_it_is_the_same_as_if_all_were_in_one_file(read, project):
    apart = read(pipelines__p=PIPELINE, defaults=DEFAULTS)
    project.write("pipelines/whole/p.pipeline.yaml", apart.to_yaml())
    project.write("pipelines/whole/a.py")
    whole = PipelineDefinition.from_yaml(project.folder / "pipelines/whole/p.pipeline.yaml")
    assert whole == apart
    assert whole.to_spec().digest == apart.to_spec().digest


def test_nothing_takes_a_value_away(read):
    definition = read(
        p="extends: b.yaml\ntags: []\nowner:\nsteps: {a: {script: a.py}}\n", b="owner: x\ntags: [a]\n"
    )
    assert definition.owner is None
    assert definition.tags == ()


def test_files_form_a_chain(read):
    definition = read(
        p="extends: b.yaml\nsteps: {a: {version: '3'}}\n",
        b="extends: c/d.yaml\nsteps: {a: {script: a.py, version: '2'}}\nowner: b\n",
        c__d="steps: {a: {version: '1', retries: 4}, z: {script: a.py}}\nowner: d\npool: d\n",
    )
    assert (definition.owner, definition.pool) == ("b", "d")
    assert list(definition.steps) == ["a", "z"]
    step = definition.steps["a"]
    assert (step.script, step.version, step.retries) == ("a.py", "3", 4)


def test_the_name_is_never_that_of_the_other_file(read):
    assert read(p="extends: b.yaml\n", b="name: b\nsteps: {a: {script: a.py}}\n").name == "p"


def test_a_source_directory_is_relative_to_the_file_that_says_it(read, project):
    project.write("common/lib/b.py")
    project.write("common/src/c.py")
    definition = read(
        pipelines__p="extends: ../common/base.yaml\nsteps: {a: {script: a.py, source_directory: .}}\n",
        common__base="source_directory: lib\nsteps: {b: {script: b.py}, c: {script: c.py, source_directory: src}}\n",
    )
    assert definition.source_directory == "../common/lib"
    steps = {step.id: step.source_directory for step in definition.to_spec().steps}
    assert steps == {"b": "../common/lib", "c": "../common/src", "a": "."}


def test_what_no_file_says_is_the_folder_of_the_pipeline(read):
    definition = read(pipelines__p="extends: ../b.yaml\n", b="steps: {a: {script: a.py}}\n")
    (step,) = definition.to_spec().steps
    assert step.source_directory == "."
    assert definition.to_spec().base_directory.endswith("/pipelines")


def test_anchors_are_of_one_file(read, project):
    with pytest.raises(DefinitionError) as caught:
        read(p="extends: b.yaml\nsteps: {a: *step}\n", b="x-step: &step {script: a.py}\n")
    (problem,) = problems_of(caught, project)
    assert problem.startswith("p.yaml:2:12: an alias of an anchor that does not exist above it")


def test_errors_are_shown_in_the_file_in_which_they_are(read, project):
    with pytest.raises(DefinitionError) as caught:
        read(
            pipelines__p="extends: ../b.yaml\nparameters: {alpha: {defualt: 1}}\nsteps: {a: {scirpt: a.py}}\n",
            b="ownr: x\nsteps:\n  a: {script: a.py, after: [c]}\n  b: {script: b.py, retries: many}\nowner: a\nowner: b\n",
        )
    assert [problem.partition(" There are:")[0] for problem in problems_of(caught, project)] == [
        "pipelines/p.yaml:2:22: parameters.alpha.defualt: unknown field. Did you mean 'default'?",
        "pipelines/p.yaml:3:13: steps.a.scirpt: unknown field. Did you mean 'script'?",
        "b.yaml:1:1: ownr: unknown field. Did you mean 'owner'?",
        "b.yaml:3:29: steps.a.after[0]: there is no step 'c'.",
        "b.yaml:4:15: steps.b.script: there is no file 'b.py' in the source directory '.'. Did you mean 'a.py'?",
        "b.yaml:4:30: steps.b.retries: expected a whole number, found the text 'many'",
        "b.yaml:6:1: 'owner' is there twice: first in line 5",
    ]


def test_a_value_that_replaces_a_mapping_has_its_own_errors(read, project):
    with pytest.raises(DefinitionError) as caught:
        read(
            p="extends: b.yaml\nsteps: {a: {script: a.py, environment: skleran}}\n",
            b="environments: {sklearn: {pip: [numpy]}}\nsteps: {a: {environment: {name: x, pip: [y]}}}\n",
        ).to_spec()
    (problem,) = problems_of(caught, project)
    assert problem.startswith("p.yaml:2:40: steps.a.environment: there is no environment 'skleran' here.")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"p": "extends: q.yaml\n", "q": "extends: p.yaml\n"},
            "q.yaml:1:10: extends: files extend each other: p.yaml → q.yaml → p.yaml",
        ),
        ({"p": "extends: p.yaml\n"}, "p.yaml:1:10: extends: files extend each other: p.yaml → p.yaml"),
        (
            {"p": "owner: x\nextends: defaluts.yaml\n", "defaults": ""},
            "p.yaml:2:10: extends: there is no file 'defaluts.yaml'. Did you mean 'defaults.yaml'? There are: defaults.yaml, p.yaml.",
        ),
        ({"p": "extends: no/where.yaml\n"}, "p.yaml:1:10: extends: there is no file 'no/where.yaml'"),
        (
            {"p": "extends: [a, b]\n"},
            "p.yaml:1:10: extends: expected the path of a file, found a list",
        ),
        ({"p": "extends:\n"}, "p.yaml:1:1: extends: expected the path of a file, found nothing"),
        ({"p": "extends: q.yaml\n", "q": "- a\n"}, "q.yaml:1:1: expected a mapping, found a list"),
        ({"p": "extends: q.yaml\n", "q": ""}, "q.yaml:1:1: expected a mapping, found nothing"),
        (
            {"p": "extends: q.yaml\n", "q": "a: [\n"},
            "q.yaml:1:5: a value is missing here, or the end of a `[` or `{`",
        ),
        (
            {"p": "extends: q.yaml\n", "q": "extends: r.yaml\n", "r": "extends: q.yaml\n"},
            "r.yaml:1:10: extends: files extend each other: q.yaml → r.yaml → q.yaml",
        ),
    ],
)
def test_what_can_not_be_extended_is_said_where_it_is_named(read, project, files, expected):
    with pytest.raises(DefinitionError) as caught:
        read(**files)
    assert problems_of(caught, project) == [expected]


def test_a_secret_of_the_other_file_is_not_shown(read):
    with pytest.raises(DefinitionError) as caught:
        read(
            p="extends: b.yaml\nsteps: {a: {script: a.py}}\n",
            b="default_environment: {variables: {API_KEY: hunter2}}\nownr: x\n",
        )
    assert "b.yaml:1:44" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_task_finds_its_pipeline_by_the_name_that_the_file_itself_has(project):
    """The other file's name does not count, so the loader can tell by the file alone."""
    from airflow_ml_pipelines.definition_files import name_in

    cases = {
        "extends: b.yaml\nsteps: {}\n": "p",
        "steps: {}\nname: other\n": "other",
        "steps: {}\n'name': other\n": None,
        "{steps: {}, name: other}\n": None,
        "<<: *x\nsteps: {}\n": None,
        "? name\n: other\n": None,
        "name: >\n  other\n": None,
        "# name: x\nsteps: {a: {name: y}}\nenvironments:\n  a: {name: z}\n": "p",
        "---\nsteps: {}\n": None,
    }
    for text, expected in cases.items():
        file = project.write("p.pipeline.yaml", text)
        assert name_in(file) == expected, text


def test_what_extends_another_file_is_one_dag_whatever_the_process_is(project):
    project.write("defaults.yaml", DEFAULTS)
    project.write("p/p.pipeline.yaml", PIPELINE)
    project.write("p/a.py")
    code = (
        "from dag_factory.definitions.definition import PipelineDefinition as P;"
        f"print(P.from_yaml({str(project.folder / 'p/p.pipeline.yaml')!r}).to_spec().digest)"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True
        ).stdout
        for cwd in ("/", project.folder / "p")
    }
    assert len(digests) == 1

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from airflow_ml_pipelines.core.spec import (
    DEFAULT_ENVIRONMENT,
    Data,
    DataParameter,
    EnvironmentSpec,
    InputPath,
    InputSpec,
    Location,
    OutputPath,
    OutputSpec,
    ParameterSpec,
    ParameterValue,
    PipelineSpec,
    RegisteredDataset,
    RegisterSpec,
    StepOutput,
    StepSpec,
    TabularFormat,
    Text,
)
from dag_factory.definitions.definition import PipelineDefinition
from dag_factory.models.environment import EnvironmentDefinition


def resolve(project, text, **options):
    """The spec of a definition in a file of the project, which has ``a.py``."""
    project.write("a.py")
    return PipelineDefinition.from_yaml(project.write("p.pipeline.yaml", text)).to_spec(**options)


def only_step(project, text):
    (step,) = resolve(project, text).steps
    return step


def test_every_kind_of_thing_in_one_definition(project):
    project.write("prepare/prepare.py")
    project.write("a.py")
    file = project.write(
        "digits.pipeline.yaml",
        """
        schema_version: 1
        description: Digits.
        default_datastore: blob
        default_compute_target: local
        default_environment: sklearn
        continue_on_step_failure: true
        parameters:
          C: {type: number, default: 1, minimum: 0.5, title: Strength, section: Model, description: How strong.}
          kind: {default: gini, enum: [gini, entropy]}
          where: {type: data, default: images}
        environments:
          sklearn: {python: "3.12", pip: [scikit-learn], variables: {OMP_NUM_THREADS: "1"}}
        data:
          images: {path: train-images/, type: folder, fingerprint: etag}
          iris: {dataset: iris, version: 2}
          table: {datastore: other, paths: [a.csv, {datastore: third, path: b.csv}], type: tabular, separator: ";"}
        steps:
          train:
            name: Train the model
            script: a.py
            inputs: {prepared: "${{ steps.prepare.outputs.data }}", iris: iris}
            arguments: [--in, "${{ inputs.prepared }}", "--C=${{ parameters.C }}", "${{ parameters.where }}"]
            environment: {user_managed: true, interpreter: python3}
            allow_reuse: false
            timeout: 1h30m
            retries: 3
          prepare:
            script: prepare.py
            source_directory: prepare
            inputs:
              images: {data: images, mode: download, path_on_compute: /tmp/x, overwrite: true}
              table: table
            outputs:
              data:
              report: {mode: upload, path: "r/{run-id}", register: {name: report, tags: {a: b}}, globs: ["*.md"]}
            arguments: ["${{ outputs.data }}", 0.50, true]
            parameters: {epochs: 3, strength: "${{ parameters.C }}", text: "$${{ x }}"}
            hash_paths: [lib]
            ignore: ["*.ipynb"]
            version: "2"
            compute_target: gpu
        """,
    )
    expected = PipelineSpec(
        name="digits",
        description="Digits.",
        default_datastore="blob",
        continue_on_step_failure=True,
        base_directory=str(project.folder),
        parameters=(
            ParameterSpec(
                name="C",
                type="number",
                default=1.0,
                minimum=0.5,
                title="Strength",
                section="Model",
                description="How strong.",
            ),
            ParameterSpec(name="kind", default="gini", enum=("gini", "entropy")),
            ParameterSpec(
                name="where",
                type="data",
                default={
                    "type": "data",
                    "locations": [{"datastore": "blob", "path": "train-images/"}],
                    "form": "folder",
                },
            ),
        ),
        steps=(
            StepSpec(
                id="prepare",
                name="prepare",
                script="prepare.py",
                source_directory="prepare",
                arguments=((OutputPath(output="data"),), (Text(text="0.50"),), (Text(text="true"),)),
                parameters={"epochs": 3, "strength": ParameterValue(parameter="C"), "text": "${{ x }}"},
                inputs=(
                    InputSpec(
                        name="images",
                        source=Data(
                            locations=(Location(datastore="blob", path="train-images/"),), form="folder"
                        ),
                        mode="download",
                        path_on_compute="/tmp/x",
                        overwrite=True,
                        fingerprint="etag",
                    ),
                    InputSpec(
                        name="table",
                        source=Data(
                            locations=(
                                Location(datastore="other", path="a.csv"),
                                Location(datastore="third", path="b.csv"),
                            ),
                            tabular=TabularFormat(separator=";"),
                        ),
                        mode="direct",
                    ),
                ),
                outputs=(
                    OutputSpec(name="data"),
                    OutputSpec(
                        name="report",
                        mode="upload",
                        path="r/{run-id}",
                        globs=("*.md",),
                        register=RegisterSpec(name="report", tags={"a": "b"}),
                    ),
                ),
                environment=EnvironmentSpec(
                    name="sklearn",
                    python="3.12",
                    user_managed=False,
                    pip=("scikit-learn",),
                    variables={"OMP_NUM_THREADS": "1"},
                ),
                compute_target="gpu",
                version="2",
                hash_paths=("lib",),
                ignore=("*.ipynb",),
            ),
            StepSpec(
                id="train",
                name="Train the model",
                script="a.py",
                arguments=(
                    (Text(text="--in"),),
                    (InputPath(input="prepared"),),
                    (Text(text="--C="), ParameterValue(parameter="C")),
                    (InputPath(input="where"),),
                ),
                inputs=(
                    InputSpec(name="prepared", source=StepOutput(step="prepare", output="data")),
                    InputSpec(name="iris", source=RegisteredDataset(dataset="iris", version=2)),
                    InputSpec(name="where", source=DataParameter(parameter="where")),
                ),
                environment=EnvironmentSpec(interpreter="python3"),
                compute_target="local",
                allow_reuse=False,
                timeout=5400,
            ),
        ),
    )
    found = PipelineDefinition.from_yaml(file).to_spec()
    for step, other in zip(found.steps, expected.steps, strict=True):
        assert step == other
    assert found == expected


def test_the_name_is_the_files_unless_it_says_another(project):
    assert resolve(project, "steps: {a: {script: a.py}}\n").name == "p"
    assert resolve(project, "name: other\nsteps: {a: {script: a.py}}\n").name == "other"


def test_settings_of_airflow_are_no_part_of_the_digest(project):
    bare = resolve(project, "steps: {a: {script: a.py}}\n")
    scheduled = resolve(
        project, 'schedule: "@daily"\nretries: 3\ntags: [x]\nowner: me\nsteps: {a: {script: a.py, pool: p}}\n'
    )
    assert scheduled.digest == bare.digest


def test_the_digest_does_not_depend_on_where_the_file_is(project, tmp_path):
    text = "steps: {a: {script: a.py}}\n"
    here = resolve(project, text)
    project.write("copy/a.py")
    there = PipelineDefinition.from_yaml(project.write("copy/p.pipeline.yaml", text)).to_spec()
    assert there.base_directory != here.base_directory
    assert there.digest == here.digest


def test_outputs_of_steps_in_arguments_become_inputs_once(project):
    spec = resolve(
        project,
        """
        steps:
          first-one: {script: a.py, outputs: {data: , model: }}
          other: {script: a.py, outputs: {data: }}
          last:
            script: a.py
            inputs: {mine: "${{ steps.first-one.outputs.model }}"}
            arguments:
              - ${{ steps.first-one.outputs.data }}
              - ${{ steps.other.outputs.data }}
              - ${{ steps.first-one.outputs.data }}
              - ${{ steps.first-one.outputs.model }}
        """,
    )
    last = spec.step("last")
    assert [(item.name, item.source) for item in last.inputs] == [
        ("mine", StepOutput(step="first-one", output="model")),
        ("data", StepOutput(step="first-one", output="data")),
        ("other_data", StepOutput(step="other", output="data")),
    ]
    assert [item[0] for item in last.arguments] == [
        InputPath(input=name) for name in ("data", "other_data", "data", "mine")
    ]


def test_steps_are_sorted_by_need_and_else_stay_as_written(project):
    spec = resolve(
        project,
        """
        steps:
          d: {script: a.py, after: [b]}
          c: {script: a.py}
          b: {script: a.py, after: [a]}
          a: {script: a.py}
        """,
    )
    assert [step.id for step in spec.steps] == ["c", "a", "b", "d"]


def test_an_output_that_is_a_table_is_read_as_one(project):
    spec = resolve(
        project,
        """
        steps:
          a: {script: a.py, outputs: {t: {tabular: {separator: ";"}}}}
          b: {script: a.py, arguments: ["${{ steps.a.outputs.t }}"]}
          c: {script: a.py, inputs: {t: "${{ steps.a.outputs.t }}"}}
        """,
    )
    assert [spec.step(name).inputs[0].mode for name in "bc"] == ["direct", "direct"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("sklearn", EnvironmentSpec(name="sklearn", user_managed=False, pip=("scikit-learn",))),
        ("alias", "registered:3"),
        ("AzureML-Tutorial", "AzureML-Tutorial"),
        ("other:4", "other:4"),
        ("sklearn:2", "sklearn:2"),
        ("sklearn:latest", "sklearn"),
        (
            "{name: label, conda: [numpy]}",
            EnvironmentSpec(name="label", user_managed=False, conda=("numpy",)),
        ),
        ("{variables: {A: b}}", EnvironmentSpec(variables={"A": "b"})),
        ("{user_managed: false}", EnvironmentSpec(user_managed=False)),
    ],
)
def test_environments_are_found_by_name_or_written_in_place(project, written, expected):
    step = only_step(
        project,
        f"""
        environments:
          sklearn: {{pip: [scikit-learn]}}
          alias: registered:3
        steps:
          a: {{script: a.py, environment: {written}}}
        """,
    )
    assert step.environment == expected


def test_a_step_without_an_environment_has_the_default_one(project):
    assert only_step(project, "steps: {a: {script: a.py}}\n").environment == DEFAULT_ENVIRONMENT
    assert EnvironmentDefinition.model_validate("a:3").is_reference
    assert not EnvironmentDefinition(name="a", pip=("b",)).is_reference


@pytest.mark.parametrize(
    ("written", "kind", "default", "required"),
    [
        ("1", "integer", 1, False),
        ("1.0", "number", 1.0, False),
        ("1e-3", "number", 0.001, False),
        ("true", "boolean", True, False),
        ("'1'", "string", "1", False),
        ("'yes'", "string", "yes", False),
        ("2026-01-31", "string", "2026-01-31", False),
        ("'007'", "string", "007", False),
        ("", "string", None, True),
        ("{type: number}", "number", None, True),
        ("{type: number, default: 3}", "number", 3.0, False),
        ("{default: {path: x}}", "data", {"datastore": "blob", "path": "x"}, False),
        ("{type: data, default: 'https://x.org/y'}", "data", {"url": "https://x.org/y"}, False),
        (
            "{type: data, default: {dataset: iris, version: 2}}",
            "data",
            {"dataset": "iris", "version": 2},
            False,
        ),
        (
            "{type: data, default: {DataStoreName: s, RelativePath: p}}",
            "data",
            {"datastore": "s", "path": "p"},
            False,
        ),
    ],
)
def test_a_parameter_is_what_its_default_is(project, written, kind, default, required):
    spec = resolve(
        project, f"default_datastore: blob\nparameters: {{p: {written}}}\nsteps: {{a: {{script: a.py}}}}\n"
    )
    (parameter,) = spec.parameters
    assert (parameter.type, parameter.default, parameter.required) == (kind, default, required)
    assert type(parameter.default) is type(default)


def test_arguments_reach_the_script_as_they_are_written(project):
    step = only_step(
        project,
        "steps: {a: {script: a.py, arguments: [1.10, 0o17, 1_0, no, True, ~x, '', 1e5, -007, 'a b']}}\n",
    )
    assert [item[0].text if item else "" for item in step.arguments] == [
        *("1.10", "0o17", "1_0", "no", "True", "~x", "", "1e5", "-007", "a b")
    ]


def test_anchors_merges_and_room_for_them(project):
    spec = resolve(
        project,
        """
        x-base: &base
          script: a.py
          version: "1"
          arguments: &common [--deep, 1.10]
        steps:
          a: *base
          b:
            <<: *base
            version: "2"
          c: {script: a.py, arguments: *common}
        """,
    )
    assert [(step.version, [item[0].text for item in step.arguments]) for step in spec.steps] == [
        ("1", ["--deep", "1.10"]),
        ("2", ["--deep", "1.10"]),
        (None, ["--deep", "1.10"]),
    ]


def test_data_without_a_datastore_is_on_the_default_one(project):
    text = "steps: {a: {script: a.py, inputs: {x: {path: y}, z: {paths: ['http://x/y', w]}}}}\n"
    step = only_step(project, text)
    assert [item.source.locations for item in step.inputs] == [
        (Location(path="y"),),
        (Location(path="http://x/y"), Location(path="w")),
    ]
    step = only_step(project, f"default_datastore: blob\n{text}")
    assert step.inputs[1].source.locations == (
        Location(path="http://x/y"),
        Location(path="w", datastore="blob"),
    )


def test_scripts_are_looked_for_only_if_asked(project):
    text = "steps: {a: {script: missing.py, source_directory: nowhere}}\n"
    assert resolve(project, text, check_files=False).steps[0].script == "missing.py"


def test_source_directories_may_be_relative_to_another_folder(project, tmp_path):
    (tmp_path / "elsewhere" / "src").mkdir(parents=True)
    (tmp_path / "elsewhere" / "src" / "b.py").touch()
    definition = PipelineDefinition.from_document(
        {"name": "p", "source_directory": "src", "steps": {"b": {"script": "b.py"}}}
    )
    spec = definition.to_spec(tmp_path / "elsewhere")
    assert (spec.base_directory, spec.steps[0].source_directory) == (str(tmp_path / "elsewhere"), "src")


def test_two_definitions_are_equal_wherever_they_came_from(project):
    file = project.write("p.pipeline.yaml", "steps: {a: {script: a.py}}\n")
    assert PipelineDefinition.from_yaml(file) == PipelineDefinition(name="p", steps={"a": {"script": "a.py"}})


def test_a_spec_can_be_written_down_and_read_again(project):
    spec = resolve(
        project,
        """
        default_datastore: blob
        continue_on_step_failure: true
        parameters: {where: {type: data, default: {paths: [a, b]}}, n: {type: integer, minimum: 1}}
        data: {t: {path: t.csv, type: tabular, header: false}}
        steps:
          a:
            script: a.py
            inputs: {t: t, w: "${{ parameters.where }}", u: "https://x.org/y", d: {dataset: iris, mode: direct}}
            outputs: {o: {path: "x/{run-id}", register: r, create: false, tabular: {}}}
            arguments: ["$${{ x }}", "n=${{ parameters.n }}", "${{ outputs.o }}"]
            parameters: {x: "$${{", y: "${{ parameters.n }}"}
            environment: registered
          b: {script: a.py, inputs: {o: "${{ steps.a.outputs.o }}"}, environment: {python: "3.12"}, timeout: 1.5}
        """,
    )
    again = PipelineDefinition.from_spec(spec)
    assert again.to_spec(project.folder) == spec
    assert PipelineDefinition.from_yaml(again.to_yaml()).to_spec(project.folder) == spec


def test_yaml_is_written_short(project):
    text = """\
schema_version: 1
name: p
schedule: '@daily'
start_date: '2026-01-31'
retry_delay: 5m
parameters:
  C: 1.0
  kind:
    default: a
    enum: [a, b]
environments:
  sk:
    pip: [scikit-learn]
data:
  images:
    path: images
steps:
  a:
    script: a.py
    arguments: [--in, '${{inputs.images}}', '3']
    inputs:
      images: images
    outputs:
      model:
        register: model
    environment: sk
  b:
    script: a.py
    inputs:
      model: ${{steps.a.outputs.model}}
"""
    assert PipelineDefinition.from_yaml(text).to_yaml() == text


def test_reading_a_definition_takes_no_airflow():
    code = (
        "import sys; from dag_factory.definitions.definition import PipelineDefinition as P\n"
        "P.from_yaml('name: p\\nsteps: {a: {script: a.py}}\\n').to_spec(check_files=False).digest\n"
        "sys.exit(any(name.split('.')[0] in ('airflow', 'fsspec', 'pandas') for name in sys.modules))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[3]).returncode
        == 0
    )

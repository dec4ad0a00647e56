"""Pipelines of Azure ML CLI v2 become definitions; what can't be carried over is said with its line."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory.cli import main
from dag_factory.convert import convert_file
from dag_factory.convert.commands import CommandError, read_command
from dag_factory.convert.parts import Document, Notes
from dag_factory.definitions.definition import PipelineDefinition
from dag_factory.pipelines.lint import lint_files

AZURE = Path(__file__).parents[1] / "azure"
WHOLE = ("taxi/pipeline", "taxi/nightly", "inline", "single")


@pytest.mark.parametrize("name", [*WHOLE, "hard"])
def test_a_pipeline_becomes_the_definition_beside_it(name):
    file = AZURE / f"{name}.yml"
    assert convert_file(file).text == file.with_suffix(".pipeline.yaml").read_text()


@pytest.mark.parametrize("name", WHOLE)
def test_what_was_carried_over_as_a_whole_has_no_error(name):
    file = AZURE / f"{name}.pipeline.yaml"
    assert convert_file(AZURE / f"{name}.yml").findings == ()
    assert lint_files([file])[file] == ()


def test_what_was_not_is_told_with_file_and_line(capsys, monkeypatch):
    monkeypatch.chdir(AZURE)
    assert main(["convert", "hard.yml"]) == 3
    out, err = capsys.readouterr()
    notes = [line for line in err.splitlines() if line.startswith("hard.yml:")]
    assert err.endswith(f"\n{len(notes)} things could not be carried over\n")
    assert (
        "hard.yml:23:5: jobs.get-data.command: it has `;`, which needs a shell: put what it does into a script"
        in notes
    )
    assert [line for line in out.splitlines() if line.startswith("# - hard.yml:")] == [
        f"# - hard.yml:{line}: {message}"
        for line, message in ((note.split(":")[1], note.split(": ", 1)[1]) for note in notes)
    ]


def test_a_definition_is_written_into_another_folder_and_never_over_a_file(tmp_path, capsys, monkeypatch):
    shutil.copytree(AZURE / "taxi", tmp_path / "azure")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new").mkdir()
    assert main(["convert", "azure/pipeline.yml", "-o", "new/taxi.pipeline.yaml"]) == 0
    assert capsys.readouterr() == ("", "")
    definition = PipelineDefinition.from_yaml(tmp_path / "new/taxi.pipeline.yaml")
    assert definition.name == "taxi"
    assert [step.source_directory for step in definition.to_spec().steps] == [
        f"../azure/src/{name}" for name in ("prep", "train", "score")
    ]
    assert main(["convert", "azure/pipeline.yml", "-o", "new/taxi.pipeline.yaml"]) == 2
    assert "it is there already" in capsys.readouterr().err
    assert main(["convert", "azure/pipeline.yml", "-o", "new/taxi.yaml"]) == 2
    assert "expected a name that ends with .pipeline.yaml" in capsys.readouterr().err


def test_a_converted_pipeline_runs(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    (tmp_path / "workspace.yaml").write_text("")
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text(
        "import pathlib, sys\npathlib.Path(sys.argv[2], 'out').write_text(' '.join(sys.argv[3:]))\n"
    )
    (tmp_path / "src/b.py").write_text(
        "import pathlib, sys\nprint('said', pathlib.Path(sys.argv[1], 'out').read_text())\n"
    )
    (tmp_path / "job.yml").write_text(
        """
type: pipeline
inputs: {word: good morning, times: 3}
jobs:
  first:
    code: src
    command: python a.py --out ${{outputs.made}} "${{inputs.word}}" --times=${{inputs.times}} 'a b'
    inputs: {word: "${{parent.inputs.word}}", times: "${{parent.inputs.times}}"}
    outputs: {made: {type: uri_folder}}
  second:
    code: src
    command: python b.py ${{inputs.made}}
    inputs: {made: "${{parent.jobs.first.outputs.made}}"}
"""
    )
    assert main(["convert", "job.yml", "-o", "job.pipeline.yaml"]) == 0
    assert main(["run", "job.pipeline.yaml", "-p", "times=4"]) == 0
    assert "[second] said good morning --times=4 a b" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "job.yml:1:1: expected a mapping"),
        ("", "job.yml:1:1: expected a mapping"),
        ("jobs: [\n", "job.yml:1:8: a value is missing here"),
        ("a: 1\n", "expected a pipeline of Azure ML CLI v2"),
        ("type: sweep\ncommand: python a.py\n", "expected a pipeline of Azure ML CLI v2"),
        ("create_job: azureml:job:1\n", "its job is not in a file"),
        ("create_job: gone.yml\n", "gone.yml: there is no such file"),
    ],
)
def test_what_is_no_pipeline_is_refused(tmp_path, capsys, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.yml").write_text(text)
    assert main(["convert", "job.yml"]) == 1
    out, err = capsys.readouterr()
    assert (out, message in err) == ("", True), err
    assert main(["convert", "gone.yml"]) == 1


# --- commands ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "script", "arguments"),
    [
        ("python a.py", "a.py", []),
        ("python3.11 ./src/a.py --x 1", "src/a.py", [["--x"], ["1"]]),
        ("/usr/bin/python -u a.py", "a.py", []),
        ("python a.py --in=${{inputs.x}}/${{ inputs.y }}.csv", "a.py", [["--in=", ("inputs.x",), "/", ("inputs.y",), ".csv"]]),
        ("python a.py 'a b' \"c; d\" e\\ f", "a.py", [["a b"], ["c; d"], ["e f"]]),
        ("python a.py \\\n  --x \\\n  1\n", "a.py", [["--x"], ["1"]]),
        ("python a.py '$HOME | x'", "a.py", [["$HOME | x"]]),
        ("python a.py $[[--x ${{inputs.given}}]] $[[--y ${{inputs.gone}}]] z", "a.py", [["--x"], [("inputs.given",)], ["z"]]),
        ("python a.py ''", "a.py", [[]]),
    ],
)  # fmt: skip
def test_a_command_is_a_script_and_its_arguments(command, script, arguments):
    found = read_command(command, lambda name: name == "given")
    assert (found.script, found.arguments) == (script, arguments)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "it runs 'nothing'"),
        ("echo x", "it runs 'echo'"),
        ("python", "'' is not the path"),
        ("python -m a.b", "it runs `python -m`"),
        ("python -c 'print()'", "it runs `python -c`"),
        ("python a.py && python b.py", "it has `&`"),
        ("python a.py > log", "it has `>`"),
        ("python a.py | tee log", "it has `|`"),
        ("pip install x; python a.py", "it has `;`"),
        ("python a.py\npython b.py", "it has several lines"),
        ("python a.py $HOME", "it has `$H`"),
        ("python a.py ${HOME}", "it has `$`"),
        ('python a.py "$HOME"', "it has `$H`"),
        ("python a.py $(date)", "it has `$`"),
        ("python a.py `date`", "it has ```"),
        ("python 'a.py", "it can't be read"),
        ("python ${{inputs.script}}", "'${{inputs.script}}' is not the path of a Python script"),
        ("X=1 python a.py", "it runs 'X=1'"),
    ],
)
def test_what_needs_a_shell_or_is_no_script_is_refused(command, message):
    with pytest.raises(CommandError) as caught:
        read_command(command, lambda _: False)
    assert message in str(caught.value)


# --- schedules, data, environments -------------------------------------------------------------------------------


def convert(folder, text, **files):
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    (folder / "job.yml").write_text(text)
    (folder / "a.py").write_text("")
    conversion = convert_file(folder / "job.yml")
    (folder / "job.pipeline.yaml").write_text(conversion.text)
    definition = PipelineDefinition.from_yaml(folder / "job.pipeline.yaml")
    return definition, [f"{Path(item.file).name}:{item.line}: {item.message}" for item in conversion.findings]


STEP = "jobs: {a: {code: ., command: 'python a.py --x ${{inputs.x}}'"
BARE = STEP.replace(" --x ${{inputs.x}}", "")


@pytest.mark.parametrize(
    ("trigger", "expected", "notes"),
    [
        ("{type: cron, expression: '0 6 * * *'}", {"cron": "0 6 * * *"}, 0),
        ("{type: cron, expression: '@daily', time_zone: Pacific Standard Time}", {"cron": "@daily", "timezone": "America/Los_Angeles"}, 0),
        ("{type: recurrence, frequency: minute, interval: 15}", {"every": 900.0}, 0),
        ("{type: recurrence, frequency: hour, interval: 6}", {"every": 21600.0}, 0),
        ("{type: recurrence, frequency: day, interval: 1, schedule: {hours: 4, minutes: [0, 30]}}", {"cron": "0,30 4 * * *"}, 0),
        ("{type: recurrence, frequency: week, interval: 1, schedule: {hours: [4], minutes: [5], week_days: sunday}}", {"cron": "5 4 * * 0"}, 0),
        ("{type: recurrence, frequency: month, interval: 1, schedule: {hours: 1, minutes: 0, month_days: [1, 15]}}", {"cron": "0 1 1,15 * *"}, 0),
        ("{type: recurrence, frequency: week, interval: 2}", None, 1),
        ("{type: cron, expression: '@daily', time_zone: Nowhere}", {"cron": "@daily"}, 1),
    ],
)  # fmt: skip
def test_schedules(tmp_path, trigger, expected, notes):
    (tmp_path / "pipeline.yml").write_text(f"type: pipeline\n{BARE}}}}}\n")
    definition, found = convert(tmp_path, f"trigger: {trigger}\ncreate_job: ./pipeline.yml\n")
    schedule = definition.schedule
    assert (schedule and schedule.model_dump(exclude_defaults=True)) == expected
    assert len(found) == notes
    definition.to_spec()


@pytest.mark.parametrize(
    ("data", "expected", "notes"),
    [
        ("{type: uri_folder, path: azureml://datastores/lake/paths/a/b}", {"datastore": "lake", "path": "a/b", "type": "folder"}, 0),
        (
            "{type: uri_file, path: azureml://subscriptions/1/resourcegroups/2/workspaces/3/datastores/lake/paths/a.csv}",
            {"datastore": "lake", "path": "a.csv", "type": "file"},
            0,
        ),
        ("{type: uri_folder, path: azureml:words:12}", {"dataset": "words", "version": 12}, 0),
        ("{type: uri_folder, path: azureml:words@latest}", {"dataset": "words"}, 0),
        ("{type: uri_folder, path: azureml:words:beta}", {"dataset": "words"}, 1),
        ("{type: uri_file, path: https://x.org/a.csv}", {"url": "https://x.org/a.csv", "type": "file"}, 0),
        ("{type: uri_file, path: wasbs://c@acc.blob.core.windows.net/a}", {"url": "abfs://c@acc.dfs.core.windows.net/a", "type": "file"}, 0),
        ("{type: uri_folder, path: ./local}", {"path": "local", "type": "folder"}, 1),
        ("{type: mltable, path: azureml:t:1}", {"dataset": "t", "version": 1}, 1),
    ],
)  # fmt: skip
def test_data(tmp_path, data, expected, notes):
    definition, found = convert(tmp_path, f"type: pipeline\n{STEP}, inputs: {{x: {data}}}}}}}\n")
    entry = definition.steps["a"].inputs["x"]
    assert entry.model_dump(exclude_defaults=True) == expected
    assert definition.steps["a"].arguments == ("--x", "${{inputs.x}}")
    assert len(found) == notes, found
    definition.to_spec()


ENV = "name: e\nimage: ubuntu\nconda_file: {channels: [c], dependencies: [python=3.9, numpy, {pip: [pandas]}]}\n"


@pytest.mark.parametrize(
    ("environment", "expected", "notes"),
    [
        ("azureml:e:3", {"name": "e", "version": "3"}, 0),
        ("azureml:e@latest", {"name": "e", "version": "latest"}, 0),
        ("azureml://registries/azureml/environments/curated/versions/4", {"name": "curated", "version": "4"}, 1),
        ("file:./env.yml", {"image": "ubuntu", "python": "3.9", "conda": ("numpy",), "conda_channels": ("c",), "pip": ("pandas",)}, 0),
        ("{image: x, build: {path: ., dockerfile_path: Dockerfile}}", {"image": "x", "dockerfile": "FROM x\n"}, 0),
        ("{build: {path: gone}}", {}, 1),
        ("{conda_file: gone.yml}", {}, 1),
        ("./gone.yml", None, 1),
        ("{image: x, inference_config: {}}", {"image": "x"}, 1),
    ],
)  # fmt: skip
def test_environments(tmp_path, environment, expected, notes):
    definition, found = convert(
        tmp_path,
        f"type: pipeline\n{BARE}, environment: {environment}}}}}\n",
        env__yml=ENV,
        Dockerfile="FROM x\n",
    )
    entry = definition.steps["a"].environment
    assert (entry.model_dump(exclude_defaults=True) if entry else {}) == (expected or {})
    assert len(found) == notes, found


def test_a_component_is_shown_in_its_own_file(tmp_path):
    _, found = convert(
        tmp_path,
        "type: pipeline\njobs: {a: {component: ./c.yml}, b: {component: ./gone.yml}, c: {type: command}}\n",
        c__yml="type: command\ncode: .\ncommand: |\n  echo x\ndistribution: {type: mpi}\n",
    )
    assert found == [
        "c.yml:3: command: it runs 'echo', and a step runs a Python script",
        "c.yml:5: distribution: not carried over: a step runs in one process",
        f"job.yml:2: jobs.b.component: {tmp_path}/gone.yml: there is no such file",
        "job.yml:2: jobs.c: it has neither a command nor a component",
    ]


# --- whatever else a file says -----------------------------------------------------------------------------------

TAXI = Document(AZURE / "taxi/pipeline.yml", Notes()).top.value
VALUES = st.sampled_from(
    [None, True, 3, 0.5, "", "x", "azureml:", "${{", "${{parent.inputs.x}}", [], ["a"], {}, {"a": 1}]
)


def places_in(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places_in(item, (*path, key))


@given(st.sampled_from([path for path in places_in(TAXI) if path]), VALUES)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_change_of_a_file_is_converted_or_refused_in_words(tmp_path_factory, path, value):
    folder = tmp_path_factory.getbasetemp() / "azure"
    if not folder.exists():
        shutil.copytree(AZURE / "taxi", folder)
    document = copy.deepcopy(TAXI)
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    (folder / "job.yml").write_text(json.dumps(document))  # JSON is YAML
    try:
        text = convert_file(folder / "job.yml").text
    except DefinitionError as error:
        assert "job.yml" in str(error)
    else:
        (folder / "job.pipeline.yaml").write_text(text)
        PipelineDefinition.from_yaml(folder / "job.pipeline.yaml")


def test_a_field_that_was_read_is_not_noted(tmp_path):
    (tmp_path / "x.yml").write_text("a: 1\nb: {c: 2}\n")
    notes = Notes()
    top = Document(tmp_path / "x.yml", notes).top
    assert top.take("a") == 1
    top.note_rest({"b": "there is none"})
    (finding,) = notes.findings()
    assert (finding.line, finding.message) == (2, "b: not carried over: there is none")

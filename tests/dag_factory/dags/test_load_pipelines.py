from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dag_processing import bag, process

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.definition_files import find_pipeline_files
from dag_factory.dags.broken import IMPORT_ERROR_TAG
from dag_factory.dags.loader import load_pipelines

GOOD = "steps: {a: {script: a.py}}\n"
BROKEN = "steps:\n  a: {scrpt: a.py}\n"


@pytest.fixture
def folder(project):
    project.write("a.py")
    for name in ("one", "two", "sub/three"):
        project.write(f"{name}.pipeline.yaml", GOOD)
    project.write("sub/a.py")
    return project


def load(project, *arguments, at="load.py", **options):
    """Load as a DAG file does; the DAGs end in its variables."""
    file = project.write(
        at, f"from dag_factory import load_pipelines\nload_pipelines(*{arguments!r}, **{options!r})\n"
    )
    variables = {"__file__": str(file), "__name__": "load"}
    exec(compile(file.read_text(), str(file), "exec"), variables)
    return {name: value for name, value in variables.items() if type(value).__name__.endswith(("DAG", "Dag"))}


def test_one_line_makes_a_dag_of_every_definition_below(folder):
    assert sorted(load(folder)) == ["one", "three", "two"]


def test_the_code_that_airflow_shows_is_the_yaml(folder):
    dag = process(load_file(folder)).dags["three"]
    assert dag["fileloc"] == str(folder.folder / "sub/three.pipeline.yaml")
    assert dag["relative_fileloc"] == "load.py"


def test_the_folder_is_relative_to_the_file_that_calls(folder):
    folder.write("dags/x.txt")
    assert sorted(load(folder, "../sub", at="dags/load.py")) == ["three"]


def test_dags_can_go_elsewhere(folder):
    namespace = {}
    dags = load_pipelines(folder.folder, namespace=namespace)
    assert namespace == dags
    assert "one" not in globals()


def test_a_folder_that_does_not_exist_is_an_error(folder):
    with pytest.raises(DefinitionError, match=r"there is no folder .*nowhere"):
        load(folder, "nowhere")


def test_hidden_and_ignored_files_are_left_out(folder):
    folder.write(".hidden/four.pipeline.yaml", GOOD)
    folder.write("__pycache__/five.pipeline.yaml", GOOD)
    folder.write(".six.pipeline.yaml", GOOD)
    folder.write("seven.yaml", GOOD)
    folder.write("eight.pipeline.yml", GOOD)
    folder.write("draft/nine.pipeline.yaml", GOOD)
    folder.write(".airflowignore", "# drafts\ndraft/\ntwo*\n")
    folder.write("sub/.airflowignore", "/deep/*\n!/deep/eleven*\n")
    folder.write("sub/deep/ten.pipeline.yaml", GOOD)
    folder.write("sub/deep/eleven.pipeline.yaml", GOOD)
    files = [file.relative_to(folder.folder).as_posix() for file in find_pipeline_files(folder.folder)]
    assert files == [
        *(
            "eight.pipeline.yml",
            "one.pipeline.yaml",
            "sub/deep/eleven.pipeline.yaml",
            "sub/three.pipeline.yaml",
        )
    ]


def test_a_link_to_a_folder_above_is_no_trap(folder):
    os.symlink(folder.folder, folder.folder / "sub" / "up")
    assert len(find_pipeline_files(folder.folder)) == 3


def test_a_workspace_can_be_named(folder):
    dags = load(folder, workspace="ws/workspace.yaml")
    assert dags["one"].get_task("plan").workspace == str(folder.folder / "ws/workspace.yaml")


# --- in a task ----------------------------------------------------------------------------------------------------


def test_a_task_makes_its_own_dag_alone_and_reads_no_other_definition(folder, wanted):
    folder.write("one.pipeline.yaml", "not YAML: [")
    os.chmod(folder.folder / "two.pipeline.yaml", 0)
    wanted("three")
    assert list(load(folder)) == ["three"]


@pytest.mark.parametrize(
    "line", ["name: wanted", 'name: "wanted"  # here', "{name: wanted, steps: {a: {script: a.py}}}"]
)
def test_a_task_finds_a_dag_whose_file_is_called_otherwise(folder, wanted, line):
    folder.write("wanted.pipeline.yaml", f"name: other\n{GOOD}")
    folder.write("zzz.pipeline.yaml", line if "{" in line else f"{line}\n{GOOD}")
    folder.write("broken.pipeline.yaml", "x: [")
    wanted("wanted")
    (dag,) = load(folder).values()
    assert dag.dag_id == "wanted"
    assert "zzz" not in (dag.doc_md or "")


@pytest.mark.parametrize(
    ("task_id", "made"),
    [
        ("plan", ["plan"]),
        ("b.reuse", ["plan", "b.reuse", "b.run"]),
        ("b.run", ["plan", "b.reuse", "b.run"]),
        ("bb.run", ["plan", "bb.run"]),
    ],
)
def test_a_task_makes_only_the_tasks_that_it_needs(folder, wanted, task_id, made):
    folder.write(
        "one.pipeline.yaml",
        "steps: {a: {script: a.py}, b: {script: a.py, after: [a]}, "
        "bb: {script: a.py, after: [b], allow_reuse: false}}\n",
    )
    wanted("one", task_id)
    (dag,) = load(folder).values()
    assert [task.task_id for task in dag.tasks] == made


def test_a_task_whose_definition_is_wrong_says_so(folder, wanted):
    folder.write("one.pipeline.yaml", BROKEN)
    wanted("one")
    with pytest.raises(DefinitionError, match=r"one\.pipeline\.yaml:2:7: steps\.a\.scrpt: unknown field"):
        load(folder)


def test_a_task_of_a_dag_that_is_gone_finds_none(folder, wanted):
    wanted("gone")
    assert load(folder) == {}


# --- definitions that are wrong -----------------------------------------------------------------------------------


def load_file(project):
    """The bag of a DAG file that loads all definitions beside it."""
    file = project.write(
        "load.py", "from dag_factory import load_pipelines  # an Airflow DAG file\nload_pipelines()\n"
    )
    return bag(file, project.folder)


def test_a_broken_definition_is_an_import_error_of_its_own_file_and_hides_no_other(folder):
    folder.write("sub/bad.pipeline.yaml", BROKEN)
    dags, errors = process(load_file(folder))
    assert dags.keys() == {"one", "two", "three"}
    assert list(errors) == ["sub/bad.pipeline.yaml"]
    text = errors["sub/bad.pipeline.yaml"]
    assert "sub/bad.pipeline.yaml:2:7: steps.a.scrpt: unknown field. Did you mean 'script'?" in text
    assert "  2 |   a: {scrpt: a.py}\n    |       ^^^^^" in text


def test_a_broken_definition_below_the_dag_file_has_its_path_in_the_bundle(folder):
    folder.write("sub/bad.pipeline.yaml", BROKEN)
    folder.write(
        "dags/load.py", "from dag_factory import load_pipelines  # Airflow\nload_pipelines('../sub')\n"
    )
    found = load_file(folder)
    found.process_file(str(folder.folder / "dags" / "load.py"))
    assert "sub/bad.pipeline.yaml" in process(found)[1]


def test_an_error_that_nobody_thought_of_hides_no_other(folder, monkeypatch):
    import dag_factory.dags.compile

    real = dag_factory.dags.compile.build_dag

    def build(definition, **options):
        if definition.name == "two":
            raise RuntimeError("out of luck")
        return real(definition, **options)

    monkeypatch.setattr(dag_factory.dags.compile, "build_dag", build)
    dags, errors = process(load_file(folder))
    assert dags.keys() == {"one", "three"}
    assert "two.pipeline.yaml: RuntimeError: out of luck" in errors["two.pipeline.yaml"]


def test_two_definitions_of_one_name_are_an_error_of_the_second(folder):
    folder.write("sub/two.pipeline.yaml", f"{GOOD}name: one\n")
    dags, errors = process(load_file(folder))
    assert dags.keys() == {"one", "two", "three"}
    assert (
        "sub/two.pipeline.yaml:2:7: name: one.pipeline.yaml has the name 'one' already"
        in errors["sub/two.pipeline.yaml"]
    )


def test_where_every_definition_is_broken_the_dag_file_has_the_error(project):
    project.write("bad.pipeline.yaml", BROKEN)
    project.write("worse.pipeline.yaml", "x: [")
    dags, errors = process(load_file(project))
    assert dags == {}
    assert list(errors) == ["load.py"]
    assert "bad.pipeline.yaml:2:7: " in errors["load.py"]
    assert "worse.pipeline.yaml:1:" in errors["load.py"]


def test_errors_do_not_tell_where_the_folder_is(folder):
    folder.write("bad.pipeline.yaml", "steps: {a: {script: missing.py}}\n")
    _, errors = process(load_file(folder))
    assert str(folder.folder) not in errors["bad.pipeline.yaml"].partition("bad.pipeline.yaml:1:")[2]


def test_outside_of_the_dag_processor_a_broken_definition_is_a_dag_that_fails(folder, wanted):
    import airflow.serialization.serialized_objects as serialized

    from airflow_ml_pipelines._airflow import AirflowFailException

    folder.write("sub/bad.pipeline.yaml", f"{BROKEN}# {{{{ 1/0 }}}} ```\n")
    dag = load(folder)["sub.bad.pipeline.yaml"]
    kind = getattr(serialized, "DagSerialization", None) or serialized.SerializedDAG
    assert "unknown field" in json.dumps(kind.to_dict(dag), default=str)
    assert dag.tags == {IMPORT_ERROR_TAG}
    assert dag.schedule is None
    assert dag.description.startswith(
        "Import error: sub/bad.pipeline.yaml:2:3: steps.a: the field 'script' is missing"
    )
    wanted("sub.bad.pipeline.yaml", "definition")
    (again,) = load(folder).values()
    (task,) = again.tasks
    with pytest.raises(AirflowFailException, match=r"steps\.a\.scrpt: unknown field"):
        task.execute({})


# --- a hundred of them --------------------------------------------------------------------------------------------

WATCH = """
import hashlib, json, sys
import airflow.serialization.serialized_objects as serialized
from dag_factory.dags.loader import load_pipelines
load_pipelines(sys.argv[1] + "/warm", namespace={})
touched = []
def watch(event, arguments):
    if event == "open" and not str(arguments[0]).endswith((".py", ".pyc")):
        touched.append(str(arguments[0]))
    elif event.startswith(("socket.", "subprocess.", "os.system", "urllib.")):
        touched.append(event)
sys.addaudithook(watch)
dags = load_pipelines(sys.argv[1] + "/many", namespace={})
found, touched = list(touched), []
kind = getattr(serialized, "DagSerialization", None) or serialized.SerializedDAG
stored = [json.dumps(kind.to_dict(dags[name]), sort_keys=True, default=str) for name in sorted(dags)]
print(json.dumps([len(dags), sorted(found), hashlib.sha256("".join(stored).encode()).hexdigest()]))
"""


def test_a_hundred_definitions_touch_nothing_but_themselves_and_come_out_the_same(project):
    text = """
    tags: [c, a, b]
    parameters: {alpha: 1.0, where: {type: data, default: {path: x}}}
    environments: {e: {pip: [x, y], variables: {b: "1", a: "2"}}}
    steps:
      a: {script: a.py, outputs: {o: {register: r}}, inputs: {i: {path: data}}, environment: e}
      b: {script: a.py, inputs: {o: "${{ steps.a.outputs.o }}"}}
    """
    for number in range(100):
        project.write(f"many/p{number}.pipeline.yaml", text)
    for folder in ("many", "warm"):
        project.write(f"{folder}/a.py", "raise SystemExit('nobody runs this')")
        project.write(f"{folder}/data/x.csv")
    project.write("warm/w.pipeline.yaml", text)
    outputs = [
        subprocess.run(
            [sys.executable, "-c", WATCH, str(project.folder)],
            env=os.environ | {"PYTHONHASHSEED": seed, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()[-1]
        for seed in ("1", "2")
    ]
    count, touched, _ = json.loads(outputs[0])
    assert count == 100
    assert touched == sorted(str(file) for file in (Path(project.folder) / "many").glob("*.pipeline.yaml"))
    assert outputs[0] == outputs[1]

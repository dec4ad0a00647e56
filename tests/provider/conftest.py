"""Runs operators as Airflow's task runner does, with a workspace of their own and no scheduler."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, Param  # noqa: TID253

from airflow_ml_pipelines._airflow import DownstreamTasksSkipped
from airflow_ml_pipelines.core.spec import (
    InputPath,
    InputSpec,
    OutputPath,
    OutputSpec,
    ParameterSpec,
    ParameterValue,
    PipelineSpec,
    RegisterSpec,
    StepOutput,
    StepSpec,
    Text,
)
from airflow_ml_pipelines.operators.plan import PlanOperator
from airflow_ml_pipelines.operators.python_script import PythonScriptOperator
from airflow_ml_pipelines.sensors.reuse import ReuseSensor
from airflow_ml_pipelines.workspace_file import create_workspace_file, load_workspace

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Airflow 3.1 imports what it has deprecated itself
    import airflow.serialization.serialized_objects  # noqa: F401

SCRIPT = """\
import pathlib, sys
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
print("at work on", given.get("--alpha"))
text = "".join(file.read_text() for file in sorted(pathlib.Path(given["--read"]).iterdir())) if "--read" in given else ""
pathlib.Path(given["--write"], "out.txt").write_text(text + given.get("--alpha", ""))
"""


@dataclass
class Task:
    """A task instance as operators see it."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    try_number: int = 1
    max_tries: int = 0
    xcoms: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def get_first_reschedule_date(self, context: Any) -> None:
        return None


class Outcome(SimpleNamespace):
    """How a task ended: ``value`` as XCom, ``skipped`` tasks, ``outlet_events``."""


class Events:
    """The events of a task's outlets, by the assets' names."""

    def __init__(self) -> None:
        self.found: dict[str, SimpleNamespace] = {}

    def __getitem__(self, asset: Any) -> SimpleNamespace:
        return self.found.setdefault(asset.name, SimpleNamespace(extra={}))


def _run_task(
    operator: Any,
    run_id: str = "r1",
    *,
    conf: Any = None,
    method: str = "execute",
    event: Any = None,
    **task: Any,
) -> Outcome:
    """Render an operator's templates and execute it; with an event it goes on after a deferral."""
    operator = operator.prepare_for_execution()
    ti = Task(operator.dag.dag_id, run_id, operator.task_id, **task)
    declared = {name: operator.dag.params[name] for name in operator.dag.params}
    context = {
        "ti": ti,
        "dag": operator.dag,
        "dag_run": SimpleNamespace(conf=conf, run_id=run_id, start_date=None),
        "run_id": run_id,
        "params": {**declared, **(conf or {})},
        "outlet_events": Events(),
    }
    operator.render_template_fields(context)
    try:
        more = {} if event is None else {"event": event}
        value, skipped = getattr(operator, method)(context, **more), []
    except DownstreamTasksSkipped as skip:
        value, skipped = ti.xcoms["return_value"], list(skip.tasks)
    return Outcome(value=value, skipped=skipped, operator=operator, events=context["outlet_events"].found)


@pytest.fixture
def run_task():
    return _run_task


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    made = create_workspace_file(tmp_path / "workspace", "test")
    monkeypatch.setenv("ML_PIPELINES_WORKSPACE", str(made.file))
    return load_workspace(made.file)


def _make_tasks(pipeline: PipelineSpec, **sensor: Any) -> dict[str, Any]:
    """Return the tasks of a DAG that runs a pipeline, without their order."""
    params = {"alpha": Param(1, type="integer"), "regenerate_outputs": Param(False, type="boolean")}
    ids = {step.id: [f"{step.id}.reuse", f"{step.id}.run"] for step in pipeline.steps}
    with DAG("dag", schedule=None, params=params):
        tasks = {"plan": PlanOperator(task_id="plan", pipeline=pipeline, step_tasks=ids)}
        for step, (reuse, run) in ids.items():
            tasks[reuse] = ReuseSensor(task_id=reuse, pipeline=pipeline, step=step, run_task_id=run, **sensor)
            tasks[run] = PythonScriptOperator(task_id=run, pipeline=pipeline, step=step)
    return tasks


@pytest.fixture
def make_tasks():
    return _make_tasks


@pytest.fixture
def tasks(pipeline, workspace):
    return _make_tasks(pipeline)


@pytest.fixture
def first(tasks):
    """A run that ended well, as ``r1``."""
    for name in ("plan", "prepare.run", "train.run"):
        _run_task(tasks[name], "r1")


@pytest.fixture
def source(tmp_path) -> Path:
    """A folder with the script of every step."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "step.py").write_text(SCRIPT)
    return folder


@pytest.fixture
def pipeline(source) -> PipelineSpec:
    """``prepare -> train``; ``train`` has the parameter ``alpha`` and registers its output."""

    def step(name, *more, inputs=(), register=None):
        return StepSpec(
            id=name,
            name=name,
            script="step.py",
            source_directory=str(source),
            inputs=inputs,
            outputs=(OutputSpec(name="out", register=register),),
            arguments=((Text(text="--write"),), (OutputPath(output="out"),), *more),
        )

    read = ((Text(text="--read"),), (InputPath(input="data"),))
    alpha = ((Text(text="--alpha"),), (ParameterValue(parameter="alpha"),))
    data = InputSpec(name="data", source=StepOutput(step="prepare", output="out"))
    return PipelineSpec(
        name="pipeline",
        parameters=(ParameterSpec(name="alpha", type="integer", default=1, maximum=9),),
        steps=(
            step("prepare", (Text(text="--note"),), (Text(text="{{ 1 / 0 }}"),)),
            step("train", *read, *alpha, inputs=(data,), register=RegisterSpec(name="model")),
        ),
    )

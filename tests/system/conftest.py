"""One Airflow for all tests, with a workspace and pipelines in which each test can change what it likes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from airflow_ml_pipelines.core.runs.folder import OutputDocument, RunFolder
from airflow_ml_pipelines.core.spec import (
    Data,
    InputPath,
    InputSpec,
    Location,
    OutputPath,
    OutputSpec,
    ParameterSpec,
    ParameterValue,
    PipelineSpec,
    StepOutput,
    StepSpec,
    Text,
)
from airflow_ml_pipelines.testing import LocalAirflow
from airflow_ml_pipelines.workspace_file import load_workspace

FLOWS = 12
"""How many fresh copies of the pipeline there are; every test that changes one takes its own."""

LEASE_SECONDS = 8


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.system)


class Airflow(LocalAirflow):
    """The Airflow under test."""

    def states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        return {task["task_id"]: task["state"] for task in self.tasks(dag_id, run_id)}

    def finish(self, dag_id: str, conf: Mapping | None = None) -> str:
        run_id = self.trigger(dag_id, conf)
        self.wait_for_run(dag_id, run_id)
        return run_id

    def clear(self, dag_id: str, run_id: str, tasks: Sequence[str] = ()) -> None:
        """Clear tasks, or all that failed."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            **({"task_ids": list(tasks)} if tasks else {}),
            "only_failed": not tasks,
            "include_downstream": False,
            "reset_dag_runs": True,
        }
        self.request("POST", f"/api/v2/dags/{quote(dag_id)}/clearTaskInstances", body)

    def set_state(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}"
        self.request("PATCH", path, {"new_state": state})

    def links(self, dag_id: str, run_id: str, task_id: str) -> dict[str, str | None]:
        path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/links"
        return self.request("GET", path)["extra_links"]

    def import_errors(self) -> dict[str, str]:
        errors = self.request("GET", "/api/v2/importErrors")["import_errors"]
        return {error["filename"]: error["stack_trace"] for error in errors}


# --- pipelines ---------------------------------------------------------------------------------------------------

SCRIPT = """\
import argparse, os, pathlib, sys, time

folder = pathlib.Path({folder!r})
with open(folder / "ran.log", "a") as file:
    file.write("{step}\\n")
parser = argparse.ArgumentParser()
parser.add_argument("--read", nargs="*", default=[])
parser.add_argument("--write")
parser.add_argument("--alpha", default="")
given = parser.parse_args()
print("step {step} is at work", flush=True)
half = pathlib.Path(given.write, "half-written.txt")
half.write_text("half")
(folder / "{step}.pid").write_text(f"{{os.getpid()}} {{os.getppid()}}")
while (folder / "hold-{step}").exists():
    time.sleep(0.05)
if (folder / "break-{step}").exists():
    sys.exit("it broke")
text = "".join(
    file.read_text().lower()
    for folder in given.read
    for file in sorted(pathlib.Path(folder).rglob("*"))
    if file.is_file()
)
half.unlink()
pathlib.Path(given.write, "{step}.txt").write_text(text + given.alpha + "\\n")
"""


@dataclass
class Flow:
    """A pipeline ``prepare -> train -> compare``; ``train`` has the pipeline parameter ``alpha``.

    With ``branches``: ``prepare`` and ``train -> compare`` side by side.
    """

    name: str
    folder: Path
    airflow: Airflow
    workspace_file: Path
    first: str = ""
    allow_reuse: bool = True
    branches: bool = False
    known: int = 0

    @property
    def raw(self) -> Path:
        return self.folder / "raw"

    @property
    def workspace(self):
        return load_workspace(self.workspace_file)

    def script(self, step: str) -> Path:
        return self.folder / step / "step.py"

    def write(self) -> None:
        for step in ("prepare", "train", "compare"):
            self.script(step).parent.mkdir(parents=True)
            self.script(step).write_text(SCRIPT.format(folder=str(self.folder), step=step))
        self.raw.mkdir()
        (self.raw / "a.txt").write_text(f"Rows of {self.name}\n")
        (self.raw / "b.txt").write_text("More rows\n")
        (self.folder / "ran.log").touch()

    def spec(self) -> PipelineSpec:
        def step(name: str, source: Data | StepOutput, *more: tuple, allow_reuse: bool = True) -> StepSpec:
            arguments = [(Text(text="--read"),), (InputPath(input="data"),), (Text(text="--write"),)]
            return StepSpec(
                id=name,
                name=name,
                script="step.py",
                source_directory=name,
                inputs=(InputSpec(name="data", source=source),),
                outputs=(OutputSpec(name="out"),),
                arguments=(*arguments, (OutputPath(output="out"),), *more),
                allow_reuse=allow_reuse,
            )

        prepared = StepOutput(step="prepare", output="out")
        raw = Data(locations=(Location(path=self.raw.as_uri()),))
        alpha = ((Text(text="--alpha"),), (ParameterValue(parameter="alpha"),))
        return PipelineSpec(
            name=self.name,
            base_directory=str(self.folder),
            parameters=(ParameterSpec(name="alpha", type="integer", default=1, minimum=0, maximum=9),),
            steps=(
                step("prepare", raw),
                step("train", raw if self.branches else prepared, *alpha, allow_reuse=self.allow_reuse),
                step("compare", StepOutput(step="train", output="out")),
            ),
        )

    def start(self) -> str:
        """Start the first run, once."""
        if not self.first:
            self.airflow.wait_for_dag(self.name)
            self.first = self.airflow.trigger(self.name)
        return self.first

    def run(self, **conf: object) -> Run:
        run_id = self.airflow.finish(self.name, conf)
        return Run(self, run_id)

    @staticmethod
    def wait_until(condition: Callable[[], object], timeout: float = 180) -> None:
        until = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < until, "waited for in vain"
            time.sleep(0.1)

    def outputs(self, run_id: str) -> dict[str, OutputDocument]:
        """Where the output of each step of a run is, and what is in it."""
        steps = RunFolder(self.workspace.store, self.name, run_id).steps()
        return {step: document.outputs["out"] for step, document in steps.items()}

    def output(self, run_id: str, step: str) -> Path:
        """The folder of a step's output."""
        output = self.outputs(run_id)[step]
        return self.workspace.datastore(output.datastore).local_path(output.path)

    @property
    def first_run(self) -> Run:
        return Run(self, self.first)

    def hold(self, step: str) -> None:
        """Let a step's script wait until :meth:`release`."""
        (self.folder / f"hold-{step}").touch()

    def release(self, step: str) -> None:
        (self.folder / f"hold-{step}").unlink()

    def at_work(self, step: str) -> tuple[int, int]:
        """Wait until a step's script is at work; return its process and that of the task."""
        file = self.folder / f"{step}.pid"
        self.wait_until(lambda: file.exists() and len(file.read_text().split()) == 2)
        script, task = map(int, file.read_text().split())
        file.unlink()
        return script, task

    def ran(self) -> list[str]:
        """The steps whose scripts ran since this was asked last, sorted."""
        lines = (self.folder / "ran.log").read_text().split()
        new, self.known = lines[self.known :], len(lines)
        return sorted(new)


@dataclass
class Run:
    """A run that has ended."""

    flow: Flow
    run_id: str

    @property
    def state(self) -> str:
        return self.flow.airflow.run(self.flow.name, self.run_id)["state"]

    @property
    def states(self) -> dict[str, str | None]:
        return self.flow.airflow.states(self.flow.name, self.run_id)

    def log(self, task_id: str, attempt: int = 1) -> str:
        return self.flow.airflow.task_log(self.flow.name, self.run_id, task_id, attempt)

    def output(self, step: str) -> Path:
        """The folder of a step's output."""
        return self.flow.output(self.run_id, step)


DAG_FILE = '''\
"""Makes a DAG of each pipeline of this folder."""

from pathlib import Path

import msgspec
from airflow.sdk import get_parsing_context

from airflow_ml_pipelines.core.spec import PipelineSpec
from dag_factory.dags.compile import build_dag

wanted = get_parsing_context().dag_id
for file in sorted(Path(__file__).parent.glob("*.json")):
    if wanted in (None, file.stem):
        globals()[file.stem] = build_dag(msgspec.json.decode(file.read_bytes(), type=PipelineSpec))
'''

WRITTEN = """\
from airflow.sdk import DAG, Param

from airflow_ml_pipelines.core.spec import InputPath, OutputPath, OutputSpec, RegisterSpec
from airflow_ml_pipelines.operators.python_script import PythonScriptOperator

with DAG("written", schedule=None, params={"text": Param("one", type="string")}):
    first = PythonScriptOperator(
        task_id="first",
        script_name="make.py",
        ignore=["*.json", "flows.py", "written.py"],
        arguments=["{{ params.text }}", OutputPath(output="out")],
        outputs=["out"],
    )
    PythonScriptOperator(
        task_id="second",
        script_name="make.py",
        ignore=["*.json", "flows.py", "written.py"],
        arguments=[InputPath(input="data"), OutputPath(output="out")],
        inputs={"data": first.output_of("out")},
        outputs=[OutputSpec(name="out", register=RegisterSpec(name="made"))],
    )
"""


@pytest.fixture(scope="session")
def workspace_file(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("workspace") / "workspace.yaml"
    file.write_text(f"name: system\nlease_seconds: {LEASE_SECONDS}\n")
    return file


@pytest.fixture(scope="session")
def airflow(tmp_path_factory, workspace_file, new_database) -> Iterator[Airflow]:
    dags = tmp_path_factory.mktemp("dags")
    (dags / "flows.py").write_text(DAG_FILE)
    (dags / "written.py").write_text(WRITTEN)
    (dags / "make.py").write_text("import sys\nopen(sys.argv[2] + '/made.txt', 'w').write(sys.argv[1])\n")
    cache = str(tmp_path_factory.mktemp("cache"))
    home = tmp_path_factory.mktemp("airflow")
    settings = {
        "ml_pipelines.workspace": str(workspace_file),
        "workers.min_heartbeat_interval": "1",
    }
    started = Airflow(
        home,
        dags_folder=dags,
        database=new_database("system"),
        settings=settings,
        environment={"ML_PIPELINES_CACHE": cache},
    )
    with pytest.MonkeyPatch.context() as patch, started:
        patch.setenv("ML_PIPELINES_CACHE", cache)
        yield started


@pytest.fixture(scope="session")
def flows(tmp_path_factory, airflow, workspace_file) -> dict[str, Flow]:
    """All pipelines; there before Airflow looks for them, since it looks for new ones only now and then."""
    more = {
        "always": {"allow_reuse": False},
        "twice": {},
        "lost": {},
        "killed": {},
        "branches": {"branches": True},
        "repaired": {"branches": True},
        "laptop": {},
    }
    made = {f"flow{number}": {} for number in range(FLOWS)} | more
    found = {}
    for name, given in made.items():
        folder = tmp_path_factory.mktemp(name)
        flow = found[name] = Flow(name, folder, airflow, workspace_file, **given)
        flow.write()
        (airflow.dags_folder / f"{name}.json").write_bytes(msgspec.json.encode(flow.spec()))
    return found


@pytest.fixture(scope="session")
def fresh(flows) -> list[Flow]:
    """Pipelines that no test has changed yet, whose first runs all begin at once."""
    found = [flow for name, flow in flows.items() if name.startswith("flow")]
    for flow in found:
        flow.start()
    return found


@pytest.fixture
def flow(fresh) -> Flow:
    """A pipeline of this test's own, of which there was one run."""
    taken = fresh.pop(0)
    assert taken.airflow.wait_for_run(taken.name, taken.first) == "success"
    assert taken.ran() == ["compare", "prepare", "train"]
    return taken

"""No more steps run at once than their compute target takes."""

import threading
import time

from project import step

from airflow_ml_pipelines.core.runs.new_run import new_run
from airflow_ml_pipelines.core.spec import Data, InputSpec, Location, PipelineSpec
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec
from airflow_ml_pipelines.execution.runner import run_pipeline
from airflow_ml_pipelines.testing import FakeComputeTarget, FakeStep


def test_a_run_keeps_to_max_nodes(project):
    project.workspace.register_compute_target(ComputeTargetSpec("small", "local", {"max_nodes": 2}))
    for name in "abcd":
        project.script(name, "pass")
    data = InputSpec(name="data", source=Data(locations=(Location(path="in"),)))
    steps = tuple(step(name, data, compute_target="small", version=name) for name in "abcd")
    spec = PipelineSpec(name="wide", base_directory=str(project.folder), steps=steps)
    at_once, most, lock = 0, 0, threading.Lock()

    class Counting(FakeComputeTarget):
        def start(self, work, *, log):
            nonlocal at_once, most
            with lock:
                at_once += 1
                most = max(most, at_once)
            time.sleep(0.05)
            with lock:
                at_once -= 1
            return super().start(work, log=log)

    with Counting({name: FakeStep() for name in "abcd"}) as fake:
        assert run_pipeline(project.workspace, new_run(spec), parallel=8).status == "Finished"
    assert len(fake.ran) == 4
    assert most <= 2

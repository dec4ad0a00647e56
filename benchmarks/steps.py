"""What a step costs in the local runner over calling its script with `subprocess`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from common import Result, pair

from airflow_ml_pipelines.core.runs.new_run import new_run
from airflow_ml_pipelines.core.spec import OutputPath, OutputSpec, PipelineSpec, StepSpec
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.execution.runner import run_pipeline


def measure() -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        (folder / "src").mkdir()
        script = folder / "src/run.py"
        script.write_text("import sys, pathlib\npathlib.Path(sys.argv[1], 'x').write_text('x')\n")
        workspace = Workspace.local(folder / "ws")
        step = StepSpec(
            id="s",
            name="s",
            script="run.py",
            source_directory="src",
            arguments=((OutputPath(output="out"),),),
            outputs=(OutputSpec(name="out"),),
        )
        spec = PipelineSpec(name="one", steps=(step,), base_directory=name)

        def ours() -> None:
            outcome = run_pipeline(workspace, new_run(spec, regenerate_outputs=True))
            assert outcome.status == "Finished", outcome.errors

        def bare() -> None:
            subprocess.run([sys.executable, str(script), name], check=True)

        mine, plain = pair(ours, bare, 15)
    return [Result("one step, run and recorded", mine, "subprocess.run of the script", plain)]


if __name__ == "__main__":
    for result in measure():
        print(result)

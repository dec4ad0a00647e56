"""Large data passes through a worker without passing through its memory."""

import json
import subprocess
import sys
import textwrap

import pytest

WORKER = """
    import json, resource, sys
    from pathlib import Path

    from airflow_ml_pipelines.core.spec import (
        Data, InputPath, InputSpec, Location, OutputPath, OutputSpec, PipelineSpec, StepSpec,
    )
    from airflow_ml_pipelines.core.workspaces.workspace import Workspace
    from airflow_ml_pipelines.core.runs.new_run import new_run
    from airflow_ml_pipelines.execution.runner import run_pipeline

    folder = Path(sys.argv[1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    workspace = Workspace.local(folder / "ws")

    def outside(name, path, mode):
        return InputSpec(name=name, mode=mode, source=Data(locations=(Location(path=path),)))

    step = StepSpec(
        id="big", name="big", script="big.py", source_directory="src",
        arguments=tuple((InputPath(input=n),) for n in ("table", "copy", "files")) + ((OutputPath(output="out"),),),
        inputs=(outside("table", "big.csv", "mount"), outside("copy", "big.csv", "download"),
                outside("files", "many", "mount")),
        outputs=(OutputSpec(name="out"),),
    )
    spec = PipelineSpec(name="big", steps=(step,), base_directory=str(folder))
    states = []
    for _ in range(2):
        outcome = run_pipeline(workspace, new_run(spec))
        states.append(outcome.steps["big"].status)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"megabytes": used / 1024, "states": states, "errors": dict(outcome.errors)}))
"""

SCRIPT = """
    import pathlib, sys
    table, copy, files, out = map(pathlib.Path, sys.argv[1:])
    assert table.stat().st_size == copy.stat().st_size == 200 << 20
    assert sum(1 for _ in files.iterdir()) == 50_000
    block = b"\\x01" * (1 << 20)
    with open(out / "large.bin", "wb") as file:
        for _ in range(2048):
            file.write(block)
"""


@pytest.mark.system
def test_large_inputs_and_outputs_need_little_memory(tmp_path):
    data = tmp_path / "ws" / "data" / "workspaceblobstore"
    (data / "many").mkdir(parents=True)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/big.py").write_text(textwrap.dedent(SCRIPT))
    line = b"1.0,2.0,3.0,4.0," * 63 + b"2.0,3.0,4.0,5.0\n"
    with open(data / "big.csv", "wb") as file:
        file.writelines(line for _ in range((200 << 20) // len(line)))
    for number in range(50_000):
        (data / f"many/{number:05}").write_bytes(b"%d" % number)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WORKER), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={"ML_PIPELINES_CACHE": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["states"] == ["finished", "reused"], found
    print(f"used {found['megabytes']:.0f} MB")
    assert found["megabytes"] < 300

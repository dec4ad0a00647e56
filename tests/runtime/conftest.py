import json
import os
import shutil
import sys
import textwrap
import time
import zipfile
from pathlib import Path

import pytest
from living import is_alive

from airflow_ml_pipelines.core.stores.local_store import LocalStore
from airflow_ml_pipelines.runtime.job import Job, JobInput, JobOutput, JobSource, JobWorkspace, RunIds
from airflow_ml_pipelines.runtime.launcher import launch


class Bench:
    """A workspace in a folder, and jobs for scripts that a test writes down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = LocalStore(folder / "root")
        self.data = LocalStore(folder / "data")
        self.work = folder / "work"
        self.lines: list[tuple[str, str]] = []

    def job(self, script: str, *, files=None, interpreter=sys.executable, root=None, **fields) -> Job:
        archive = self.folder / "root" / "snapshots" / "s.zip"
        archive.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(archive, "w") as zipped:
            for name, text in {"main.py": textwrap.dedent(script), **(files or {})}.items():
                zipped.writestr(name, text)
        root = root or self.store.url
        fields.setdefault(
            "source", JobSource(archive=f"{self.store.url}/snapshots/s.zip", digest="0", script="main.py")
        )
        return Job(
            run=RunIds(
                workspace="ws",
                experiment="exp",
                pipeline="pipe",
                run="run-1",
                step="step",
                step_name="Step",
                attempt=1,
                id="pipe.run-1.step.1",
            ),
            folder=f"{root}/runs/pipe/run-1/steps/step/1",
            parent_folder=f"{root}/runs/pipe/run-1",
            workspace=JobWorkspace(
                name="ws", root=root, datastores={"data": self.data.url}, default_datastore="data"
            ),
            interpreter=str(interpreter),
            **fields,
        )

    def launch(self, job: Job, **options):
        options.setdefault("work_directory", self.work)
        return launch(job, on_line=lambda stream, line: self.lines.append((stream, line)), **options)

    def run(self, script: str, **fields):
        """Run a script that is to end well; return what it printed."""
        before = len(self.lines)
        result = self.launch(self.job(script, **fields))
        assert result.status == "finished", result.error
        return [line for stream, line in self.lines[before:] if stream == "stdout"]

    def input(self, *paths, store=None, **fields) -> JobInput:
        store = store or self.data
        locations = tuple({"store": store.url, "path": path} for path in paths)
        return JobInput(locations=locations, **{"mode": "mount", **fields})

    def output(self, path, *, store=None, **fields) -> JobOutput:
        return JobOutput(store=(store or self.data).url, path=path, **{"mode": "mount", **fields})

    @property
    def stdout(self) -> list[str]:
        return [line for stream, line in self.lines if stream == "stdout"]

    @property
    def attempt(self) -> Path:
        return self.folder / "root" / "runs/pipe/run-1/steps/step/1"

    @property
    def result(self) -> dict:
        return json.loads((self.attempt / "result.json").read_text())


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture
def memory():
    """A store that is not on this machine's file system."""
    import secrets

    from airflow_ml_pipelines.core.stores.open import open_store

    return open_store(f"memory://bench-{secrets.token_hex(6)}")


@pytest.fixture
def clean_run(monkeypatch):
    """A process in which nobody has asked for its run yet."""
    from airflow_ml_pipelines.runtime import context, run

    monkeypatch.delenv("ML_PIPELINES_RUN", raising=False)
    monkeypatch.setattr(context, "_present", [])
    monkeypatch.setattr(run, "_present", [])


@pytest.fixture
def gone():
    """Whether a process comes to its end within some seconds."""

    def wait(pid, seconds=2):
        deadline = time.monotonic() + seconds
        while is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        return not is_alive(pid)

    return wait


@pytest.fixture
def other_interpreter():
    """An interpreter of another version than this one, the oldest that there is."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    folders = [
        *os.environ.get("PATH", "").split(os.pathsep),
        *map(str, Path.home().glob(".pyenv/versions/*/bin")),
    ]
    for minor in range(8, 16):
        if f"3.{minor}" != own:
            for folder in folders:
                found = shutil.which(f"python3.{minor}", path=folder)
                if found and "shims" not in found:
                    return found
    pytest.skip("there is no interpreter of another version")

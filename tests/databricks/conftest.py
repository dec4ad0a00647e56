"""A project whose middle step runs on Databricks: prepare (Python) → clean (notebook) → compare (Python)."""

import textwrap

import pytest

from airflow_ml_pipelines.core.runs.new_run import new_run
from airflow_ml_pipelines.core.spec import (
    Data,
    DatabricksSpec,
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
)
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec, Workspace
from airflow_ml_pipelines.execution.runner import run_pipeline

NOTEBOOK = """
    import pathlib
    source = pathlib.Path(dbutils.widgets.get("prepared").removeprefix("file:"))
    target = pathlib.Path(dbutils.widgets.get("cleaned").removeprefix("file:"))
    target.mkdir(parents=True)
    word = dbutils.widgets.get("word")
    text = "".join(file.read_text() for file in sorted(source.iterdir()))
    (target / "part-0.txt").write_text(text.upper() + word)
    dbutils.notebook.exit(str(len(text)))
"""

COPY = """
    import pathlib, sys
    source, target = map(pathlib.Path, sys.argv[1:3])
    files = [source] if source.is_file() else sorted(f for f in source.rglob("*") if f.is_file())
    target.joinpath("out.txt").write_text("".join(f.read_text() for f in files))
"""


class Project:
    """A workspace with a compute target of Databricks, and the pipeline."""

    def __init__(self, folder, server, **options):
        self.folder = folder
        self.server = server
        given = {"host": server.url, "shared_paths": True, "poll_interval": 0.1, **options}
        self.targets = {
            "bricks": ComputeTargetSpec("bricks", "databricks", given),
            "spark": ComputeTargetSpec(
                "spark",
                "spark",
                {
                    "master": "local[1]",
                    "notebooks": str(server.folder / "workspace"),
                    "dbfs": str(server.folder / "dbfs"),
                },
            ),
        }
        self.workspace = self.open()
        self.workspace.datastore().put("in/a.txt", b"data ")
        self.notebook = textwrap.dedent(NOTEBOOK)
        server.notebook("/Shared/clean", self.notebook)
        for name in ("prepare", "compare"):
            self.script(name, COPY)

    def open(self):
        return Workspace("test", self.folder / "ws", compute_targets=self.targets.values(), lease_seconds=5)

    def script(self, name, text):
        (self.folder / name).mkdir(exist_ok=True)
        (self.folder / name / f"{name}.py").write_text(textwrap.dedent(text))

    def clean(self, *, target="bricks", script="", parameters=None, **fields):
        given = {"path": "/Shared/clean", "num_workers": 1, **fields}
        more = {"script": script, "source_directory": "clean"} if script else {}
        word = {"word": ParameterValue(parameter="word")} if parameters is None else parameters
        return StepSpec(
            id="clean",
            name="Clean",
            kind="databricks",
            databricks=DatabricksSpec(**given),
            parameters=word,
            inputs=(
                InputSpec(name="prepared", source=StepOutput(step="prepare", output="out"), mode="direct"),
            ),
            outputs=(OutputSpec(name="cleaned"),),
            compute_target=target,
            **more,
        )

    def spec(self, clean=None):
        data = InputSpec(name="data", source=Data(locations=(Location(path="in"),)))
        cleaned = InputSpec(name="data", source=StepOutput(step="clean", output="cleaned"))
        return PipelineSpec(
            name="pipe",
            base_directory=str(self.folder),
            parameters=(ParameterSpec(name="word", default="one"),),
            steps=(self._copy("prepare", data), clean or self.clean(), self._copy("compare", cleaned)),
        )

    def _copy(self, name, data):
        return StepSpec(
            id=name,
            name=name,
            script=f"{name}.py",
            source_directory=name,
            arguments=((InputPath(input="data"),), (OutputPath(output="out"),)),
            inputs=(data,),
            outputs=(OutputSpec(name="out"),),
        )

    def run(self, clean=None, **options):
        return run_pipeline(self.workspace, new_run(self.spec(clean), **options))

    def read(self, outcome, step, output, name):
        document = outcome.steps[step].outputs[output]
        return self.workspace.datastore(document.datastore).get(f"{document.path}/{name}").decode()


@pytest.fixture
def project(tmp_path, databricks, monkeypatch):
    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-test")
    return Project(tmp_path, databricks)

import textwrap
from pathlib import Path

from airflow_ml_pipelines.core.runs.new_run import new_run
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
)
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.execution.runner import run_pipeline

COPY = """
    import pathlib, sys
    source, target, *words = sys.argv[1:]
    source = pathlib.Path(source)
    files = [source] if source.is_file() else sorted(f for f in source.rglob("*") if f.is_file())
    text = "".join(f.read_text() for f in files) + " ".join(words)
    with open({log!r}, "a") as log:
        log.write(pathlib.Path(sys.argv[0]).stem + "\\n")
    pathlib.Path(target, "out.txt").write_text(text)
"""


class Project:
    """A workspace, and a pipeline of three steps: prepare → (train, report), each with a folder of its own."""

    def __init__(self, folder: Path, workspace: Workspace | None = None, *, new: bool = True) -> None:
        self.folder = folder
        self.log = folder / "ran.log"
        self.workspace = workspace or Workspace.local(folder / "ws")
        if new:
            self.workspace.datastore().put("in/a.txt", b"data ")
            for name in ("prepare", "train", "report"):
                self.script(name, COPY.format(log=str(self.log)))
        self.spec = PipelineSpec(
            name="pipe",
            base_directory=str(folder),
            parameters=(ParameterSpec(name="word", default="one"),),
            steps=(
                step("prepare", InputSpec(name="data", source=Data(locations=(Location(path="in"),)))),
                step("train", made("prepare"), (ParameterValue(parameter="word"),)),
                step("report", made("prepare")),
            ),
        )

    def script(self, name: str, text: str) -> None:
        (self.folder / name).mkdir(exist_ok=True)
        (self.folder / name / f"{name}.py").write_text(textwrap.dedent(text))

    def run(self, spec: PipelineSpec | None = None, **options):
        return run_pipeline(self.workspace, new_run(spec or self.spec, **options))

    def ran(self) -> list[str]:
        """Return what ran since the last call, sorted."""
        names = sorted(self.log.read_text().split()) if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return names


def made(step_id: str) -> InputSpec:
    return InputSpec(name="data", source=StepOutput(step=step_id, output="out"))


def step(name: str, data: InputSpec, *more, **fields) -> StepSpec:
    return StepSpec(
        id=name,
        name=name.title(),
        script=f"{name}.py",
        source_directory=name,
        arguments=((InputPath(input="data"),), (OutputPath(output="out"),), *more),
        inputs=(data,),
        outputs=(OutputSpec(name="out"),),
        **fields,
    )

"""The tests that every compute target passes, for the authors of one. It needs pytest.

::

    class TestMyTarget(ComputeTargetContract):
        outlives = True

        @pytest.fixture
        def target(self):
            return ComputeTargetSpec("mine", "my_type", {"queue": "fast"})
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.core.plans.plan import make_plan
from airflow_ml_pipelines.core.runs.folder import PlanDocument, RunDocument, RunFolder, StepDocument
from airflow_ml_pipelines.core.runs.new_run import new_run
from airflow_ml_pipelines.core.spec import (
    Data,
    EnvironmentSpec,
    InputMode,
    InputPath,
    InputSpec,
    Location,
    OutputPath,
    OutputSpec,
    PipelineSpec,
    StepSpec,
    Text,
    is_by_digest,
)
from airflow_ml_pipelines.core.steps.decide import Go, decide, open_step
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec, Workspace
from airflow_ml_pipelines.execution.left import Left, LeftJob, Told, end_left, settle, write_left
from airflow_ml_pipelines.execution.places import find_job
from airflow_ml_pipelines.execution.runner import RunOutcome, run_pipeline
from airflow_ml_pipelines.execution.step import StepLeft, run_step
from airflow_ml_pipelines.execution.targets.port import ComputeTarget, Watchable
from airflow_ml_pipelines.execution.targets.registry import identify_image, open_target, using_target

__all__ = ["ComputeTargetContract", "ContractProject", "ContractRun"]

_PATIENCE = 120.0
_HARD_ARGUMENTS = (
    "two words",
    'it\'s "quoted"',
    "two\nlines",
    "$HOME `id` %s {{ 1 }}",
    "naïve Ω 数",
    "",
    "-x",
)

_BEATS = """
import sys, time
print("begun", flush=True)
while True:
    with open(sys.argv[1] + "/beats", "a") as file:
        file.write("x")
    time.sleep(0.05)
"""


@dataclass(frozen=True)
class ContractRun:
    """How a run of one step went.

    :param lines: what the script wrote, each with its stream.
    """

    outcome: RunOutcome
    lines: Sequence[tuple[str, str]]
    workspace: Workspace

    @property
    def step(self) -> StepDocument:
        """How the step went."""
        return self.outcome.steps["step"]

    @property
    def error(self) -> str:
        """Why it failed."""
        return self.step.error or ""

    def text(self, stream: str) -> str:
        """Return what the script wrote to a stream."""
        return "\n".join(line for name, line in self.lines if name == stream)

    def kept(self, path: str) -> str:
        """Return a file of the attempt's folder."""
        return self.workspace.store.get(f"{self.step.folder}/{path}").decode()

    def output(self, path: str, name: str = "out") -> bytes:
        """Return a file of an output."""
        output = self.step.outputs[name]
        return self.workspace.datastore(output.datastore).get(f"{output.path}/{path}")


class ContractProject:
    """A workspace with one compute target, and a pipeline with one step."""

    def __init__(self, folder: Path, target: ComputeTargetSpec | ComputeTarget) -> None:
        self.folder = folder
        self._used = None if isinstance(target, ComputeTargetSpec) else target
        self.spec = target if isinstance(target, ComputeTargetSpec) else ComputeTargetSpec("contract")
        targets = [self.spec] if self.spec.name != "local" else []
        self.workspace = Workspace(
            "contract",
            folder / "workspace",
            compute_targets=targets,
            lease_seconds=5,
            identify_image=identify_image,
        )
        self.workspace.datastore().put("in/a.txt", b"some data")
        self._runs = 0

    def opened(self) -> ComputeTarget:
        """Return the target."""
        return self._used or open_target(self.spec)

    def on_target(self) -> contextlib.AbstractContextManager[None]:
        """Let steps run on the target, where it is given as an object."""
        return using_target(self._used) if self._used is not None else contextlib.nullcontext()

    def is_still(self, name: str) -> bool:
        """Return whether nobody writes files of a name in outputs any more."""

        def sizes() -> list[int]:
            store = self.workspace.datastore()
            return [info.size for info in store.walk("outputs") if info.path.endswith(f"/{name}")]

        before = sizes()
        time.sleep(1)
        return sizes() == before

    def pipeline(self, script: str, *, target: str | None = None, **fields: Any) -> PipelineSpec:
        """Return a pipeline of one step that runs a script and has an output ``out``, its last argument."""
        source = self.folder / "source"
        source.mkdir(exist_ok=True)
        (source / "step.py").write_text(textwrap.dedent(script))
        arguments = fields.pop("arguments", ())
        step = StepSpec(
            id="step",
            name="Step",
            script="step.py",
            source_directory=str(source),
            outputs=fields.pop("outputs", (OutputSpec(name="out"),)),
            arguments=(*arguments, (OutputPath(output="out"),)),
            compute_target=target or self.spec.name,
            **fields,
        )
        return PipelineSpec(name="pipe", steps=(step,))

    def gated(self, script: str) -> PipelineSpec:
        """Return a pipeline of one step, whose script's first argument is a folder that the test can write into."""
        self.workspace.datastore().put("gate/first", b"")
        gate = Data(locations=(Location(path="gate"),), form="folder")
        return self.pipeline(
            script,
            arguments=((InputPath(input="gate"),),),
            inputs=(InputSpec(name="gate", source=gate, fingerprint="path"),),
        )

    def leave(self, script: str) -> LeftJob:
        """Start a script as a step and leave it alone."""
        run = new_run(self.gated(script))
        with self.on_target():
            make_plan(self.workspace, run)
            context = open_step(
                self.workspace, RunFolder(self.workspace.store, run.pipeline, run.run), "step"
            )
            go = decide(context)
            assert isinstance(go, Go)
            with pytest.raises(StepLeft) as left:
                run_step(context, go, leave=lambda _: True)
        return left.value.job

    def run(
        self,
        script: str,
        *,
        target: str | None = None,
        cancel_at: Callable[[str], bool] | None = None,
        **fields: Any,
    ) -> ContractRun:
        """Run a script as a step and return how it went.

        :param cancel_at: is told each line; True cancels the run.
        """
        listener = _Listener(cancel_at)
        run = new_run(self.pipeline(script, target=target, **fields))
        with contextlib.nullcontext() if target == "local" else self.on_target():
            outcome = run_pipeline(self.workspace, run, listener=listener, cancel=listener.cancel)
        return ContractRun(outcome, listener.lines, self.workspace)


class _Listener:
    def __init__(self, cancel_at: Callable[[str], bool] | None) -> None:
        self.lines: list[tuple[str, str]] = []
        self.cancel = threading.Event()
        self._cancel_at = cancel_at

    def on_plan(self, plan: PlanDocument) -> None:
        pass

    def on_step(self, document: StepDocument) -> None:
        pass

    def on_line(self, step: str, stream: str, line: str) -> None:  # noqa: ARG002
        self.lines.append((stream, line))
        if self._cancel_at is not None and self._cancel_at(line):
            self.cancel.set()


class ComputeTargetContract:
    """What holds for every compute target.

    :cvar outlives: whether a job goes on without the process that started it.
    :cvar log_megabytes: how much a script writes in the test of large logs.
    """

    outlives = False
    log_megabytes = 8

    @pytest.fixture
    def target(self) -> ComputeTargetSpec | ComputeTarget:
        """Return the target: as the workspace file would describe it, or the object itself."""
        raise NotImplementedError

    @pytest.fixture
    def small_target(self) -> ComputeTargetSpec | ComputeTarget | None:
        """Return the same with a limit of 128 MB of memory; None where the target knows no limits."""
        return None

    @pytest.fixture
    def project(
        self,
        tmp_path: Path,
        target: ComputeTargetSpec | ComputeTarget,
        monkeypatch: pytest.MonkeyPatch,
    ) -> ContractProject:
        """Return a workspace that has the target."""
        monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
        return ContractProject(tmp_path, target)

    @pytest.fixture(autouse=True)
    def _nothing_is_left(self, project: ContractProject) -> Iterator[None]:
        yield
        left = list(project.opened().reap(project.workspace, lambda _: "the test has ended"))
        assert left == []

    def test_it_can_be_used(self, project: ContractProject) -> None:
        project.opened().check()

    def test_an_image_is_told_by_its_digest_or_not_at_all(self, project: ContractProject) -> None:
        try:
            found = project.opened().identify_image("no/such:image")
        except ComputeTargetException:
            return
        assert is_by_digest(found)

    def test_what_the_script_writes_is_told_line_by_line_and_kept(self, project: ContractProject) -> None:
        run = project.run("import sys; print('héllo\\nworld'); print('oh', file=sys.stderr)")
        assert run.outcome.status == "Finished", run.error
        assert run.text("stdout") == "héllo\nworld"
        assert run.text("stderr") == "oh"
        assert run.kept("logs/stdout.txt") == "héllo\nworld\n"
        assert run.kept("logs/stderr.txt") == "oh\n"

    def test_an_exit_code_is_a_failure_that_says_what_was_written_last(
        self, project: ContractProject
    ) -> None:
        run = project.run("import sys; print('the end is near', file=sys.stderr); sys.exit(3)")
        assert run.outcome.status == "Failed"
        assert "exit code 3" in run.error
        assert "the end is near" in run.error
        assert '"exit_code":3' in run.kept("result.json")

    def test_an_exception_is_a_failure(self, project: ContractProject) -> None:
        run = project.run("raise ValueError('not so')")
        assert "ValueError: not so" in run.error

    @pytest.mark.parametrize("mode", ["mount", "download", "direct"])
    def test_inputs_are_there(self, project: ContractProject, mode: InputMode) -> None:
        run = project.run(
            """
            import pathlib, sys, urllib.parse
            place = sys.argv[1]
            if place.startswith("file://"):
                place = urllib.parse.unquote(urllib.parse.urlsplit(place).path)
            data = (pathlib.Path(place) / "a.txt").read_text()
            (pathlib.Path(sys.argv[2]) / "b.txt").write_text(data.upper())
            """,
            arguments=((InputPath(input="data"),),),
            inputs=(
                InputSpec(
                    name="data", source=Data(locations=(Location(path="in"),), form="folder"), mode=mode
                ),
            ),
        )
        assert run.outcome.status == "Finished", run.error
        assert run.output("b.txt") == b"SOME DATA"

    @pytest.mark.parametrize("mode", ["mount", "upload"])
    def test_outputs_are_published_and_equal_those_of_a_local_run(
        self, project: ContractProject, mode: Any
    ) -> None:
        script = """
            import pathlib, sys
            out = pathlib.Path(sys.argv[1])
            (out / "sub").mkdir()
            (out / "sub" / "ä b.bin").write_bytes(bytes(range(256)))
        """
        given: dict[str, Any] = {"outputs": (OutputSpec(name="out", mode=mode),), "allow_reuse": False}
        here = project.run(script, target="local", **given)
        there = project.run(script, **given)
        assert there.outcome.status == "Finished", there.error
        assert there.output("sub/ä b.bin") == bytes(range(256))
        assert there.step.outputs["out"].digest == here.step.outputs["out"].digest

    def test_an_output_that_the_script_does_not_make_is_an_error(self, project: ContractProject) -> None:
        run = project.run("pass", outputs=(OutputSpec(name="out", create=False),))
        assert run.outcome.status == "Failed"
        assert "'out'" in run.error

    def test_metrics_and_files_of_the_run_are_kept(self, project: ContractProject) -> None:
        run = project.run(
            """
            from azureml.core import Run
            run = Run.get_context()
            run.log("accuracy", 0.5)
            open("outputs/model.txt", "w").write("weights")
            """
        )
        assert run.outcome.status == "Finished", run.error
        assert "accuracy" in run.kept("metrics.jsonl")
        assert run.kept("outputs/model.txt") == "weights"

    def test_arguments_come_as_they_are(self, project: ContractProject) -> None:
        run = project.run(
            "import json, sys; open(sys.argv[-1] + '/argv.json', 'w').write(json.dumps(sys.argv[1:-1]))",
            arguments=tuple((Text(text=text),) for text in _HARD_ARGUMENTS),
        )
        assert run.outcome.status == "Finished", run.error
        assert tuple(json.loads(run.output("argv.json"))) == _HARD_ARGUMENTS

    def test_variables_come_and_secrets_are_kept_nowhere(
        self, project: ContractProject, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CONTRACT_SECRET", "hush-hush-hush")
        run = project.run(
            "import os; print(len(os.environ['TOKEN']), os.environ['PLAIN'], os.environ['AML_PARAMETER_n'])",
            environment=EnvironmentSpec(variables={"TOKEN": "env:CONTRACT_SECRET", "PLAIN": "a = 'b'"}),
            parameters={"n": 7},
        )
        assert run.text("stdout") == "14 a = 'b' 7", run.error
        store = project.workspace.store
        assert not [info.path for info in store.walk() if b"hush-hush" in store.get(info.path)]

    def test_the_launchers_own_variables_are_not_the_scripts(
        self, project: ContractProject, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_X", "hush")
        run = project.run("import os; print(os.environ.get('AIRFLOW_CONN_X'))")
        assert run.text("stdout") == "None"

    def test_a_large_log_comes_whole(self, project: ContractProject) -> None:
        lines = self.log_megabytes * 1024
        run = project.run(f"for n in range({lines}): print(f'{{n:07}}', 'x' * 1015)")
        assert run.outcome.status == "Finished", run.error
        told = [line for stream, line in run.lines if stream == "stdout"]
        assert len(told) == lines
        assert [int(line[:7]) for line in told[::1024]] == list(range(0, lines, 1024))
        kept = run.kept("logs/stdout.txt")
        assert (len(kept), kept[-1025:-1015]) == (lines * 1024, f"\n{lines - 1:07} x")

    def test_canceling_ends_it(self, project: ContractProject) -> None:
        run = project.run(_BEATS, cancel_at=lambda line: line == "begun")
        assert run.step.status == "canceled"
        assert project.is_still("beats")

    def test_canceling_ends_a_script_that_will_not_end(self, project: ContractProject) -> None:
        stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        run = project.run(stubborn + _BEATS, cancel_at=lambda line: line == "begun")
        assert run.step.status == "canceled"
        assert project.is_still("beats")

    def test_a_timeout_ends_it(self, project: ContractProject) -> None:
        run = project.run(_BEATS, timeout=1.0)
        assert run.outcome.status == "Failed"
        assert "timeout of 1 seconds" in run.error
        assert project.is_still("beats")

    def test_a_script_that_somebody_kills_is_a_failure_that_says_so(self, project: ContractProject) -> None:
        run = project.run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        assert run.outcome.status == "Failed"
        assert "SIGKILL" in run.error

    def test_a_script_that_takes_too_much_memory_is_ended_with_a_reason(
        self, tmp_path: Path, small_target: ComputeTargetSpec | ComputeTarget | None
    ) -> None:
        if small_target is None:
            pytest.skip("the target knows no limit of memory")
        small = ContractProject(tmp_path / "small", small_target)
        run = small.run("data = []\nwhile True: data.append(bytearray(1 << 20))")
        assert run.outcome.status == "Failed"
        assert "memory" in run.error

    def test_children_that_a_script_leaves_behind_are_ended(self, project: ContractProject) -> None:
        run = project.run(
            """
            import subprocess, sys
            late = "import time, sys; time.sleep(5); open(sys.argv[1] + '/late', 'w')"
            subprocess.Popen([sys.executable, "-c", late, sys.argv[1]], start_new_session=True)
            """
        )
        assert run.outcome.status == "Finished", run.error
        time.sleep(5.5)
        output = run.step.outputs["out"]
        assert list(project.workspace.datastore(output.datastore).walk(output.path)) == []

    def test_a_script_may_delete_its_own_folder(self, project: ContractProject) -> None:
        run = project.run(
            """
            import os, shutil, sys
            open(sys.argv[1] + "/done", "w").close()
            shutil.rmtree(os.getcwd())
            """
        )
        assert run.outcome.status == "Finished", run.error
        assert run.output("done") == b""

    def test_a_local_result_is_reused_there_and_the_other_way_round(self, project: ContractProject) -> None:
        for number, (first, second) in enumerate(((None, "local"), ("local", None))):
            script = f"import sys; open(sys.argv[1] + '/n', 'w').write('{number}')"
            assert project.run(script, target=first).step.status == "finished"
            assert project.run(script, target=second).step.status == "reused"

    def test_the_retry_after_a_lost_worker_takes_over_what_runs(self, project: ContractProject) -> None:
        if not self.outlives:
            pytest.skip("its jobs end with the process that started them")
        # the first line says that it runs; the file that it waits for lies where the script reads its input
        spec = project.gated(
            """
            import os, pathlib, sys, time
            gate, out = map(pathlib.Path, sys.argv[1:])
            (out / f"ran-{os.getpid()}-{time.time_ns()}").touch()
            print("begun", flush=True)
            while not (gate / "go").exists():
                time.sleep(0.1)
            print("ended", flush=True)
            """
        )
        store = project.workspace.datastore()
        run = new_run(spec)
        lost = _start_worker(project, run)
        folder = RunFolder(project.workspace.store, run.pipeline, run.run)
        attempt = folder.attempt_folder("step", 1)
        try:
            _wait_for(lambda: project.workspace.store.info(f"{attempt}/place.json") is not None)
            _wait_for(lambda: any("ran-" in info.path for info in store.walk("outputs")))
        finally:
            os.kill(lost, signal.SIGKILL)
            os.waitpid(lost, 0)
        lines: list[str] = []
        with project.on_target():
            context = open_step(project.workspace, folder, "step")
            go = decide(context)
            assert isinstance(go, Go)
            store.put("gate/go", b"")
            document = run_step(context, go, on_line=lambda _stream, line: lines.append(line))
        assert (document.status, document.attempt) == ("finished", 1)
        assert lines == ["begun", "ended"]
        assert sum("ran-" in info.path for info in store.walk("outputs")) == 1

    def test_a_job_that_is_left_alone_is_looked_at_and_taken_up_again(self, project: ContractProject) -> None:
        if not self.outlives:
            pytest.skip("its jobs end with the process that started them")
        job = project.leave(_SPEAKER)
        workspace, store = project.workspace, project.workspace.datastore()
        folder = job.folder(workspace.store)
        lines: list[tuple[str, str]] = []
        told = Told(lambda stream, line: lines.append((stream, line)))
        with project.on_target():
            running = find_job(workspace, folder)
            assert running is not None
            assert not running.is_over()
            if isinstance(running, Watchable):
                look = running.watch(told)
                for number in ("1", "2"):
                    expected = {("stdout", f"said {number}"), ("stderr", f"oh {number}")}
                    _wait_for(lambda look=look, expected=expected: not look() and expected <= set(lines))  # type: ignore[misc]
                    store.put(f"gate/{number}", b"")
            else:
                store.put("gate/1", b"")
                store.put("gate/2", b"")
            write_left(workspace.store, folder, Left(id=job.id, stdout=told.stdout, stderr=told.stderr))
            settle(workspace.store, folder, job.id, "taken up")
            store.put("gate/3", b"")
            context = open_step(workspace, job.run_folder(workspace.store), "step")
            go = decide(context)
            assert isinstance(go, Go)
            document = run_step(context, go, on_line=lambda stream, line: lines.append((stream, line)))
        assert (document.status, document.attempt) == ("finished", 1)
        for stream, word in (("stdout", "said"), ("stderr", "oh")):
            assert [line for name, line in lines if name == stream] == [f"{word} {n}" for n in (1, 2, 3)]

    def test_a_job_that_is_left_alone_is_ended_by_what_its_folder_says(
        self, project: ContractProject
    ) -> None:
        if not self.outlives:
            pytest.skip("its jobs end with the process that started them")
        job = project.leave(_SPEAKER)
        with project.on_target():
            assert end_left(project.workspace, job, "nobody wants it")
        document = job.run_folder(project.workspace.store).read_step("step")
        assert document is not None
        assert (document.status, document.error) == ("canceled", "nobody wants it")


_SPEAKER = """
    import pathlib, sys, time
    gate = pathlib.Path(sys.argv[1])
    for number in (1, 2, 3):
        print("said", number, flush=True)
        print("oh", number, file=sys.stderr, flush=True)
        while not (gate / str(number)).exists():
            time.sleep(0.1)
"""


def _start_worker(project: ContractProject, run: RunDocument) -> int:
    """Run a pipeline in a process that can be killed; return its id."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # other threads may exist; none holds a lock for long
        process = os.fork()
    if process == 0:
        try:
            with project.on_target():
                run_pipeline(project.workspace, run)
        finally:
            os._exit(1)
    return process


def _wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.05)

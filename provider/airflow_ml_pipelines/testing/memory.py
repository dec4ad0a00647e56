"""Runs pipelines with everything that is kept in memory: a test leaves no file behind.

::

    run = run_in_memory("digits.pipeline.yaml", parameters={"max_depth": 2}, data={"train-images": images})
    assert run.status == "Finished"
    assert run.files("compare", "report").keys() == {"report.json", "confusion_matrix.png"}

The scripts run as they are, with the interpreter of the test; plan, keys, records and reuse are real. What a pipeline
names and a test does not give is there: an empty datastore, an environment that is this interpreter, this machine as
compute target.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DataError, NotFoundError, did_you_mean
from airflow_ml_pipelines.core.metrics import read_events, read_metrics
from airflow_ml_pipelines.core.plans.explain_steps import find_step
from airflow_ml_pipelines.core.reuse.verify import read_manifest
from airflow_ml_pipelines.core.spec import Data, EnvironmentSpec, Location, PipelineSpec
from airflow_ml_pipelines.core.stores.open import open_store
from airflow_ml_pipelines.core.stores.store import join
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec, DatastoreSpec, Workspace
from airflow_ml_pipelines.execution.runner import RunOutcome, run_pipeline
from airflow_ml_pipelines.execution.targets import registry
from airflow_ml_pipelines.execution.targets.local import LocalTarget
from airflow_ml_pipelines.execution.targets.port import Log, Prepared

if TYPE_CHECKING:
    import dag_factory
    from airflow_ml_pipelines.core.runs.folder import PlanDocument, StepDocument

__all__ = ["Files", "MemoryRun", "add_names", "memory_workspace", "run_in_memory", "spec_of"]

_TOP = "memory://ml-pipelines-tests"

Files = bytes | str | Path | Mapping[str, bytes | str]
"""One file by its content, a file or folder of this machine, or files by their paths."""


@contextmanager
def memory_workspace(name: str = "test") -> Iterator[dag_factory.Workspace]:
    """Make a workspace that is in memory, for as long as the block runs."""
    import dag_factory

    with tempfile.TemporaryDirectory(prefix="ml-pipelines-test-") as folder:
        # beside what is kept in memory there are a few files while scripts run
        place = secrets.token_hex(8)
        try:
            yield dag_factory.Workspace(_core(name, f"{_TOP}/{place}", Path(folder)))
        finally:
            open_store(_TOP).remove(place)


@dataclass(frozen=True)
class MemoryRun:
    """A run that has ended.

    :ivar lines: what each step's script wrote, a line each, by the step's id.
    """

    workspace: dag_factory.Workspace
    spec: PipelineSpec
    outcome: RunOutcome
    lines: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """How it ended: ``Finished``, ``Failed`` or ``Canceled``."""
        return self.outcome.status

    @property
    def errors(self) -> Mapping[str, str]:
        """The error of each step that failed."""
        return self.outcome.errors

    @property
    def ran(self) -> list[str]:
        """The ids of the steps whose scripts ran."""
        return [name for name, step in self.outcome.steps.items() if step.status != "reused" and step.attempt]

    @property
    def reused(self) -> list[str]:
        """The ids of the steps that took an earlier result."""
        return [name for name, step in self.outcome.steps.items() if step.status == "reused"]

    def step(self, step: str) -> StepDocument:
        """Return how a step went.

        :param step: its id or its name, here as in all that follows.
        :raises WorkspaceError: where there is no such step.
        """
        names = {item.id: item.name for item in self.spec.steps}
        return self.outcome.steps[find_step(names, step)]

    def reasons(self, step: str) -> tuple[str, ...]:
        """Return why a step ran, or what it was reused from."""
        return self.step(step).reasons

    def files(self, step: str, output: str) -> dict[str, bytes]:
        """Return the files of an output by their paths; one file alone by its name.

        :raises DataError: where the step made no such output.
        """
        outputs = self.step(step).outputs
        if output not in outputs:
            raise DataError(f"step {step!r} made no output {output!r}.{did_you_mean(output, outputs)}")
        document = outputs[output]
        core = self.workspace.core
        store = core.datastore(document.datastore)
        return {
            entry.path: store.get(document.path if document.single else join(document.path, entry.path))
            for entry in read_manifest(core, document)
        }

    def metrics(self, step: str) -> dict[str, Any]:
        """Return the metrics that a step's script logged."""
        try:
            events = self.workspace.core.store.get(f"{self.step(step).folder}/metrics.jsonl")
        except NotFoundError:
            return {}
        return read_metrics(read_events(events))


def run_in_memory(
    pipeline: dag_factory.Pipeline | PipelineSpec | str | Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    data: Mapping[str, Files] | None = None,
    datasets: Mapping[str, Files] | None = None,
    workspace: dag_factory.Workspace | None = None,
    **options: Any,
) -> MemoryRun:
    """Run a pipeline and return how it went; a step that fails is no exception.

    Without ``workspace`` it has one of its own, and what it made can be read as long as somebody has the result.

    :param pipeline: an object, or what a command line would name: ``x.pipeline.yaml``, ``file.py`` or ``file.py:name``.
    :param data: what lies on datastores, by ``path`` on the default one or ``datastore:path``.
    :param datasets: registered datasets, by their names.
    :param workspace: see :func:`memory_workspace`; runs in one workspace reuse each other's results.
    :param options: see :func:`airflow_ml_pipelines.core.runs.new_run.new_run`: ``regenerate_outputs`` and so on.
    :raises MlPipelinesError: where the run could not begin.
    """
    from airflow_ml_pipelines.core.runs.new_run import new_run

    with ExitStack() as stack:
        if workspace is None:
            workspace = stack.enter_context(_kept_workspace())
        core = workspace.core
        spec = spec_of(pipeline)
        _put_all(core, data or {}, datasets or {})
        add_names(core, spec)
        if registry.used_target() is None:
            stack.enter_context(registry.using_target(_Here()))
        listener = _Lines()
        run = new_run(spec, parameters=parameters, **options)
        outcome = run_pipeline(core, run, listener=listener)
    return MemoryRun(workspace, spec, outcome, listener.lines)


class _Here(LocalTarget):
    """The machine and the interpreter of the test, whatever a step asks for."""

    def __init__(self) -> None:
        super().__init__(ComputeTargetSpec("here"))

    def prepare(self, environment: EnvironmentSpec, workspace: Workspace, *, log: Log) -> Prepared:  # noqa: ARG002
        return Prepared(sys.executable)


class _Lines:
    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {}

    def on_plan(self, plan: PlanDocument) -> None:
        pass

    def on_step(self, document: StepDocument) -> None:
        pass

    def on_line(self, step: str, stream: str, line: str) -> None:
        if stream != "log":
            self.lines.setdefault(step, []).append(line)


@contextmanager
def _kept_workspace() -> Iterator[dag_factory.Workspace]:
    """Make a workspace whose memory lives as long as somebody has it; its temporary files go with the block."""
    import dag_factory

    with tempfile.TemporaryDirectory(prefix="ml-pipelines-test-") as folder:
        place = secrets.token_hex(8)
        workspace = dag_factory.Workspace(_core("test", f"{_TOP}/{place}", Path(folder)))
        weakref.finalize(workspace, _forget, _files_in_memory(), f"{_TOP}/{place}/").atexit = False
        yield workspace


def _files_in_memory() -> dict[str, object]:
    from fsspec.implementations.memory import MemoryFileSystem

    files: dict[str, object] = MemoryFileSystem.store
    return files


def _forget(files: dict[str, object], url: str) -> None:
    """Remove what is below a URL.

    Garbage is collected at any moment, also while a thread pool or a store has a lock: none is taken here.
    """
    below = url.removeprefix("memory:/")
    for path in tuple(files):
        if path.startswith(below):
            files.pop(path, None)


def spec_of(pipeline: dag_factory.Pipeline | PipelineSpec | str | Path) -> PipelineSpec:
    """Return a pipeline as runs know it, from an object or from what a command line would name."""
    if isinstance(pipeline, PipelineSpec):
        return pipeline
    if isinstance(pipeline, str | Path):
        from dag_factory.pipelines.open import open_target

        return open_target(str(pipeline)).spec
    return pipeline.to_spec("test")


def add_names(core: Workspace, spec: PipelineSpec) -> None:
    """Let there be what a pipeline names and nobody has given. Datasets are left: their data is a test's own."""
    from dag_factory.runs.names import names_in

    for kind, name, _ in names_in(spec):
        if kind == "datastore_spec" and name not in core.datastores():
            core.register_datastore(DatastoreSpec(name, f"{core.root.url}/datastores/{name}"))
        elif kind == "compute_target" and name not in core.compute_targets():
            core.register_compute_target(ComputeTargetSpec(name))
        elif kind == "environment" and name[0] not in core.environments():
            core.register_environment(EnvironmentSpec(name=name[0]))


def _put_all(core: Workspace, data: Mapping[str, Files], datasets: Mapping[str, Files]) -> None:
    for place, files in data.items():
        datastore, sign, path = place.rpartition(":")
        if sign and datastore not in core.datastores():
            core.register_datastore(DatastoreSpec(datastore, f"{core.root.url}/datastores/{datastore}"))
        _put(core, datastore or None, path, files)
    for name, files in datasets.items():
        path = f"datasets/{name}"
        _put(core, None, path, files)
        core.register_dataset(name, Data(locations=(Location(path=path),)))


def _put(core: Workspace, datastore: str | None, path: str, files: Files) -> None:
    store = core.datastore(datastore)
    for name, content in _contents(files):
        store.put(join(path, name), content)


def _contents(files: Files) -> Iterator[tuple[str, bytes]]:
    if isinstance(files, Mapping):
        for name, content in files.items():
            yield name, content.encode() if isinstance(content, str) else content
    elif isinstance(files, Path) and files.is_dir():
        for path in sorted(files.rglob("*")):
            if path.is_file():
                yield path.relative_to(files).as_posix(), path.read_bytes()
    elif isinstance(files, Path):
        yield "", files.read_bytes()
    else:
        yield "", files.encode() if isinstance(files, str) else files


def _core(name: str, root: str, cache: Path) -> Workspace:
    return Workspace(name, root, cache_directory=cache, identify_image=registry.identify_image)

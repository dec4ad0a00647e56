"""Plans a run: takes the snapshots, looks at the data from outside, and decides what can be decided at once."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from airflow_ml_pipelines.core.decide import StepContext, look_up, reused_step
from airflow_ml_pipelines.core.inputs import outside_data
from airflow_ml_pipelines.core.register import register_outputs
from airflow_ml_pipelines.core.runs import OutputDocument, PlanDocument, RunDocument, RunFolder, StepPlan
from airflow_ml_pipelines.core.snapshot import Snapshot, StoredSnapshot
from airflow_ml_pipelines.core.sources import Sources
from airflow_ml_pipelines.core.spec import StepOutput, StepSpec
from airflow_ml_pipelines.core.workspace import Workspace

__all__ = ["Planner", "make_plan"]


def make_plan(
    workspace: Workspace,
    run: RunDocument,
    *,
    dry: bool = False,
    on_progress: Callable[[str], None] = lambda _: None,
) -> PlanDocument:
    """Plan a run and write the plan into its folder.

    :param dry: write nothing.
    :param on_progress: told what takes long.
    :raises MlPipelinesError: where the run can't begin: a source directory, script, environment or input is missing.
    """
    planner = Planner(workspace, run, dry=dry, on_progress=on_progress)
    document = PlanDocument(steps=tuple(planner.plan(step) for step in run.spec.steps), made=time.time())
    if not dry:
        folder = RunFolder(workspace.store, run.pipeline, run.run)
        folder.write_run(run)
        folder.write_plan(document)
    return document


class Planner:
    """Plans the steps of a run, each after those before it."""

    def __init__(
        self,
        workspace: Workspace,
        run: RunDocument,
        *,
        dry: bool = False,
        on_progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.workspace = workspace
        self.run = run
        self.dry = dry
        self.sources = Sources(workspace, run.spec.base_directory, on_progress=on_progress)
        self._folder = RunFolder(workspace.store, run.pipeline, run.run)
        self._reused: dict[str, dict[str, OutputDocument]] = {}

    def plan(self, step: StepSpec) -> StepPlan:
        """Return the plan of a step whose predecessors were planned before it."""
        snapshot = self.sources.snapshot(step)
        prepared = StepPlan(
            step=step.id,
            decision="run",
            snapshot=snapshot.digest,
            hash_paths=self.sources.hash_paths(step),
            environment=self.sources.environment(step),
            data=outside_data(step, self.workspace, self.run.parameters),
        )
        pending = [other for other in step.upstream if other not in self._reused]
        if self.run.regenerate_outputs:
            return self._run(prepared, snapshot, ("regenerate_outputs is true",))
        if not step.allow_reuse:
            return self._run(prepared, snapshot, ("allow_reuse is false",))
        if pending:
            return self._run(
                prepared, snapshot, tuple(f"depends on step {other}" for other in pending), "depends"
            )
        return self._decide(step, prepared, snapshot)

    def _decide(self, step: StepSpec, prepared: StepPlan, snapshot: Snapshot | StoredSnapshot) -> StepPlan:
        sources = {item.source.step for item in step.inputs if isinstance(item.source, StepOutput)}
        upstream = {other: self._reused[other] for other in sources}
        context = StepContext(self.workspace, self._folder, self.run, step, prepared, upstream, snapshot)
        if context.key is None:
            return self._run(prepared, snapshot, context.unknown)
        record, reasons = look_up(context, dry=self.dry)
        if record is None:
            return self._run(prepared, snapshot, reasons, key=context.key)
        document = reused_step(context, record)
        self._reused[step.id] = document.outputs
        if not self.dry:
            register_outputs(self.workspace, step, document.outputs)
        return StepPlan(
            step=step.id,
            decision="reuse",
            reasons=document.reasons,
            snapshot=prepared.snapshot,
            hash_paths=prepared.hash_paths,
            environment=prepared.environment,
            data=prepared.data,
            key=record.key,
            outputs=document.outputs,
            reused_from=document.reused_from,
            folder=document.folder,
            saved=document.saved,
        )

    def _run(
        self,
        prepared: StepPlan,
        snapshot: Snapshot | StoredSnapshot,
        reasons: tuple[str, ...],
        decision: str = "run",
        key: str | None = None,
    ) -> StepPlan:
        archive = "" if self.dry else self.sources.archive(snapshot)
        return msgspec.structs.replace(prepared, decision=decision, reasons=reasons, key=key, archive=archive)

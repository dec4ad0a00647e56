"""Plans a run: takes the snapshots, looks at the data from outside, and decides what can be decided at once."""

from __future__ import annotations

import time

import msgspec

from airflow_ml_pipelines.core.errors import ComputeTargetException, DataError
from airflow_ml_pipelines.core.keys.differences import Explanation, is_pending
from airflow_ml_pipelines.core.reuse.explain import Miss, explain_miss
from airflow_ml_pipelines.core.reuse.records import Record, forget_record
from airflow_ml_pipelines.core.runs.folder import (
    Decision,
    PlanDocument,
    RunDocument,
    RunFolder,
    StepDocument,
    StepPlan,
)
from airflow_ml_pipelines.core.spec import EnvironmentSpec, StepSpec, is_by_digest
from airflow_ml_pipelines.core.steps.decide import StepContext, claim_results, look_up, reused_step
from airflow_ml_pipelines.core.steps.inputs import outside_data
from airflow_ml_pipelines.core.steps.register import register_outputs
from airflow_ml_pipelines.core.steps.snapshot import NoSnapshot, Snapshot, StoredSnapshot
from airflow_ml_pipelines.core.steps.sources import Sources
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["Planner", "make_plan"]


def make_plan(workspace: Workspace, run: RunDocument, *, dry: bool = False) -> PlanDocument:
    """Plan a run and write the plan into its folder.

    :param dry: write nothing.
    :raises MlPipelinesError: where the run can't begin: a source directory, script, environment or input is missing.
    """
    folder = RunFolder(workspace.store, run.pipeline, run.run)
    while True:
        planner = Planner(workspace, run, dry=dry)
        document = PlanDocument(steps=tuple(planner.plan(step) for step in run.spec.steps), made=time.time())
        if dry:
            return document
        folder.write_run(run)
        folder.write_plan(document)
        reused = [item for item in document.steps if item.decision == "reuse"]
        lost = claim_results(folder, {item.folder for item in reused})
        archives = {item.archive for item in document.steps if item.archive}
        if not lost and all(workspace.store.info(archive) is not None for archive in archives):
            return document
        for item in reused:  # what is being removed at this moment is made again
            if item.folder in lost and item.key is not None:
                forget_record(workspace.store, item.key, item.folder)


class Planner:
    """Plans the steps of a run, each after those before it."""

    def __init__(self, workspace: Workspace, run: RunDocument, *, dry: bool = False) -> None:
        self.workspace = workspace
        self.run = run
        self.dry = dry
        self.sources = Sources(workspace, run.spec.base_directory)
        self._folder = RunFolder(workspace.store, run.pipeline, run.run)
        self._planned: dict[str, StepDocument] = {}
        self._images: dict[tuple[str | None, str], tuple[str, str]] = {}

    def plan(self, step: StepSpec) -> StepPlan:
        """Return the plan of a step whose predecessors were planned before it."""
        snapshot = self.sources.snapshot(step)
        environment, image_unknown = self._identify_image(step, self.sources.environment(step))
        prepared = StepPlan(
            step=step.id,
            decision="run",
            snapshot=snapshot.digest,
            hash_paths=self.sources.hash_paths(step),
            code=self.sources.code(step),
            environment=environment,
            image_unknown=image_unknown,
            data=outside_data(step, self.workspace, self.run.parameters),
        )
        context = self.open(step, prepared, snapshot)
        planned = self._decide(context)
        self._planned[step.id] = _expected(planned)
        if planned.decision == "reuse":
            if not self.dry:
                register_outputs(self.workspace, step, planned.outputs, planned.reused_from)
        elif not self.dry:
            planned = msgspec.structs.replace(planned, archive=self.sources.archive(snapshot))
        return planned

    def open(
        self, step: StepSpec, plan: StepPlan, snapshot: Snapshot | StoredSnapshot | NoSnapshot | None = None
    ) -> StepContext:
        """Return a step whose predecessors were planned; inputs that these are still to make are pending."""
        return StepContext(self.workspace, self._folder, self.run, step, plan, self._planned, snapshot)

    def take(self, context: StepContext, record: Record) -> None:
        """Let the steps after a planned one see it as reused."""
        self._planned[context.step.id] = reused_step(context, record)

    def tell(self, step: str, explanation: Explanation) -> None:
        """Let the steps after a planned one take another explanation of it for their own."""
        self._planned[step] = msgspec.structs.replace(self._planned[step], explanation=explanation)

    def _identify_image(self, step: StepSpec, environment: EnvironmentSpec) -> tuple[EnvironmentSpec, str]:
        """Return an environment with its image by digest; and why that can't be told, where it can't."""
        image = environment.image
        if image is None or is_by_digest(image) or not step.allow_reuse:
            return environment, ""
        asked = step.compute_target, image
        if asked not in self._images:
            try:
                self._images[asked] = self.workspace.identify_image(image, step.compute_target), ""
            except ComputeTargetException as error:
                text = f"image {image!r} can't be told from another of that name ({error}): name it by digest"
                self._images[asked] = image, text
        found, unknown = self._images[asked]
        return msgspec.structs.replace(environment, image=found), unknown

    def _decide(self, context: StepContext) -> StepPlan:
        step = context.step
        if self.run.regenerate_outputs:
            return self._run(context, ("regenerate_outputs is true",))
        if not step.allow_reuse:
            return self._run(context, ("allow_reuse is false",))
        pending = [other for other in step.upstream if not self._planned[other].ended_well]
        if pending:
            reasons = tuple(f"depends on step {other}" for other in pending)
            foreseen = self._foresee(context)
            own = (
                tuple(item.text for item in foreseen.differences if not is_pending(item)) if foreseen else ()
            )
            return self._run(context, (*reasons, *own), "depends", explanation=foreseen)
        if context.key is None:
            return self._run(context, context.unknown)
        found = self._look_up(context)
        if not isinstance(found, Record):
            return self._run(context, found.reasons, key=context.key, explanation=found.explanation)
        document = reused_step(context, found)
        return msgspec.structs.replace(
            context.plan,
            decision="reuse",
            reasons=document.reasons,
            key=document.key,
            outputs=document.outputs,
            reused_from=document.reused_from,
            accepted=document.accepted,
            folder=document.folder,
            saved=document.saved,
        )

    def _look_up(self, context: StepContext) -> Record | Miss:
        found = look_up(context, dry=self.dry)
        if self.dry or not isinstance(found, Record) or not any(o.register for o in context.step.outputs):
            return found
        # who finds the dataset is to find its data: that can't wait until the plan is written
        if not claim_results(self._folder, {found.folder}):
            return found
        forget_record(self.workspace.store, found.key, found.folder)
        return self._look_up(context)

    def _foresee(self, context: StepContext) -> Explanation | None:
        """Return what is known already of a difference, for people who ask; the step itself will find out all."""
        if not self.dry:
            return None
        try:
            document, files = context.document, context.files
        except DataError:  # a step before it may still put the data there
            return None
        return explain_miss(
            self.workspace.store, self.run.spec.family, context.step.id, document, files
        ).explanation

    def _run(
        self,
        context: StepContext,
        reasons: tuple[str, ...],
        decision: Decision = "run",
        key: str | None = None,
        explanation: Explanation | None = None,
    ) -> StepPlan:
        return msgspec.structs.replace(
            context.plan, decision=decision, reasons=reasons, key=key, explanation=explanation
        )


def _expected(plan: StepPlan) -> StepDocument:
    """Return a planned step as those after it see it."""
    return StepDocument(
        step=plan.step,
        status="reused" if plan.decision == "reuse" else "waiting",
        reasons=plan.reasons,
        explanation=plan.explanation,
        outputs=plan.outputs,
    )

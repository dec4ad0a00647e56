"""Checks the folders of runs: what they were started with, their plans, their steps and attempts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from airflow_ml_pipelines.core import layout
from airflow_ml_pipelines.core.check.look import Finding, Level, Look
from airflow_ml_pipelines.core.check.reuse import check_record
from airflow_ml_pipelines.core.keeping import tombstones
from airflow_ml_pipelines.core.keeping.tombstones import NAME, Tombstone
from airflow_ml_pipelines.core.reuse import records
from airflow_ml_pipelines.core.reuse.lease import find_holder
from airflow_ml_pipelines.core.reuse.records import Record
from airflow_ml_pipelines.core.runs import folder as runs
from airflow_ml_pipelines.core.runs.folder import (
    FailureDocument,
    OutputDocument,
    PlanDocument,
    ResultDocument,
    RunDocument,
    StepDocument,
    StepPlan,
)
from airflow_ml_pipelines.core.spec import StepSpec

__all__ = ["check_runs"]

_OF_USERS = ("logs", "outputs")
"""Folders of an attempt whose files the script has written."""

_T = TypeVar("_T")


def check_runs(look: Look) -> Iterator[Finding]:
    """Check every run by itself."""
    for pipeline in look.store.folders("runs"):
        for run in look.store.folders(f"runs/{pipeline}"):
            _Run(look, f"runs/{pipeline}/{run}").check()
            yield from look.take()


class _Run:
    def __init__(self, look: Look, path: str) -> None:
        self.look = look
        self.path = path
        self.files = {info.path[len(path) + 1 :] for info in look.objects(path)}
        # in the order in which they may change meanwhile, the latest first
        self.result = self._document("result.json", ResultDocument)
        self.steps = self._read_steps()
        self.plan = self._document("plan.json", PlanDocument)
        self.run = self._document("run.json", RunDocument)
        self.specs: dict[str, StepSpec] = {s.id: s for s in self.run.spec.steps} if self.run else {}

    def check(self) -> None:
        tombstone = self._tombstone(NAME)
        if tombstone is not None and tombstone.removed is not None:
            self._say("note", "", "it is being removed; the next clean-up goes on with it")
            return
        self._document("failed.json", FailureDocument)
        if "airflow.json" in self.files:
            self.look.json(f"{self.path}/airflow.json")
        self._check_begun()
        self._check_plan()
        for name, step in self.steps.items():
            self._check_step(name, step)
        for folder in sorted({"/".join(name.split("/")[:3]) for name in self.files if name.count("/") >= 3}):
            self._check_attempt(folder)
        self._check_result()

    def _say(self, level: Level, name: str, text: str) -> None:
        self.look.say(level, f"{self.path}/{name}" if name else self.path, text)

    def _document(self, name: str, kind: type[_T]) -> _T | None:
        if name not in self.files:
            return None
        return self.look.document(f"{self.path}/{name}", kind, runs.SCHEMA)

    def _tombstone(self, name: str) -> Tombstone | None:
        if name not in self.files:
            return None
        return self.look.document(f"{self.path}/{name}", Tombstone, tombstones.SCHEMA)

    def _read_steps(self) -> dict[str, StepDocument]:
        names = [name for name in self.files if name.count("/") == 1 and name.startswith("steps/")]
        found = {name: self._document(name, StepDocument) for name in sorted(names)}
        return {name: step for name, step in found.items() if step is not None}

    def _check_begun(self) -> None:
        if self.run is not None:
            if layout.run_folder(self.run.pipeline, self.run.run) != self.path:
                self._say("broken", "run.json", f"it is run {self.run.run!r} of {self.run.pipeline!r}")
        elif "run.json" in self.files or not self.files:
            pass  # that it can't be read was said; a folder without files is none on other stores
        elif self.files == {"airflow.json"}:
            self._say("note", "", "it never began: its plan could not be made")
        else:
            self._say("broken", "", "it has no run.json")

    def _check_plan(self) -> None:
        if self.run is None or "plan.json" not in self.files:
            if self.run is not None and self.result is None and not self.steps:
                self._say("note", "", "it has no plan: it ended while it was being planned")
            return
        if self.plan is None:
            return
        if [item.step for item in self.plan.steps] != list(self.specs):
            self._say("broken", "plan.json", "its steps are not those of run.json")
        for item in self.plan.steps:
            if item.decision == "reuse":
                self._check_outputs("plan.json", item.step, item.outputs)
            elif self.result is None and self._lacks_archive(item):
                self._say(
                    "broken", "plan.json", f"step {item.step!r}: its snapshot {item.archive!r} is not there"
                )

    def _lacks_archive(self, item: StepPlan) -> bool:
        spec = self.specs.get(item.step)
        return (spec is None or spec.has_source) and self.look.store.info(item.archive) is None

    def _check_step(self, name: str, step: StepDocument) -> None:
        if name != f"steps/{layout.segment(step.step)}.json":
            self._say("broken", name, f"it is of another step, {step.step!r}")
        if self.plan is not None and step.step not in {item.step for item in self.plan.steps}:
            self._say("broken", name, "the plan has no such step")
        if step.status == "running":
            self._check_running(name, step)
        if (
            step.attempt
            and f"steps/{layout.segment(step.step)}/{step.attempt}/started.json" not in self.files
        ):
            self._say("broken", name, f"its attempt {step.attempt} is not there")
        if step.ended_well:
            self._check_outputs(name, step.step, step.outputs)

    def _check_running(self, name: str, step: StepDocument) -> None:
        if self.result is not None:
            self._say("broken", name, f"the step runs, and the run has ended as {self.result.status}")
        elif step.key is not None and find_holder(self.look.store, step.key) is None:
            self._say("note", name, "the step was running when its process was lost")

    def _check_outputs(self, name: str, step: str, outputs: Mapping[str, OutputDocument]) -> None:
        spec = self.specs.get(step)  # a step of a hand-written DAG may have another id than its definition
        if spec is not None and (missing := {item.name for item in spec.outputs} - outputs.keys()):
            self._say("broken", name, f"step {step!r} has no output {', '.join(sorted(missing))}")
        for output, document in outputs.items():
            self.look.output(f"{self.path}/{name}", output, document)

    def _check_attempt(self, folder: str) -> None:
        own = {name[len(folder) + 1 :] for name in self.files if name.startswith(f"{folder}/")}
        if "started.json" not in own:
            self._say("broken", folder, "the attempt was never started")
        for name in sorted(own):
            path = f"{self.path}/{folder}/{name}"
            if name == "record.json":
                record = self.look.document(path, Record, records.SCHEMA)
                if record is not None:
                    self._check_own_record(path, record, f"{self.path}/{folder}")
            elif name == NAME:
                self._tombstone(f"{folder}/{name}")
            elif name.startswith("manifests/"):
                self.look.manifest(path)
            elif name.endswith(".json") and name.partition("/")[0] not in _OF_USERS:
                self.look.json(path)

    def _check_own_record(self, path: str, record: Record, folder: str) -> None:
        if record.folder != folder:
            self.look.say("broken", path, f"it is the record of another attempt, {record.folder}")
        check_record(self.look, path, record)

    def _check_result(self) -> None:
        if self.result is None or self.result.status != "Finished" or self.plan is None:
            return
        done = {step.step for step in self.steps.values() if step.ended_well}
        for item in self.plan.steps:
            if item.decision != "reuse" and item.step not in done:
                self._say("broken", "result.json", f"the run finished, and its step {item.step!r} did not")

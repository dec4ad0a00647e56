"""Runs by their documents, without running anything: as many as a test or a benchmark wants, in any state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_ml_pipelines.core.files.manifest import Entry, Manifest
from airflow_ml_pipelines.core.keys.differences import Earlier, Explanation, ValueChange
from airflow_ml_pipelines.core.layout import attempt_folder
from airflow_ml_pipelines.core.metrics import encode_event
from airflow_ml_pipelines.core.runs.folder import (
    Origin,
    OutputDocument,
    PlanDocument,
    RunDocument,
    RunFolder,
    StepDocument,
    StepPlan,
)
from airflow_ml_pipelines.core.runs.place import write_place
from airflow_ml_pipelines.core.spec import (
    EnvironmentSpec,
    InputSpec,
    OutputSpec,
    PipelineSpec,
    RegisteredDataset,
    RegisterSpec,
    StepOutput,
    StepSpec,
)
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

STARTED = 1_790_000_000.0


def chain(
    name: str, steps: int = 3, *, reads: str | None = None, registers: str | None = None
) -> PipelineSpec:
    """A pipeline of steps ``s1 -> s2 -> …``; the first one may read a dataset, the last one register one."""
    made = []
    for number in range(1, steps + 1):
        source = StepOutput(step=f"s{number - 1}", output="out") if number > 1 else None
        if number == 1 and reads is not None:
            source = RegisteredDataset(dataset=reads)
        register = RegisterSpec(name=registers) if registers and number == steps else None
        made.append(
            StepSpec(
                id=f"s{number}",
                name=f"step {number}",
                script="step.py",
                inputs=(InputSpec(name="data", source=source),) if source else (),
                outputs=(OutputSpec(name="out", register=register),),
            )
        )
    return PipelineSpec(name=name, steps=tuple(made))


def make_run(
    workspace: Workspace,
    spec: PipelineSpec,
    run: str,
    *,
    number: int = 0,
    states: Mapping[str, str] | None = None,
    reused_from: tuple[str, str] | None = None,
    against: tuple[str, str] | None = None,
    metrics: Mapping[str, Any] | None = None,
    files: Mapping[str, bytes] | None = None,
    outputs: Mapping[str, bytes] | None = None,
    dag_id: str | None = None,
    **fields: Any,
) -> RunFolder:
    """Write a run.

    :param number: how many minutes after the first it was started.
    :param states: of its steps, ``finished`` where it is not given.
    :param reused_from: pipeline and run of what is reused; ``against`` likewise of what is compared with.
    :param metrics: logged by its last step.
    :param files: that its last step kept.
    :param outputs: the files of the output of its last step.
    :param dag_id: of the scheduler's DAG, None for a run on somebody's machine.
    """
    started = STARTED + 60 * number
    folder = RunFolder(workspace.store, spec.name, run)
    folder.write_run(
        RunDocument(
            **{
                "pipeline": spec.name,
                "run": run,
                "experiment": spec.name,
                "spec": spec,
                "digest": spec.digest,
                "started": started,
                **fields,
            }
        )
    )
    if dag_id is not None:
        write_place(folder, dag_id, run, {step.id: f"{step.id}.run" for step in spec.steps})
    plans, documents, last = [], [], spec.steps[-1].id
    for step in spec.steps:
        state = (states or {}).get(step.id, "finished")
        origin = None
        if state == "reused":
            pipeline, other = reused_from or (spec.name, "first")
            origin = Origin(
                pipeline=pipeline, run=other, step=step.id, attempt=1, id=f"{pipeline}.{other}.{step.id}.1"
            )
        at = (origin.pipeline, origin.run) if origin else (spec.name, run)
        attempt = attempt_folder(*at, step.id, 1)
        made = _output(workspace, attempt, outputs or {} if step.id == last else {})
        done = state in ("finished", "reused")
        reasons: tuple[str, ...] = ("there is no earlier result of this step",)
        explanation = None
        if origin is not None:
            reasons = (f"same key as in run {origin.run} of {origin.pipeline}",)
        elif against is not None:
            earlier = Earlier(pipeline=against[0], run=against[1], step=step.id, started=started)
            change = ValueChange(field="parameters", name="alpha", old=1, new=2)
            explanation = Explanation(against=earlier, differences=(change,))
            reasons = explanation.reasons
        common = {"step": step.id, "reasons": reasons, "explanation": explanation}
        plans.append(
            StepPlan(
                **common,
                decision="reuse" if origin else "run",
                snapshot="5" * 64,
                environment=EnvironmentSpec(),
                outputs={"out": made} if origin else {},
                reused_from=origin,
                folder=attempt if origin else "",
                saved=12.0 if origin else 0.0,
            )
        )
        if origin is None and state != "waiting":
            documents.append(
                StepDocument(
                    **common,
                    status=state,
                    attempt=1,
                    folder=attempt,
                    outputs={"out": made} if done else {},
                    started=started,
                    finished=None if state == "running" else started + 12,
                    error="it broke" if state == "failed" else None,
                )
            )
        if origin is None and step.id == last:
            lines = [
                encode_event(
                    {
                        "kind": "metric",
                        "name": name,
                        "form": "image" if name.startswith("image") else "scalar",
                        "value": value,
                    }
                )
                for name, values in (metrics or {}).items()
                for value in (values if isinstance(values, list) else [values])
            ]
            workspace.store.put(f"{attempt}/metrics.jsonl", b"".join(lines))
            for name, data in (files or {}).items():
                workspace.store.put(f"{attempt}/{name}", data)
    folder.write_plan(PlanDocument(steps=tuple(plans), made=started))
    for document in documents:
        folder.write_step(document)
    return folder


def _output(workspace: Workspace, attempt: str, files: Mapping[str, bytes]) -> OutputDocument:
    manifest = Manifest.of(Entry(name, len(data), "d" * 64) for name, data in files.items())
    path = f"outputs/{attempt.replace('/', '-')}"
    if files:
        workspace.store.put(f"{attempt}/manifests/out.json", manifest.encode())
        for name, data in files.items():
            workspace.datastore().put(f"{path}/{name}", data)
    return OutputDocument(
        datastore=workspace.default_datastore,
        path=path,
        digest=manifest.digest,
        manifest=f"{attempt}/manifests/out.json",
        files=len(files),
        size=manifest.size,
    )

"""Tells MLflow what a step logged, where the workspace names a server of it.

It is told once the step has ended: scripts need nothing of MLflow. Nothing of it ever fails a step. What goes where:
https://mlflow.org/docs/latest/ml/tracking/.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow_ml_pipelines.core.errors import NotFoundError
from airflow_ml_pipelines.core.keys.key import resolve_parameters
from airflow_ml_pipelines.core.layout import step_run_id
from airflow_ml_pipelines.core.metrics import read_events, read_tags
from airflow_ml_pipelines.core.runs.folder import RunFolder, StepDocument
from airflow_ml_pipelines.core.steps.decide import StepContext
from airflow_ml_pipelines.core.stores.credentials import mask_url
from airflow_ml_pipelines.execution.targets.port import Log

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

__all__ = ["tell_mlflow"]

_PLACE: Final = "mlflow.json"
_LONGEST: Final = 5000  # what MLflow takes of a tag or parameter
_BATCH: Final = 1000  # how many metrics it takes at once
_FAILED: Final = ("failed", "canceled")

# its client tries for minutes, where a server that is away must not hold a worker up; and prints where to look
_SETTINGS: Final = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def tell_mlflow(context: StepContext, document: StepDocument, log: Log) -> None:
    """Tell MLflow of a step that has ended, if the workspace or the environment names a server; what goes wrong is only logged.

    The pipeline's run is a run of the experiment, and its steps are nested in it.
    """
    address = context.workspace.mlflow or os.environ.get("MLFLOW_TRACKING_URI")
    if not address:
        return
    try:
        _tell(address, context, document)
    except ImportError:
        log("MLflow was not told: pip install 'airflow-provider-ml-pipelines[mlflow]'")
    except Exception as error:  # noqa: BLE001 - whatever its client raises, the step has ended as it has
        log(f"MLflow was not told: {mask_url(str(error).splitlines()[0] if str(error) else repr(error))}")


def _tell(address: str, context: StepContext, document: StepDocument) -> None:
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=address)
    experiment = _experiment(client, context.run.experiment)
    parent = _parent(client, experiment, context)
    run, step = context.run, context.step
    tags = {
        "mlflow.parentRunId": parent,
        "mlflow.source.name": step.script or step.id,
        "ml_pipelines.id": step_run_id(run.pipeline, run.run, step.id, document.attempt),
        "ml_pipelines.reasons": "; ".join(document.reasons),
        **({"ml_pipelines.key": document.key} if document.key else {}),
        **({"ml_pipelines.error": document.error} if document.error else {}),
        **_git_tags(run.git),
    }
    for name, output in document.outputs.items():
        place = f"{context.workspace.datastore_url(output.datastore).rstrip('/')}/{output.path}"
        tags[f"ml_pipelines.output.{name}"] = place
    created = client.create_run(
        experiment,
        start_time=_milliseconds(document.started),
        tags=_cut(tags),
        run_name=step.name,
    )
    child = created.info.run_id
    events = _events(context, document)
    _log_parameters(client, child, resolve_parameters(step, run.parameters))
    _log_events(client, child, events, parent=False)
    _log_events(client, parent, events, parent=True)
    _log_files(client, child, context, document)
    failed = document.status in _FAILED
    client.set_terminated(child, "FAILED" if failed else "FINISHED", _milliseconds(document.finished))
    _end_parent(client, parent, context.folder)


def _experiment(client: MlflowClient, name: str) -> str:
    from mlflow.exceptions import MlflowException

    known = client.get_experiment_by_name(name)
    if known is None:
        with suppress(MlflowException):  # another step was faster
            return str(client.create_experiment(name))
        known = client.get_experiment_by_name(name)
        if known is None:
            raise MlflowException(f"experiment {name!r} could not be made")
    return str(known.experiment_id)


def _parent(client: MlflowClient, experiment: str, context: StepContext) -> str:
    """Return the id of the pipeline's run, which the first step that ends makes."""
    folder, run = context.folder, context.run
    path = f"{folder.path}/{_PLACE}"
    with suppress(NotFoundError):
        return str(json.loads(folder.store.get(path))["run_id"])
    tags = {
        **run.tags,
        "mlflow.source.name": run.pipeline,
        "ml_pipelines.pipeline": run.pipeline,
        "ml_pipelines.run": run.run,
        "ml_pipelines.workspace": context.workspace.name,
        **_git_tags(run.git),
    }
    made = client.create_run(
        experiment, start_time=_milliseconds(run.started), tags=_cut(tags), run_name=run.run
    )
    if not folder.store.create(path, json.dumps({"run_id": made.info.run_id}).encode()):
        client.delete_run(made.info.run_id)  # another step was faster
        return str(json.loads(folder.store.get(path))["run_id"])
    _log_parameters(client, made.info.run_id, run.parameters)
    return str(made.info.run_id)


def _end_parent(client: MlflowClient, parent: str, folder: RunFolder) -> None:
    """End the pipeline's run once nothing of it is open; whoever writes the last document sees that."""
    steps = folder.steps().values()
    if any(item.status in ("waiting", "running") for item in steps):
        return
    failed = any(item.status in _FAILED for item in steps)
    client.set_terminated(parent, "FAILED" if failed else "FINISHED")


def _events(context: StepContext, document: StepDocument) -> list[dict[str, Any]]:
    with suppress(NotFoundError):
        return read_events(context.workspace.store.get(f"{document.folder}/metrics.jsonl"))
    return []


def _log_parameters(client: MlflowClient, run: str, values: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    found = [Param(_name(name), str(value)[:_LONGEST]) for name, value in values.items()]
    for start in range(0, len(found), 100):
        client.log_batch(run, params=found[start : start + 100])


def _log_events(client: MlflowClient, run: str, events: Iterable[Mapping[str, Any]], *, parent: bool) -> None:
    from mlflow.entities import RunTag

    events = list(events)
    tags = {name: value for name, value in read_tags(events, parent=parent).items() if name}
    tags |= dict(_texts(events, parent=parent))
    metrics = list(_metrics(events, parent=parent))
    for start in range(0, len(metrics), _BATCH):
        client.log_batch(run, metrics=metrics[start : start + _BATCH])
    found = [RunTag(name, value) for name, value in _cut(tags).items()]
    for start in range(0, len(found), 100):
        client.log_batch(run, tags=found[start : start + 100])


def _metrics(events: Iterable[Mapping[str, Any]], *, parent: bool) -> Iterator[Metric]:
    """Yield the numbers: of a list one step each, of rows and tables by column."""
    from mlflow.entities import Metric

    counts: Counter[str] = Counter()
    for event, name, value in _cells(events, parent=parent):
        if isinstance(value, bool | int | float):
            step = event.get("step", counts[name])
            counts[name] += 1
            yield Metric(_name(name), float(value), _milliseconds(event.get("at")) or 0, int(step))


def _texts(events: Iterable[Mapping[str, Any]], *, parent: bool) -> Iterator[tuple[str, str]]:
    for event, name, value in _cells(events, parent=parent):
        if isinstance(value, str) and event.get("form") == "scalar":
            yield name, value


def _cells(
    events: Iterable[Mapping[str, Any]], *, parent: bool
) -> Iterator[tuple[Mapping[str, Any], str, Any]]:
    for event in events:
        if event["kind"] != "metric" or bool(event.get("parent")) is not parent:
            continue
        name, value = str(event.get("name")), event.get("value")
        columns = value if isinstance(value, dict) and event.get("form") in ("row", "table") else {"": value}
        for column, cells in columns.items():
            for cell in cells if isinstance(cells, list) else [cells]:
                yield event, f"{name}/{column}" if column else name, cell


def _log_files(client: MlflowClient, run: str, context: StepContext, document: StepDocument) -> None:
    """Copy the files that the script kept (images and models among them), and all that it logged."""
    store = context.workspace.store
    with tempfile.TemporaryDirectory(prefix="mlflow-") as top:
        for info in store.walk(document.folder):
            name = info.path.removeprefix(f"{document.folder}/")
            if name.startswith(("outputs/", "logs/")) or name == "metrics.jsonl":
                target = Path(top, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                store.download(info.path, target)
        if os.listdir(top):
            client.log_artifacts(run, top)


def _git_tags(git: Mapping[str, str]) -> dict[str, str]:
    names = {"commit": "commit", "branch": "branch", "repository": "repoURL"}
    return {f"mlflow.source.git.{there}": git[here] for here, there in names.items() if git.get(here)}


def _cut(tags: Mapping[str, str]) -> dict[str, str]:
    return {_name(name): value[:_LONGEST] for name, value in tags.items()}


def _name(name: str) -> str:
    """Return a name with what MLflow takes: letters, digits, and some signs."""
    kept = "".join(character if character.isalnum() or character in "_-. /" else "_" for character in name)
    return "/".join(part for part in kept[:250].split("/") if part not in ("", ".", "..")) or "_"


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)

"""Runs steps on a Spark cluster: on Databricks, or with PySpark on a compute target ``spark``."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import msgspec

from airflow_ml_pipelines.core.canonical import compact_json, pretty_json
from airflow_ml_pipelines.core.databricks.client import DatabricksClient
from airflow_ml_pipelines.core.databricks.code import fetch_notebooks, open_shelf
from airflow_ml_pipelines.core.databricks.notebook import is_notebook
from airflow_ml_pipelines.core.databricks.request import submit_request, token_of
from airflow_ml_pipelines.core.databricks.upload import notebook_path, upload_snapshot
from airflow_ml_pipelines.core.errors import (
    ComputeTargetException,
    DefinitionError,
    MlPipelinesError,
    NotFoundError,
)
from airflow_ml_pipelines.core.runs.folder import StepDocument
from airflow_ml_pipelines.core.spec import (
    DEFAULT_ENVIRONMENT,
    DatabricksSpec,
    EnvironmentSpec,
    OutputSpec,
    StepSpec,
)
from airflow_ml_pipelines.core.steps.decide import Go, StepContext
from airflow_ml_pipelines.core.stores.credentials import resolve_variables, secret_variables
from airflow_ml_pipelines.execution.databricks_job import OVER, DatabricksJob, page_url, seen_end
from airflow_ml_pipelines.execution.databricks_ports import give
from airflow_ml_pipelines.execution.handover import (
    HandedOver,
    ScriptKind,
    TakenOver,
)
from airflow_ml_pipelines.execution.job import make_job, output_destination
from airflow_ml_pipelines.execution.kinds import Kind
from airflow_ml_pipelines.execution.places import read_place, write_place
from airflow_ml_pipelines.execution.spark_libraries import bring_libraries
from airflow_ml_pipelines.execution.targets.databricks import DatabricksTarget
from airflow_ml_pipelines.execution.targets.port import Log, Place
from airflow_ml_pipelines.execution.targets.registry import open_target, read_options, used_target
from airflow_ml_pipelines.execution.targets.spark import SparkOptions, spark_variables
from airflow_ml_pipelines.execution.targets.spark_stores import hide_conf, refuse_secret, store_access
from airflow_ml_pipelines.runtime.job import Job, JobSource
from airflow_ml_pipelines.runtime.masking import Mask

__all__ = ["DatabricksKind"]

_RUNNER = "airflow_ml_pipelines.runtime.notebook"
_JAR_RUNNER = "airflow_ml_pipelines.runtime.jar"
_EXITED = "outputs/notebook_exit.txt"


def DatabricksKind(context: StepContext) -> Kind:  # noqa: N802 - one of the kinds, whichever target it is for
    """Return what runs a step on the kind of cluster that its compute target is.

    :raises ComputeTargetException: where that is none with Spark.
    """
    spec = context.workspace.compute_target(context.step.compute_target)
    if used_target() is not None or spec.type == "spark":
        return _OnSpark(context)
    if spec.type == "databricks":
        return _OnDatabricks(context)
    raise ComputeTargetException(
        f"step {context.step.name!r} needs Spark, and compute target {spec.name!r} is of type {spec.type!r}: give it one of "
        "type databricks, or of type spark, which needs no Databricks"
    )


def _databricks(context: StepContext) -> DatabricksSpec:
    return _spec(context.step)


def _spec(step: StepSpec) -> DatabricksSpec:
    assert step.databricks is not None
    return step.databricks


class _OnDatabricks:
    """A step as a run of Databricks' jobs."""

    def __init__(self, context: StepContext) -> None:
        self._context = context
        self._spec = context.workspace.compute_target(context.step.compute_target)
        self._target = DatabricksTarget(self._spec)

    def take_over(self, began: StepDocument | None, go: Go, log: Log) -> TakenOver | None:
        """Find the run again that was submitted before, or submit it with its token, which starts no second one."""
        context = self._context
        document = began or self._unseen()
        if document is None or document.key != (go.lease.key if go.lease else None):
            return None
        place = read_place(context.workspace.store, document.folder)
        if place is None or "token" not in place.details:
            return None
        running = self._submit(document.attempt, place, log)
        if began is None:
            context.folder.write_step(document)
        log(f"step {context.step.name!r} is found again as run {running.run_id} of Databricks")
        return TakenOver(document, HandedOver(running))

    def _unseen(self) -> StepDocument | None:
        """Return an attempt that failed since its run could not be seen any more.

        Its run goes on, or has ended well, or nobody knows whether it was submitted; its token starts no second one then.
        """
        context = self._context
        document = context.folder.read_step(context.step.id)
        if document is None or document.status != "failed" or not document.attempt:
            return None
        folder = context.folder.attempt_folder(context.step.id, document.attempt)
        place = read_place(context.workspace.store, folder)
        if place is None or context.workspace.store.info(seen_end(folder)):
            return None
        if "run_id" not in place.details:
            return msgspec.structs.replace(document, status="running", error=None, finished=None)
        try:
            state = self._target.client().run(int(place.details["run_id"]))["state"]
        except NotFoundError:
            return None
        if state.get("life_cycle_state") in OVER and state.get("result_state") != "SUCCESS":
            return None
        return msgspec.structs.replace(document, status="running", error=None, finished=None)

    def hand_over(self, go: Go, attempt: int, log: Log) -> HandedOver:
        """Submit an attempt. Its token is written down first, so that whoever comes next finds the run by it."""
        context = self._context
        folder = context.folder.attempt_folder(context.step.id, attempt)
        token = token_of(context.workspace.store.url, folder, go.lease.key if go.lease else None)
        place = Place(target=self._spec.name, id=token, details={"token": token})
        write_place(context.workspace.store, folder, place)
        return HandedOver(self._submit(attempt, place, log))

    def destination(self, spec: OutputSpec, attempt: int) -> tuple[str, str]:
        """Return the datastore and the path where an output lies."""
        return output_destination(self._context, spec, attempt)

    def _submit(self, attempt: int, place: Place, log: Log) -> DatabricksJob:
        context, client = self._context, self._target.client()
        given = give(context, attempt, on_databricks=True, shared=self._target.is_shared(client))
        folder = context.folder.attempt_folder(context.step.id, attempt)
        if "run_id" not in place.details:
            request = submit_request(
                context.step,
                code=self._code(client),
                widgets=given.widgets,
                arguments=given.arguments,
                token=place.details["token"],
                run_name=f"{context.run.pipeline} {context.step.name}",
                defaults=context.workspace.compute_target(context.step.compute_target).options,
                where=f"compute target {self._spec.name!r}",
            )
            self._wake(client, request["tasks"][0].get("existing_cluster_id"), log)
            context.workspace.store.put(
                f"{folder}/request.json", pretty_json(_public(request, _databricks(context)))
            )
            run_id = client.submit(request)
            place = replace_details(place, {**place.details, "run_id": str(run_id)})
            write_place(context.workspace.store, folder, place)
            url = ""
            with suppress(MlPipelinesError):  # who follows the run says what is wrong
                url = page_url(client.run(run_id))
            place = replace_details(place, {**place.details, "url": url})
            write_place(context.workspace.store, folder, place)
            log(f"submitted run {run_id}: {url}")
        return DatabricksJob(
            client,
            context,
            attempt,
            place,
            poll_interval=self._target.options.poll_interval,
            mask=Mask(_secrets(context.step)),
            log=log,
        )

    def _code(self, client: DatabricksClient) -> str:
        context, databricks = self._context, _databricks(self._context)
        if databricks.path is not None or databricks.form == "jar":
            return databricks.path or ""
        folder = upload_snapshot(
            client,
            context.workspace.store,
            context.plan.archive,
            context.plan.snapshot,
            self._target.options.upload_to,
        )
        script = context.step.script
        return f"{folder}/{notebook_path(script) if databricks.form == 'notebook' else script}"

    def _wake(self, client: DatabricksClient, cluster_id: str | None, log: Log) -> None:
        """Start a cluster that was ended, or refuse to, as the step says."""
        restart = _databricks(self._context).permit_cluster_restart
        if cluster_id is None or restart is None:
            return
        cluster = client.cluster(cluster_id)
        if cluster.get("state") not in ("TERMINATED", "ERROR"):
            return
        why = cluster.get("state_message") or (cluster.get("termination_reason") or {}).get(
            "code", "no reason given"
        )
        if not restart:
            raise ComputeTargetException(
                f"step {self._context.step.name!r}: cluster {cluster_id} is {cluster['state'].lower()} ({why}), and "
                "permit_cluster_restart is False: start it, or permit that"
            )
        log(f"starting cluster {cluster_id}, which is {cluster['state'].lower()} ({why})")
        client.start_cluster(cluster_id)


def replace_details(place: Place, details: dict[str, str]) -> Place:
    """Return a place with other details."""
    return Place(target=place.target, id=place.id, details=details)


def _public(request: dict[str, Any], databricks: DatabricksSpec) -> dict[str, Any]:
    """Return a request as it may be kept: values of variables can be secret."""
    document: dict[str, Any] = json.loads(json.dumps(request))
    for task in document["tasks"]:
        cluster = task.get("new_cluster", {})
        for field, given in _given_to_cluster(databricks).items():
            secret = given if field == "spark_env_vars" else secret_variables(given)
            cluster.get(field, {}).update(dict.fromkeys(secret, "***"))
    return document


def _given_to_cluster(databricks: DatabricksSpec) -> dict[str, dict[str, str]]:
    """Return what a step gives its cluster that can be secret, by the field of the request."""
    return {"spark_env_vars": databricks.spark_env_variables, "spark_conf": databricks.spark_conf}


def _secrets(step: StepSpec) -> list[str]:
    """Return the values that a step's cluster is given and that nobody may see."""
    found: list[str] = []
    for field, given in _given_to_cluster(_spec(step)).items():
        secret = {name: given[name] for name in secret_variables(given)}
        found += resolve_variables(secret, f"step {step.name!r}, {field}").values()
    return found


class _OnSpark(ScriptKind):
    """A step as a launcher's job, in a Python that has PySpark."""

    def __init__(self, context: StepContext) -> None:
        super().__init__(context)
        spec = context.workspace.compute_target(context.step.compute_target)
        self._spec = spec
        self._options = SparkOptions() if used_target() is not None else read_options(spec, SparkOptions)
        self._target = open_target(spec)

    def _environment(self) -> EnvironmentSpec:
        packages = []
        for item in _databricks(self._context).libraries:
            if "cran" in item:
                raise DefinitionError(
                    f"step {self._context.step.name!r}: rcran_libraries are there on Databricks alone"
                )
            if "pypi" in item:
                packages.append(item["pypi"]["package"])
        if not packages:
            return DEFAULT_ENVIRONMENT
        return EnvironmentSpec(user_managed=False, pip=(*packages, f"pyspark=={version('pyspark')}"))

    def _make_job(self, attempt: int, interpreter: str) -> Job:
        context, databricks = self._context, _databricks(self._context)
        given = give(context, attempt, on_databricks=False, shared=self._options.is_shared)
        job = make_job(context, attempt, interpreter)
        source = job.source if self._is_in_snapshot(databricks) else self._bring(attempt, databricks)
        arguments = given.arguments
        variables = resolve_variables(
            databricks.spark_env_variables, f"step {context.step.name!r}, spark_env_variables"
        )
        for name, value in variables.items():
            refuse_secret(f"spark_env_variables {name!r}", value)
        if databricks.form == "notebook":
            source = replace(source, module=_RUNNER)
            arguments = [json.dumps(given.widgets), _EXITED]
        elif databricks.form == "jar":
            source = replace(source, module=_JAR_RUNNER)
        # Hadoop looks for variables in its own process, and so finds them where that is the driver's
        access = store_access(context.workspace, given.stores if self._options.is_local else ())
        brought = bring_libraries(context.workspace, context.step)
        conf = hide_conf(access, databricks.spark_conf, local=self._options.is_local)
        submitted = spark_variables(
            self._options, msgspec.structs.replace(brought, spark_conf=conf), access.conf
        )
        return replace(
            job,
            source=source,
            variables={**job.variables, **submitted, **access.variables, **variables},
            secrets=(*job.secrets, *access.variables, *secret_variables(databricks.spark_env_variables)),
            parameters={},
            arguments=tuple(({"text": text},) for text in arguments),
            inputs={},
            outputs={
                name: replace(item, mode="direct", source=given.outputs[name], globs=())
                for name, item in job.outputs.items()
            },
        )

    @staticmethod
    def _is_in_snapshot(databricks: DatabricksSpec) -> bool:
        return databricks.path is None and databricks.form != "jar"

    def _bring(self, attempt: int, databricks: DatabricksSpec) -> JobSource:
        """Put code that lies elsewhere into an archive of the attempt, as it is called there.

        Of a main class it is what it is called: its JARs are libraries.
        """
        context, path = self._context, databricks.path or ""
        if databricks.form == "jar":
            files = {f"{databricks.main_class}.json": compact_json({"main_class": databricks.main_class})}
        elif databricks.form == "notebook":
            files = fetch_notebooks(open_shelf(self._spec), path)
        else:
            files = {path.partition(":")[2] or path: open_shelf(self._spec).file(path)}
        names = {name: _archive_name(name, data, databricks) for name, data in files.items()}
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            for name in sorted(names):
                archive.writestr(zipfile.ZipInfo(names[name]), files[name])
        place = f"{context.folder.attempt_folder(context.step.id, attempt)}/code.zip"
        store = context.workspace.store
        store.put(place, data.getvalue())
        return JobSource(archive=f"{store.url}/{place}", digest="", script=next(iter(names.values())))


def _archive_name(path: str, data: bytes, databricks: DatabricksSpec) -> str:
    name = path.strip("/")
    if databricks.form != "notebook" or name.endswith((".py", ".ipynb")):
        return name
    return f"{name}.py" if is_notebook(data, name) == "source" else f"{name}.ipynb"

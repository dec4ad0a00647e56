"""Runs of the server: what was submitted, as processes of this machine."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path

from servers.databricks.files import Files, RefusedError

_TASKS = {"notebook_task", "spark_python_task", "spark_jar_task"}
_FIELDS = {
    "run_name", "idempotency_token", "tasks", "timeout_seconds", "environments", "access_control_list", "git_source",
    "email_notifications", "webhook_notifications", "notification_settings", "health", "queue", "run_as",
    "budget_policy_id", "usage_policy_id",
}  # fmt: skip
_TASK_FIELDS = _TASKS | {
    "task_key", "existing_cluster_id", "new_cluster", "libraries", "environment_key", "timeout_seconds", "depends_on",
    "description", "run_if", "email_notifications", "notification_settings", "health", "webhook_notifications",
}  # fmt: skip
_CLUSTER_FIELDS = {
    "spark_version", "node_type_id", "driver_node_type_id", "instance_pool_id", "driver_instance_pool_id", "num_workers",
    "autoscale", "spark_conf", "spark_env_vars", "init_scripts", "cluster_log_conf", "custom_tags", "data_security_mode",
    "single_user_name", "runtime_engine", "policy_id", "aws_attributes", "azure_attributes", "gcp_attributes",
    "enable_elastic_disk", "ssh_public_keys", "docker_image", "is_single_node", "kind", "workload_type",
}  # fmt: skip
_TOKEN = 64


class Runs:
    """All runs, by id."""

    def __init__(self, files: Files, folder: Path, faults, url) -> None:
        self.files = files
        self.folder = folder
        self.faults = faults
        self.url = url
        self.lock = threading.RLock()
        self.runs: dict[int, Run] = {}
        self.tokens: dict[str, int] = {}
        self.clusters: dict[str, dict] = {}
        self.libraries: dict[str, list[dict]] = {}
        self.spark = ["--master", "local[1]", "--conf", "spark.ui.enabled=false"]

    def submit(self, body: dict) -> dict:
        _check(body)
        token = body.get("idempotency_token")
        with self.lock:
            if token in self.tokens:
                return {"run_id": self.tokens[token]}
            run_id = 1000 + len(self.runs) * 10
            run = Run(self, run_id, body)
            self.runs[run_id] = run
            if token:
                self.tokens[token] = run_id
        run.start()
        return {"run_id": run_id}

    def get(self, query: dict) -> dict:
        return self._find(query["run_id"]).document()

    def output(self, query: dict) -> dict:
        run_id = int(query["run_id"])
        run = self.runs.get(run_id - 1)
        if run is None:
            if run_id in self.runs:
                raise RefusedError(
                    400,
                    "INVALID_PARAMETER_VALUE",
                    "Retrieving the output of runs with multiple tasks is not supported.",
                )
            raise RefusedError(400, "INVALID_PARAMETER_VALUE", f"Run {run_id} does not exist.")
        return run.output()

    def cancel(self, body: dict) -> dict:
        self._find(body["run_id"]).cancel()
        return {}

    def end(self) -> None:
        for run in self.runs.values():
            run.cancel()
        for run in self.runs.values():
            run.thread.join(20)

    def _find(self, run_id) -> Run:
        run = self.runs.get(int(run_id))
        with self.lock:
            if run is not None and self.faults.lost_runs > 0:
                self.faults.lost_runs -= 1
                self.faults.gone.add(run.id)
                self.faults.happened["lost run"] += 1
        if run is None or int(run_id) in self.faults.gone:
            raise RefusedError(400, "RESOURCE_DOES_NOT_EXIST", f"Run {run_id} does not exist.")
        return run

    # --- clusters ------------------------------------------------------------------------------------------------

    def cluster(self, query: dict) -> dict:
        if query["cluster_id"] not in self.clusters:
            raise RefusedError(
                400, "INVALID_PARAMETER_VALUE", f"Cluster {query['cluster_id']} does not exist"
            )
        return self.clusters[query["cluster_id"]]

    def start_cluster(self, body: dict) -> dict:
        cluster = self.cluster(body)
        if cluster["state"] != "TERMINATED":
            raise RefusedError(
                400,
                "INVALID_STATE",
                f"Cluster {body['cluster_id']} is in unexpected state {cluster['state']}.",
            )
        cluster["state"] = "RUNNING"
        cluster.pop("termination_reason", None)
        return {}

    def library_status(self, query: dict) -> dict:
        self.cluster(query)
        return {
            "cluster_id": query["cluster_id"],
            "library_statuses": self.libraries.get(query["cluster_id"], []),
        }


class Run:
    """A run of one task, in a process of its own."""

    def __init__(self, runs: Runs, run_id: int, body: dict) -> None:
        self.runs = runs
        self.id = run_id
        self.body = body
        self.task = body["tasks"][0]
        self.state = {"life_cycle_state": "PENDING", "state_message": "Waiting for cluster"}
        self.started = int(time.time() * 1000)
        self.log = ""
        self.result: str | None = None
        self.error = ""
        self.trace = ""
        self.process: subprocess.Popen | None = None
        self.canceled = threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"run {run_id}", daemon=True)
        self.cluster_id = self.task.get("existing_cluster_id") or f"cluster-{run_id}"

    def start(self) -> None:
        self.thread.start()

    def cancel(self) -> None:
        self.canceled.set()

    def document(self) -> dict:
        task = {
            "run_id": self.id + 1,
            "task_key": self.task["task_key"],
            "state": dict(self.state),
            "start_time": self.started,
            "attempt_number": 0,
            "cluster_instance": {"cluster_id": self.cluster_id},
        }
        return {
            "run_id": self.id,
            "job_id": self.id + 5,
            "run_name": self.body.get("run_name", "Untitled"),
            "run_page_url": f"{self.runs.url()}/#job/{self.id + 5}/run/{self.id}",
            "state": dict(self.state),
            "start_time": self.started,
            "tasks": [task],
        }

    def output(self) -> dict:
        document = {"metadata": {"run_id": self.id + 1, "state": dict(self.state)}}
        if "notebook_task" in self.task:
            document["notebook_output"] = {"result": self.result} if self.result is not None else {}
        else:
            document["logs"] = self.log
        if self.error:
            document["error"], document["error_trace"] = self.error, self.trace
        return document

    # --- its life ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        faults = self.runs.faults
        if faults.slow_start:
            faults.happened["slow start"] += 1
        if self.canceled.wait(faults.slow_start):
            self._end("CANCELED", "Run cancelled.")
            return
        if faults.lost_clusters > 0 or faults.no_cluster:
            lost = not faults.no_cluster
            faults.lost_clusters -= lost
            faults.happened["lost cluster" if lost else "no cluster"] += 1
            reason = {
                "code": "INSTANCE_UNREACHABLE" if lost else "CLOUD_PROVIDER_LAUNCH_FAILURE",
                "type": "CLOUD_FAILURE",
            }
            reason["parameters"] = {"azure_error_message": faults.no_cluster or "the node is gone"}
            if isinstance(faults.no_cluster, dict):
                reason = faults.no_cluster
            cluster = {"cluster_id": self.cluster_id, "state": "TERMINATED", "termination_reason": reason}
            self.runs.clusters[self.cluster_id] = {**self.runs.clusters.get(self.cluster_id, {}), **cluster}
            message = "Cluster was lost." if lost else "Could not launch the cluster."
            self.state = {
                "life_cycle_state": "INTERNAL_ERROR",
                "result_state": "FAILED",
                "state_message": message,
            }
            return
        existing = self.task.get("existing_cluster_id")
        if existing and existing not in self.runs.clusters:
            message = f"Cluster {existing} does not exist"
            self.state = {
                "life_cycle_state": "INTERNAL_ERROR",
                "result_state": "FAILED",
                "state_message": message,
            }
            return
        self.state = {"life_cycle_state": "RUNNING", "state_message": "In run"}
        try:
            self._execute()
        except RefusedError as error:
            self.error = f"Notebook not found: {error}"
            self._end("FAILED", str(error))

    def _execute(self) -> None:
        result = self.runs.folder / f"result-{self.id}"
        kind = next(iter(_TASKS & self.task.keys()))
        given = self.task[kind]
        if kind == "notebook_task":
            file = self.runs.files.find(given["notebook_path"])
            module = ["-m", "airflow_ml_pipelines.runtime.notebook"]
            command = [sys.executable, *module, file, json.dumps(given.get("base_parameters", {})), result]
        elif kind == "spark_python_task":
            file = self.runs.files.local(given["python_file"])
            if not file.is_file():
                raise RefusedError(404, "RESOURCE_DOES_NOT_EXIST", f"{given['python_file']} does not exist")
            command = [sys.executable, file, *given.get("parameters", [])]
        else:
            jars = [self.runs.files.local(item["jar"]) for item in self.task["libraries"] if "jar" in item]
            if missing := [str(jar) for jar in jars if not jar.is_file()]:
                raise RefusedError(404, "RESOURCE_DOES_NOT_EXIST", f"{missing} does not exist")
            file = jars[0]
            words = [
                *self.runs.spark,
                "--jars",
                ",".join(map(str, jars)),
                "--class",
                given["main_class_name"],
            ]
            command = [find_spark_submit(), *words, file, *given.get("parameters", [])]
        variables = {**os.environ, **self.task.get("new_cluster", {}).get("spark_env_vars", {})}
        variables["PYSPARK_PYTHON"] = sys.executable
        variables["PYSPARK_SUBMIT_ARGS"] = shlex.join([*self.runs.spark, "pyspark-shell"])
        self._follow([str(word) for word in command], variables, file.parent)
        if result.is_file():
            self.result = result.read_text()

    def _follow(self, command: list[str], variables: dict[str, str], folder: Path) -> None:
        limit = self.body.get("timeout_seconds") or 3600
        log = self.runs.folder / f"log-{self.id}"
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=variables,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            until = time.monotonic() + limit
            while self.process.poll() is None and not self.canceled.is_set() and time.monotonic() < until:
                time.sleep(0.02)
            timed_out = self.process.poll() is None and not self.canceled.is_set()
            if self.process.poll() is None:
                os.killpg(self.process.pid, 9)
            self.process.wait()
        self.log = log.read_text()
        result = self.runs.folder / f"result-{self.id}"
        if result.is_file():
            self.result = result.read_text()
        if self.canceled.is_set():
            self._end("CANCELED", "Run cancelled.")
        elif timed_out:
            self._end("TIMEDOUT", "Run timed out.")
        elif self.process.returncode:
            self.trace = self.log
            self.error = next((line for line in reversed(self.log.splitlines()) if line.strip()), "")
            self._end("FAILED", "Workload failed, see run output for details")
        else:
            self._end("SUCCESS", "")

    def _end(self, result: str, message: str) -> None:
        self.state = {"life_cycle_state": "TERMINATED", "result_state": result, "state_message": message}


def find_spark_submit() -> Path:
    from pyspark.find_spark_home import _find_spark_home

    return Path(_find_spark_home(), "bin", "spark-submit")


def _check(body: dict) -> None:
    """Refuse what Databricks' API does not know, or what contradicts itself."""
    _fields(body, _FIELDS, "SubmitRun")
    if len(body.get("idempotency_token") or "") > _TOKEN:
        raise RefusedError(400, "INVALID_PARAMETER_VALUE", "idempotency_token has more than 64 characters")
    tasks = body.get("tasks") or []
    if len(tasks) != 1:
        raise RefusedError(400, "INVALID_PARAMETER_VALUE", "this server runs one task")
    task = tasks[0]
    _fields(task, _TASK_FIELDS, "SubmitTask")
    if not re.fullmatch(r"[\w-]{1,100}", task.get("task_key", "")):
        raise RefusedError(400, "INVALID_PARAMETER_VALUE", "task_key is missing or wrong")
    if len(_TASKS & task.keys()) != 1:
        raise RefusedError(400, "INVALID_PARAMETER_VALUE", "expected one of " + ", ".join(sorted(_TASKS)))
    clusters = [name for name in ("existing_cluster_id", "new_cluster", "environment_key") if name in task]
    if len(clusters) > 1 or (not clusters and "notebook_task" not in task):
        raise RefusedError(
            400, "INVALID_PARAMETER_VALUE", "expected one of existing_cluster_id and new_cluster"
        )
    if "spark_jar_task" in task and not any(
        {"jar", "maven"} & item.keys() for item in task.get("libraries", ())
    ):
        raise RefusedError(
            400, "INVALID_PARAMETER_VALUE", "a spark_jar_task needs the library with its main class"
        )
    cluster = task.get("new_cluster")
    if cluster is not None:
        _fields(cluster, _CLUSTER_FIELDS, "ClusterSpec")
        if ("num_workers" in cluster) == ("autoscale" in cluster):
            raise RefusedError(400, "INVALID_PARAMETER_VALUE", "expected one of num_workers and autoscale")
        if ("node_type_id" in cluster) == ("instance_pool_id" in cluster):
            raise RefusedError(
                400, "INVALID_PARAMETER_VALUE", "expected one of node_type_id and instance_pool_id"
            )
        if not cluster.get("spark_version"):
            raise RefusedError(400, "INVALID_PARAMETER_VALUE", "spark_version is missing")
    for values in (
        task.get("notebook_task", {}).get("base_parameters", {}).values(),
        *(
            task[name].get("parameters", [])
            for name in ("spark_python_task", "spark_jar_task")
            if name in task
        ),
    ):
        if not all(isinstance(value, str) for value in values):
            raise RefusedError(400, "MALFORMED_REQUEST", "parameters are texts")


def _fields(document: dict, known: set[str], what: str) -> None:
    if unknown := sorted(document.keys() - known):
        raise RefusedError(400, "MALFORMED_REQUEST", f"{what} has no field {', '.join(unknown)}")

"""Describes the pod of a job and the Secret that it reads."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.execution.targets.kubernetes_options import KubernetesOptions
from airflow_ml_pipelines.execution.targets.options import Resources, memory_bytes
from airflow_ml_pipelines.execution.targets.payload import ARGUMENTS, FOLDER, START
from airflow_ml_pipelines.execution.targets.port import Work
from airflow_ml_pipelines.runtime.job import Job

__all__ = ["CONTAINER", "make_pod", "make_secret", "read_template"]

CONTAINER = "base"
"""The container that runs the script, called as Airflow's own operator calls it."""

_MOST = 900_000
_LOW = "lowpriority"

_T = TypeVar("_T", dict[str, Any], list[Any])


def make_secret(
    name: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    job: Job,
    credentials: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the Secret with the job and the credentials of the stores.

    :raises ComputeTargetException: where the job is larger than a Secret may be.
    """
    files = {
        "job.json": json.dumps(job.to_dict()).encode(),
        "stores.json": json.dumps(credentials).encode(),
    }
    size = sum(map(len, files.values()))
    if size > _MOST:
        raise ComputeTargetException(
            f"step {job.run.step_name!r}: its job has {size} bytes, and a Kubernetes Secret takes {_MOST}: hand long arguments "
            "over in a file"
        )
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": dict(labels), "annotations": dict(annotations)},
        "data": {key: base64.b64encode(data).decode() for key, data in files.items()},
    }


def make_pod(
    name: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    work: Work,
    options: KubernetesOptions,
    resources: Resources,
    where: str,
    launcher: str,
) -> dict[str, Any]:
    """Return the pod of a job: the template's, with what the target's options and the job add.

    :param launcher: the name of the ConfigMap that has it.
    :raises ComputeTargetException: where the template can't be read.
    """
    pod = read_template(options.pod_template_file, where)
    metadata, spec = pod["metadata"], pod["spec"]
    metadata.pop("namespace", None)  # it is where the target makes pods
    metadata["name"] = name
    metadata["labels"] = {**metadata["labels"], **labels}
    metadata["annotations"] = {**metadata["annotations"], **annotations, **_scaling(options)}
    spec["restartPolicy"] = "Never"
    spec["nodeSelector"] = {**spec["nodeSelector"], **options.node_selector}
    spec["tolerations"] = [*spec["tolerations"], *options.tolerations]
    if options.service_account is not None:
        spec["serviceAccountName"] = options.service_account
    if options.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": item} for item in options.image_pull_secrets]
    sources = [{"configMap": {"name": launcher}}, {"secret": {"name": name}}]
    spec["volumes"] = [
        *spec["volumes"],
        *options.volumes,
        {"name": "ml-pipelines", "projected": {"sources": sources, "defaultMode": 0o444}},
    ]
    containers = spec["containers"]
    containers[0] = _container(containers[0], work, options, resources, where)
    return pod


def _container(
    given: Mapping[str, Any], work: Work, options: KubernetesOptions, resources: Resources, where: str
) -> dict[str, Any]:
    container = {**given, "name": CONTAINER, "image": work.prepared.image}
    if options.image_pull_policy is not None:
        container["imagePullPolicy"] = options.image_pull_policy
    container["command"] = [work.prepared.interpreter, START]
    container["args"] = ["", "--merged", *ARGUMENTS[1:]]
    container["env"] = [
        *given["env"],
        {"name": "ML_PIPELINES_PYTHON", "value": _python(work)},
    ]
    container["volumeMounts"] = [
        *given["volumeMounts"],
        *options.volume_mounts,
        {"name": "ml-pipelines", "mountPath": FOLDER, "readOnly": True},
    ]
    wanted: dict[str, str] = {}
    if resources.cpus is not None:
        wanted["cpu"] = f"{resources.cpus:g}"
    if resources.memory is not None:
        wanted["memory"] = str(memory_bytes(resources.memory, where))
    if resources.gpus:
        wanted["nvidia.com/gpu"] = str(resources.gpus)
    if wanted:
        container["resources"] = {"requests": dict(wanted), "limits": dict(wanted)}
    return container


def _python(work: Work) -> str:
    """Return what the version of the image's Python is to begin with: that of the reuse key, where it says one."""
    spec = work.environment
    if spec.python is not None:
        return ".".join(spec.python.split(".")[:2]) + "."
    own = spec.image is not None or spec.dockerfile is not None or spec.interpreter != "python"
    return "" if own else f"{sys.version_info.major}.{sys.version_info.minor}."


def _scaling(options: KubernetesOptions) -> dict[str, str]:
    """Return what the target says of its nodes, as annotations for what scales them."""
    found = {
        "ml-pipelines/vm-size": options.vm_size,
        "ml-pipelines/vm-priority": options.vm_priority,
        "ml-pipelines/min-nodes": str(options.min_nodes) if options.min_nodes else None,
        "ml-pipelines/max-nodes": None if options.max_nodes is None else str(options.max_nodes),
        "ml-pipelines/idle-seconds-before-scaledown": None
        if options.idle_seconds_before_scaledown is None
        else str(options.idle_seconds_before_scaledown),
        # a script is not begun again elsewhere to empty a node, unless its machines may be taken away at any time
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "true" if options.vm_priority == _LOW else "false",
    }
    return {name: value for name, value in found.items() if value is not None}


def read_template(path: str | None, where: str) -> dict[str, Any]:
    """Return the pod that a file has, or an empty one for None; what may be added to is there.

    :raises ComputeTargetException: where the file can't be read, or has no pod.
    """
    if path is None:
        found: Any = {}
    else:
        import yaml

        try:
            found = yaml.safe_load(Path(path).expanduser().read_text("utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise ComputeTargetException(
                f"{where}: pod_template_file {path} can't be read: {error}"
            ) from None
    if not isinstance(found, dict) or found.get("kind", "Pod") != "Pod":
        raise ComputeTargetException(f"{where}: pod_template_file {path} is no pod: expected kind: Pod")
    pod = {"apiVersion": "v1", "kind": "Pod", **found}
    spec = _part(pod, "spec", dict, path, where)
    metadata = _part(pod, "metadata", dict, path, where)
    for holder, name in ((metadata, "labels"), (metadata, "annotations"), (spec, "nodeSelector")):
        _part(holder, name, dict, path, where)
    for name in ("tolerations", "volumes", "containers"):
        _part(spec, name, list, path, where)
    containers = spec["containers"] = spec["containers"] or [{}]
    for container in containers:
        if not isinstance(container, dict):
            raise ComputeTargetException(f"{where}: pod_template_file {path}: containers: expected mappings")
    for name in ("env", "volumeMounts"):
        _part(containers[0], name, list, path, where)
    return pod


def _part(holder: dict[str, Any], name: str, kind: type[_T], path: str | None, where: str) -> _T:
    """Return a part of a template, which is made where it is not there or empty."""
    value = holder.get(name)
    if value is None:
        value = kind()
    if not isinstance(value, kind):
        expected = "a mapping" if kind is dict else "a list"
        raise ComputeTargetException(
            f"{where}: pod_template_file {path}: {name}: expected {expected}, found {type(value).__name__}"
        )
    holder[name] = value
    return value

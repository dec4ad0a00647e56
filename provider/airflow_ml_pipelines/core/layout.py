"""Where things lie under a workspace's root.

::

    snapshots/<digest>.zip, .json     manifests/<ab>/<digest>.json
    reuse/<ab>/<key>.json             reuse/set-aside/<key>/<n>.json      history/<pipeline>/<step>.json
    leases/<ab>/<key>/<n>.json
    transfers/<ab>/<place>/<n>.json
    pipelines/<name>/<n>.json         endpoints/, endpoint-names/, drafts/, schedules/: see publishing.states     dag-views/<digest>.json
    watches/<id>/<n>.json, <n>.done.json
    workspace.json                    see workspaces.identity
    runs/<pipeline>/<run>/            run.json  plan.json  result.json  failed.json
        steps/<step>.json             steps/<step>/<attempt>/{job.json, result.json, metrics.jsonl, logs/, outputs/, manifests/}
"""

from __future__ import annotations

import hashlib
import re

__all__ = [
    "attempt_folder",
    "history_path",
    "lease_folder",
    "manifest_path",
    "numbered",
    "outputs_folder",
    "owned_folder",
    "owner_of",
    "record_path",
    "run_folder",
    "segment",
    "set_aside_folder",
    "step_path",
    "step_run_id",
]

_UNSAFE = re.compile(r"[^A-Za-z0-9._=-]+")
_LONGEST = 100


def segment(name: str) -> str:
    """Return a name as one segment of a path, the same for the same name and another for another.

    Names of letters, digits and ``._=-`` stay as they are; any other gets a short digest at its end.
    """
    safe = _UNSAFE.sub("-", name)
    if safe == name and len(name) <= _LONGEST and name.strip("."):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe[:_LONGEST].strip('.-')}-{digest}".lstrip("-")


def numbered(path: str) -> int:
    """Return the number in a path ``…/<number>.json``, 0 where it is none: what is numbered begins with 1."""
    file = path.rpartition("/")[2]
    stem = file.removesuffix(".json")
    return int(stem) if stem != file and stem.isascii() and stem.isdecimal() else 0


def record_path(key: str) -> str:
    """Return where the record of a key is looked up."""
    return f"reuse/{key[:2]}/{key}.json"


def set_aside_folder(key: str) -> str:
    """Return where the damaged records of a key are kept."""
    return f"reuse/set-aside/{key}"


def lease_folder(key: str) -> str:
    """Return where the leases of a key are numbered."""
    return f"leases/{key[:2]}/{key}"


def history_path(pipeline: str, step: str) -> str:
    """Return where the latest keys of a step are listed."""
    return f"history/{segment(pipeline)}/{segment(step)}.json"


def manifest_path(digest: str) -> str:
    """Return where a manifest is kept by its digest."""
    return f"manifests/{digest[:2]}/{digest}.json"


def run_folder(pipeline: str, run: str) -> str:
    """Return the folder of a pipeline's run."""
    return f"runs/{segment(pipeline)}/{segment(run)}"


def step_path(pipeline: str, run: str, step: str) -> str:
    """Return where it is written how a step of a run went."""
    return f"{run_folder(pipeline, run)}/steps/{segment(step)}.json"


def attempt_folder(pipeline: str, run: str, step: str, attempt: int) -> str:
    """Return the folder of one attempt at a step."""
    return f"{run_folder(pipeline, run)}/steps/{segment(step)}/{attempt}"


def outputs_folder(identity: str | None = None) -> str:
    """Return the folder on a datastore that has those of all attempts.

    :param identity: the workspace's, on a datastore that other workspaces may use too.
    """
    return "outputs" if identity is None else f"outputs/workspace-{identity}"


def owned_folder(attempt: str, identity: str | None = None) -> str:
    """Return the folder on a datastore that belongs to an attempt.

    :param attempt: its folder under the workspace's root.
    :param identity: see :func:`outputs_folder`.
    :raises ValueError: where that is none.
    """
    _, pipeline, run, _, step, number = attempt.split("/")
    return f"{outputs_folder(identity)}/{pipeline}/{run}/{step}/{number}"


def owner_of(path: str, identity: str | None = None) -> str | None:
    """Return the folder of the attempt that a path on a datastore belongs to, None where it is nobody's own.

    It may be nobody's even so: only the attempt itself knows on which datastore its folder is.

    :param identity: the workspace's.
    """
    shared = outputs_folder(identity) + "/"
    segments = (path.replace(shared, "outputs/", 1) if path.startswith(shared) else path).split("/")
    if len(segments) < 5 or segments[0] != "outputs":
        return None
    _, pipeline, run, step, number = segments[:5]
    return f"runs/{pipeline}/{run}/steps/{step}/{number}"


def step_run_id(pipeline: str, run: str, step: str, attempt: int) -> str:
    """Return the id of one attempt at a step, unique in the workspace; it fills ``{run-id}`` in destinations."""
    return f"{segment(pipeline)}.{segment(run)}.{segment(step)}.{attempt}"

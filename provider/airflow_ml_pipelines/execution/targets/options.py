"""What every compute target may say of its machines, whatever it makes of it."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from airflow_ml_pipelines.core.errors import ComputeTargetException, did_you_mean
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec

__all__ = ["Resources", "TargetOptions", "memory_bytes", "resources_of"]

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b?)?", re.IGNORECASE)


class Resources(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a step gets of a machine; None for no limit.

    :param cpus: processors, also parts of one.
    :param memory: such as ``4g``.
    :param gpus: how many; ``all`` for all that there are.
    """

    cpus: float | None = None
    memory: str | int | None = None
    gpus: int | str | None = None


class TargetOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the options of every type of compute target have in common.

    :param deferrable: whether its steps are left to Airflow's triggerer while they run, where its jobs go on alone;
        Airflow's ``[operators] default_deferrable`` where it is left out.
    :param max_nodes: how many steps may run on it at once.
    :param min_nodes: kept for what scales the machines; so are ``idle_seconds_before_scaledown`` and ``vm_priority``.
    :param vm_size: a name in ``vm_sizes``.
    :param vm_sizes: what a step gets on each size of machine.
    :param created_as: the class that it was created as.
    """

    cpus: float | None = None
    memory: str | int | None = None
    gpus: int | str | None = None
    deferrable: bool | None = None
    min_nodes: int = 0
    max_nodes: int | None = None
    idle_seconds_before_scaledown: int | None = None
    vm_size: str | None = None
    vm_priority: str | None = None
    vm_sizes: dict[str, Resources] = {}
    description: str | None = None
    tags: dict[str, Any] = {}
    created_as: str | None = None


def resources_of(spec: ComputeTargetSpec, options: TargetOptions) -> Resources:
    """Return what a step gets: what the target says itself, else what its size stands for.

    :raises ComputeTargetException: where its size is not in the table, or a memory size is none.
    """
    where = f"compute target {spec.name!r}"
    size = Resources()
    if options.vm_size is not None and options.vm_sizes:
        found = {name.upper(): item for name, item in options.vm_sizes.items()}.get(options.vm_size.upper())
        if found is None:
            raise ComputeTargetException(
                f"{where}: there is no {options.vm_size!r} in its vm_sizes.{did_you_mean(options.vm_size, options.vm_sizes)}"
            )
        size = found
    chosen = {
        name: getattr(size, name) if getattr(options, name) is None else getattr(options, name)
        for name in ("cpus", "memory", "gpus")
    }
    if chosen["memory"] is not None:
        memory_bytes(chosen["memory"], where)
    if isinstance(chosen["gpus"], str) and chosen["gpus"] != "all":
        raise ComputeTargetException(f"{where}: gpus: expected a number or 'all', found {chosen['gpus']!r}")
    return Resources(**chosen)


def memory_bytes(text: str | int, where: str) -> int:
    """Return a size of memory in bytes. :raises ComputeTargetException: where the text is none."""
    found = _MEMORY.fullmatch(str(text).strip())
    if found is None:
        raise ComputeTargetException(f"{where}: memory: expected a size such as 512m or 4g, found {text!r}")
    return int(float(found[1]) * _UNITS[found[2].lower()])

"""Compute targets: where steps run."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

from airflow_ml_pipelines.core.errors import ComputeTargetException, DefinitionError
from dag_factory._check import checked, core_of, expect, kind_of

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec
    from dag_factory.workspace import Workspace

__all__ = [
    "AmlCompute",
    "ComputeTarget",
    "ComputeTargetConfiguration",
    "ComputeTargetException",
    "open_target",
]

_CREATED_AS = "created_as"
_SPARK = "dag_factory.compute.spark"
_PRIORITIES = ("dedicated", "lowpriority")


class ComputeTargetConfiguration:
    """What a compute target is to be made of.

    :param type: the kind of compute target; None for the kind that the workspace has for AmlCompute.
    :param options: what that kind takes.
    """

    def __init__(self, type: str | None, options: Mapping[str, Any]) -> None:  # noqa: A002
        self.type = type
        self.options = dict(options)

    def __repr__(self) -> str:
        return f"ComputeTargetConfiguration({self.type!r}, {self.options!r})"


class ComputeTargetStatus:
    """How a compute target stands."""

    def __init__(self, target: ComputeTarget) -> None:
        self._target = target
        self.provisioning_state = "Succeeded"

    def serialize(self) -> dict[str, Any]:
        """Return it as a dict."""
        options = self._target.options
        return {
            "name": self._target.name,
            "type": self._target.type,
            "provisioningState": self.provisioning_state,
            "allocationState": "Steady",
            "errors": None,
            "scaleSettings": {
                "minNodeCount": options.get("min_nodes", 0),
                "maxNodeCount": options.get("max_nodes"),
                "nodeIdleTimeBeforeScaleDown": options.get("idle_seconds_before_scaledown"),
            },
            "vmSize": options.get("vm_size"),
            "vmPriority": options.get("vm_priority"),
        }


class ComputeTarget:
    """A compute target of a workspace; ``ComputeTarget(workspace, name)`` is of the class that it was made as.

    :param workspace: the workspace.
    :param name: the compute target's name.
    :raises ComputeTargetException: where the workspace has none of that name.
    """

    workspace: Workspace
    name: str
    type: str
    options: dict[str, Any]

    @checked
    def __new__(cls, workspace: Workspace, name: str) -> Self:
        expect(f"{cls.__name__}(name=…)", name, str, what="the name of a compute target")
        spec = core_of(f"{cls.__name__}(workspace=…)", workspace).compute_target(name)
        target = open_target(workspace, spec)
        if not isinstance(target, cls):
            raise ComputeTargetException(
                f"compute target {name!r} is no {cls.__name__}, it is of type {spec.type!r}: "
                f"open it with ComputeTarget(workspace, {name!r})"
            )
        return target

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, type={self.type!r})"

    @staticmethod
    @checked
    def create(
        workspace: Workspace, name: str, provisioning_configuration: ComputeTargetConfiguration
    ) -> ComputeTarget:
        """Make a compute target known to the workspace; there is nothing to wait for.

        :param provisioning_configuration: such as :meth:`AmlCompute.provisioning_configuration` returns.
        """
        return _register("ComputeTarget.create", workspace, name, provisioning_configuration)

    @staticmethod
    @checked
    def attach(
        workspace: Workspace, name: str, attach_configuration: ComputeTargetConfiguration
    ) -> ComputeTarget:
        """Make a compute target that exists elsewhere known to the workspace.

        :param attach_configuration: such as :meth:`attach_configuration` returns.
        """
        return _register("ComputeTarget.attach", workspace, name, attach_configuration)

    @staticmethod
    def attach_configuration(type: str = "local", **options: Any) -> ComputeTargetConfiguration:  # noqa: A002
        """Return what a compute target of any kind is made of.

        :param type: the kind, as in the workspace file.
        :param options: what that kind takes; never secrets.
        """
        return ComputeTargetConfiguration(type, options)

    @property
    def status(self) -> ComputeTargetStatus:
        """How it stands."""
        return ComputeTargetStatus(self)

    def get_status(self) -> ComputeTargetStatus:
        """Return how it stands."""
        return self.status

    @property
    def provisioning_state(self) -> str:
        """Whether it is there: ``Succeeded``."""
        return self.status.provisioning_state

    @checked
    def wait_for_completion(
        self,
        show_output: bool = False,
        min_node_count: int | None = None,  # noqa: ARG002
        timeout_in_minutes: float | None = None,  # noqa: ARG002
        is_delete_operation: bool = False,
    ) -> None:
        """Return when it can be used, which is at once."""
        if show_output:
            print(f"compute target {self.name!r}: {'deleted' if is_delete_operation else 'ready'}")  # noqa: T201

    def delete(self) -> None:
        """Let the workspace forget it. :raises ComputeTargetException: where the workspace file has it."""
        self.workspace.core.unregister_compute_target(self.name)

    def detach(self) -> None:
        """Let the workspace forget it. :raises ComputeTargetException: where the workspace file has it."""
        self.delete()

    def serialize(self) -> dict[str, Any]:
        """Return it as a dict."""
        return {"name": self.name, "type": self.type, "properties": dict(self.options)}


class AmlCompute(ComputeTarget):
    """A compute target as the reference makes it: a cluster there, what the workspace says here."""

    @staticmethod
    @checked
    def provisioning_configuration(
        vm_size: str = "",
        vm_priority: str = "dedicated",
        min_nodes: int = 0,
        max_nodes: int | None = None,
        idle_seconds_before_scaledown: int = 1800,
        admin_username: str | None = None,  # noqa: ARG004
        admin_user_password: str | None = None,  # noqa: ARG004
        admin_user_ssh_key: str | None = None,  # noqa: ARG004
        vnet_resourcegroup_name: str | None = None,  # noqa: ARG004
        vnet_name: str | None = None,  # noqa: ARG004
        subnet_name: str | None = None,  # noqa: ARG004
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
        remote_login_port_public_access: str = "NotSpecified",  # noqa: ARG004
        identity_type: str | None = None,  # noqa: ARG004
        identity_id: Any = None,  # noqa: ARG004
        location: str | None = None,  # noqa: ARG004
        enable_node_public_ip: bool = True,  # noqa: ARG004
    ) -> ComputeTargetConfiguration:
        """Return what an AmlCompute is made of.

        Size, nodes and priority are kept and shown; networks, users and identities have no meaning here.

        :raises DefinitionError: where there are fewer nodes at most than at least, or no such priority.
        """
        where = "AmlCompute.provisioning_configuration"
        expect(f"{where}(vm_size=…)", vm_size, str, what="the name of a machine size")
        expect(f"{where}(min_nodes=…)", min_nodes, int, what="a number of nodes")
        if max_nodes is not None:
            expect(f"{where}(max_nodes=…)", max_nodes, int, what="a number of nodes")
        if min_nodes < 0 or (max_nodes is not None and max_nodes < max(min_nodes, 1)):
            raise DefinitionError(
                f"{where}: expected 0 <= min_nodes <= max_nodes; found {min_nodes} and {max_nodes}"
            )
        if vm_priority not in _PRIORITIES:
            shown = " or ".join(repr(item) for item in _PRIORITIES)
            raise DefinitionError(f"{where}: expected a vm_priority of {shown}; found {vm_priority!r}")
        options: dict[str, Any] = {
            _CREATED_AS: "AmlCompute",
            "vm_size": vm_size,
            "vm_priority": vm_priority,
            "min_nodes": min_nodes,
            "max_nodes": max_nodes,
            "idle_seconds_before_scaledown": idle_seconds_before_scaledown,
            "tags": dict(tags or {}),
            "description": description,
        }
        return ComputeTargetConfiguration(None, {k: v for k, v in options.items() if v not in (None, {}, "")})

    @property
    def vm_size(self) -> str | None:
        """The machine size that was asked for."""
        return self.options.get("vm_size")


_CLASSES = {"AmlCompute": __name__, "AdlaCompute": _SPARK, "DatabricksCompute": _SPARK}
_TYPES = {"adla": "AdlaCompute", "databricks": "DatabricksCompute"}


def open_target(workspace: Workspace, spec: ComputeTargetSpec) -> ComputeTarget:
    """Return a compute target as the class that it was made as."""
    options = dict(spec.options)
    name = str(options.pop(_CREATED_AS, "")) or _TYPES.get(spec.type, "")
    kind = getattr(import_module(_CLASSES[name]), name) if name in _CLASSES else ComputeTarget
    target: ComputeTarget = object.__new__(kind)
    target.workspace, target.name, target.type, target.options = workspace, spec.name, spec.type, options
    return target


def _register(where: str, workspace: Workspace, name: str, configuration: Any) -> ComputeTarget:
    from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec
    from airflow_ml_pipelines.execution.targets.registry import check_target

    core = core_of(f"{where}(workspace=…)", workspace)
    expect(f"{where}(name=…)", name, str, what="a name for the compute target")
    if not isinstance(configuration, ComputeTargetConfiguration):
        raise TypeError(
            f"{where}: expected what AmlCompute.provisioning_configuration(…) or "
            f"ComputeTarget.attach_configuration(…) returns, found {kind_of(configuration)}"
        )
    kind, options = configuration.type or core.aml_compute_kind, configuration.options
    if configuration.type is None and (base := core.declared_compute_targets.get(kind)) is not None:
        kind, options = base.type, {**base.options, **options}
    spec = ComputeTargetSpec(name, kind, options)
    check_target(spec)
    return open_target(workspace, core.register_compute_target(spec))

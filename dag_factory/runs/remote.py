"""Runs on an Airflow server, started and followed by REST calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.workspaces.server import URL, AirflowServer, find_server, run_path
from dag_factory.runs.values import labels_of, parameter_values

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.runs.folder import RunFolder
    from airflow_ml_pipelines.core.spec import PipelineSpec
    from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["RemoteRun", "find_remote", "server_of", "submit_remotely"]

_STATUS: Final = {"queued": "NotStarted", "running": "Running", "success": "Finished", "failed": "Failed"}


class RemoteRun:
    """A run on an Airflow server.

    :param pipeline: the pipeline's name, which is the id of the DAG.
    :param run: the run's id.
    :param url: the address of the run in Airflow's UI.
    :param spec: the pipeline, where it is known before the run has begun.
    """

    def __init__(
        self, server: AirflowServer, pipeline: str, run: str, url: str, spec: PipelineSpec | None = None
    ) -> None:
        self.server = server
        self.pipeline = pipeline
        self.run = run
        self.url = url
        self.spec = spec
        self._address = f"{server.url.rstrip('/')}{run_path(pipeline, run)}"
        self._is_canceled = False

    def status(self) -> str:
        """Return how the run stands. :raises ServerError: where the server can't be reached, or refuses."""
        status = _STATUS.get(self.server.call("GET", self._address)["state"], "Running")
        return "Canceled" if status == "Failed" and self._is_canceled else status

    def cancel(self) -> None:
        """End the run: Airflow ends its tasks, and they kill their scripts."""
        self.server.call("PATCH", f"{self._address}?update_mask=state", {"state": "failed"})
        self._is_canceled = True


def server_of(workspace: Workspace) -> AirflowServer:
    """Return the Airflow server of a workspace.

    :raises WorkspaceError: where neither the workspace file nor the environment names one.
    """
    server = find_server(workspace.server)
    if server is None:
        raise WorkspaceError(
            f"there is no Airflow server: name its address in the workspace file (`airflow: https://…`) or in {URL}"
        )
    return server


def find_remote(workspace: Workspace, folder: RunFolder) -> RemoteRun | None:
    """Return a run that a scheduler has begun as one of the workspace's server, None where either is not known.

    :param folder: the run's.
    """
    from airflow_ml_pipelines.core.runs.place import read_place

    server, place = workspace.server, read_place(folder)
    if server is None or place is None:
        return None
    return RemoteRun(server, place["dag_id"], place["run_id"], "")


def submit_remotely(
    workspace: Workspace,
    spec: PipelineSpec,
    *,
    experiment: str,
    tags: Mapping[str, str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    continue_on_step_failure: bool | None = None,
    regenerate_outputs: bool = False,
    parent_run_id: str | None = None,
) -> RemoteRun:
    """Start a run on the workspace's Airflow server; see :meth:`dag_factory.Experiment.submit`.

    A pipeline that was not published is kept as if it were, for the server to run what it is now.

    :raises ServerError: where the server can't be reached, or refuses.
    """
    from airflow_ml_pipelines.core.parameters import check_parameters
    from airflow_ml_pipelines.core.publishing.pinned import pin_pipeline
    from airflow_ml_pipelines.core.publishing.published import publish

    server = server_of(workspace)
    values = parameter_values(parameters)
    check_parameters(spec.parameters, values)
    if spec.publication is None:
        spec = pin_pipeline(workspace, spec)
    if spec.publication is None or not spec.publication.id:
        spec = publish(workspace, spec, submitted=True).spec
    address = server.address("pipelines", spec.name)
    body = {
        "ExperimentName": experiment,
        "RunSource": "SDK",
        "ParameterAssignments": values,
        "Tags": labels_of(tags),
        "ParentRunId": parent_run_id,
        "ContinueRunOnStepFailure": continue_on_step_failure,
        "RegenerateOutputs": regenerate_outputs,
    }
    answer = server.call("POST", address, body)
    return RemoteRun(server, answer["PipelineId"], answer["Id"], answer["Url"], spec)

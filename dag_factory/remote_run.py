"""Runs on an Airflow server, started and followed by REST calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.core.server import URL, AirflowServer, find_server, run_path

if TYPE_CHECKING:
    from dag_factory.experiment import Experiment
    from dag_factory.run import PipelineRun
    from dag_factory.workspace import Workspace

__all__ = ["RemoteRun", "server_of", "submit_remotely"]

_STATUS: Final = {"queued": "NotStarted", "running": "Running", "success": "Finished", "failed": "Failed"}


class RemoteRun:
    """A run on an Airflow server.

    :param pipeline: the pipeline's name, which is the id of the DAG.
    :param url: the address of the run in Airflow's UI.
    """

    def __init__(self, server: AirflowServer, pipeline: str, run: str, url: str) -> None:
        self.server = server
        self.pipeline = pipeline
        self.url = url
        self._address = f"{server.url.rstrip('/')}{run_path(pipeline, run)}"

    def status(self) -> str:
        """Return how the run stands. :raises ServerError: where the server can't be reached, or refuses."""
        return _STATUS.get(self.server.call("GET", self._address)["state"], "Running")

    def cancel(self) -> None:
        """End the run: Airflow ends its tasks, and they kill their scripts."""
        self.server.call("PATCH", f"{self._address}?update_mask=state", {"state": "failed"})


def server_of(workspace: Workspace) -> AirflowServer:
    """Return the Airflow server of a workspace.

    :raises WorkspaceError: where neither the workspace file nor the environment names one.
    """
    server = find_server(workspace.core.server)
    if server is None:
        raise WorkspaceError(
            f"there is no Airflow server: name its address in the workspace file (`airflow: https://…`) or in {URL}"
        )
    return server


def submit_remotely(
    experiment: Experiment,
    address: str,
    *,
    tags: Mapping[str, str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    continue_on_step_failure: bool | None = None,
    regenerate_outputs: bool = False,
    parent_run_id: str | None = None,
) -> PipelineRun:
    """Start a run on the workspace's Airflow server; see :meth:`dag_factory.Experiment.submit`.

    :param address: that of a published pipeline or an endpoint.
    :raises ServerError: where the server can't be reached, or refuses.
    """
    from dag_factory.experiment import labels_of, parameter_values
    from dag_factory.run import PipelineRun

    server = server_of(experiment.workspace)
    body = {
        "ExperimentName": experiment.name,
        "RunSource": "SDK",
        "ParameterAssignments": parameter_values(parameters),
        "Tags": labels_of(tags),
        "ParentRunId": parent_run_id,
        "ContinueRunOnStepFailure": continue_on_step_failure,
        "RegenerateOutputs": regenerate_outputs,
    }
    answer = server.call("POST", address, body)
    remote = RemoteRun(server, answer["PipelineId"], answer["Id"], answer["Url"])
    return PipelineRun(experiment, answer["Id"], pipeline=answer["PipelineId"], remote=remote)

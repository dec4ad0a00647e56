"""The test server gets along with Databricks' own client and with Airflow's provider."""

import base64

import pytest

SUBMIT = {
    "run_name": "r",
    "tasks": [
        {
            "task_key": "t",
            "notebook_task": {"notebook_path": "/Shared/n", "base_parameters": {"a": "1"}},
            "new_cluster": {"spark_version": "15.4.x-scala2.12", "node_type_id": "m", "num_workers": 1},
        }
    ],
}


@pytest.fixture
def server(databricks):
    databricks.notebook("/Shared/n", "dbutils.notebook.exit(dbutils.widgets.get('a') + '!')\n")
    return databricks


def test_databricks_own_client_runs_a_notebook(server):
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service import jobs, workspace

    client = WorkspaceClient(host=server.url, token="dapi-test")
    task = jobs.SubmitTask.from_dict(SUBMIT["tasks"][0])
    first = client.jobs.submit(run_name="r", tasks=[task], idempotency_token="x" * 64)
    again = client.jobs.submit(run_name="r", tasks=[task], idempotency_token="x" * 64)
    assert first.run_id == again.run_id
    run = first.result()
    assert run.state.result_state is jobs.RunResultState.SUCCESS
    assert client.jobs.get_run_output(run.tasks[0].run_id).notebook_output.result == "1!"
    assert client.workspace.get_status("/Shared/n").object_type is workspace.ObjectType.NOTEBOOK
    exported = client.workspace.export("/Shared/n", format=workspace.ExportFormat.SOURCE)
    assert b"dbutils" in base64.b64decode(exported.content)
    client.workspace.mkdirs("/Shared/new")
    client.workspace.import_(
        "/Shared/new/x.txt", content=base64.b64encode(b"x").decode(), format=workspace.ImportFormat.RAW
    )
    assert server.files.local("/Shared/new/x.txt").read_bytes() == b"x"


@pytest.mark.filterwarnings("ignore:ProvidersManager")
def test_the_provider_s_hook_runs_a_notebook(server, monkeypatch):
    import time

    from airflow.providers.databricks.hooks.databricks import DatabricksHook

    monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_TEST", server.connection())
    hook = DatabricksHook("databricks_test", retry_delay=0.1)
    run_id = hook.submit_run(SUBMIT)
    while not hook.get_run_state(run_id).is_terminal:
        time.sleep(0.05)
    assert hook.get_run_state(run_id).is_successful
    task = hook.get_run(run_id)["tasks"][0]["run_id"]
    assert hook.get_run_output(task)["notebook_output"]["result"] == "1!"
    hook.cancel_run(run_id)


def test_our_client_reads_and_writes_files_everywhere(server, monkeypatch):
    from airflow_ml_pipelines.core.databricks.client import open_client
    from airflow_ml_pipelines.core.errors import NotFoundError
    from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec

    monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_TEST", server.connection())
    client = open_client(ComputeTargetSpec("bricks", "databricks", {"connection": "databricks_test"}))
    large = bytes(range(256)) * 9000
    server.put("dbfs:/large.bin", large)
    assert client.read("dbfs:/large.bin") == large
    client.make_folder("/Volumes/a/b/c")
    client.put("/Volumes/a/b/c/x.bin", large)
    assert client.read("/Volumes/a/b/c/x.bin") == client.read("dbfs:/Volumes/a/b/c/x.bin") == large
    client.make_folder("/Workspace/Shared/d")
    client.put("/Workspace/Shared/d/x.bin", large)
    assert client.read("/Workspace/Shared/d/x.bin") == large
    for path in ("dbfs:/no", "/Volumes/no", "/Workspace/no"):
        with pytest.raises(NotFoundError):
            client.read(path)
    assert client.object_type("/Shared/n") == "NOTEBOOK"
    assert client.object_type("/Shared/no") == ""

"""Whole pipelines whose root and data are on object stores."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from project import Project

from airflow_ml_pipelines.core.workspaces.registry import DatastoreSpec
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

ALL = ["prepare", "report", "train"]


@pytest.fixture(params=["s3", "azurite", "gcs"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def remote(server, tmp_path, monkeypatch):
    """A project whose workspace is on a server, with credentials from a connection."""
    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("AIRFLOW_CONN_SERVER", json.dumps(server.connection))
    url = f"{server.bucket('pipelines')}/{tmp_path.name}"
    return Project(tmp_path, Workspace("far", DatastoreSpec("root", url, connection="server")))


def output(project, outcome, name):
    document = outcome.steps[name].outputs["out"]
    return project.workspace.datastore(document.datastore).get(f"{document.path}/out.txt").decode()


def test_the_first_run_runs_all_and_the_second_nothing(remote):
    first = remote.run()
    assert first.status == "Finished", {name: step.error for name, step in first.steps.items()}
    assert remote.ran() == ALL
    assert output(remote, first, "train") == "data one"
    second = remote.run()
    assert remote.ran() == []
    assert {document.status for document in second.steps.values()} == {"reused"}
    assert output(remote, second, "train") == "data one"


def test_a_changed_object_ends_the_reuse_of_what_reads_it(remote):
    remote.run()
    remote.ran()
    remote.workspace.datastore().put("in/a.txt", b"more ")
    changed = remote.run()
    assert remote.ran() == ALL
    assert output(remote, changed, "report") == "more "


def test_equal_bytes_written_again_do_not_end_reuse(remote):
    remote.run()
    remote.ran()
    remote.workspace.datastore().put("in/a.txt", b"data ")
    again = remote.run()
    # ETags of S3 and Google tell that nothing changed. Azure's do not: the step that reads it runs, and ends the chain
    assert remote.ran() == (["prepare"] if remote.workspace.root.url.startswith("abfs") else [])
    assert again.steps["train"].status == "reused"


def test_a_damaged_output_is_seen(remote):
    first = remote.run()
    remote.ran()
    document = first.steps["train"].outputs["out"]
    remote.workspace.datastore(document.datastore).delete(f"{document.path}/out.txt")
    remote.run()
    assert remote.ran() == ["train"]


def test_no_secret_is_in_any_document(remote, server):
    remote.run()
    store = remote.workspace.store
    secrets = [server.connection.get("password"), "AccountKey="]
    for info in store.walk():
        data = store.get(info.path)
        assert not any(secret and secret.encode() in data for secret in secrets), info.path


_RUN = """
    import sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from project import Project
    from airflow_ml_pipelines.core.workspaces.registry import DatastoreSpec
    from airflow_ml_pipelines.core.workspaces.workspace import Workspace
    workspace = Workspace("far", DatastoreSpec("root", sys.argv[3], connection="server"))
    project = Project(Path(sys.argv[2]), workspace, new=False)
    sys.stdin.readline()
    print(project.run().status)
"""


def test_of_twenty_processes_at_once_one_runs_each_step(remote):
    command = [sys.executable, "-c", textwrap.dedent(_RUN), Path(__file__).parent, remote.folder]
    command = [str(part) for part in (*command, remote.workspace.root.url)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    processes = [subprocess.Popen(command, **pipes, text=True) for _ in range(20)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=240) for process in processes]
    codes = [process.returncode for process in processes]
    assert [(*ended, code) for ended, code in zip(said, codes, strict=True) if code or ended[1]] == []
    assert [out.split()[-1:] for out, _ in said] == [["Finished"]] * 20
    assert remote.ran() == ALL

"""The command ``doctor`` over set-ups that are broken in one way each."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from servers.serving import serving

from airflow_ml_pipelines import doctor
from airflow_ml_pipelines.core.errors import WorkspaceError
from airflow_ml_pipelines.doctor import examine, machine
from airflow_ml_pipelines.doctor.airflow_here import examine_airflow, is_configured
from airflow_ml_pipelines.doctor.airflow_here import main as look_at_airflow
from airflow_ml_pipelines.doctor.findings import Examination, Finding, examine_all
from airflow_ml_pipelines.execution import installers
from dag_factory.cli import main

NOBODY = "http://127.0.0.1:9"
SECRET = "hunter2-and-more"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder without a workspace, on a machine where Airflow is not configured."""
    for name in [name for name in os.environ if name.startswith(("AIRFLOW", "ML_PIPELINES"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GIVEN", SECRET)
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    return project


def write(folder, text=""):
    (folder / "workspace.yaml").write_text(f"name: w\n{text}")


def found(what=None, **options) -> list[Finding]:
    return [finding for finding in examine(**options) if what is None or finding.what == what]


def wrong(**options) -> list[Finding]:
    return [finding for finding in examine(**options) if finding.level != "ok"]


# --- servers that answer as they are told -------------------------------------------------------------------------


@contextmanager
def server(answers):
    """An HTTP server; what it answers by the beginning of the path: a status and a body."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self):
            status, body = next(
                (answer for start, answer in answers.items() if self.path.startswith(start)), (404, "{}")
            )
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body.encode())

        do_GET = do_PUT = do_HEAD = _answer  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_):
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url


@contextmanager
def silence():
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield f"http://127.0.0.1:{made.getsockname()[1]}"


def bucket(endpoint, name="lake"):
    credentials = "{key: 'env:GIVEN', secret: 'env:GIVEN'}"
    return f"{name}: {{url: 's3://b/x', options: {{endpoint_url: '{endpoint}'}}, credentials: {credentials}}}"


# --- workspaces ---------------------------------------------------------------------------------------------------


def test_a_good_set_up_has_nothing_wrong(folder, capsys):
    write(folder)
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"✓ workspace file: {folder}/workspace.yaml: workspace 'w'"
    assert lines[1].startswith(f"✓ root: {folder}/.ml-pipelines: read, written, listed, created exclusively")
    assert lines[-1] == "everything is as it should be"
    assert {line[0] for line in lines[:-1]} == {"✓"}
    assert os.listdir(folder / ".ml-pipelines") == []


def test_without_a_workspace_the_machine_is_looked_at_all_the_same(capsys):
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("✗ workspace file: there is no workspace.yaml in ")
    assert "make a workspace with `ml-pipelines init`" in out
    assert "✓ Python: " in out
    assert out.endswith("1 error, 0 warnings\n")


DENIED = "<Error><Code>InvalidAccessKeyId</Code><Message>The key does not exist</Message></Error>"

BROKEN = [
    ("nonsense: 1", "workspace file", "error", "unknown field"),
    ("root: workspace.yaml/x", "root", "error", "a part of its path is a file"),
    ("datastores: {old: 'smb://host/x'}", "datastore old", "error", "needs a package that is not installed"),
    (
        "datastores: {lake: {url: 's3://b/x', connection: my_s3}}",
        "datastore lake",
        "error",
        "there is no connection 'my_s3' here: set AIRFLOW_CONN_MY_S3",
    ),
    (
        "datastores: {lake: {url: 's3://b/x', credentials: {key: 'env:GIVEN', secret: 'env:NOT_GIVEN'}}}",
        "datastore lake",
        "error",
        "NOT_GIVEN is not set here",
    ),
    (f"datastores: {{{bucket(NOBODY)}}}", "datastore lake", "error", "can't be listed"),
    ("datastores: {db: 'postgresql://127.0.0.1:9/x'}", "datastore db", "error", "it can't be reached"),
    ("datastores: {db: 'sqlite:///nowhere/at/all'}", "datastore db", "error", "it can't be reached"),
    (
        "compute_targets: {box: {type: docker, url: 'tcp://127.0.0.1:9'}}",
        "compute target box",
        "error",
        "the Docker engine at tcp://127.0.0.1:9 can't be reached (Connection refused): start it",
    ),
    (
        "compute_targets: {k8s: {type: kubernetes, config_file: /nowhere}}",
        "compute target k8s",
        "error",
        "there is no usable Kubernetes configuration",
    ),
    ("compute_targets: {x: {type: quantum}}", "compute target x", "error", "which there is not"),
    (f"airflow: {{url: '{NOBODY}', token: 'env:GIVEN'}}", "Airflow server", "error", "no answer from the Airflow server"),
    (f"airflow: {NOBODY}", "Airflow server", "error", "set the environment variable AIRFLOW_API_TOKEN"),
    ("environments: {e: {python: '2.7'}}", "environment e", "warning", "it can't be made here"),
    ("cache_directory: workspace.yaml/x", "cache", "error", "can't be written"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "what", "level", "says"), BROKEN, ids=[case[3][:40] for case in BROKEN])
def test_what_is_wrong_is_said_of_the_right_part_and_nothing_else(folder, text, what, level, says):
    write(folder, text)
    (finding,) = wrong()
    assert (finding.what, finding.level) == (what, level)
    assert says in finding.text
    assert not finding.text.startswith(what)
    assert SECRET not in finding.text + finding.advice


def test_wrong_credentials_are_told_from_a_dead_server(folder):
    with server({"/b": (403, DENIED)}) as endpoint:
        write(folder, f"datastores: {{{bucket(endpoint)}}}")
        (finding,) = wrong()
    assert "access is denied (InvalidAccessKeyId: The key does not exist)" in finding.text
    assert finding.advice.startswith("check its URL, its credentials")


def test_the_key_of_another_account_is_refused(folder, azurite, monkeypatch):
    monkeypatch.setenv("TEXT", azurite.connection_string.replace("AccountKey=Eby8", "AccountKey=Abc8"))
    url, credentials = azurite.bucket("doctor-keys"), "{connection_string: 'env:TEXT'}"
    write(folder, f"datastores: {{lake: {{url: '{url}', credentials: {credentials}}}}}")
    (finding,) = wrong()
    assert "access is denied" in finding.text


def test_a_server_that_never_answers_holds_nothing_else_up(folder, capsys):
    with silence() as endpoint:
        write(folder, f"datastores: {{{bucket(endpoint)}}}")
        begin = time.monotonic()
        assert main(["doctor", "--timeout", "1s"]) == 1
    assert time.monotonic() - begin < 30  # it would be minutes
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("✗ datastore lake: no answer within 1.0 s")
    assert lines[at + 1] == "    → check whether it is up and can be reached from here"
    assert any(line.startswith("✓ root: ") for line in lines)
    assert any(line.startswith("✓ optional packages: ") for line in lines)


def test_credentials_are_named_and_never_shown(folder, s3, capsys, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_MY_S3", json.dumps(s3.connection))
    write(folder, f"datastores: {{lake: {{url: '{s3.bucket('doctor-names')}/x', connection: my_s3}}}}")
    assert main(["doctor", "--json"]) == 0
    text = capsys.readouterr().out
    document = json.loads(text)
    assert (document["schema"], document["errors"], document["warnings"]) == (1, 0, 0)
    texts = [item["text"] for item in document["findings"] if item["what"] == "datastore lake"]
    assert texts[0] == "connection my_s3 is there, of type aws"
    assert texts[1].startswith("s3://doctor-names/x: read, written")
    assert s3.connection["password"] not in text


def test_what_code_has_registered_is_looked_at_too(folder):
    from airflow_ml_pipelines.core.workspaces.registry import ComputeTargetSpec, DatastoreSpec
    from airflow_ml_pipelines.workspace_file import load_workspace

    write(folder)
    workspace = load_workspace(folder)
    workspace.register_datastore(DatastoreSpec("more", str(folder / "workspace.yaml" / "x")))
    workspace.register_compute_target(ComputeTargetSpec("box", "docker", {"url": "tcp://127.0.0.1:9"}))
    assert [finding.what for finding in wrong()] == ["datastore more", "what is registered"]


# --- the Airflow server -------------------------------------------------------------------------------------------

HEALTHY = json.dumps({"metadatabase": {"status": "healthy"}, "scheduler": {"status": "healthy"}})
SLEEPY = json.dumps({"scheduler": {"status": "unhealthy"}, "triggerer": {"status": None}})
HEALTH, CALLS = "/api/v2/monitor/health", "/ml-pipelines/api/v1/pipelines"


@pytest.mark.parametrize(
    ("answers", "level", "text", "advice"),
    [
        ({HEALTH: (200, HEALTHY), CALLS: (200, "{}")}, "ok", "it answers, and takes the token of GIVEN", ""),
        ({HEALTH: (200, SLEEPY), CALLS: (200, "{}")}, "warning", "its scheduler gives no sign of life", "start it"),
        ({HEALTH: (200, HEALTHY), CALLS: (401, "{}")}, "error", "401", "the token has expired or is none"),
        ({HEALTH: (200, HEALTHY), CALLS: (403, '{"detail": "no"}')}, "error", "403 no", "the token's user may not do that"),
        ({HEALTH: (200, HEALTHY), CALLS: (404, "{}")}, "error", "404", "this package is not installed there"),
        ({HEALTH: (200, HEALTHY), CALLS: (409, "{}")}, "error", "409", "see to its workspace"),
        ({HEALTH: (404, "{}")}, "error", "404", "is it an Airflow 3?"),
        ({HEALTH: (200, "<html>")}, "error", "the answer is no JSON document", "check its address"),
    ],
)  # fmt: skip
def test_the_airflow_server_is_asked_for_its_health_and_with_the_token(folder, answers, level, text, advice):
    with server(answers) as url:
        write(folder, f"airflow: {{url: '{url}', token: 'env:GIVEN'}}")
        first = found("Airflow server")[0]
    assert first.level == level
    assert text in first.text
    assert first.advice.startswith(advice)
    assert SECRET not in first.text


@pytest.mark.parametrize(
    ("answer", "level", "text"),
    [
        ((200, "OK"), "ok", "it answers"),
        ((401, "who?"), "ok", "it answers"),
        ((503, ""), "warning", "answers 503"),
        (None, "warning", "no answer from http://127.0.0.1:9: [Errno 111] Connection refused"),
    ],
)
def test_the_mlflow_server_is_asked_whether_it_is_there(folder, answer, level, text):
    with server({"/health": answer}) as url:
        write(folder, f"mlflow: {NOBODY if answer is None else url}")
        (finding,) = found("MLflow server")
    assert finding.level == level
    assert text in finding.text


# --- Airflow here -------------------------------------------------------------------------------------------------


def test_where_airflow_is_not_configured_it_is_not_asked(tmp_path, monkeypatch):
    assert not is_configured()
    assert not (tmp_path / "airflow").exists()
    monkeypatch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "false")
    assert is_configured()
    monkeypatch.delenv("AIRFLOW__CORE__LOAD_EXAMPLES")
    (tmp_path / "airflow").mkdir()
    (tmp_path / "airflow/airflow.cfg").touch()
    assert is_configured()
    monkeypatch.setattr("airflow_ml_pipelines.doctor.airflow_here.installed", lambda _: None)
    assert not is_configured()


def test_airflow_is_asked_in_a_process_of_its_own(folder, monkeypatch):
    write(folder)
    monkeypatch.setenv("AIRFLOW__ML_PIPELINES__WORKSPACE", str(folder / "nowhere"))
    first, second = wrong()
    assert first.text.startswith("there is no workspace file")
    assert second.text.startswith("there is no folder ")  # of DAGs
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "nonsense")
    assert found("Airflow here")[0].level == "error"


def test_an_airflow_that_takes_too_long_is_left(folder):
    (finding,) = examine_airflow(None, 0.01)
    assert (finding.level, finding.text) == ("error", "no answer within 0.0 s")
    assert "airflow db check" in finding.advice


def airflow_says(capsys, file=""):
    capsys.readouterr()
    look_at_airflow([str(file)])
    return {item["what"]: item for item in map(json.loads, capsys.readouterr().out.splitlines())}


BUNDLE = "airflow_ml_pipelines.bundles.pipelines.PipelinesBundle"
LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"


@pytest.mark.parametrize(
    ("bundle", "level", "text"),
    [
        ((BUNDLE, {"folder": "{folder}"}), "ok", "PipelinesBundle of {folder}"),
        ((LOCAL, {"path": "{folder}"}), "ok", "LocalDagBundle of {folder}"),
        ((BUNDLE, {"folder": "{folder}/no"}), "error", "there is no folder {folder}/no"),
        ((BUNDLE, {"foldre": "x"}), "error", "it can't be made: TypeError"),
        (("no.such.Bundle", {}), "error", "it can't be made: ModuleNotFoundError"),
    ],
)
def test_bundles_of_airflows_configuration_are_made(folder, monkeypatch, capsys, bundle, level, text):
    classpath, kwargs = bundle
    kwargs = {name: value.format(folder=folder) for name, value in kwargs.items()}
    listed = json.dumps([{"name": "mine", "classpath": classpath, "kwargs": kwargs}])
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", listed)
    finding = airflow_says(capsys)["DAG bundle mine"]
    assert finding["level"] == level
    assert finding["text"].startswith(text.format(folder=folder))


def test_the_workspace_of_airflow_is_the_one_that_is_looked_at(folder, tmp_path, monkeypatch, capsys):
    what = "[ml_pipelines] workspace"
    write(folder)
    file = folder / "workspace.yaml"
    assert airflow_says(capsys, file)[what]["level"] == "ok"
    assert airflow_says(capsys)[what]["level"] == "warning"
    monkeypatch.setenv("AIRFLOW__ML_PIPELINES__WORKSPACE", str(folder))
    assert airflow_says(capsys, file)[what]["text"] == str(file)
    (tmp_path / "workspace.yaml").touch()
    assert (
        "is not the one that is looked at" in airflow_says(capsys, tmp_path / "workspace.yaml")[what]["text"]
    )
    monkeypatch.setenv("AIRFLOW__ML_PIPELINES__WORKSPACE", str(folder / "nowhere"))
    assert airflow_says(capsys, file)[what]["level"] == "error"


@pytest.mark.parametrize(
    ("slots", "level", "text"),
    [
        (3, "ok", "ml-pipelines-w-box with 3 slots"),
        (5, "warning", "pool ml-pipelines-w-box has 5 slots, and max_nodes is 3"),
        (None, "error", "there is no pool ml-pipelines-w-box, so tasks of its steps don't start"),
    ],
)
def test_pools_of_compute_targets_are_looked_for(folder, monkeypatch, capsys, slots, level, text):
    from airflow.models.pool import Pool

    write(folder, "compute_targets: {box: {type: docker, max_nodes: 3}}")
    pool = None if slots is None else Pool(pool="ml-pipelines-w-box", slots=slots, include_deferred=True)
    monkeypatch.setattr(Pool, "get_pool", lambda _name: pool)  # a database takes seconds to make
    finding = airflow_says(capsys, folder / "workspace.yaml")["pool of compute target box"]
    assert (finding["level"], finding["text"]) == (level, text)


def test_a_database_that_is_none_is_said(folder, monkeypatch, capsys):
    from airflow.models.pool import Pool
    from sqlalchemy.exc import OperationalError

    def fail(_name):
        raise OperationalError("select", {}, Exception("no such table: slot_pool"))

    write(folder, "compute_targets: {box: {type: docker, max_nodes: 3}}")
    monkeypatch.setattr(Pool, "get_pool", fail)
    finding = airflow_says(capsys, folder / "workspace.yaml")["pool of compute target box"]
    assert "no such table: slot_pool" in finding["text"]
    assert finding["advice"] == "see `airflow db check`"


# --- this machine -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("versions", "what", "level", "text"),
    [
        ({}, "Airflow", "warning", "it is not installed"),
        ({"apache-airflow-core": "3.1.7"}, "Airflow", "error", "3.1.7 is too old"),
        ({"apache-airflow-core": "3.1.8"}, "Airflow", "ok", "3.1.8"),
        ({"apache-airflow-core": "3.10.0rc1"}, "Airflow", "ok", "3.10.0rc1"),
        ({}, "airflow-provider-ml-pipelines", "warning", "it is used from its source"),
        ({"docker": "7.1", "s3fs": "1"}, "optional packages", "ok", "docker 7.1, s3fs 1; not there: kubernetes"),
    ],
)  # fmt: skip
def test_versions_are_compared_with_what_is_needed(monkeypatch, versions, what, level, text):
    monkeypatch.setattr(machine, "installed", versions.get)
    finding = next(item for item in machine.examine_versions() if item.what == what)
    assert finding.level == level
    assert finding.text.startswith(text)


@pytest.mark.parametrize(
    ("version", "level"), [((3, 10, 1), "error"), ((3, 13, 0), "ok"), ((3, 14, 0), "error")]
)
def test_a_python_that_was_never_tested_is_said(monkeypatch, version, level):
    monkeypatch.setattr(sys, "version_info", version)
    assert next(machine.examine_versions()).level == level


def test_without_uv_environments_take_longer(monkeypatch):
    monkeypatch.setattr(installers.shutil, "which", lambda _: None)
    monkeypatch.setattr(installers, "find_spec", lambda _: None)
    (finding,) = machine.examine_environments({})
    assert (finding.level, finding.text) == ("warning", "made by venv and pip")
    assert finding.advice.startswith("install uv")


def test_a_disk_that_is_nearly_full_is_said(monkeypatch, tmp_path):
    usage = type("Usage", (), {"free": 10_000_000})
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage)
    (finding,) = machine.examine_cache(tmp_path)
    assert (finding.level, finding.text) == ("warning", f"{tmp_path}, 10.0 MB free")


# --- looks at once ------------------------------------------------------------------------------------------------


def test_findings_come_in_order_and_a_fault_in_one_look_hides_no_other():
    def slow():
        time.sleep(0.2)
        yield Finding("a", "ok", "done")

    def breaks():
        yield Finding("b", "ok", "half")
        raise ZeroDivisionError("never")

    def refuses():
        raise WorkspaceError("c: it is not right: https://ada:pw@x/")
        yield

    def hangs():
        yield Finding("d", "ok", "begun")
        time.sleep(60)

    looks = [
        Examination(name, look) for name, look in zip("abcd", (slow, breaks, refuses, hangs), strict=True)
    ]
    begin = time.monotonic()
    said = [(item.what, item.level, item.text) for item in examine_all(looks, 1.0)]
    assert time.monotonic() - begin < 30
    assert said == [
        ("a", "ok", "done"),
        ("b", "ok", "half"),
        ("b", "error", "ZeroDivisionError: never"),
        ("c", "error", "it is not right: https://***@x/"),
        ("d", "ok", "begun"),
        ("d", "error", "no answer within 1.0 s"),
    ]


def test_exit_status_says_whether_there_is_an_error(folder, monkeypatch, capsys):
    write(folder)
    for level, status in (("ok", 0), ("warning", 0), ("error", 1)):
        monkeypatch.setattr(
            doctor, "examine", lambda *_, level=level, **__: [Finding("x", level, "it is", "do")]
        )
        assert main(["doctor"]) == status
    assert capsys.readouterr().out.splitlines()[-3:] == ["✗ x: it is", "    → do", "1 error, 0 warnings"]

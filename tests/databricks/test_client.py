"""What our client makes of answers that are no answers of Databricks, and of logins."""

import json
import sys
import time
from types import ModuleType, SimpleNamespace

import pytest
from servers.databricks import Faults

from airflow_ml_pipelines.core.databricks import client as module
from airflow_ml_pipelines.core.databricks.client import open_client
from airflow_ml_pipelines.core.databricks.login import set_login_source
from airflow_ml_pipelines.core.errors import ComputeTargetException, NotFoundError
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec
from airflow_ml_pipelines.hooks.databricks import databricks_login

PAGE = b"<html><script>alert('Sign in')</script></html>"


def answer(status, body=b"", *headers, length=None):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "_BACKOFF", 0.001)


@pytest.fixture
def client(databricks, monkeypatch):
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-test")
    return open_client(ComputeTargetSpec("bricks", "databricks", {"host": databricks.url}))


@pytest.mark.parametrize(
    ("said", "call", "text"),
    [
        (answer("200 OK", PAGE), lambda c: c.user(), "answers to .* with no JSON: is it the address"),
        (answer("200 OK", b'{"run_id": '), lambda c: c.submit({}), "no JSON"),
        (answer("200 OK", b"[]"), lambda c: c.run(1), "no JSON"),
        (answer("200 OK", b""), lambda c: c.submit({}), "without 'run_id'"),
        (answer("200 OK", b'{"run_id": "x"}'), lambda c: c.submit({}), "without 'run_id'"),
        (answer("200 OK", b'{"run_id": 1}'), lambda c: c.run(1), "without 'state'"),
        (answer("200 OK", b'{"state": "x"}'), lambda c: c.run(1), "without 'state'"),
        (answer("200 OK", b'{"state": {}, "tasks": [3]}'), lambda c: c.run(1), "without 'state'"),
        (answer("200 OK", b'{"state": {}, "tasks": {}}'), lambda c: c.run(1), "without 'tasks'"),
        (answer("200 OK", b"{}"), lambda c: c.export("/n"), "without 'content'"),
        (answer("200 OK", b'{"content": "*"}'), lambda c: c.export("/n"), "not base64"),
        (answer("200 OK", b"{}"), lambda c: c.object_type("/n"), "without 'object_type'"),
        (
            answer("302 Found", b"", "Location: https://login.example/oauth?state=abc"),
            lambda c: c.user(),
            r"answers 302 to .*: Found, to login\.example: is it the address of a Databricks workspace",
        ),
        (
            answer("403 Forbidden", b'{"error_code": "PERMISSION_DENIED", "message": "IP blocked\\u001b[31m"}'),
            lambda c: c.user(),
            r"answers 403 to .*: IP blocked \[31m: check the token",
        ),
        (answer("403 Forbidden", PAGE), lambda c: c.user(), "answers 403 to .*: Forbidden: check"),
        (answer("401 Unauthorized", b'["no"]'), lambda c: c.user(), "answers 401 to .*: Unauthorized: check"),
        (answer("400 Bad", json.dumps({"message": "x" * 9999}).encode()), lambda c: c.user(), "x{2000}…"),
    ],
)  # fmt: skip
def test_what_is_no_answer_of_databricks_is_told(client, databricks, said, call, text):
    databricks.fail(Faults(plan=[said] * 10))
    with pytest.raises(ComputeTargetException, match=text) as caught:
        call(client)
    assert str(caught.value).startswith("compute target 'bricks': ")
    assert "alert" not in str(caught.value)
    assert "dapi-test" not in str(caught.value)


def test_a_token_that_an_answer_repeats_is_not_repeated(client, databricks):
    databricks.fail(Faults(plan=[answer("403 Forbidden", b'{"message": "dapi-test is no token"}')]))
    with pytest.raises(ComputeTargetException, match=r"\*\*\* is no token"):
        client.user()


def test_an_answer_that_breaks_off_is_asked_for_again(client, databricks):
    cut = answer("200 OK", b'{"run_id": 1', length=400)
    databricks.fail(Faults(plan=[cut, cut]))
    assert client.user() == "somebody@example.com"
    databricks.fail(Faults(plan=[cut] * 100))
    with pytest.raises(ComputeTargetException, match="can't be reached .* after 9 further tries"):
        client.user()


def test_a_cluster_that_somebody_else_has_started_meanwhile_is_started(client, databricks):
    databricks.runs.clusters["c"] = {"cluster_id": "c", "state": "PENDING"}
    client.start_cluster("c")
    databricks.runs.clusters["c"]["state"] = "TERMINATING"
    with pytest.raises(ComputeTargetException, match="unexpected state TERMINATING"):
        client.start_cluster("c")
    with pytest.raises(ComputeTargetException, match="does not exist"):
        client.start_cluster("none")


def test_a_netrc_does_not_go_before_the_login(client, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("default login me password wrong\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert client.user() == "somebody@example.com"


@pytest.mark.parametrize("path", ["/Shared/n ä#?%", "/Volumes/a/b ä#?%/c", "dbfs:/x ä#?%"])
def test_odd_paths_are_read(client, databricks, path):
    databricks.put(path, b"odd")
    assert client.read(path) == b"odd"
    with pytest.raises(NotFoundError):
        client.read(path + "/no")


# --- who asks ----------------------------------------------------------------------------------------------------


PRINCIPAL = {"login": "me", "password": "hunter2", "extra": {"service_principal_oauth": True}}
AZURE = {"login": "me", "password": "hunter2", "extra": {"azure_tenant_id": "t"}}


@pytest.fixture
def connected(databricks, monkeypatch):
    """Return what gives a client of an Airflow connection: by the provider's hook, as in tasks, or without Airflow."""
    from airflow.providers.databricks.hooks import databricks_base

    monkeypatch.setattr(databricks_base, "OIDC_TOKEN_SERVICE_URL", f"{databricks.url}/oidc/v1/token")

    def make(fields, by_hook):
        known = {**json.loads(databricks.connection()), "password": None, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_TEST", json.dumps(known))
        set_login_source(databricks_login if by_hook else None)
        return open_client(ComputeTargetSpec("bricks", "databricks", {"connection": "databricks_test"}))

    yield make
    set_login_source(None)


@pytest.mark.filterwarnings("ignore:ProvidersManager")
@pytest.mark.parametrize("by_hook", [True, False], ids=["in a task", "without Airflow"])
@pytest.mark.parametrize(
    "fields",
    [{"password": "dapi-test"}, {"extra": {"token": "dapi-test"}}, PRINCIPAL],
    ids=["a token", "a token in extra", "a service principal"],
)
def test_a_connection_logs_in(connected, databricks, fields, by_hook):
    client = connected(fields, by_hook)
    assert client.user() == client.user() == "somebody@example.com"
    assert databricks.asked_for_tokens == (1 if fields is PRINCIPAL else 0)


@pytest.mark.filterwarnings("ignore:ProvidersManager")
def test_microsoft_entra_logs_in_where_its_package_is_there(connected, monkeypatch):
    given = []

    class Credential:
        def __init__(self, **fields):
            given.append(fields)

        def get_token(self, scope):
            given.append(scope)
            return SimpleNamespace(token="dapi-test", expires_on=time.time() + 3600)

    made = ModuleType("azure.identity")
    made.ClientSecretCredential = made.ManagedIdentityCredential = Credential
    monkeypatch.setitem(sys.modules, "azure", ModuleType("azure"))
    monkeypatch.setitem(sys.modules, "azure.identity", made)
    assert connected(AZURE, True).user() == "somebody@example.com"
    assert (given[0]["client_id"], given[0]["tenant_id"]) == ("me", "t")
    with pytest.raises(ComputeTargetException, match="put it into the password, with no login"):
        connected(AZURE, False)


@pytest.mark.filterwarnings("ignore:ProvidersManager")
@pytest.mark.parametrize("by_hook", [True, False], ids=["in a task", "without Airflow"])
def test_a_token_that_ends_before_its_time_is_renewed(connected, databricks, by_hook):
    client = connected(PRINCIPAL, by_hook)
    assert client.user()
    databricks.token = "another"
    assert client.user()
    assert databricks.asked_for_tokens == 2
    refused = answer("403 Forbidden", b'{"message": "may not"}')
    databricks.fail(Faults(plan=[refused, "", refused]))  # between them it asks for a token
    with pytest.raises(ComputeTargetException, match="answers 403 to .*may not"):
        client.user()


@pytest.mark.filterwarnings("ignore:ProvidersManager")
@pytest.mark.parametrize("by_hook", [True, False], ids=["in a task", "without Airflow"])
@pytest.mark.parametrize("fields", [{}, {**PRINCIPAL, "password": "wrong-secret"}, AZURE], ids=repr)
def test_a_connection_that_can_not_log_in_says_so(connected, fields, by_hook):
    with pytest.raises(ComputeTargetException, match="token") as caught:
        connected(fields, by_hook).user()
    assert "wrong-secret" not in str(caught.value)
    assert "hunter2" not in str(caught.value)

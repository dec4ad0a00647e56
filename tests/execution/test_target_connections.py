"""Connections of compute targets, field by field as Airflow's own hooks read them."""

from __future__ import annotations

import json

import pytest

from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.core.stores.connections import Connection
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec
from airflow_ml_pipelines.execution.targets import cluster_access
from airflow_ml_pipelines.execution.targets.cluster import Cluster
from airflow_ml_pipelines.execution.targets.cluster_access import ClusterAccess, open_client, read_access
from airflow_ml_pipelines.execution.targets.docker import DockerTarget
from airflow_ml_pipelines.execution.targets.docker_engine import DockerEngine
from airflow_ml_pipelines.execution.targets.registry_login import RegistryLogin, read_login

CONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "one",
    "contexts": [{"name": name, "context": {"cluster": name, "user": "me"}} for name in ("one", "two")],
    "clusters": [{"name": name, "cluster": {"server": f"https://{name}.example"}} for name in ("one", "two")],
    "users": [{"name": "me", "user": {"token": "hush-hush"}}],
}
DEFAULT = ClusterAccess(False, None, None, None, "default")


def access(extra, **given):
    return read_access("target 'pods'", Connection("kubernetes", extra=extra), **given)


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({}, {}),
        ({"in_cluster": True}, {"in_cluster": True}),
        ({"in_cluster": "True"}, {"in_cluster": True}),  # as a URI has it
        ({"in_cluster": "false"}, {}),
        ({"kube_config_path": "/etc/kube"}, {"config_file": "/etc/kube"}),
        ({"kube_config": CONFIG}, {"config": CONFIG}),
        ({"kube_config": json.dumps(CONFIG)}, {"config": CONFIG}),
        ({"kube_config": "{apiVersion: v1}"}, {"config": {"apiVersion": "v1"}}),
        ({"namespace": "ml"}, {"namespace": "ml"}),
        ({"cluster_context": "two"}, {"context": "two"}),
        ({"disable_verify_ssl": True}, {"verify": False}),
        ({"disable_verify_ssl": "false"}, {}),
        ({"disable_tcp_keepalive": "true"}, {"keepalive": False}),
        ({"extra__kubernetes__namespace": "ml"}, {"namespace": "ml"}),
        ({"extra__kubernetes__namespace": "old", "namespace": "new"}, {"namespace": "new"}),
        # as Airflow's form leaves fields that nobody has filled in
        (
            dict.fromkeys(("kube_config", "kube_config_path", "namespace", "cluster_context"), "")
            | {"in_cluster": False, "xcom_sidecar_container_image": "busybox"},
            {},
        ),
    ],
)
def test_every_field_of_a_cluster_means_what_it_means_to_airflows_hook(extra, expected):
    assert access(extra) == DEFAULT._replace(**expected)


def test_what_the_target_says_itself_comes_first():
    found = access(
        {"namespace": "ml", "cluster_context": "one"}, namespace="mine", context="two", config_file="/mine"
    )
    assert found == DEFAULT._replace(namespace="mine", context="two", config_file="/mine")


def test_without_a_word_a_pod_starts_others_in_its_own_namespace(tmp_path, monkeypatch):
    (tmp_path / "namespace").write_text("airflow\n")
    monkeypatch.setattr(cluster_access, "_OWN_NAMESPACE", tmp_path / "namespace")
    assert access({}).namespace == "airflow"
    assert access({"namespace": "ml"}).namespace == "ml"


@pytest.mark.parametrize(
    ("extra", "given", "text"),
    [
        ({"in_cluster": True, "kube_config": CONFIG}, {}, "kube_config and in_cluster exclude each other"),
        ({"kube_config_path": "/a", "kube_config": CONFIG}, {}, "kube_config_path and kube_config exclude"),
        ({"in_cluster": True}, {"config_file": "/a"}, "config_file and in_cluster exclude each other"),
        ({"in_cluster": "perhaps"}, {}, "extra 'in_cluster': expected true or false"),
        ({"disable_verify_ssl": 7}, {}, "extra 'disable_verify_ssl': expected true or false"),
        ({"kube_config": "hush: ["}, {}, "extra 'kube_config': expected a kubeconfig as JSON or YAML"),
        ({"kube_config": ["hush"]}, {}, "extra 'kube_config': expected a kubeconfig as JSON or YAML"),
        ({"namespace": 7}, {}, "extra 'namespace': expected text, found int"),
    ],
)
def test_a_field_that_can_not_be_meant_is_named_and_not_shown(extra, given, text):
    with pytest.raises(ComputeTargetException, match=text) as caught:
        access(extra, **given)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(("context", "host"), [(None, "https://one.example"), ("two", "https://two.example")])
def test_a_client_is_of_the_contexts_cluster_and_asks_after_silent_connections(context, host):
    pytest.importorskip("kubernetes")
    made = open_client(DEFAULT._replace(config=CONFIG, context=context))
    assert (made.configuration.host, made.configuration.verify_ssl) == (host, True)
    assert len(made.rest_client.pool_manager.connection_pool_kw["socket_options"]) > 3
    made.close()
    made = open_client(DEFAULT._replace(config=CONFIG, verify=False, keepalive=False))
    assert made.configuration.verify_ssl is False
    assert "socket_options" not in made.rest_client.pool_manager.connection_pool_kw
    made.close()


def test_a_request_without_a_time_is_given_up_in_time(monkeypatch):
    client = pytest.importorskip("kubernetes.client")
    asked = []
    monkeypatch.setattr(client.ApiClient, "call_api", lambda self, *a, **options: asked.append(options))
    made = open_client(DEFAULT._replace(config=CONFIG))
    made.call_api("GET", "/")
    made.call_api("GET", "/", _request_timeout=(3, None))
    assert [item["_request_timeout"] for item in asked] == [60.0, (3, None)]
    made.close()


def test_a_service_account_that_is_not_there_says_so():
    pytest.importorskip("kubernetes")
    connection = Connection("kubernetes", extra={"in_cluster": True})
    cluster = Cluster("target 'pods'", connection=connection, config_file=None, context=None, namespace=None)
    with pytest.raises(
        ComputeTargetException, match="there is no usable Kubernetes configuration: Service host"
    ):
        _ = cluster.api


# --- registries of images -----------------------------------------------------------------------------------------


def login(**fields):
    return read_login("target 'box'", Connection("docker", **fields))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, RegistryLogin("hub.example", "me", "hush")),
        ({"port": 5000}, RegistryLogin("hub.example:5000", "me", "hush")),
        ({"extra": {"email": "me@x.example"}}, RegistryLogin("hub.example", "me", "hush", "me@x.example")),
        ({"extra": {"email": "", "reauth": "no"}}, RegistryLogin("hub.example", "me", "hush", None, False)),
        ({"extra": {"reauth": "1"}}, RegistryLogin("hub.example", "me", "hush")),
    ],
)
def test_every_field_of_a_registry_means_what_it_means_to_airflows_hook(fields, expected):
    assert login(**{"host": "hub.example", "login": "me", "password": "hush", **fields}) == expected
    assert "hush" not in repr(expected)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"login": "me"}, r"lacks the registry \(host\)"),
        ({"host": "hub.example"}, r"lacks the user \(login\)"),
        (
            {"host": "h", "login": "me", "extra": {"reauth": "often"}},
            "extra 'reauth': expected true or false",
        ),
    ],
)
def test_what_a_registrys_connection_lacks_is_named(fields, text):
    with pytest.raises(ComputeTargetException, match=text):
        login(**fields)


@pytest.mark.parametrize(
    ("registry", "image", "expected"),
    [
        ("hub.example", "hub.example/team/base:1", True),
        ("https://hub.example/v1/", "hub.example/base", True),
        ("hub.example:5000", "hub.example:5000/base@sha256:00", True),
        ("hub.example", "hub.example:5000/base", False),
        ("hub.example", "python:3.12-slim", False),
        ("https://index.docker.io/v1/", "python:3.12-slim", True),
        ("docker.io", "team/base", True),
        ("docker.io", "other.example/base", False),
        ("hub.example", "https://hub.example/base", False),
    ],
)
def test_a_login_is_for_the_images_of_its_registry_alone(registry, image, expected):
    pytest.importorskip("docker")
    assert RegistryLogin(registry, "me", "hush").is_for(image) is expected


# --- engines ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"tls_client_cert": "/c"}, "tls_client_cert and tls_client_key go together"),
        (
            {"tls_ca_cert": "/c"},
            "TLS is for an engine elsewhere: expected a url such as tcp://host:2376, found None",
        ),
        ({"tls_verify": True, "url": "unix:///x"}, "TLS is for an engine elsewhere"),
    ],
)
def test_tls_that_can_not_be_meant_is_refused(options, text):
    with pytest.raises(ComputeTargetException, match=text):
        DockerTarget(ComputeTargetSpec("box", "docker", options))


def test_files_of_tls_that_are_not_there_are_named_as_such(tmp_path, monkeypatch):
    pytest.importorskip("docker")
    files = dict.fromkeys(("tls_ca_cert", "tls_client_cert", "tls_client_key"), str(tmp_path / "no.pem"))
    target = DockerTarget(ComputeTargetSpec("box", "docker", {"url": "tcp://127.0.0.1:1", **files}))
    with pytest.raises(ComputeTargetException, match="the files of TLS can't be used: Path to a certificate"):
        target.check()
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    with pytest.raises(ComputeTargetException, match="the files of TLS can't be used"):
        DockerEngine("box", None).ping()

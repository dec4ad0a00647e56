"""Spark on object stores and on clusters: rights, JARs and masters."""

import pytest
from servers.spark import s3_conf, s3_jars, standalone_cluster

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.core.spec import DatabricksSpec
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec, DatastoreSpec, Workspace
from airflow_ml_pipelines.execution.targets.spark import SparkOptions, spark_variables
from airflow_ml_pipelines.execution.targets.spark_stores import (
    StoreAccess,
    explain_missing,
    hide_conf,
    store_access,
)

S3 = "spark.hadoop.fs.s3a.bucket.b."
AZURE = "spark.hadoop.fs.azure."
HOST = "acc.dfs.core.windows.net"


@pytest.mark.parametrize(
    ("url", "options", "conf", "secrets"),
    [
        ("s3://b/top", {}, {}, []),
        (
            "s3://b",
            {
                "key": "me",
                "secret": "hunter2",
                "endpoint_url": "http://127.0.0.1:9",
                "client_kwargs": {"region_name": "r"},
            },
            {
                f"{S3}access.key": "${env.SPARK_STORE_1}",
                f"{S3}secret.key": "${env.SPARK_STORE_2}",
                f"{S3}aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
                f"{S3}endpoint": "http://127.0.0.1:9",
                f"{S3}path.style.access": "true",
                f"{S3}connection.ssl.enabled": "false",
                f"{S3}endpoint.region": "r",
            },
            ["me", "hunter2"],
        ),
        (
            "s3://b",
            {"key": "me", "secret": "hunter2", "token": "passing"},
            {
                f"{S3}access.key": "${env.SPARK_STORE_1}",
                f"{S3}secret.key": "${env.SPARK_STORE_2}",
                f"{S3}session.token": "${env.SPARK_STORE_3}",
                f"{S3}aws.credentials.provider": "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider",
            },
            ["me", "hunter2", "passing"],
        ),
        (
            "s3://b",
            {"anon": True},
            {f"{S3}aws.credentials.provider": "org.apache.hadoop.fs.s3a.AnonymousAWSCredentialsProvider"},
            [],
        ),
        (
            "abfs://c",
            {"account_name": "acc", "account_key": "a2V5"},
            {f"{AZURE}account.key.{HOST}": "${env.SPARK_STORE_1}"},
            ["a2V5"],
        ),
        (
            "abfs://c",
            {"account_name": "acc", "sas_token": "?sig=x"},
            {
                f"{AZURE}account.auth.type.{HOST}": "SAS",
                f"{AZURE}sas.fixed.token.{HOST}": "${env.SPARK_STORE_1}",
            },
            ["sig=x"],
        ),
        (
            "abfs://c",
            {"account_name": "acc", "client_id": "i", "client_secret": "hunter2", "tenant_id": "t"},
            {
                f"{AZURE}account.auth.type.{HOST}": "OAuth",
                f"{AZURE}account.oauth.provider.type.{HOST}": (
                    "org.apache.hadoop.fs.azurebfs.oauth2.ClientCredsTokenProvider"
                ),
                f"{AZURE}account.oauth2.client.id.{HOST}": "i",
                f"{AZURE}account.oauth2.client.secret.{HOST}": "${env.SPARK_STORE_1}",
                f"{AZURE}account.oauth2.client.endpoint.{HOST}": "https://login.microsoftonline.com/t/oauth2/token",
            },
            ["hunter2"],
        ),
        ("file:///data", {}, {}, []),
    ],
)
def test_spark_opens_a_store_with_the_rights_of_the_workspace(
    tmp_path, monkeypatch, url, options, conf, secrets
):
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    names = {f"TEST_{name.upper()}": value for name, value in options.items() if isinstance(value, str)}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    given = {name: f"env:TEST_{name.upper()}" for name, value in options.items() if isinstance(value, str)}
    others = {name: value for name, value in options.items() if not isinstance(value, str)}
    store = DatastoreSpec("data", url, options=others, credentials=given)
    access = store_access(Workspace("w", tmp_path, datastores=[store]), [url])
    assert access.conf == conf
    assert list(access.variables.values()) == secrets


def test_what_people_say_of_a_store_goes_before_what_is_found():
    options = SparkOptions(conf={f"{S3}endpoint": "https://mine"})
    words = spark_variables(options, None, {f"{S3}endpoint": "http://found"})["PYSPARK_SUBMIT_ARGS"]
    assert f"{S3}endpoint=https://mine" in words
    assert "found" not in words


def test_a_secret_of_a_step_s_configuration_is_in_no_command_line(monkeypatch):
    monkeypatch.setenv("MY_KEY", "hunter2")
    access = StoreAccess({}, {})
    given = {"spark.hadoop.fs.azure.account.key.x": "env:MY_KEY", "spark.sql.ansi.enabled": "true"}
    conf = hide_conf(access, given, local=True)
    assert conf == {**given, "spark.hadoop.fs.azure.account.key.x": "${env.SPARK_STORE_1}"}
    assert access.variables == {"SPARK_STORE_1": "hunter2"}


@pytest.mark.parametrize(
    ("conf", "local", "text"),
    [
        ({"spark.hadoop.x.secret": "env:MY_KEY"}, False, "only with a local master"),
        ({"spark.x.secret": "env:MY_KEY"}, True, "in the command line of Spark"),
        ({"spark.x.secret": "{{secrets/scope/key}}"}, True, "a secret of a Databricks workspace"),
    ],
)
def test_a_secret_that_spark_can_not_be_given_is_told(conf, local, text):
    with pytest.raises(DefinitionError, match=text):
        hide_conf(StoreAccess({}, {}), conf, local=local)


@pytest.mark.parametrize(
    ("master", "conf", "wanted"),
    [
        ("yarn", {"spark.yarn.queue": "ml"}, "--master yarn --deploy-mode client"),
        (
            "k8s://https://host:6443",
            {"spark.kubernetes.container.image": "spark:4"},
            "--conf spark.kubernetes.container.image=spark:4",
        ),
        ("spark://a:7077,b:7077", {}, "--master spark://a:7077,b:7077"),
    ],
)
def test_masters_elsewhere_reach_spark_submit_with_the_driver_here(monkeypatch, master, conf, wanted):
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "KUBECONFIG"):
        monkeypatch.setenv(name, f"/etc/{name}")
    variables = spark_variables(SparkOptions(master=master, conf=conf), DatabricksSpec())
    words = variables["PYSPARK_SUBMIT_ARGS"]
    assert words.startswith(f"--master {master} --deploy-mode client")
    assert wanted in words
    assert all(f"--conf {name}={value}" in words for name, value in conf.items())
    assert variables["HADOOP_CONF_DIR"] == "/etc/HADOOP_CONF_DIR"
    assert variables["KUBECONFIG"] == "/etc/KUBECONFIG"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "java.lang.RuntimeException: java.lang.ClassNotFoundException: Class org.apache.hadoop.fs.s3a.S3AFileSystem not found",
            r"the JARs for S3 are not there.*packages: \[org.apache.hadoop:hadoop-aws:\d",
        ),
        ("java.lang.NoClassDefFoundError: software/amazon/awssdk/core/exception/SdkException", "JARs for S3"),
        (
            "Caused by: java.lang.ClassNotFoundException: Class org.apache.hadoop.fs.azurebfs.SecureAzureBlobFileSystem not found",
            r"can't open abfss://.*hadoop-azure:\d",
        ),
        (
            'org.apache.hadoop.fs.UnsupportedFileSystemException: No FileSystem for scheme "gs"',
            "gcs-connector",
        ),
        ('org.apache.hadoop.fs.UnsupportedFileSystemException: No FileSystem for scheme "foo"', None),
        (
            'Exception in thread "main" java.lang.RuntimeException: [unresolved dependency: org.x#y;3.5.0: not found]',
            r"could not get the package org\.x:y:3\.5\.0.*`repositories`",
        ),
        ("java.lang.ClassNotFoundException: com.example.Mine", None),
        ("all is well", None),
    ],
)
def test_what_is_missing_is_said_where_spark_says_it(line, said):
    import re

    found = explain_missing(line)
    assert (found is None) if said is None else re.search(said, found)


# --- with Spark itself -------------------------------------------------------------------------------------------

TEXTS = """
rows = spark.read.text(dbutils.widgets.get("prepared"))
rows.coalesce(1).write.text(dbutils.widgets.get("cleaned"))
dbutils.notebook.exit(sc.master)
"""
PARTS = """
import pathlib, sys
parts = sorted(pathlib.Path(sys.argv[1]).glob("part-*.txt"))
pathlib.Path(sys.argv[2], "out.txt").write_text("".join(part.read_text() for part in parts))
"""


def texts(project, **options):
    """Let the project's notebook read and write texts with Spark."""
    project.server.notebook("/Shared/clean", TEXTS)
    project.script("compare", PARTS)
    given = {**project.targets["spark"].options, **options}
    project.targets["spark"] = ComputeTargetSpec("spark", "spark", given)


@pytest.mark.system
def test_a_step_runs_on_a_standalone_cluster(project, tmp_path):
    with standalone_cluster(tmp_path) as master:
        conf = {"spark.executor.memory": "512m", "spark.driver.host": "127.0.0.1"}
        texts(project, master=master, shared_paths=True, conf=conf)
        project.workspace = project.open()
        outcome = project.run(project.clean(target="spark"))
        assert outcome.errors == {}
        assert project.read(outcome, "compare", "out", "out.txt").strip() == "data"
        kept = project.workspace.store.get(f"{outcome.steps['clean'].folder}/outputs/notebook_exit.txt")
        assert kept.decode() == master
        assert "Executor app-" in (tmp_path / "worker.log").read_text()


@pytest.fixture
def on_s3(project, s3):
    """The project with its data on an S3 server, whose keys a connection has."""
    credentials = {"key": "env:TEST_S3_KEY", "secret": "env:TEST_S3_SECRET"}
    options = {"endpoint_url": s3.endpoint, "client_kwargs": {"region_name": "us-east-1"}}
    store = DatastoreSpec("bucket", s3.bucket("spark"), options=options, credentials=credentials)

    def open_again():
        made = Workspace(
            "test",
            project.folder / "ws",
            datastores=[store],
            default_datastore="bucket",
            compute_targets=project.targets.values(),
            lease_seconds=5,
        )
        made.datastore().put("in/a.txt", b"data ")
        project.workspace = made

    return open_again


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("TEST_S3_KEY", "testing")
    monkeypatch.setenv("TEST_S3_SECRET", "testing-secret")


@pytest.mark.system
def test_a_store_without_its_jars_is_told_with_what_to_give(project, on_s3):
    texts(project)
    on_s3()
    error = project.run(project.clean(target="spark")).errors["clean"]
    assert "Spark can't open s3a://, since the JARs for S3 are not there" in error
    assert "packages: [org.apache.hadoop:hadoop-aws:" in error


@pytest.mark.system
def test_spark_reads_and_writes_s3_with_the_rights_of_the_datastore(project, on_s3):
    texts(project, jars=s3_jars(), conf=s3_conf())
    on_s3()
    outcome = project.run(project.clean(target="spark"))
    assert outcome.errors == {}
    assert project.read(outcome, "compare", "out", "out.txt").strip() == "data"
    assert outcome.steps["clean"].outputs["cleaned"].datastore == "bucket"
    kept = project.workspace.store
    documents = b"".join(kept.get(info.path) for info in kept.walk("runs"))
    assert b"testing-secret" not in documents

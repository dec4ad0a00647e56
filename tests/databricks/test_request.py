"""Every parameter of a step reaches the field of Databricks' public API that it belongs to."""

import inspect
import json

import pytest
from databricks.sdk.service import jobs
from servers.databricks.runs import _check

from airflow_ml_pipelines.core.databricks.request import submit_request
from airflow_ml_pipelines.core.errors import ComputeTargetException, DefinitionError
from airflow_ml_pipelines.core.spec import StepSpec
from airflow_ml_pipelines.operators.databricks import DatabricksOperator
from dag_factory import (
    CondaDependencies,
    DatabricksStep,
    EggLibrary,
    JarLibrary,
    MavenLibrary,
    PipelineDefinition,
    RunConfiguration,
)

NEW = "tasks.0.new_cluster."


def request(defaults=None, widgets=None, arguments=(), **given):
    form = {"notebook_path": "/n"} if not {"python_script_path", "main_class_name"} & given.keys() else {}
    step = DatabricksStep("s", **{**form, **given})
    fields = step.spec_fields()
    made = submit_request(
        StepSpec(id="s", name="s", **fields),
        code=fields["databricks"].path or "",
        widgets=widgets or {},
        arguments=arguments,
        token="t" * 64,
        run_name="pipe s",
        defaults=defaults or {},
        where="compute target 'bricks'",
    )
    _check(made)  # the server knows the API's fields
    _check_by_sdk(made)
    return made


def _check_by_sdk(made):
    """Databricks' own client knows every field, and would send the same."""
    (task,) = made["tasks"]
    full = {
        name: {key: item for key, item in value.items() if item != {} and item != []}
        if name.endswith("_task")
        else value
        for name, value in task.items()
    }  # it sends no empty lists
    assert jobs.SubmitTask.from_dict(task).as_dict() == full
    for environment in made.get("environments", ()):
        assert jobs.JobEnvironment.from_dict(environment).as_dict() == environment
    assert made.keys() <= inspect.signature(jobs.JobsAPI.submit).parameters.keys()


def field(document, path):
    for name in path.split("."):
        document = document[int(name) if name.isdigit() else name]
    return document


REACH = [
    ({"existing_cluster_id": "c-1"}, "tasks.0.existing_cluster_id", "c-1"),
    ({"num_workers": 3}, NEW + "num_workers", 3),
    ({"num_workers": 0}, NEW + "num_workers", 0),
    (
        {"min_workers": 1, "max_workers": 4},
        NEW + "autoscale",
        {"min_workers": 1, "max_workers": 4},
    ),
    ({"num_workers": 1}, NEW + "spark_version", "15.4.x-scala2.12"),
    ({"num_workers": 1, "spark_version": "16.1.x-scala2.12"}, NEW + "spark_version", "16.1.x-scala2.12"),
    ({"num_workers": 1}, NEW + "node_type_id", "Standard_D3_v2"),
    ({"num_workers": 1, "node_type": "i3.xlarge"}, NEW + "node_type_id", "i3.xlarge"),
    ({"num_workers": 1, "instance_pool_id": "p-1"}, NEW + "instance_pool_id", "p-1"),
    ({"num_workers": 1, "spark_conf": {"spark.x": True}}, NEW + "spark_conf", {"spark.x": "true"}),
    ({"num_workers": 1, "spark_env_variables": {"A": "b"}}, NEW + "spark_env_vars.A", "b"),
    (
        {"num_workers": 1, "init_scripts": ["dbfs:/i.sh", "/Volumes/a/i.sh", "/Shared/i.sh"]},
        NEW + "init_scripts",
        [
            {"dbfs": {"destination": "dbfs:/i.sh"}},
            {"volumes": {"destination": "/Volumes/a/i.sh"}},
            {"workspace": {"destination": "/Shared/i.sh"}},
        ],
    ),
    (
        {"num_workers": 1, "cluster_log_dbfs_path": "dbfs:/logs"},
        NEW + "cluster_log_conf",
        {"dbfs": {"destination": "dbfs:/logs"}},
    ),
    (
        {"num_workers": 1, "notebook_path": "/Shared/n"},
        "tasks.0.notebook_task.notebook_path",
        "/Shared/n",
    ),
    (
        {"num_workers": 1, "python_script_path": "dbfs:/x.py"},
        "tasks.0.spark_python_task.python_file",
        "dbfs:/x.py",
    ),
    (
        {"num_workers": 1, "main_class_name": "a.B", "jar_libraries": ["dbfs:/b.jar"]},
        "tasks.0.spark_jar_task.main_class_name",
        "a.B",
    ),
    ({"num_workers": 1, "run_name": "demo"}, "run_name", "demo"),
    ({"num_workers": 1}, "run_name", "pipe s"),
    ({"num_workers": 1, "timeout_seconds": 90}, "timeout_seconds", 90),
    (
        {"num_workers": 1, "maven_libraries": [MavenLibrary("g:a:1", "https://m", ["x:y"])]},
        "tasks.0.libraries.0.maven",
        {"coordinates": "g:a:1", "repo": "https://m", "exclusions": ["x:y"]},
    ),
    (
        {"num_workers": 1, "pypi_libraries": ["pandas==2"]},
        "tasks.0.libraries.0.pypi",
        {"package": "pandas==2"},
    ),
    (
        {"num_workers": 1, "egg_libraries": [EggLibrary("dbfs:/e.egg")]},
        "tasks.0.libraries.0.egg",
        "dbfs:/e.egg",
    ),
    ({"num_workers": 1, "egg_libraries": ["dbfs:/w.whl"]}, "tasks.0.libraries.0.whl", "dbfs:/w.whl"),
    (
        {"num_workers": 1, "jar_libraries": [JarLibrary("dbfs:/j.jar")]},
        "tasks.0.libraries.0.jar",
        "dbfs:/j.jar",
    ),
    (
        {"num_workers": 1, "rcran_libraries": ["ggplot2"]},
        "tasks.0.libraries.0.cran",
        {"package": "ggplot2"},
    ),
    (
        {
            "serverless": True,
            "python_script_path": "/Volumes/a/x.py",
            "pypi_libraries": ["pandas==2"],
        },
        "environments.0.spec.dependencies",
        ["pandas==2"],
    ),
    ({"num_workers": 1}, "idempotency_token", "t" * 64),
]
ELSEWHERE = {
    "name": "the run's name where the step has none",
    "inputs": "widgets and arguments; so are the following",
    "outputs": "",
    "notebook_params": "",
    "python_script_params": "",
    "jar_params": "",
    "python_script_name": "a path below the target's upload_to",
    "source_directory": "what is brought there",
    "ignore": "",
    "runconfig": "libraries and variables, see below",
    "compute_target": "whose API is asked",
    "permit_cluster_restart": "clusters/start, before the request",
    "allow_reuse": "the reuse key alone; so are the following",
    "version": "",
    "hash_paths": "",
    "description": "Airflow alone; so are the following",
    "retries": "",
    "retry_delay": "",
    "pool": "",
    "queue": "",
    "priority_weight": "",
    "deferrable": "",
}


def test_every_parameter_of_a_step_has_its_field():
    known = set(inspect.signature(DatabricksStep.__init__).parameters) - {"self"}
    reached = {name for given, _, _ in REACH for name in given}
    assert known == reached | ELSEWHERE.keys()


@pytest.mark.parametrize(
    ("given", "path", "value"),
    REACH,
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_a_parameter_reaches_its_field(given, path, value):
    assert field(request(**given), path) == value


def test_widgets_and_arguments_reach_the_task():
    notebook = request(num_workers=1, widgets={"a": "1"})
    assert field(notebook, "tasks.0.notebook_task.base_parameters") == {"a": "1"}
    script = request(num_workers=1, python_script_path="dbfs:/x.py", arguments=["--a", "1"])
    assert field(script, "tasks.0.spark_python_task.parameters") == ["--a", "1"]


def test_packages_and_variables_of_a_runconfig_reach_the_cluster():
    configured = RunConfiguration(conda_dependencies=CondaDependencies.create(pip_packages=["pandas==2"]))
    configured.environment.environment_variables = {"A": "b"}
    made = request(num_workers=1, runconfig=configured)
    assert {"pypi": {"package": "pandas==2"}} in field(made, "tasks.0.libraries")
    assert field(made, NEW + "spark_env_vars.A") == "b"


def test_a_value_of_the_workers_environment_reaches_the_cluster(monkeypatch):
    monkeypatch.setenv("MY_KEY", "hunter2")
    made = request(num_workers=1, spark_env_variables={"KEY": "env:MY_KEY"})
    assert field(made, NEW + "spark_env_vars.KEY") == "hunter2"


def test_a_step_that_says_nothing_of_a_cluster_gets_the_targets():
    assert field(request({"existing_cluster_id": "c-9"}), "tasks.0.existing_cluster_id") == "c-9"
    own = {"cluster": {"num_workers": 2, "custom_tags": {"team": "ml"}}, "node_type": "m5.large"}
    assert field(request(own), "tasks.0.new_cluster.custom_tags") == {"team": "ml"}
    assert field(request(own), "tasks.0.new_cluster.node_type_id") == "m5.large"
    with pytest.raises(ComputeTargetException, match="nothing says which cluster it runs on"):
        request()


def test_what_describes_a_new_cluster_is_not_lost_where_there_is_one():
    target = {"existing_cluster_id": "c-9"}
    for given in ({"spark_conf": {"a": "b"}}, {"node_type": "m"}, {"init_scripts": ["/i.sh"]}):
        with pytest.raises(ComputeTargetException, match=f"{next(iter(given))} describe a new cluster.*c-9"):
            request(target, **given)


def test_a_time_out_of_nothing_is_none():
    assert "timeout_seconds" not in request(num_workers=1, timeout_seconds=0)


CONFIGURED = RunConfiguration()
CONFIGURED.environment.environment_variables = {"A": "b"}
KEY = "fs.azure.account.key.acc.dfs.core.windows.net"
SERVERLESS = {"serverless": True, "python_script_path": "/Volumes/a/x.py"}
WRONG = [
    ({}, "expected one of notebook_path"),
    (
        {"notebook_path": "/n", "python_script_path": "dbfs:/x.py"},
        "found notebook_path and python_script_path",
    ),
    ({"main_class_name": "a.B"}, "needs the JAR"),
    ({"python_script_path": "x.py"}, "python_script_name and source_directory"),
    ({"notebook_path": "/n", "source_directory": "src"}, "source_directory: has no meaning"),
    ({"notebook_path": "../n.py"}, "not a path in source_directory"),
    ({"notebook_path": "/n", "jar_params": ["a"]}, "use notebook_params"),
    ({"notebook_path": "/n", "python_script_params": ["a"]}, "use notebook_params"),
    ({"python_script_path": "dbfs:/x.py", "notebook_params": {"a": 1}}, "use python_script_params"),
    ({"notebook_path": "/n", "existing_cluster_id": "c", "num_workers": 1}, "leave out one of the two"),
    ({"notebook_path": "/n", "existing_cluster_id": "c", "num_workers": 0}, "leave out one of the two"),
    ({"notebook_path": "/n", "existing_cluster_id": "c", "node_type": "m"}, "leave out one of the two"),
    ({"notebook_path": "/n", "serverless": True, "num_workers": 1}, "leave out one of the two"),
    ({"notebook_path": "/n", "serverless": True, "existing_cluster_id": "c"}, "leave out one of the two"),
    (
        {"notebook_path": "/n", "num_workers": 1, "min_workers": 1, "max_workers": 2},
        "num_workers is a fixed",
    ),
    ({"notebook_path": "/n", "min_workers": 1}, "both min_workers and max_workers"),
    ({"notebook_path": "/n", "min_workers": 3, "max_workers": 2}, "min_workers <= max_workers"),
    ({"notebook_path": "/n", "num_workers": -1}, "a number of workers"),
    (
        {"notebook_path": "/n", "num_workers": 1, "node_type": "m", "instance_pool_id": "p"},
        "one of node_type and instance_pool_id",
    ),
    (
        {"notebook_path": "/n", "num_workers": 1, "permit_cluster_restart": True},
        "existing_cluster_id alone",
    ),
    (
        {"notebook_path": "/n", "runconfig": RunConfiguration(), "pypi_libraries": ["a"]},
        "brings libraries",
    ),
    (
        {"notebook_path": "/n", "runconfig": CONFIGURED, "existing_cluster_id": "c"},
        "leave out one of the two",
    ),
    ({**SERVERLESS, "maven_libraries": ["g:a:1"]}, "maven_libraries: serverless compute has Python packages"),
    ({**SERVERLESS, "jar_libraries": ["/x.jar"]}, "jar_libraries: serverless compute has Python packages"),
    ({**SERVERLESS, "egg_libraries": ["/x.egg"]}, "egg_libraries: serverless compute has Python packages"),
    ({**SERVERLESS, "rcran_libraries": ["x"]}, "rcran_libraries: serverless compute has Python packages"),
    (
        {"notebook_path": "/n", "serverless": True, "pypi_libraries": ["a"]},
        "brings its own packages, by %pip",
    ),
    (
        {"main_class_name": "a.B", "jar_libraries": ["/x.jar"], "serverless": True},
        "serverless: runs notebooks and Python scripts",
    ),
    ({"notebook_path": "/n", "num_workers": 1, "spark_conf": {KEY: "a2V5"}}, "looks like a secret.*env:NAME"),
    ({"notebook_path": "/n", "num_workers": 1, "spark_conf": {"spark.a": None}}, "'spark.a': expected text"),
    (
        {"notebook_path": "/n", "num_workers": 1, "spark_env_variables": {"MY_TOKEN": "hunter2"}},
        "'MY_TOKEN' looks like a secret.*secrets/<scope>/<key>",
    ),
    (
        {"notebook_path": "/n", "num_workers": 1, "init_scripts": ["wasb://x"]},
        "init_scripts: expected a path",
    ),
    ({"notebook_path": "/n", "num_workers": 1, "cluster_log_dbfs_path": "s3://x"}, "such as dbfs:/logs"),
]


@pytest.mark.parametrize(("given", "text"), WRONG)
def test_what_does_not_go_together_is_refused_where_it_is_defined(given, text):
    with pytest.raises(DefinitionError, match=text) as caught:
        DatabricksStep("s", **given)
    assert "hunter2" not in str(caught.value)
    assert "a2V5" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (given, text)
        for given, text in WRONG
        if not {"runconfig", "source_directory", "jar_params", "python_script_params"} & given.keys()
    ],
)
def test_it_is_refused_in_a_file_and_of_an_operator_too(given, text, tmp_path):
    databricks = {name: value for name, value in given.items() if name != "notebook_params"}
    step = {"databricks": databricks, "parameters": given.get("notebook_params", {})}
    file = tmp_path / "p.pipeline.yaml"
    file.write_text(json.dumps({"steps": {"s": step}}))
    in_yaml = text.replace("use python_script_params", "use").replace("python_script_name", "script")
    with pytest.raises(DefinitionError, match=in_yaml + "|expected at least 0|spark.a: expected"):
        PipelineDefinition.from_yaml(file).to_spec()
    with pytest.raises(DefinitionError, match=text + "|give either step"):
        DatabricksOperator(task_id="s", **given)


@pytest.mark.parametrize(
    "given",
    [
        {"spark_conf": {KEY: "env:AZURE_KEY", "fs.s3a.secret.key": "{{secrets/scope/key}}"}},
        {
            "spark_conf": {
                "fs.azure.account.oauth.provider.type": "x",
                "fs.azure.sas.token.provider.type": "y",
            }
        },
        {"spark_env_variables": {"MY_TOKEN": "env:TOKEN", "PASSWORD": "{{secrets/a/b}}"}},
    ],
)
def test_names_of_secrets_are_taken(given):
    DatabricksStep("s", notebook_path="/n", num_workers=1, **given)


def test_a_secret_of_the_workers_environment_reaches_the_configuration(monkeypatch):
    monkeypatch.setenv("AZURE_KEY", "hunter2")
    assert field(request(num_workers=1, spark_conf={KEY: "env:AZURE_KEY"}), NEW + "spark_conf") == {
        KEY: "hunter2"
    }

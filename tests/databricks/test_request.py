"""Every parameter of a step reaches the field of Databricks' public API that it belongs to."""

import pytest
from servers.databricks.runs import _check

from airflow_ml_pipelines.core.databricks.request import submit_request
from airflow_ml_pipelines.core.errors import ComputeTargetException, DefinitionError
from airflow_ml_pipelines.core.spec import StepSpec
from dag_factory import (
    CondaDependencies,
    DatabricksStep,
    EggLibrary,
    JarLibrary,
    MavenLibrary,
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
    return made


def field(document, path):
    for name in path.split("."):
        document = document[int(name) if name.isdigit() else name]
    return document


@pytest.mark.parametrize(
    ("given", "path", "value"),
    [
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
    ],
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


@pytest.mark.parametrize(
    ("given", "text"),
    [
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
    ],
)
def test_what_does_not_go_together_is_refused_where_it_is_defined(given, text):
    with pytest.raises(DefinitionError, match=text):
        DatabricksStep("s", **given)

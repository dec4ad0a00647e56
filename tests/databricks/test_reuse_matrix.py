"""Which change of a step on Spark makes another key: for every form of code, on Databricks and without."""

import msgspec
import pytest

from airflow_ml_pipelines.core.plans.plan import make_plan
from airflow_ml_pipelines.core.runs.new_run import new_run
from airflow_ml_pipelines.core.spec import Data, InputSpec, Location, ParameterValue, PipelineSpec, Text
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec

NOTEBOOK = b"# Databricks notebook source\nprint(1)\n"
JAR = ({"jar": "dbfs:/x/clean.jar"},)
FORMS = {
    "a notebook of the workspace": ({"path": "/Shared/one"}, "/Shared/one.py"),
    "a notebook of a folder": ({"path": None}, "clean.py"),
    "a script on DBFS": ({"form": "python_script", "path": "dbfs:/x/one.py"}, "dbfs:/x/one.py"),
    "a script of a volume": ({"form": "python_script", "path": "/Volumes/a/one.py"}, "/Volumes/a/one.py"),
    "a script of the workspace": (
        {"form": "python_script", "path": "/Workspace/Shared/one.py"},
        "/Workspace/Shared/one.py",
    ),
    "a script of a folder": ({"form": "python_script", "path": None}, "clean.py"),
    "a main class": (
        {"form": "jar", "path": None, "main_class": "Clean", "libraries": JAR},
        "dbfs:/x/clean.jar",
    ),
}
DATA = InputSpec(name="prepared", source=Data(locations=(Location(path="in"),)), mode="direct")


class Table:
    """A step of one form, and what a change of it makes of its key."""

    def __init__(self, project, form, target):
        self.project = project
        self.target = target
        self.fields, self.place = FORMS[form]
        self.notebook = "notebook" in form
        self.local = "://" not in self.place and not self.place.startswith(("/", "dbfs:"))
        self.write(NOTEBOOK)

    def write(self, data):
        if self.local:
            self.project.script("clean", data.decode())
            return
        self.project.server.put(self.place, data)
        if self.place.startswith("/Volumes/"):  # Spark without Databricks has one folder for both
            self.project.server.put("dbfs:" + self.place.removeprefix("/Volumes"), data)
            file = self.project.server.folder / "dbfs" / self.place.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)

    def key(self, *, word="one", more=(), **changed):
        fields = {**self.fields, **changed}
        fields["libraries"] = (*fields.get("libraries", ()), *more)
        given = {"word": ParameterValue(parameter="word")} if self.notebook else {}
        script = "clean.py" if self.local else ""
        step = self.project.clean(target=self.target, script=script, parameters=given, **fields)
        arguments = () if self.notebook else ((Text(text=word),),)
        return self.plan(msgspec.structs.replace(step, inputs=(DATA,), arguments=arguments), word)

    def plan(self, step, word="one"):
        project = self.project
        spec = PipelineSpec(
            name="pipe",
            base_directory=str(project.folder),
            parameters=project.spec().parameters,
            steps=(step,),
        )
        (planned,) = make_plan(project.workspace, new_run(spec, parameters={"word": word}), dry=True).steps
        assert planned.key is not None, planned
        return planned.key


@pytest.fixture(params=["bricks", "spark"])
def target(request):
    return request.param


@pytest.fixture(params=FORMS)
def table(request, project, target):
    return Table(project, request.param, target)


def test_what_runs_and_what_it_gets_are_in_the_key_and_the_cluster_is_not(table):
    key = table.key()
    assert table.key() == key
    others = {
        "library": table.key(more=({"pypi": {"package": "six==1.16"}},)),
        "package of Maven": table.key(more=({"maven": {"coordinates": "g:a:1"}},)),
        "Spark version": table.key(spark_version="16.1.x-scala2.12"),
        "parameter": table.key(word="two"),
        "configuration": table.key(spark_conf={"spark.x": "1"}),
        "variable": table.key(spark_env_variables={"A": "b"}),
        "init script": table.key(init_scripts=("dbfs:/i.sh",)),
    }
    table.write(NOTEBOOK + b"# changed\n")
    others["content"] = table.key()
    assert len({key, *others.values()}) == len(others) + 1, "two of these have one key"

    table.write(NOTEBOOK)
    assert table.key() == key
    same = {
        "size": table.key(num_workers=8),
        "least and most": table.key(num_workers=None, min_workers=1, max_workers=4),
        "machine": table.key(node_type="huge"),
        "pool": table.key(instance_pool_id="p"),
        "run name": table.key(run_name="build 17"),
        "log path": table.key(cluster_log_dbfs_path="dbfs:/logs"),
    }
    assert {name for name, other in same.items() if other != key} == set()


def test_its_own_name_and_time_out_are_not_in_the_key(table):
    key = table.key()
    make = table.project.clean
    for change in ({"timeout": 99.0}, {"name": "Another"}):
        table.project.clean = lambda change=change, **fields: msgspec.structs.replace(
            make(**fields), **change
        )
        assert table.key() == key, change


@pytest.mark.parametrize("form", FORMS)
def test_databricks_and_a_spark_without_it_have_the_same_keys(project, form):
    assert Table(project, form, "bricks").key() == Table(project, form, "spark").key()


@pytest.mark.parametrize("whose", ["the step's", "the target's"])
def test_the_version_of_a_cluster_that_is_there_is_in_the_key(project, whose):
    cluster = {"cluster_id": "c", "state": "RUNNING", "spark_version": "15.4.x-scala2.12"}
    project.server.runs.clusters["c"] = cluster
    given = {"num_workers": None}
    if whose == "the target's":
        options = {**project.targets["bricks"].options, "existing_cluster_id": "c"}
        project.targets["bricks"] = ComputeTargetSpec("bricks", "databricks", options)
        project.workspace = project.open()
    else:
        given["existing_cluster_id"] = "c"
    table = Table(project, "a notebook of the workspace", "bricks")
    key = table.key(**given)
    cluster["spark_version"] = "16.1.x-scala2.12"
    assert table.key(**given) != key


def test_the_version_of_the_targets_new_clusters_is_in_the_key(project):
    def key(version):
        options = {
            **project.targets["bricks"].options,
            "cluster": {"spark_version": version, "num_workers": 1},
        }
        project.targets["bricks"] = ComputeTargetSpec("bricks", "databricks", options)
        project.workspace = project.open()
        return Table(project, "a notebook of the workspace", "bricks").key(num_workers=None)

    assert key("15.4.x-scala2.12") != key("16.1.x-scala2.12")


def test_a_wheel_is_known_by_its_bytes(project):
    table = Table(project, "a notebook of the workspace", "bricks")
    wheel = ({"whl": "dbfs:/w/x-1-py3-none-any.whl"},)
    project.server.put("dbfs:/w/x-1-py3-none-any.whl", b"one")
    key = table.key(more=wheel)
    project.server.put("dbfs:/w/x-1-py3-none-any.whl", b"two")
    assert table.key(more=wheel) != key

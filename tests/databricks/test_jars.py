"""Main classes of JARs: on Databricks, and on Spark without it, with the same keys."""

from pathlib import Path

import pytest
from servers.jars import make_jar

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.execution.spark_libraries import bring_libraries
from airflow_ml_pipelines.runtime.jar import command

CLEAN = """
import java.nio.file.*;
import java.util.*;

public class Clean {
    public static void main(String[] words) throws Exception {
        Map<String, Path> given = new HashMap<>();
        for (int i = 0; i < words.length; i += 2) given.put(words[i], Path.of(words[i + 1].replaceFirst("^file:", "")));
        StringBuilder text = new StringBuilder();
        try (DirectoryStream<Path> files = Files.newDirectoryStream(given.get("--prepared"))) {
            for (Path file : files) text.append(Files.readString(file));
        }
        System.out.println("read " + text.length() + " characters for " + System.getenv("FOR_WHOM"));
        Files.createDirectories(given.get("--cleaned"));
        Files.writeString(given.get("--cleaned").resolve("part-0.txt"), text.toString().toUpperCase() + "%s");
    }
}
"""


@pytest.fixture(scope="module")
def jars(tmp_path_factory):
    """Two JARs of different content, with a class of one name."""
    made = {}
    for word in ("one", "two"):
        made[word] = make_jar(tmp_path_factory.mktemp(word), "Clean", CLEAN % word).read_bytes()
    return made


@pytest.fixture
def jar_step(project, jars):
    project.server.put("dbfs:/jars/clean.jar", jars["one"])

    def make(target, **fields):
        given = {
            "form": "jar",
            "path": None,
            "main_class": "Clean",
            "libraries": ({"jar": "dbfs:/jars/clean.jar"},),
            "spark_env_variables": {"FOR_WHOM": "env:TEST_NAME"},
        }
        return project.clean(target=target, parameters={}, **{**given, **fields})

    return make


@pytest.fixture(autouse=True)
def name(monkeypatch):
    monkeypatch.setenv("TEST_NAME", "somebody-secret")


@pytest.mark.system  # a JVM for each run
def test_a_main_class_runs_on_both_and_is_known_by_the_bytes_of_its_jar(project, jars, jar_step):
    first = project.run(jar_step("spark"))
    assert first.errors == {}
    assert project.read(first, "compare", "out", "out.txt") == "DATA one"
    log = project.workspace.store.get(f"{first.steps['clean'].folder}/logs/stdout.txt").decode()
    assert "read 5 characters for ***" in log
    again = project.run(jar_step("bricks"))
    assert [step for step, document in again.steps.items() if document.status != "reused"] == []

    project.server.put("dbfs:/jars/clean.jar", jars["two"])
    there = project.run(jar_step("bricks"))
    assert there.errors == {}
    assert there.steps["clean"].status == "finished"
    assert project.read(there, "compare", "out", "out.txt") == "DATA two"
    (request,) = project.server.submitted
    assert request["tasks"][0]["libraries"] == [{"jar": "dbfs:/jars/clean.jar"}]


@pytest.mark.system  # a JVM
@pytest.mark.parametrize("target", ["bricks", "spark"])
def test_a_class_that_is_not_in_the_jar_is_named(project, jar_step, target):
    error = project.run(jar_step(target, main_class="Klean")).errors["clean"]
    assert "Klean" in error


@pytest.mark.parametrize("target", ["bricks", "spark"])
def test_a_jar_that_is_not_there_is_told_before_anything_runs(project, jar_step, target):
    with pytest.raises(DefinitionError, match="no\\.jar"):
        project.run(jar_step(target, libraries=({"jar": "dbfs:/jars/no.jar"},)))
    assert project.server.submitted == []


def test_libraries_that_lie_elsewhere_are_brought_to_the_driver_once(project, jars, jar_step):
    step = jar_step("spark")
    (library,) = bring_libraries(project.workspace, step).libraries
    (again,) = bring_libraries(project.workspace, step).libraries
    assert library == again
    assert Path(library["jar"]).read_bytes() == jars["one"]


def test_a_main_class_is_submitted_with_what_scripts_get():
    options = "--master spark://h:7077 --jars /a.jar,/b.jar --conf 'spark.x=a b' pyspark-shell"
    assert command("a.B", ["--in", "x y"], options, "/spark") == [
        "/spark/bin/spark-submit",
        "--master",
        "spark://h:7077",
        "--jars",
        "/a.jar,/b.jar",
        "--conf",
        "spark.x=a b",
        "--class",
        "a.B",
        "spark-internal",
        "--in",
        "x y",
    ]

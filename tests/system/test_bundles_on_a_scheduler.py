"""Definitions as DAG files of their own, on an Airflow of their own: in a folder, and in a git repository."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from airflow_ml_pipelines.testing import LocalAirflow

CLASS = "airflow_ml_pipelines.bundles.pipelines.PipelinesBundle"
GOOD = """\
parameters: {word: hello}
steps:
  write:
    script: write.py
    arguments: ["${{ outputs.text }}", "${{ parameters.word }}"]
    outputs: {text: }
"""
SCRIPT = """\
import pathlib, sys
pathlib.Path(sys.argv[1], "x.txt").write_text(sys.argv[2])
with open(%r, "a") as log:
    log.write("%s\\n")
"""
REFRESH = 3


class Airflow(LocalAirflow):
    """An Airflow with both bundles."""

    def __init__(self, top: Path, database: str) -> None:
        self.folder = top / "folder"
        self.repository = top / "repository"
        self.log = top / "ran.log"
        self.log.touch()
        self.folder.mkdir()
        (self.repository / "dags").mkdir(parents=True)
        (top / "workspace.yaml").write_text("name: bundles\n")
        git = {"repo_url": str(self.repository), "tracking_ref": "main", "subdir": "dags"}
        wrapped = {"classpath": "airflow.providers.git.bundles.git.GitDagBundle", "kwargs": git}
        bundles = [
            {"name": "folder", "classpath": CLASS, "kwargs": {"folder": str(self.folder)}},
            {"name": "git", "classpath": CLASS, "kwargs": {"bundle": wrapped}},
        ]
        settings = {
            "dag_processor.dag_bundle_config_list": json.dumps(bundles),
            "dag_processor.refresh_interval": str(REFRESH),
            "dag_processor.bundle_refresh_check_interval": "1",
            "dag_processor.min_file_process_interval": "2",
            "ml_pipelines.workspace": str(top / "workspace.yaml"),
        }
        # Airflow 3.1 forgets the other bundles where it looks for this connection in its database
        environment = {"AIRFLOW_CONN_GIT_DEFAULT": "git://"}
        super().__init__(
            top / "airflow",
            dags_folder=self.folder,
            database=database,
            settings=settings,
            environment=environment,
        )

    def script(self, word: str) -> str:
        """A script that says in the log that it ran."""
        return SCRIPT % (str(self.log), word)

    def ran(self) -> list[str]:
        return self.log.read_text().split()

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        command = ["git", "-C", str(self.repository), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "x")
        return self.git("rev-parse", "HEAD")

    def errors(self) -> dict[str, str]:
        found = self.request("GET", "/api/v2/importErrors")["import_errors"]
        return {error["filename"]: error["stack_trace"] for error in found}

    def dag(self, dag_id: str) -> dict:
        return self.request("GET", f"/api/v2/dags/{dag_id}/details")

    def versions(self, dag_id: str) -> list[int]:
        found = self.request("GET", f"/api/v2/dags/{dag_id}/dagVersions")["dag_versions"]
        return sorted(version["version_number"] for version in found)

    def code(self, dag_id: str) -> str:
        return self.request("GET", f"/api/v2/dagSources/{dag_id}")["content"]

    def runs(self, dag_id: str) -> dict[str, str]:
        found = self.request("GET", f"/api/v2/dags/{dag_id}/dagRuns")["dag_runs"]
        return {run["dag_run_id"]: run["state"] for run in found}

    def finish(self, dag_id: str, conf: dict | None = None) -> str:
        run_id = self.trigger(dag_id, conf)
        assert self.wait_for_run(dag_id, run_id) == "success", self.task_log(dag_id, run_id, "write.run")
        return run_id

    def wait_for_parses(self, dag_id: str, count: int = 3) -> None:
        """Wait until the DAG file was read some times more."""
        for _ in range(count):
            before = self.dag(dag_id)["last_parsed_time"]
            wait_for(lambda before=before: self.dag(dag_id)["last_parsed_time"] != before)


def wait_for(condition, timeout: float = 180):
    until = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < until, "waited for in vain"
        time.sleep(0.2)
    return found


@pytest.fixture(scope="module")
def airflow(tmp_path_factory, new_database):
    airflow = Airflow(tmp_path_factory.mktemp("bundles"), new_database("bundles"))
    (airflow.folder / "write.py").write_text(airflow.script("folder"))
    (airflow.folder / "steady.pipeline.yaml").write_text(GOOD)
    (airflow.repository / "dags/write.py").write_text(airflow.script("old"))
    (airflow.repository / "dags/pinned.pipeline.yaml").write_text(GOOD)
    (airflow.repository / "dags/plain.py").write_text(
        "from airflow.sdk import DAG\ndag = DAG('plain', schedule=None)\n"
    )
    airflow.git("init", "--quiet", "--initial-branch=main")
    airflow.commit()
    with airflow:
        airflow.wait_for_dag("steady")
        yield airflow


@pytest.mark.oldest
def test_a_definition_appears_is_edited_breaks_is_mended_and_goes(airflow):
    file = airflow.folder / "sub" / "first.pipeline.yaml"
    dag_file = "sub/first.pipeline.yaml.py"
    file.parent.mkdir()
    (file.parent / "write.py").write_text(airflow.script("folder"))

    # it appears
    file.write_text(GOOD)
    assert airflow.wait_for_dag("first")["relative_fileloc"] == dag_file
    assert airflow.code("first") == GOOD
    first = airflow.finish("first", {"word": "good day"})
    airflow.wait_for_parses("first")
    assert airflow.versions("first") == [1]

    # it is edited
    edited = GOOD.replace("{word: hello}", "{word: hello, other: 1}")
    file.write_text(edited)
    wait_for(lambda: len(airflow.versions("first")) > 1)
    assert airflow.code("first") == edited
    airflow.wait_for_parses("first")
    assert airflow.versions("first") == [1, 2]
    second = airflow.finish("first", {"other": 2})

    # it breaks
    file.write_text(edited.replace("script:", "scrpt:"))
    error = wait_for(lambda: airflow.errors().get(dag_file))
    assert "sub/first.pipeline.yaml:4:5: steps.write.scrpt: unknown field. Did you mean 'script'?" in error
    assert "  4 |     scrpt: write.py\n" in error
    until = time.monotonic() + 3 * REFRESH
    while time.monotonic() < until:  # the error stays, also where Airflow looks for DAG files again
        assert airflow.errors().keys() == {dag_file}
        time.sleep(0.2)
    assert airflow.runs("first") == {first: "success", second: "success"}
    assert airflow.versions("first") == [1, 2]
    assert airflow.code("first") == edited
    assert not airflow.dag("steady")["is_stale"]
    assert airflow.finish("steady")

    # it is mended
    file.write_text(edited)
    wait_for(lambda: not airflow.errors())
    wait_for(lambda: not airflow.dag("first")["is_stale"])
    assert airflow.versions("first") == [1, 2]
    third = airflow.finish("first", {"other": 3})

    # it is removed
    file.unlink()
    wait_for(lambda: airflow.dag("first")["is_stale"])
    assert airflow.runs("first") == dict.fromkeys((first, second, third), "success")
    assert airflow.errors() == {}
    listed = airflow.request("GET", "/api/v2/dags")["dags"]
    assert "first" not in {dag["dag_id"] for dag in listed}


@pytest.mark.oldest
def test_in_a_repository_runs_are_pinned_to_their_commits(airflow):
    airflow.wait_for_dag("pinned")
    old = airflow.git("rev-parse", "HEAD")
    before = len(airflow.ran())

    def run(run_id):
        return airflow.request("GET", f"/api/v2/dags/pinned/dagRuns/{run_id.replace('+', '%2B')}")

    first = airflow.finish("pinned", {"word": "one"})
    assert run(first)["bundle_version"] == old

    # the branch goes on: another script, another definition, and a broken one beside them
    (airflow.repository / "dags/write.py").unlink()
    (airflow.repository / "dags/make.py").write_text(airflow.script("new"))
    (airflow.repository / "dags/pinned.pipeline.yaml").write_text(GOOD.replace("write.py", "make.py"))
    (airflow.repository / "dags/bad.pipeline.yaml").write_text("steps: {a: {scrpt: make.py}}\n")
    new = airflow.commit()
    wait_for(lambda: airflow.dag("pinned")["bundle_version"] == new)
    assert "bad.pipeline.yaml:1:13: steps.a.scrpt: unknown field" in wait_for(
        lambda: airflow.errors().get("bad.pipeline.yaml.py")
    )
    second = airflow.finish("pinned", {"word": "two"})
    assert run(second)["bundle_version"] == new
    assert airflow.ran()[before:] == ["old", "new"]

    # a run of the old commit is cleared: it runs the old definition and the old script
    body = {
        "dry_run": False,
        "dag_run_id": first,
        "task_ids": ["write.reuse", "write.run"],
        "only_failed": False,
        "reset_dag_runs": True,
    }
    airflow.request("POST", "/api/v2/dags/pinned/clearTaskInstances", body)
    assert airflow.wait_for_run("pinned", first) == "success"
    assert run(first)["bundle_version"] == old
    assert airflow.ran()[before:] == ["old", "new", "old"]

    # what is there in Python works beside definitions
    assert not airflow.dag("plain")["is_stale"]
    run_id = airflow.trigger("plain")
    assert airflow.wait_for_run("plain", run_id) == "success"

    (airflow.repository / "dags/bad.pipeline.yaml").unlink()
    airflow.commit()
    wait_for(lambda: not airflow.errors())

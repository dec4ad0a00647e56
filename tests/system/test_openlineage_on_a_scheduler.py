"""Runs on a real Airflow tell OpenLineage what they read and wrote; a reused step tells what the original did."""

from __future__ import annotations

import json
import subprocess

import pytest

from airflow_ml_pipelines.testing import LocalAirflow

pytest.importorskip("airflow.providers.openlineage")

DEFINITION = """\
name: sales
data:
  rows: {path: rows.csv}
steps:
  clean:
    source_directory: clean
    script: clean.py
    inputs: {rows: rows}
    outputs: {cleaned: {register: cleaned_sales}}
    arguments: ["${{ inputs.rows }}", "${{ outputs.cleaned }}"]
  count:
    source_directory: count
    script: count.py
    arguments: ["${{ steps.clean.outputs.cleaned }}", "${{ outputs.total }}"]
    outputs: {total: }
"""
CLEAN = "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2] + '/cleaned.csv')\n"
COUNT = "import sys; open(sys.argv[2] + '/total.txt', 'w').write(str(len(open(sys.argv[1] + '/cleaned.csv').readlines())))\n"
FILES = {
    "workspace.yaml": "name: shop\ndatastores: {workspaceblobstore: {url: data}}\n",
    "sales.pipeline.yaml": DEFINITION,
    "dags.py": "from dag_factory import load_pipelines  # an Airflow DAG\nload_pipelines()\n",
    "clean/clean.py": CLEAN,
    "count/count.py": COUNT,
    "data/rows.csv": "day,amount\n2026-01-01,1.5\n2026-01-02,2\n",
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The events of three runs: everything is new, nothing changed, one step changed."""
    folder = tmp_path_factory.mktemp("lineage")
    for name, text in FILES.items():
        (folder / "dags" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "dags" / name).write_text(text)
    for arguments in (
        ["init", "-q", "-b", "main"],
        ["remote", "add", "origin", "https://ada:s3cret@example.org/team/repo.git"],
        ["add", "."],
        ["-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "-m", "m"],
    ):
        subprocess.run(["git", *arguments], cwd=folder / "dags", check=True)
    log = folder / "events.jsonl"
    transport = {"type": "file", "log_file_path": str(log), "append": True}
    settings = {"openlineage.transport": json.dumps(transport), "openlineage.namespace": "test"}
    environment = {"ML_PIPELINES_CACHE": str(folder / "cache")}
    with LocalAirflow(
        folder / "airflow", dags_folder=folder / "dags", settings=settings, environment=environment
    ) as airflow:
        airflow.wait_for_dag("sales")
        for number in (1, 2, 3):
            if number == 3:
                (folder / "dags/count/count.py").write_text(f"{COUNT}# changed\n")
            run = airflow.trigger("sales")
            assert airflow.wait_for_run("sales", run) == "success"
    events = [json.loads(line) for line in log.read_text().splitlines()]
    return [event for event in events if event["eventType"] == "COMPLETE"], folder


def tasks(events, name):
    """Return the events of a task that told something of data, in their order."""
    found = [event for event in events if event["job"]["name"] == f"sales.{name}"]
    return [event for event in found if "mlPipelines_reuse" in event["run"]["facets"]]


def names(datasets):
    return [(dataset["namespace"], dataset["name"]) for dataset in datasets]


def test_a_step_tells_what_it_read_and_wrote(told):
    events, folder = told
    event = tasks(events, "clean.run")[0]
    assert names(event["inputs"]) == [("file", f"{folder}/dags/data/rows.csv")]
    (output,) = event["outputs"]
    assert output["namespace"] == "file"
    assert output["name"].startswith(f"{folder}/dags/data/outputs/")
    assert output["outputFacets"]["outputStatistics"]["size"] == len(FILES["data/rows.csv"])
    assert output["outputFacets"]["outputStatistics"]["fileCount"] == 1
    assert len(output["facets"]["version"]["datasetVersion"]) == 64
    assert output["facets"]["symlinks"]["identifiers"][0]["name"] == "cleaned_sales"
    for dataset in (event["inputs"][0], output):
        columns = [(field["name"], field["type"]) for field in dataset["facets"]["schema"]["fields"]]
        assert columns == [("day", "TIMESTAMP"), ("amount", "DOUBLE")]
    (said,) = event["run"]["facets"]["mlPipelines_reuse"]["steps"]
    assert (said["step"], said["status"]) == ("clean", "finished")
    assert said["reasons"] == ["there is no earlier result of this step"]


def test_what_a_step_reads_is_what_the_one_before_it_wrote(told):
    events, _ = told
    assert names(tasks(events, "count.run")[0]["inputs"]) == names(tasks(events, "clean.run")[0]["outputs"])


def test_reused_steps_tell_what_the_originals_did(told):
    events, folder = told
    originals = [tasks(events, f"{step}.run")[0] for step in ("clean", "count")]
    event = tasks(events, "plan")[1]
    assert names(event["inputs"]) == [
        ("file", f"{folder}/dags/data/rows.csv"),
        *names(originals[1]["inputs"]),
    ]
    assert names(event["outputs"]) == [name for item in originals for name in names(item["outputs"])]
    said = event["run"]["facets"]["mlPipelines_reuse"]["steps"]
    assert [(item["step"], item["status"]) for item in said] == [("clean", "reused"), ("count", "reused")]
    assert said[0]["reusedFrom"]["pipeline"] == "sales"


def test_a_step_says_why_it_ran_again(told):
    events, _ = told
    (said,) = tasks(events, "count.run")[1]["run"]["facets"]["mlPipelines_reuse"]["steps"]
    assert said["reasons"] == ["source: count.py changed"]
    assert [
        item["step"] for item in tasks(events, "plan")[2]["run"]["facets"]["mlPipelines_reuse"]["steps"]
    ] == ["clean"]


def test_the_repository_is_told_without_the_password_in_its_address(told):
    events, _ = told
    source = tasks(events, "clean.run")[0]["job"]["facets"]["sourceCodeLocation"]
    assert source["url"] == "https://example.org/team/repo.git"
    assert source["path"] == "clean.py"
    assert "s3cret" not in json.dumps(events)

"""YAML definitions as DAGs of an Airflow of their own: a broken one, its error, and what becomes of the others."""

from __future__ import annotations

import time

import pytest

from airflow_ml_pipelines.testing import LocalAirflow

GOOD = """\
parameters: {word: hello}
steps:
  write:
    script: write.py
    arguments: ["${{ outputs.text }}", "${{ parameters.word }}"]
    outputs: {text: }
  again:
    script: write.py
    arguments: ["${{ outputs.text }}", "${{ steps.write.outputs.text }}"]
    outputs: {text: }
"""
SCRIPT = "import sys\nopen(sys.argv[1] + '/x.txt', 'w').write(sys.argv[2])\n"


@pytest.fixture
def started(tmp_path):
    dags = tmp_path / "dags"
    (dags / "more").mkdir(parents=True)
    (dags / "load.py").write_text(
        "from dag_factory import load_pipelines  # an Airflow DAG file\n\nload_pipelines()\n"
    )
    (dags / "workspace.yaml").write_text("name: definitions\n")
    (dags / "write.py").write_text(SCRIPT)
    (dags / "more" / "write.py").write_text(SCRIPT)
    (dags / "good.pipeline.yaml").write_text(GOOD)
    (dags / "more" / "bad.pipeline.yaml").write_text(GOOD.replace("script:", "scrpt:", 1))
    settings = {"dag_processor.refresh_interval": "10", "dag_processor.min_file_process_interval": "3"}
    with LocalAirflow(tmp_path / "airflow", dags_folder=dags, settings=settings) as airflow:
        yield airflow, dags


def wait_for(condition, timeout: float = 180):
    until = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < until, "waited for in vain"
        time.sleep(0.5)
    return found


def test_a_broken_definition_shows_with_its_line_and_keeps_no_other_from_running(started):
    airflow, dags = started

    def errors():
        found = airflow.request("GET", "/api/v2/importErrors")["import_errors"]
        return {error["filename"]: error["stack_trace"] for error in found}

    def all_dags():
        return {dag["dag_id"] for dag in airflow.request("GET", "/api/v2/dags")["dags"]}

    airflow.wait_for_dag("good")
    text = wait_for(errors)["more/bad.pipeline.yaml"]
    assert "more/bad.pipeline.yaml:4:5: steps.write.scrpt: unknown field. Did you mean 'script'?" in text
    assert "  4 |     scrpt: write.py\n" in text
    assert all_dags() == {"good"}

    run_id = airflow.trigger("good", {"word": "good day"})
    assert airflow.wait_for_run("good", run_id) == "success"
    again = airflow.trigger("good", {"word": "good day"})
    assert airflow.wait_for_run("good", again) == "success"
    assert {task["state"] for task in airflow.tasks("good", again) if task["task_id"] != "plan"} == {
        "skipped"
    }

    (dags / "more" / "bad.pipeline.yaml").write_text(GOOD)
    airflow.wait_for_dag("bad")
    wait_for(lambda: not errors())
    assert all_dags() == {"good", "bad"}

import pytest

from airflow_ml_pipelines._tasks import reused_from_url
from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.core.runs.folder import Origin, RunFolder
from airflow_ml_pipelines.core.runs.place import write_place
from airflow_ml_pipelines.links import ReusedFromLink, StepLink, task_url

PLACE = {"dag_id": "a b", "run_id": "manual__2026+1", "tasks": {"train": "train.run"}}
ORIGIN = Origin(pipeline="p", run="r", step="train", attempt=1, id="p.r.train.1")


def test_a_task_is_linked_by_an_address_without_a_host():
    assert task_url(PLACE, "train") == "/dags/a%20b/runs/manual__2026%2B1/tasks/train.run"
    assert task_url(PLACE, None) == "/dags/a%20b/runs/manual__2026%2B1"


def test_a_server_behind_a_path_is_linked_with_it(monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://example.com/airflow/")
    assert task_url(PLACE, None) == "/airflow/dags/a%20b/runs/manual__2026%2B1"


def test_a_result_leads_to_the_task_that_made_it(workspace):
    write_place(RunFolder(workspace.store, "p", "r"), "dag", "r", {"train": "train.run"})
    assert reused_from_url(workspace, ORIGIN) == "/dags/dag/runs/r/tasks/train.run"


def test_a_result_of_a_task_without_a_plan_leads_to_that_task(workspace):
    write_place(RunFolder(workspace.store, "p", "r"), "dag", "r", {})
    assert reused_from_url(workspace, ORIGIN) == "/dags/dag/runs/r/tasks/train"


@pytest.mark.parametrize("there", [None, b"{", b"[]", b'{"dag_id": 1}'])
def test_a_result_that_no_scheduler_made_leads_nowhere(workspace, there):
    if there is not None:
        workspace.store.put(f"{RunFolder(workspace.store, 'p', 'r').path}/airflow.json", there)
    assert reused_from_url(workspace, ORIGIN) == ""
    assert reused_from_url(workspace, None) == ""


def test_two_dags_can_not_be_the_same_run(workspace):
    folder = RunFolder(workspace.store, "p", "r")
    write_place(folder, "one", "r", {})
    write_place(folder, "one", "r", {})
    with pytest.raises(DefinitionError, match="belongs to DAG 'one'"):
        write_place(folder, "two", "r", {})


def test_the_link_has_a_name_and_leads_nowhere_by_itself():
    assert ReusedFromLink().name == "Reused from"
    assert ReusedFromLink().get_link(object(), ti_key=None) == ""


def test_the_step_of_a_task_is_its_tab():
    class Key:
        dag_id, run_id, task_id = "one/two", "manual__2026-11-21T10:00:00+00:00", "s1.run"

    assert StepLink().get_link(object(), ti_key=Key) == (
        "/dags/one%2Ftwo/runs/manual__2026-11-21T10%3A00%3A00%2B00%3A00/tasks/s1.run/plugin/ml-pipelines-step"
    )

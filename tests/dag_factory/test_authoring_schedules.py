from __future__ import annotations

import pytest

from airflow_ml_pipelines.core.dag_views import current_view, read_view, write_view
from dag_factory import (
    DefinitionError,
    ParameterError,
    Pipeline,
    PipelineEndpoint,
    PipelineParameter,
    PythonScriptStep,
    Schedule,
    ScheduleRecurrence,
    WorkspaceError,
)

NIGHTLY = {"frequency": "Day", "interval": 1, "time_zone": "Europe/Berlin", "time_of_day": "02:15"}


@pytest.fixture
def published(ws, project):
    project.write("src/say.py", "print('hi')")
    step = PythonScriptStep("say.py", source_directory="src", arguments=[PipelineParameter("word", "hello")])
    return Pipeline(ws, [step], name="talk").publish(version="1.0")


def create(ws, published, **options):
    options = {"recurrence": ScheduleRecurrence(**NIGHTLY), **options}
    return Schedule.create(ws, "nightly", published.id, "nights", **options)


def test_a_schedule_is_kept_and_found(ws, published):
    schedule = create(ws, published, description="Every night.", pipeline_parameters={"word": "ho"})
    found = Schedule.get(ws, schedule.id)
    assert (found.name, found.description, found.status) == ("nightly", "Every night.", "Active")
    assert (found.pipeline_id, found.pipeline_endpoint_id) == (published.id, None)
    assert (found.recurrence.hours, found.recurrence.minutes) == ((2,), (15,))
    assert [item.id for item in Schedule.get_schedules_for_pipeline_id(ws, published.id)] == [schedule.id]
    assert Schedule.get_schedules_for_pipeline_id(ws, "other.1") == []
    assert (schedule.get_pipeline_runs(), schedule.get_last_pipeline_run()) == ([], None)


def test_a_schedule_is_a_dag_while_it_is_active(ws, published):
    schedule = create(ws, published)
    store = ws.core.store
    assert set(current_view(store).dags) == {published.id, schedule.dag_id}
    schedule.disable()
    assert Schedule.list(ws) == []
    assert set(current_view(store).dags) == {published.id}
    schedule.enable()
    published.disable()
    assert current_view(store).dags == {}


def test_an_endpoint_s_schedule_follows_its_default_version(ws, published):
    endpoint = PipelineEndpoint.publish(ws, "talks", None, published)
    schedule = Schedule.create_for_pipeline_endpoint(
        ws, "nightly", endpoint.id, "nights", recurrence=ScheduleRecurrence("Hour", 1)
    )
    store = ws.core.store
    before = current_view(store)
    assert before.dags[schedule.dag_id].pipeline == "talk.1"
    kept = write_view(store, before)
    endpoint.add_default(Pipeline(ws, [PythonScriptStep("say.py", source_directory="src")], name="talk"))
    assert current_view(store).dags[schedule.dag_id].pipeline == "talk.2"
    assert read_view(store, kept) == before
    endpoint.disable()
    assert schedule.dag_id not in current_view(store).dags


def test_a_view_is_called_the_same_while_nothing_is_published(ws, published):
    store = ws.core.store
    assert current_view(store).digest == current_view(store).digest
    before = current_view(store).digest
    create(ws, published)
    assert current_view(store).digest != before


def test_what_is_wrong_is_refused_and_nothing_is_kept(ws, published):
    with pytest.raises(WorkspaceError, match="there is no published pipeline"):
        Schedule.create(ws, "nightly", "other.1", "nights", recurrence=ScheduleRecurrence(**NIGHTLY))
    with pytest.raises(ParameterError, match="'wort'"):
        create(ws, published, pipeline_parameters={"wort": "x"})
    with pytest.raises(DefinitionError, match="expected a ScheduleRecurrence, found None"):
        create(ws, published, recurrence=None)
    with pytest.raises(DefinitionError, match="not there yet"):
        create(ws, published, datastore=ws.get_default_datastore())
    assert Schedule.list(ws, active_only=False) == []


def test_a_schedule_is_changed(ws, published):
    schedule = create(ws, published)
    dag_id = schedule.dag_id
    schedule.update(
        description="Hourly.", recurrence=ScheduleRecurrence("Hour", 2), pipeline_parameters={"word": "x"}
    )
    found = Schedule.get(ws, schedule.id)
    assert (found.description, found.recurrence.frequency, found.dag_id) == ("Hourly.", "Hour", dag_id)
    with pytest.raises(DefinitionError, match="can't be renamed"):
        schedule.update(name="other")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frequency": "Dayly"}, r"frequency: found 'Dayly' \(str\)\. Did you mean 'Day'"),
        ({"interval": 0}, "a number from 1 on, found 0"),
        ({"hours": [24]}, "from 0 to 23, found 24"),
        ({"minutes": [60]}, "from 0 to 59"),
        ({"frequency": "Hour", "minutes": [5]}, "for the frequencies Day and Week, not for Hour"),
        ({"week_days": ["Monday"]}, "for the frequency Week, not for Day"),
        ({"frequency": "Week", "week_days": ["Mon"]}, "Did you mean 'Monday'"),
        ({"time_of_day": "25:00"}, "hh:mm"),
        ({"time_of_day": "02:00", "hours": [2]}, "time_of_day, or hours"),
        ({"time_zone": "Europe/Berlun"}, "Europe/Berlin"),
        ({"start_time": "tomorrow"}, "2026-11-21T09:00:00, found 'tomorrow'"),
    ],
)
def test_a_recurrence_that_is_none_is_refused(options, message):
    with pytest.raises(DefinitionError, match=message):
        ScheduleRecurrence(**{"frequency": "Day", "interval": 1, **options})

from __future__ import annotations

import pytest

from airflow_ml_pipelines.core.publishing.dag_views import current_view, read_view, write_view
from dag_factory import (
    DataPath,
    DataPathComputeBinding,
    DefinitionError,
    MlPipelinesError,
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


def test_a_dag_of_which_a_run_is_under_way_stays_and_starts_no_more(ws, published):
    schedule = create(ws, published)
    store = ws.core.store
    schedule.disable()
    published.delete()
    assert current_view(store).dags == {}
    dags = current_view(store, {published.id, schedule.dag_id, "another"}).dags
    assert set(dags) == {published.id, schedule.dag_id}
    assert dags[schedule.dag_id].schedule.recurrence is None


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
    with pytest.raises(DefinitionError, match="either a recurrence or a datastore"):
        create(ws, published, recurrence=None)
    with pytest.raises(DefinitionError, match="either a recurrence or a datastore"):
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


# --- for files -----------------------------------------------------------------------------------------------------


@pytest.fixture
def reader(ws, project):
    """A published pipeline that reads a data path."""
    project.write("src/read.py", "print('hi')")
    path = PipelineParameter("rows", DataPath(ws.get_default_datastore(), "incoming"))
    pair = (path, DataPathComputeBinding())
    step = PythonScriptStep(
        "read.py",
        source_directory="src",
        inputs=[pair],
        arguments=[pair, PipelineParameter("word", "hello")],
    )
    return Pipeline(ws, [step], name="reader").publish()


def watch(ws, reader, **options):
    options = {"datastore": "workspaceblobstore", "path_on_datastore": "incoming/", **options}
    return Schedule.create(ws, "arrivals", reader.id, "files", **options)


def test_a_schedule_for_files_is_two_dags(ws, reader):
    schedule = watch(ws, reader, data_path_parameter_name="rows")
    found = Schedule.get(ws, schedule.id)
    assert (found.recurrence, found.datastore_name, found.path_on_datastore) == (
        None,
        "workspaceblobstore",
        "incoming",
    )
    assert (found.polling_interval, found.data_path_parameter_name) == (5, "rows")
    dags = current_view(ws.core.store).dags
    assert set(dags) == {reader.id, schedule.dag_id, f"{schedule.dag_id}.files"}
    assert dags[schedule.dag_id].schedule.recurrence is None
    assert dags[f"{schedule.dag_id}.files"].watch.starts == schedule.dag_id
    schedule.disable()
    assert set(current_view(ws.core.store).dags) == {reader.id}


def test_a_schedule_changes_between_files_and_times(ws, reader, project):
    schedule = watch(ws, reader)
    schedule.update(polling_interval=0.5, run_per="poll")
    assert (schedule.polling_interval, schedule.path_on_datastore) == (0.5, "incoming")
    schedule.update(recurrence=ScheduleRecurrence("Hour", 2))
    assert (schedule.recurrence.frequency, schedule.datastore_name) == ("Hour", None)
    with pytest.raises(DefinitionError, match="either a recurrence or a datastore"):
        schedule.update(path_on_datastore="other")
    with pytest.raises(DefinitionError, match="either a recurrence or a datastore"):
        schedule.update(recurrence=ScheduleRecurrence("Hour", 2), datastore="workspaceblobstore")
    schedule.update(datastore=ws.get_default_datastore(), path_on_datastore="other/*.csv")
    assert (schedule.recurrence, schedule.path_on_datastore) == (None, "other/*.csv")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"datastore": "workspaceblobstor"}, MlPipelinesError, "Did you mean 'workspaceblobstore'"),
        ({"path_on_datastore": "../up"}, DefinitionError, "would leave the datastore"),
        ({"polling_interval": 0}, DefinitionError, "at least a second"),
        ({"polling_interval": float("nan")}, DefinitionError, "at least a second"),
        ({"polling_interval": "5"}, DefinitionError, "expected minutes"),
        ({"run_per": "files"}, DefinitionError, "Did you mean 'file'"),
        (
            {"data_path_parameter_name": "row"},
            DefinitionError,
            "'row' of the pipeline does not exist. Did you mean 'rows'",
        ),
        ({"data_path_parameter_name": "word"}, DefinitionError, "'word' of the pipeline is no data path"),
    ],
)
def test_a_watch_that_is_none_is_refused_and_nothing_is_kept(ws, reader, options, error, message):
    with pytest.raises(error, match=message):
        watch(ws, reader, **options)
    assert Schedule.list(ws, active_only=False) == []


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

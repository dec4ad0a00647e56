from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap

import pytest

from airflow_ml_pipelines.core.publishing import dag_views
from airflow_ml_pipelines.core.publishing.pinned import pin_pipeline
from airflow_ml_pipelines.core.publishing.published import publish
from airflow_ml_pipelines.core.stores.local_store import LocalStore
from dag_factory import (
    DefinitionError,
    Environment,
    Experiment,
    MlPipelinesError,
    ParameterError,
    Pipeline,
    PipelineDraft,
    PipelineEndpoint,
    PipelineParameter,
    PipelineRun,
    PublishedPipeline,
    PythonScriptStep,
    RunConfiguration,
    Workspace,
    WorkspaceError,
)

SAY = """
import pathlib, sys
print("says", *sys.argv[1:])
"""


@pytest.fixture
def pipeline(ws, project):
    project.write("src/say.py", SAY)
    project.write("notes.txt", "first")
    step = PythonScriptStep(
        "say.py",
        name="say",
        source_directory="src",
        arguments=[PipelineParameter("word", "hello")],
        hash_paths=["../notes.txt"],
    )
    return Pipeline(ws, [step], description="Says a word.", name="talk")


def run(published, ws, **options):
    started = published.submit(ws, "talks", **options)
    started.wait_for_completion(show_output=False)
    return started


def said(started):
    (step,) = started.get_steps()
    return step.get_stdout_log().strip()


# --- published pipelines -------------------------------------------------------------------------------------------


def test_a_published_pipeline_runs_when_its_source_folder_has_gone(ws, project, pipeline):
    published = pipeline.publish()
    shutil.rmtree(project.folder / "src")
    (project.folder / "notes.txt").unlink()
    assert said(run(published, ws)) == "says hello"


def test_a_published_pipeline_runs_what_it_was(ws, project, pipeline):
    published = pipeline.publish()
    project.write("src/say.py", "print('something else')")
    assert said(run(published, ws, pipeline_parameters={"word": "ho"})) == "says ho"


def test_a_run_of_a_published_pipeline_is_reused_by_the_pipeline_itself(ws, pipeline):
    run(pipeline.publish(), ws)
    again = Experiment(ws, "talks").submit(pipeline)
    again.wait_for_completion(show_output=False)
    assert [step.is_reused for step in again.get_steps()] == [True]


def test_a_new_version_says_how_it_differs_from_the_one_before(ws, project, pipeline):
    run(pipeline.publish(), ws)
    project.write("src/say.py", SAY + "# more\n")
    second = run(pipeline.publish(), ws)
    (step,) = second.get_steps()
    assert "source: say.py changed" in "; ".join(step.reasons)


def test_a_run_that_has_just_begun_can_be_published(ws, pipeline):
    for number in range(3):
        started = pipeline.submit("talks", pipeline_parameters={"word": f"word {number}"})
        published = started.publish_pipeline(name="early")
        assert published.get_step_names() == ["say"]
        started.wait_for_completion(show_output=False)


def test_it_is_found_by_its_id_and_listed(ws, pipeline):
    one = pipeline.publish(name="My Pipeline", description="About words.", version="1.0")
    two = pipeline.publish(name="My Pipeline")
    assert one.id != two.id
    found = PublishedPipeline.get(ws, one.id)
    assert (found.name, found.version, found.description) == ("My Pipeline", "1.0", "About words.")
    assert (two.version, two.description) == (None, "Says a word.")
    assert found.get_step_names() == ["say"]
    assert [item.id for item in PublishedPipeline.list(ws)] == [one.id, two.id]


def test_what_is_disabled_does_not_run_until_it_is_enabled(ws, pipeline):
    published = pipeline.publish()
    published.disable()
    assert published.status == PublishedPipeline.get(ws, published.id).status == "Disabled"
    with pytest.raises(WorkspaceError, match=r"talk\.1' is disabled: call enable"):
        published.submit(ws, "talks")
    assert PublishedPipeline.list(ws) == []
    assert [item.id for item in PublishedPipeline.list(ws, active_only=False)] == [published.id]
    published.enable()
    assert said(run(published, ws)) == "says hello"


def test_what_was_deleted_is_gone_and_its_number_is_not_taken_again(ws, pipeline):
    published = pipeline.publish()
    published.delete()
    assert PublishedPipeline.list(ws, active_only=False) == []
    with pytest.raises(WorkspaceError, match="was deleted"):
        PublishedPipeline.get(ws, published.id)
    with pytest.raises(WorkspaceError, match="was deleted"):
        published.enable()
    assert pipeline.publish().id == "talk.2"


@pytest.mark.parametrize(
    "identity",
    ["talk.2", "talk", "", "../talk.1", "talk.1/", "talk.x", "talk.1.status", "..1", "x" * 9999 + ".1"],
)
def test_an_id_that_is_none_names_those_that_there_are(ws, pipeline, identity):
    pipeline.publish()
    with pytest.raises(WorkspaceError, match=r"there is no published pipeline .* talk\.1"):
        PublishedPipeline.get(ws, identity)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "the name is empty"),
        ("  ", "the name is empty"),
        ("a\nb", "can't be printed"),
        ("x" * 201, "201"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused(pipeline, name, message):
    with pytest.raises(DefinitionError, match=message):
        pipeline.publish(name=name or " ")


@pytest.mark.parametrize("name", ["a b", "a=b", "a-b", "../up", "ä", "x" * 200, "plan.1"])
def test_any_other_name_makes_an_id_that_a_dag_can_have(ws, pipeline, name):
    published = pipeline.publish(name=name)
    assert set(published.id) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert len(published.id) < 150
    assert PublishedPipeline.get(ws, published.id).name == name


def test_names_that_look_alike_have_ids_that_differ(pipeline):
    ids = {pipeline.publish(name=name).id for name in ("a b", "a=b", "a-b", "a+b")}
    assert len(ids) == 4


def test_publishing_what_has_no_script_any_more_is_refused_and_leaves_nothing(ws, project, pipeline):
    shutil.rmtree(project.folder / "src")
    with pytest.raises(MlPipelinesError, match="source_directory"):
        pipeline.publish()
    assert PublishedPipeline.list(ws) == []


def test_an_environment_is_the_one_of_the_time_of_publishing(ws, project):
    project.write("src/say.py", "import os; print(os.environ['WORD'])")
    environment = Environment("words")
    environment.environment_variables = {"WORD": "one"}
    environment.register(ws)
    step = PythonScriptStep("say.py", source_directory="src", runconfig=RunConfiguration())
    step.runconfig.environment = Environment.get(ws, "words")
    published = Pipeline(ws, [step], name="talk").publish()
    environment.environment_variables = {"WORD": "two"}
    environment.register(ws)
    assert said(run(published, ws)) == "one"


def test_a_run_can_be_published_as_it_was(ws, project, pipeline):
    first = Experiment(ws, "talks").submit(pipeline)
    first.wait_for_completion(show_output=False)
    project.write("src/say.py", "print('something else')")
    published = first.publish_pipeline(name="My_Published_Pipeline", description="As it was.", version="1.0")
    started = run(published, ws)
    assert [step.is_reused for step in started.get_steps()] == [True]
    forced = published.submit(ws, "talks", regenerate_outputs=True)
    forced.wait_for_completion(show_output=False)
    assert said(forced) == "says hello"


def test_a_run_knows_the_published_pipeline_that_it_is_of(ws, pipeline):
    published = pipeline.publish()
    started = run(published, ws)
    other = Experiment(ws, "talks").submit(pipeline)
    other.wait_for_completion(show_output=False)
    assert [item.id for item in PipelineRun.get_pipeline_runs(ws, published.id)] == [started.id]


def test_unknown_parameters_are_refused(ws, pipeline):
    with pytest.raises(ParameterError, match=r"'wort'.*word"):
        pipeline.publish().submit(ws, "talks", pipeline_parameters={"wort": "x"})


def test_it_is_written_down(ws, project, pipeline):
    pipeline.publish(name="talk").save("out.pipeline.yaml")
    assert "say.py" in (project.folder / "out.pipeline.yaml").read_text()


def test_another_process_runs_it_with_nothing_but_the_workspace(ws, project, pipeline, tmp_path):
    published = pipeline.publish()
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(project.folder / ".ml-pipelines", elsewhere / ".ml-pipelines")
    shutil.copy(project.folder / "workspace.yaml", elsewhere)
    shutil.rmtree(project.folder / "src")
    code = f"""
    from dag_factory import PublishedPipeline, Workspace
    ws = Workspace.from_config()
    run = PublishedPipeline.get(ws, {published.id!r}).submit(ws, "talks")
    print(run.wait_for_completion(show_output=False))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=elsewhere, capture_output=True, text=True
    )
    assert done.stdout.strip() == "Finished", done.stderr


# --- endpoints -----------------------------------------------------------------------------------------------------


def test_an_endpoint_runs_its_default_version_or_the_one_that_is_named(ws, project, pipeline):
    endpoint = PipelineEndpoint.publish(ws, name="words", description="Words.", pipeline=pipeline)
    project.write("src/say.py", "print('second')")
    endpoint.add(pipeline)
    assert endpoint.list_versions() == ["0", "1"]
    assert endpoint.default_version == endpoint.get_default_version() == "0"
    again = PipelineEndpoint.get(workspace=ws, name="words")
    assert again.id == endpoint.id

    def result(**options):
        started = again.submit("talks", **options)
        started.wait_for_completion(show_output=False)
        return said(started)

    assert result() == "says hello"
    assert result(pipeline_version="1") == "second"
    endpoint.set_default_version("1")
    assert result() == "second"
    assert result(pipeline_version="0", pipeline_parameters={"word": "ho"}) == "says ho"


def test_versions_are_added_in_order_and_the_default_follows_when_asked(ws, pipeline):
    published = [pipeline.publish() for _ in range(3)]
    endpoint = PipelineEndpoint.publish(ws, "words", None, published[0])
    endpoint.add_default(published[1])
    assert endpoint.default_version == "1"
    endpoint.add(published[2])
    assert [item.id for item in endpoint.list_pipelines()] == [item.id for item in published]
    endpoint.set_default(published[2])
    assert endpoint.get_pipeline().id == published[2].id
    assert endpoint.get_pipeline("0").id == published[0].id


def test_a_version_that_is_none_names_those_that_there_are(ws, pipeline):
    endpoint = PipelineEndpoint.publish(ws, "words", None, pipeline)
    for call in (endpoint.get_pipeline, endpoint.set_default_version):
        with pytest.raises(WorkspaceError, match=r"no version '7'.*0"):
            call("7")
    with pytest.raises(WorkspaceError, match="is no version of endpoint 'words'"):
        endpoint.set_default(pipeline.publish())


def test_a_name_is_one_endpoint_s(ws, pipeline):
    PipelineEndpoint.publish(ws, "words", None, pipeline)
    before = len(PublishedPipeline.list(ws))
    with pytest.raises(WorkspaceError, match="there is an endpoint 'words' in the workspace already"):
        PipelineEndpoint.publish(ws, "words", None, pipeline)
    assert len(PublishedPipeline.list(ws)) == before


def test_a_name_can_be_changed_and_is_free_then(ws, pipeline):
    endpoint = PipelineEndpoint.publish(ws, "words", None, pipeline)
    other = PipelineEndpoint.publish(ws, "others", None, pipeline)
    with pytest.raises(WorkspaceError, match="there is an endpoint 'others'"):
        endpoint.set_name("others")
    assert endpoint.name == "words"
    endpoint.set_name("talks")
    assert PipelineEndpoint.get(ws, name="talks").id == endpoint.id
    with pytest.raises(WorkspaceError, match="there is no endpoint 'words'"):
        PipelineEndpoint.get(ws, name="words")
    third = PipelineEndpoint.publish(ws, "words", None, pipeline)
    assert [item.id for item in PipelineEndpoint.list(ws)] == [other.id, endpoint.id, third.id]


def test_an_archived_endpoint_frees_its_name_and_can_come_back(ws, pipeline):
    endpoint = PipelineEndpoint.publish(ws, "words", None, pipeline)
    endpoint.archive()
    assert (endpoint.status, endpoint.name) == ("Archived", endpoint.id)
    PipelineEndpoint.publish(ws, "words", None, pipeline)
    with pytest.raises(WorkspaceError, match="reactivate"):
        endpoint.enable()
    with pytest.raises(WorkspaceError, match="archived"):
        endpoint.submit("talks")
    with pytest.raises(WorkspaceError, match="there is an endpoint 'words'"):
        endpoint.reactivate("words")
    endpoint.reactivate("more words")
    assert endpoint.status == "Active"
    assert {item.name for item in PipelineEndpoint.list(ws)} == {"words", "more words"}


def test_a_disabled_endpoint_does_not_run(ws, pipeline):
    endpoint = PipelineEndpoint.publish(ws, "words", None, pipeline)
    endpoint.disable()
    with pytest.raises(WorkspaceError, match="'words' is disabled"):
        endpoint.submit("talks")
    assert PipelineEndpoint.list(ws) == []
    assert [item.status for item in PipelineEndpoint.list(ws, active_only=False)] == ["Disabled"]
    endpoint.enable()
    assert PipelineEndpoint.list(ws, max_results=1)[0].status == "Active"


def test_a_version_of_an_endpoint_is_not_deleted(ws, pipeline):
    endpoint = PipelineEndpoint.publish(ws, "words", None, pipeline)
    with pytest.raises(WorkspaceError, match="it is a version of endpoint 'words'"):
        endpoint.get_pipeline().delete()
    endpoint.archive()
    endpoint.get_pipeline().delete()


def test_the_name_of_a_published_pipeline_is_understood_with_a_warning(ws, pipeline):
    pipeline.publish(name="My_Published_Pipeline")
    latest = pipeline.publish(name="My_Published_Pipeline")
    with pytest.warns(
        UserWarning, match="there is no endpoint 'My_Published_Pipeline'; this is the published"
    ):
        found = PipelineEndpoint.get(workspace=ws, name="My_Published_Pipeline")
    assert found.id == latest.id


def test_twenty_processes_publish_to_one_endpoint_and_no_version_is_lost(ws, project, pipeline):
    PipelineEndpoint.publish(ws, "words", None, pipeline)
    code = """
    from dag_factory import Pipeline, PipelineEndpoint, PythonScriptStep, Workspace
    ws = Workspace.from_config()
    step = PythonScriptStep("say.py", source_directory="src")
    PipelineEndpoint.get(ws, name="words").add_default(Pipeline(ws, [step], name="talk"))
    """
    project.write("add.py", code)
    processes = [subprocess.Popen([sys.executable, "add.py"]) for _ in range(20)]
    assert [process.wait() for process in processes] == [0] * 20
    endpoint = PipelineEndpoint.get(ws, name="words")
    assert endpoint.list_versions() == [str(number) for number in range(21)]
    assert endpoint.default_version == "20"
    ids = {item.id for item in endpoint.list_pipelines()}
    assert ids == {f"talk.{number}" for number in range(1, 22)}


def test_who_lists_again_reads_only_what_is_new(ws, pipeline, monkeypatch):
    for _ in range(3):
        pipeline.publish()
    assert len(PublishedPipeline.list(ws)) == 3
    read = []
    get = LocalStore.get
    monkeypatch.setattr(LocalStore, "get", lambda store, path: read.append(path) or get(store, path))
    pipeline.publish().disable()
    read.clear()
    assert [item.id for item in PublishedPipeline.list(ws)] == ["talk.1", "talk.2", "talk.3"]
    assert [item.id for item in PublishedPipeline.list(ws, active_only=False)][-1] == "talk.4"
    assert set(read) == {"pipelines/talk/4.status.json", "pipelines/talk/4.json"}


def test_what_was_submitted_to_a_server_is_kept_once_and_not_listed(ws, project, pipeline, monkeypatch):
    def submit():
        return publish(ws.core, pin_pipeline(ws.core, pipeline.to_spec()), submitted=True).id

    assert [submit(), submit()] == ["talk.submitted.1"] * 2
    project.write("src/say.py", "print('something else')")
    assert submit() == "talk.submitted.2"
    assert pipeline.publish().id == "talk.1"
    assert [item.id for item in PublishedPipeline.list(ws, active_only=False)] == ["talk.1"]
    both = {"talk.1", "talk.submitted.1", "talk.submitted.2"}
    assert set(dag_views.current_view(ws.core.store).dags) == both
    monkeypatch.setattr(dag_views, "_RECENT", -60.0)
    assert set(dag_views.current_view(ws.core.store).dags) == both - {"talk.submitted.1"}


# --- drafts --------------------------------------------------------------------------------------------------------


def test_a_draft_is_changed_tried_and_published(ws, project, pipeline):
    draft = PipelineDraft.create(
        ws,
        pipeline,
        name="next",
        experiment_name="tries",
        pipeline_parameters={"word": "ho"},
        tags={"a": "1"},
    )
    tried = draft.submit_run()
    tried.wait_for_completion(show_output=False)
    assert (said(tried), tried.experiment.name, tried.get_tags()) == ("says ho", "tries", {"a": "1"})
    draft.update(description="Better.", pipeline_parameters={"word": "hi"})
    found = PipelineDraft.get(ws, draft.id)
    assert (found.description, found.parameters) == ("Better.", {"word": "hi"})
    project.write("src/say.py", "print('not this')")
    published = found.publish()
    assert (published.name, published.description) == ("next", "Better.")
    assert said(run(published, ws)) == "says hi"


def test_a_draft_takes_the_files_of_another_pipeline(ws, project, pipeline):
    draft = PipelineDraft.create(ws, pipeline)
    project.write("src/say.py", "print('new')")
    draft.update(pipeline=pipeline)
    tried = draft.submit_run()
    tried.wait_for_completion(show_output=False)
    assert said(tried) == "new"


def test_a_draft_refuses_parameters_that_the_pipeline_does_not_have(ws, pipeline):
    with pytest.raises(ParameterError, match="'wort'"):
        PipelineDraft.create(ws, pipeline, pipeline_parameters={"wort": "x"})
    assert PipelineDraft.list(ws) == []


def test_drafts_are_listed_by_their_tags_and_deleted(ws, pipeline):
    one = PipelineDraft.create(ws, pipeline, name="one", tags={"team": "a"})
    two = PipelineDraft.create(ws, pipeline, name="two", tags={"team": "b"})
    assert [item.id for item in PipelineDraft.list(ws)] == [one.id, two.id]
    assert [item.id for item in PipelineDraft.list(ws, tags={"team": "b"})] == [two.id]
    one.delete()
    assert [item.id for item in PipelineDraft.list(ws)] == [two.id]
    with pytest.raises(WorkspaceError, match="there is no draft"):
        PipelineDraft.get(ws, one.id)
    with pytest.raises(WorkspaceError, match="there is no draft"):
        one.update(name="x")


def test_a_property_of_a_draft_is_never_changed(ws, pipeline):
    draft = PipelineDraft.create(ws, pipeline, properties={"origin": "here"})
    draft.add_properties({"more": "1", "origin": "here"})
    with pytest.raises(DefinitionError, match="property 'origin'"):
        draft.add_properties({"origin": "there"})
    assert PipelineDraft.get(ws, draft.id).properties == {"origin": "here", "more": "1"}


def test_workspaces_do_not_share_what_is_published(pipeline, tmp_path):
    pipeline.publish()
    other = Workspace.create("other", folder=tmp_path / "other", show_output=False)
    assert PublishedPipeline.list(other) == []

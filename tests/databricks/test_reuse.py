"""What ends the reuse of a step on Spark, and what does not."""

import msgspec
import pytest

from airflow_ml_pipelines.core.spec import StepOutput


def ran(outcome):
    return sorted(name for name, step in outcome.steps.items() if step.status == "finished")


def reasons(outcome):
    return " ".join(outcome.steps["clean"].reasons)


def change_notebook(project):
    project.server.notebook("/Shared/clean", project.notebook + "\n# changed\n")


@pytest.fixture
def done(project):
    assert ran(project.run()) == ["clean", "compare", "prepare"]
    return project


def test_an_unchanged_step_is_reused_without_a_run(done):
    assert ran(done.run()) == []
    assert len(done.server.submitted) == 1


def test_a_notebook_that_was_edited_in_the_workspace_ends_reuse(done):
    change_notebook(done)
    outcome = done.run()
    assert "clean" in ran(outcome)
    assert "prepare" not in ran(outcome)
    assert "notebook" in reasons(outcome)


@pytest.mark.parametrize(
    "fields",
    [
        {"spark_conf": {"spark.sql.shuffle.partitions": "7"}},
        {"spark_version": "16.1.x-scala2.12"},
        {"libraries": ({"pypi": {"package": "six==1.16"}},)},
        {"spark_env_variables": {"A": "b"}},
        {"init_scripts": ("dbfs:/i.sh",)},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_changes_what_is_made_ends_reuse(done, fields):
    assert "clean" in ran(done.run(done.clean(**fields)))


def test_a_widgets_value_ends_reuse(done):
    assert "clean" in ran(done.run(parameters={"word": "two"}))


@pytest.mark.parametrize(
    "fields",
    [
        {"num_workers": 8},
        {"num_workers": None, "min_workers": 1, "max_workers": 4},
        {"node_type": "huge"},
        {"instance_pool_id": "pool"},
        {"run_name": "another"},
        {"cluster_log_dbfs_path": "dbfs:/logs"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_changes_how_soon_it_is_made_does_not_end_reuse(done, fields):
    assert ran(done.run(done.clean(**fields))) == []


def test_a_timeout_does_not_end_reuse(done):
    assert ran(done.run(msgspec.structs.replace(done.clean(), timeout=99))) == []


def test_a_notebook_that_moved_is_the_same_notebook(done):
    done.server.notebook("/Shared/elsewhere", done.notebook)
    assert ran(done.run(done.clean(path="/Shared/elsewhere"))) == []


def test_a_notebook_that_it_runs_is_a_part_of_it(project):
    source = project.server.files.local("/Shared/clean.py").read_text().partition("\n")[2]
    project.server.notebook("/Shared/lib/words", "extra = 'x'\n")
    project.server.notebook("/Shared/clean", f"# MAGIC %run ./lib/words\n# COMMAND ----------\n{source}")
    assert "clean" in ran(project.run())
    assert ran(project.run()) == []
    project.server.notebook("/Shared/lib/words", "extra = 'y'\n")
    outcome = project.run()
    assert "clean" in ran(outcome)
    assert "lib/words" in reasons(outcome)


@pytest.mark.parametrize("target", ["bricks", "spark"])
def test_a_notebook_that_it_calls_by_name_is_a_part_of_it(project, target):
    project.server.notebook("/Shared/words", "dbutils.notebook.exit('x')\n")
    call = "if False:\n    dbutils.notebook.run('/Shared/never', 60)\ndbutils.notebook.run('./words', 60)\n"
    project.server.notebook("/Shared/clean", call + project.notebook)
    assert "clean" in ran(project.run(project.clean(target=target)))
    assert ran(project.run(project.clean(target=target))) == []
    project.server.notebook("/Shared/words", "dbutils.notebook.exit('y')\n")
    outcome = project.run(project.clean(target=target))
    assert "clean" in ran(outcome)
    assert "notebook words" in reasons(outcome)


@pytest.mark.parametrize("target", ["bricks", "spark"])
def test_a_notebook_from_the_top_of_the_workspace_is_found(project, target):
    project.server.notebook("/Users/me/words", "extra = dbutils.widgets.get('who')\n")
    run = '# MAGIC %run "/Users/me/words" $who="me"\n# COMMAND ----------\n'
    project.server.notebook("/Shared/clean", run + project.notebook.replace(".upper()", ".upper() + extra"))
    outcome = project.run(project.clean(target=target))
    assert outcome.errors == {}
    assert project.read(outcome, "compare", "out", "out.txt") == "DATA meone"


def test_a_notebook_that_is_edited_while_it_runs_makes_nothing_to_reuse(project):
    edit = "import pathlib; p = pathlib.Path(__file__); p.write_text(p.read_text() + '# changed')\n"
    source = project.server.files.local("/Shared/clean.py").read_text().partition("\n")[2]
    project.server.notebook("/Shared/clean", edit + source)
    outcome = project.run()
    assert "not recorded: notebook changed while the step ran" in reasons(outcome)


def test_what_ran_on_databricks_is_reused_on_another_spark(done):
    assert ran(done.run(done.clean(target="spark"))) == []


def test_what_ran_on_another_spark_is_reused_on_databricks(project):
    assert "clean" in ran(project.run(project.clean(target="spark")))
    assert ran(project.run()) == []
    assert project.server.submitted == []


def test_the_step_before_is_known_by_content(done):
    done.script("prepare", done.folder.joinpath("prepare/prepare.py").read_text() + "# changed\n")
    assert ran(done.run()) == ["prepare"]
    assert isinstance(done.clean().inputs[0].source, StepOutput)

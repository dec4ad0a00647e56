"""A step on Databricks in a pipeline: what it is given, what is kept of it, how it ends."""

import json


def test_data_goes_to_a_notebook_and_back_to_a_script(project):
    outcome = project.run()
    assert outcome.errors == {}
    assert project.read(outcome, "compare", "out", "out.txt") == "DATA one"


def test_what_the_notebook_exits_with_and_its_page_are_kept(project):
    outcome = project.run()
    folder = outcome.steps["clean"].folder
    kept = json.loads(project.workspace.store.get(f"{folder}/databricks.json"))
    assert kept["notebook_exit"] == "5"
    assert kept["run_page_url"].startswith(project.server.url)
    assert project.workspace.store.get(f"{folder}/outputs/notebook_exit.txt") == b"5"

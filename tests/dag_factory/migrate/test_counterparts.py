"""The table of what became of Azure ML SDK v1 says what is so."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import dag_factory
from dag_factory.migrate.counterparts import read_counterparts

TOOL = Path(__file__).parents[3] / "tools" / "migration_table.py"
ITEMS = read_counterparts().values()
THERE = [item for item in ITEMS if item.becomes is not None]

# set when an object is made, so that the class does not have them
ATTRIBUTES = {
    "name",
    "id",
    "description",
    "workspace",
    "datastores",
    "number",
    "experiment",
    "display_name",
    "status",
}


@pytest.mark.parametrize("item", THERE, ids=lambda item: item.name)
def test_what_has_a_counterpart_can_be_imported(item):
    assert item.becomes in dag_factory.__all__
    assert getattr(dag_factory, item.becomes).__name__ == item.becomes


def test_what_is_said_to_be_gone_is_not_there():
    assert [item.name for item in ITEMS if item.becomes is None and item.name in dag_factory.__all__] == []


def test_nothing_that_is_there_is_left_out():
    ours = {
        "DataError",
        "DefinitionError",
        "FileDataset",
        "MlPipelinesError",
        "ParameterError",
        "PipelineDefinition",
    }
    ours |= {"StepFailedError", "WorkspaceError", "__version__", "build_dag", "load_pipelines"}
    assert set(dag_factory.__all__) - {item.becomes for item in THERE} - ours == set()


@pytest.mark.parametrize("item", THERE, ids=lambda item: item.name)
def test_methods_are_there_or_not_as_the_table_says(item):
    found = getattr(dag_factory, item.becomes)
    wrong = [
        f"{method.name} is {method.status}"
        for method in item.methods
        if method.name not in ATTRIBUTES and hasattr(found, method.name) != (method.status != "not there")
    ]
    assert wrong == []


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.name)
def test_what_is_not_the_same_has_a_reason(item):
    assert item.note or item.status == "same" or item.becomes != item.name
    assert all(method.note for method in item.methods if method.status != "same")
    names = [method.name for method in item.methods]
    assert len(names) == len(set(names))


def test_the_page_has_the_table():
    spec = importlib.util.spec_from_file_location("migration_table", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    page = tool.PAGE.read_text(encoding="utf-8")
    assert page == tool.page_with_table(page), "run tools/migration_table.py"

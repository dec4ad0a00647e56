"""The JSON schemas take what the loader takes, refuse what it refuses for its shape, and describe every field."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
from broken.cases import read_cases
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from airflow_ml_pipelines.workspace_model import WorkspaceFile
from airflow_ml_pipelines.written.read import build
from airflow_ml_pipelines.written.source import Layer
from dag_factory.definitions.definition import PipelineDefinition
from dag_factory.definitions.read import PLACES
from dag_factory.definitions.schema import pipeline_schema, workspace_schema

PROJECT = Path(__file__).parents[3]
PIPELINE = Draft202012Validator(pipeline_schema())
WORKSPACE = Draft202012Validator(workspace_schema())


def is_taken(model, document):
    """Whether a model takes a document that has the shape that it should."""
    if not isinstance(document, dict):
        return False
    fields = {name: value for name, value in document.items() if not name.startswith("x-")}
    if model is PipelineDefinition:
        fields.setdefault("name", "file")
    try:
        model.model_validate(fields)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("schema", [pipeline_schema(), workspace_schema()], ids=["pipeline", "workspace"])
def test_the_schema_is_one(schema):
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("schema", [pipeline_schema(), workspace_schema()], ids=["pipeline", "workspace"])
def test_editors_have_a_description_of_every_field(schema):
    parts = [schema, *schema["$defs"].values()]
    models = [part["anyOf"][-1] if "anyOf" in part else part for part in parts]
    missing = [
        name
        for model in models
        for name, field in model["properties"].items()
        if len(field.get("description", "")) < 10
    ]
    assert not missing
    assert all(model["description"].endswith(".") for model in models)


@pytest.mark.parametrize("option", [[], ["--workspace"]])
def test_the_command_prints_it(option):
    done = subprocess.run(
        [sys.executable, "-m", "dag_factory.cli", "schema", *option],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == (workspace_schema() if option else pipeline_schema())


@pytest.mark.parametrize(
    "file", sorted(PROJECT.glob("example_dags/**/*.pipeline.yaml")), ids=lambda f: f.name
)
def test_the_examples_fit(file):
    document = build(Layer(file.read_text()), PLACES)
    assert [error.message for error in PIPELINE.iter_errors(document)] == []


SHORT = """
steps:
  a: {script: a.py, environment: sklearn, inputs: {x: data, y: "https://x.org/y", z: "${{ steps.b.outputs.c }}"}}
  b: {script: b.py, outputs: {c: , d: {register: d}}, arguments: [1.10, true, x], timeout: 1h, retry_delay: 3}
schedule: "@daily"
start_date: 2026-01-31T06:00:00+01:00
parameters: {alpha: 1.0, beta: x, gamma: true, delta: }
data: {data: "https://x.org/z", more: {paths: [a, {datastore: b, path: c}]}}
x-room: [anything, {at: all}]
"""


def test_short_forms_fit():
    assert [error.message for error in PIPELINE.iter_errors(build(Layer(SHORT), PLACES))] == []


def test_what_a_step_lacks_may_be_in_the_file_that_is_extended():
    part = {"extends": "defaults.yaml", "steps": {"a": {"retries": 3}}}
    assert PIPELINE.is_valid(part)
    del part["extends"]
    assert not PIPELINE.is_valid(part)


@pytest.mark.parametrize("document", [None, {}, {"root": "s3://b", "compute_targets": {"a": "local"}}])
def test_the_least_workspace_fits(document):
    assert WORKSPACE.is_valid(document)


# --- the schema and the loader agree -----------------------------------------------------------------------------


def agree(validator, model, document):
    assert validator.is_valid(document) == is_taken(model, document), document


@pytest.mark.parametrize("case", read_cases("definitions"))
def test_the_schema_refuses_what_the_loader_refuses_of_broken_definitions(case):
    layer = Layer(case.text)
    document = build(layer, PLACES)
    if not layer.found and "2026-02-30" not in case.text and "1.0\n" not in case.text:
        agree(PIPELINE, PipelineDefinition, document)


@pytest.mark.parametrize("case", read_cases("workspaces"))
def test_the_schema_refuses_what_the_loader_refuses_of_broken_workspaces(case):
    layer = Layer(case.text)
    document = build(layer)
    if not layer.found:
        agree(WORKSPACE, WorkspaceFile, document)


WHOLE = """
name: whole
description: d
doc: d
owner: o
tags: [t]
experiment: e
schedule: {cron: "@daily", timezone: UTC, mode: any, assets: [a], timetable: a.B, arguments: {x: [1]}, every: 2h}
start_date: 2026-01-31
catchup: true
max_active_runs: 3
continue_on_step_failure: true
timeout: 1h30m
retries: 2
retry_delay: 10.5
pool: p
priority_weight: -3
default_environment: {name: n, version: v, python: "3.12", user_managed: false, conda: [c], pip: [p], variables: {V: x}}
parameters:
  alpha: {type: number, default: 1.5, enum: [1.5, 2.5], minimum: 0.5, maximum: 3.5, title: t, section: s}
  beta: {default: {path: x}}
environments: {e: {interpreter: python, image: i, pip_options: [o], conda_channels: [c]}}
data:
  images: {datastore: d, path: p, type: tabular, header: only_first_file, separator: ";", set_column_types: {a: long}}
  more: {paths: [a, {datastore: b, path: c}], fingerprint: etag}
  third: {dataset: d, version: 3}
steps:
  a:
    script: a.py
    name: A
    source_directory: src
    arguments: [--x, 1.5, true]
    inputs:
      x: {data: images, mode: download, path_on_compute: /x, overwrite: true}
      y: {from: "${{ steps.b.outputs.c }}"}
    outputs:
      c: {mode: upload, path: p, globs: ["*"], create: false, register: {name: n, tags: {a: b}}, tabular: {encoding: utf8}}
    parameters: {x: 1, y: text, z: false}
    environment: {pip: [numpy]}
    allow_reuse: false
    hash_paths: [lib]
    after: [b]
    timeout: 30
  b: {script: b.py, outputs: {c: }}
"""
DOCUMENT = build(Layer(WHOLE), PLACES)


def places_in(value, path=()):
    """The paths to all that is in a document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places_in(item, (*path, key))


def changed(path, value, *, add):
    """The document with another value at a path, or one more field there."""
    document = copy.deepcopy(DOCUMENT)
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    if add and isinstance(parent[path[-1]], dict):
        parent[path[-1]]["unknown"] = value
    elif value is ...:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return document


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.floats(-2, 3).filter(lambda number: not number.is_integer()),
    st.sampled_from(
        ["", "x", "1h", "3 s", "2026-01-31", "@daily", "https://x", "tabular", "mount", "${{ x }}"]
    ),
    st.lists(st.sampled_from(["a", 1, None]), max_size=2),
    st.dictionaries(st.sampled_from(["name", "path", "script", "data", "default"]), st.just("x"), max_size=2),
    st.just(...),
)


@given(st.sampled_from([path for path in places_in(DOCUMENT) if path]), VALUES, st.booleans())
@settings(max_examples=1500, deadline=None)
def test_the_schema_and_the_loader_agree_on_any_change(path, value, add):
    agree(PIPELINE, PipelineDefinition, changed(path, value, add=add and value is not ...))

"""What requests to start a run may bring: whatever else comes is refused with what is wrong, before anything is done."""

from __future__ import annotations

import json

import pytest
from page_app import API, page_client

from airflow_ml_pipelines.core.publishing.pinned import pin_pipeline
from airflow_ml_pipelines.core.publishing.published import publish
from airflow_ml_pipelines.core.spec import ParameterSpec, PipelineSpec, StepSpec
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.plugin import submit
from airflow_ml_pipelines.plugin.bodies import MOST
from airflow_ml_pipelines.plugin.trigger import StartedRun


@pytest.fixture
def client(tmp_path, monkeypatch):
    workspace = Workspace("test", str(tmp_path / "root"), cache_directory=tmp_path / "cache")
    (tmp_path / "source").mkdir()
    (tmp_path / "source/step.py").write_text("print(1)\n")
    names = ("rate", "word", "rows")
    kinds = ("number", "string", "data")
    spec = PipelineSpec(
        name="digits",
        steps=(StepSpec(id="train", name="train", script="step.py", source_directory="source"),),
        parameters=tuple(
            ParameterSpec(name=name, type=kind, required=True)
            for name, kind in zip(names, kinds, strict=True)
        ),
        base_directory=str(tmp_path),
    )
    publish(workspace, pin_pipeline(workspace, spec))
    monkeypatch.setattr(submit, "start_run", lambda *_: pytest.fail("a run was started"))
    with page_client(monkeypatch, workspace, {"admin": None}) as client:
        yield client


def text(**fields: object) -> str:
    return json.dumps(fields)


NUL, HALF = "a\0b", "\ud800"
REFUSED = {
    "a repeated field": ('{"RunSource": "a", "RunSource": "b"}', 422, "'RunSource' is given twice"),
    "a repeated parameter": (
        '{"ParameterAssignments": {"rate": 1, "rate": 2}}',
        422,
        "'rate' is given twice",
    ),
    "no document": ("", 422, "Field required"),
    "a list": ("[]", 422, "valid dictionary"),
    "half a document": ('{"Tags": {', 422, "JSON decode error"),
    "no UTF-8": (b'{"RunSource": "\xff"}', 400, "parsing the body"),
    "a document that is too large": (text(RunSource="x" * MOST), 413, f"at most {MOST} bytes"),
    "a document that is too deep": ("[" * 100_000, 400, "parsing the body"),
    "values that are too deep": (
        '{"ParameterAssignments": {"rows": ' + '{"a":' * 900 + "1" + "}" * 902,
        422,
        "'rows'",
    ),
    "an unknown field of any length": (text(**{"x" * 100_000: 1}), 422, "Extra inputs"),
    "a description that Airflow can't keep": (text(Description="x" * 1001), 422, "at most 1000"),
    "too many tags": (text(Tags={str(n): "" for n in range(1001)}), 422, "at most 1000"),
    "too many parameters": (text(ParameterAssignments=dict.fromkeys(map(str, range(1001)))), 422, "1000"),
    "a blank name": (text(ExperimentName="  "), 422, "can be printed"),
    "a name with control characters": (text(ExperimentName="a\x1b[31m"), 422, "can be printed"),
    "a number that is none": ('{"ParameterAssignments": {"rate": NaN}}', 422, "expected a number"),
    "a number that is too large": ('{"ParameterAssignments": {"rate": 1e999}}', 422, "expected a number"),
    "digits without end": ('{"ParameterAssignments": {"rate": ' + "9" * 5000 + "}}", 400, "parsing the body"),
    **{
        f"{what} in {where}": (text(**fields), 422, "")
        for what, sign in (("NUL", NUL), ("half a character", HALF))
        for where, fields in {
            "the experiment": {"ExperimentName": sign},
            "the description": {"Description": sign},
            "a tag": {"Tags": {"a": sign}},
            "the name of a tag": {"Tags": {sign: "a"}},
            "the parent": {"ParentRunId": sign},
            "a parameter": {"ParameterAssignments": {"word": sign}},
            "the name of a parameter": {"ParameterAssignments": {sign: 1}},
            "a value below": {"ParameterAssignments": {"rows": {"path": [sign]}}},
            "a path": {"DataPathAssignments": {"rows": {"DataStoreName": "a", "RelativePath": sign}}},
            "a field": {sign: 1},
        }.items()
    },
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_submission_is_refused_with_what_is_wrong(case, client):
    body, status, told = REFUSED[case]
    headers = {"content-type": "application/json"}
    answer = client.post(f"{API}/pipelines/digits.1", content=body, headers=headers)
    assert (answer.status_code, told in answer.text) == (status, True), answer.text[:1000]
    assert len(answer.content) < 10_000


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/x-www-form-urlencoded", ""])
def test_what_is_not_said_to_be_json_is_refused(kind, client):
    answer = client.post(f"{API}/pipelines/digits.1", content="{}", headers={"content-type": kind})
    assert answer.status_code == 422


def test_a_document_of_unknown_length_is_refused_as_soon_as_it_is_too_long(client):
    pieces = (b" " * (1 << 16) for _ in range(1000))
    headers = {"content-type": "application/json"}
    assert client.post(f"{API}/pipelines/digits.1", content=pieces, headers=headers).status_code == 413


def test_a_submission_starts_a_run_with_what_it_brings(client, monkeypatch):
    started = []

    def start_run(_, access, dag_id, run_id, conf, note):
        started.append((access.user, dag_id, conf, note))
        return StartedRun("queued", conf, is_new=True)

    monkeypatch.setattr(submit, "start_run", start_run)
    values = {"rate": 0.5, "word": "größer 🙂", "rows": {"path": "a"}}
    body = {"ParameterAssignments": values, "Description": "x" * 1000, "Tags": {"team": "a"}}
    answer = client.post(f"{API}/pipelines/digits.1", json=body)
    assert (answer.status_code, answer.json()["Status"]) == (200, "NotStarted"), answer.text
    conf = {**values, "experiment_name": "digits", "tags": {"team": "a"}}
    assert started == [("admin", "digits.1", conf, "x" * 1000)]

"""The pages of published pipelines, comparisons, datasets and savings."""

from __future__ import annotations

import html
import re

import pytest
from made_runs import chain, make_run
from page_app import API, UI, page_client

from airflow_ml_pipelines.core.publishing.endpoints import (
    add_version,
    archive_endpoint,
    create_endpoint,
    read_endpoint,
)
from airflow_ml_pipelines.core.publishing.pinned import pin_pipeline
from airflow_ml_pipelines.core.publishing.published import publish, read_published, read_status
from airflow_ml_pipelines.core.runs.folder import Origin
from airflow_ml_pipelines.core.spec import (
    Data,
    Location,
    ParameterSpec,
    PipelineSpec,
    StepSpec,
    TabularFormat,
)
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

HERE = {"sec-fetch-site": "same-origin"}
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def workspace(tmp_path):
    return Workspace("test", str(tmp_path / "root"), cache_directory=tmp_path / "cache")


@pytest.fixture
def client(workspace, monkeypatch):
    users = {"admin": None, "ada": ["one", "digits.1"], "nobody": []}
    with page_client(monkeypatch, workspace, users) as client:
        yield client


@pytest.fixture
def published(workspace, tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source/step.py").write_text("print(1)\n")
    parameters = (
        ParameterSpec(name="depth", type="integer", default=8, minimum=1, maximum=64, description=HOSTILE),
        ParameterSpec(name="rate", type="number", required=True),
        ParameterSpec(name="fast", type="boolean", default=False),
        ParameterSpec(name="kind", type="string", default="gini", enum=("gini", "entropy")),
        ParameterSpec(name="raw", type="data", default={"dataset": "raw"}),
    )
    spec = PipelineSpec(
        name="digits",
        steps=(StepSpec(id="train", name="train", script="step.py", source_directory="source"),),
        parameters=parameters,
        description=HOSTILE,
        base_directory=str(tmp_path),
    )
    publish(workspace, pin_pipeline(workspace, spec), name="digits", version="2026.11")
    publish(workspace, pin_pipeline(workspace, spec), name="digits", version="2026.12")
    return "digits.1"


def texts(answer):
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


# --- pipelines ---------------------------------------------------------------------------------------------------


def test_published_pipelines_are_listed_with_their_versions_for_those_who_may_see_them(client, published):
    assert "digits digits.2 2026.12 active" in texts(client.get(f"{UI}/pipelines"))
    seen = texts(client.get(f"{UI}/pipelines", headers={"user": "ada"}))
    assert "digits.1" in seen
    assert "digits.2" not in seen
    assert "Nothing is published yet." in texts(client.get(f"{UI}/pipelines", headers={"user": "nobody"}))
    assert client.get(f"{UI}/pipelines/digits.2", headers={"user": "ada"}).status_code == 404


def test_the_form_of_a_run_has_a_field_of_the_right_kind_for_each_parameter(client, published):
    text = client.get(f"{UI}/pipelines/{published}").text
    kinds = {name: tag for tag, name in re.findall(r'<(\w+)[^>]* name="parameter\.(\w+)"', text)}
    assert kinds == {"depth": "input", "rate": "input", "fast": "select", "kind": "select", "raw": "textarea"}
    assert re.search(r'type="number" name="parameter.depth"[^>]* step="1" min="1(\.0)?" max="64(\.0)?"', text)
    assert HOSTILE not in text
    seen = client.get(f"{UI}/pipelines/{published}", headers={"user": "ada"}).text
    assert "You may not start runs of it." in seen
    assert "<button" not in seen


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("depth", "eight", "integer, at least 1 and at most 64, not 'eight'"),
        ("rate", "fast", "takes number"),
        ("fast", "maybe", "takes boolean"),
        ("raw", "{", "takes data"),
        ("depth", HOSTILE, "not '<script>"),
    ],
)
def test_a_value_of_another_type_brings_the_form_back_with_what_is_wrong(client, published, name, text, says):
    form = {f"parameter.{name}": text, "experiment": "mine"}
    answer = client.post(f"{UI}/pipelines/{published}/runs", data=form, headers=HERE)
    assert answer.status_code == 422
    assert says in texts(answer)
    assert 'value="mine"' in answer.text
    assert HOSTILE not in answer.text


def test_a_pipeline_is_disabled_and_enabled_again(client, workspace, published):
    for status, button in (("Disabled", "Enable"), ("Active", "Disable")):
        form = {"status": status}
        answer = client.post(f"{UI}/pipelines/{published}/status", data=form, headers=HERE)
        assert answer.status_code == 200
        assert f">{button}</button>" in answer.text
        assert read_status(workspace.store, read_published(workspace.store, published)) == status


def test_an_endpoint_is_disabled_and_enabled_by_those_who_may_change_all_that_it_runs(
    client, workspace, published
):
    store = workspace.store
    endpoint = create_endpoint(store, "service", "digits.1", description=HOSTILE)
    add_version(store, endpoint.id, "digits.2")
    for status, button in (("Disabled", "Enable"), ("Active", "Disable")):
        answer = client.post(f"{UI}/endpoints/{endpoint.id}/status", data={"status": status}, headers=HERE)
        assert answer.status_code == 200
        assert f'aria-label="{button} endpoint service"' in answer.text
        assert HOSTILE not in answer.text
        assert read_endpoint(store, name="service").status == status
    assert (
        client.patch(f"{API}/endpoints/service", json={"status": "Disabled"}).json()["status"] == "Disabled"
    )
    refused = {"status": "Active"}
    ada = {"user": "ada"}
    assert "<button" not in client.get(f"{UI}/pipelines", headers=ada).text
    for answer in (
        client.post(f"{UI}/endpoints/{endpoint.id}/status", data=refused, headers={**HERE, **ada}),
        client.patch(f"{API}/endpoints/service", json=refused, headers=ada),
    ):
        assert answer.status_code == 403
    nobody = client.patch(f"{API}/endpoints/service", json=refused, headers={"user": "nobody"})
    assert nobody.status_code == 404
    assert read_endpoint(store, name="service").status == "Disabled"
    archive_endpoint(store, endpoint.id)
    assert "service" not in texts(client.get(f"{UI}/pipelines"))
    assert client.patch(f"{API}/endpoints/{endpoint.id}", json=refused).status_code == 409


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "same-origin", "user": "ada"},
    ],
)
def test_nothing_is_changed_by_a_form_from_elsewhere_or_without_permission(
    client, workspace, published, headers
):
    for path, form in (("status", {"status": "Disabled"}), ("runs", {})):
        answer = client.post(f"{UI}/pipelines/{published}/{path}", data=form, headers=headers)
        assert answer.status_code == 403
    assert read_status(workspace.store, read_published(workspace.store, published)) == "Active"


def test_a_form_of_any_size_is_not_read(client, published):
    answer = client.post(
        f"{UI}/pipelines/{published}/status", content=b"status=" + b"x" * (2 << 20), headers=HERE
    )
    assert answer.status_code == 413


# --- comparison --------------------------------------------------------------------------------------------------


def test_runs_are_compared_side_by_side_what_differs_first(client, workspace):
    make_run(workspace, chain("one"), "a", parameters={"same": 1, "depth": 8}, metrics={"accuracy": 0.5})
    make_run(
        workspace, chain("one"), "b", number=1, parameters={"same": 1, "depth": 4}, metrics={"accuracy": 0.75}
    )
    make_run(
        workspace, chain("two"), "c", number=2, parameters={"same": 1, "depth": 4}, states={"s3": "failed"}
    )
    answer = client.get(f"{UI}/compare?run=one/a&run=one/b&run=two/c")
    assert answer.status_code == 200
    assert re.findall(r'<tr class="differs"><th scope="row">(\w+ ?\d?)', answer.text)[:2] == [
        "step 3",
        "depth",
    ]
    text = texts(answer)
    assert "accuracy (differs) 0.5 0.75 none" in text
    assert "3 runs compared" in text
    assert answer.text.count("<polyline") == 1


def test_a_run_that_one_may_not_see_is_compared_with_nothing(client, workspace):
    make_run(workspace, chain("one"), "a")
    make_run(workspace, chain("hidden"), "b", parameters={"private": 1})
    answer = client.get(f"{UI}/compare?run=one/a&run=hidden/b", headers={"user": "ada"})
    assert answer.status_code == 404
    assert "private" not in answer.text


def test_fewer_than_two_runs_are_told_how_it_is_done(client, workspace):
    make_run(workspace, chain("one"), "a")
    for query in ("", "?run=one/a", "?run=one/a&run=one/a"):
        assert "Tick two runs or more" in texts(client.get(f"{UI}/compare{query}"))
    assert client.get(f"{UI}/compare?run=nonsense&run=/").status_code == 404


# --- datasets ----------------------------------------------------------------------------------------------------


def table(workspace, name, text, **fields):
    workspace.datastore().put(f"tables/{name}.csv", text)
    location = Location(datastore=workspace.default_datastore, path=f"tables/{name}.csv")
    return Data(locations=(location,), tabular=TabularFormat())


def test_a_dataset_has_versions_a_profile_and_a_difference(client, workspace):
    workspace.register_dataset("rows", table(workspace, "a", b"x,y\n1,<b>\n2,b\n"), description=HOSTILE)
    workspace.register_dataset("rows", table(workspace, "b", b"x,y,z\n1,a,3\n"))
    assert "rows 2" in texts(client.get(f"{UI}/datasets"))
    page = client.get(f"{UI}/datasets/rows?old=1&new=2")
    assert "+ column z" in texts(page)
    profile = client.get(f"{UI}/datasets/rows/1")
    assert re.search(r"x BIGINT 2 0 2 1 ", texts(profile))
    assert "First rows x y 1 &lt;b&gt; 2 b " in re.sub(r"\s+", " ", texts(profile)).replace(
        "<b>", "&lt;b&gt;"
    )
    assert "<b>" not in profile.text
    assert HOSTILE not in profile.text
    assert client.get(f"{UI}/datasets/rows/9").status_code == 404
    assert client.get(f"{UI}/datasets/none").status_code == 404


def test_data_that_has_gone_is_told_and_no_error(client, workspace):
    workspace.register_dataset("rows", table(workspace, "a", b"x\n1\n"))
    workspace.datastore().delete("tables/a.csv")
    answer = client.get(f"{UI}/datasets/rows/1")
    assert answer.status_code == 200
    assert "tables/a.csv" in texts(answer)


def test_lineage_leads_from_dataset_to_step_to_dataset_without_those_one_may_not_see(client, workspace):
    workspace.register_dataset("raw", table(workspace, "raw", b"x\n1\n"))
    make_run(workspace, chain("one", reads="raw", registers="clean"), "a")
    make_run(workspace, chain("hidden", reads="raw", registers="leak"), "b")
    make_run(workspace, chain("one", reads="raw", registers="raw"), "c", number=1)
    everything, seen = (
        texts(client.get(f"{UI}/datasets/raw", headers={"user": user})) for user in ("admin", "ada")
    )
    assert "hidden: s1" in everything
    assert "one: s1" in seen
    assert "hidden" not in seen
    assert "leak" not in seen


def test_a_registered_dataset_is_for_those_who_may_see_assets_or_a_run_that_reads_it(client, workspace):
    for name in ("raw", "private"):
        workspace.register_dataset(name, table(workspace, name, b"x\n1\n"))
    make_run(workspace, chain("one", reads="raw"), "a")
    make_run(workspace, chain("hidden", reads="private"), "b")
    seen = {
        user: [
            name
            for name in ("raw", "private")
            if f"/datasets/{name}" in client.get(f"{UI}/datasets", headers={"user": user}).text
        ]
        for user in ("admin", "ada", "nobody")
    }
    assert seen == {"admin": ["raw", "private"], "ada": ["raw"], "nobody": []}
    for path, code in (("raw", 200), ("raw/1", 200), ("private", 404), ("private/1", 404)):
        assert client.get(f"{UI}/datasets/{path}", headers={"user": "ada"}).status_code == code


def test_a_version_that_a_hidden_step_made_is_not_there(client, workspace):
    make_run(workspace, chain("hidden"), "b")
    origin = Origin(pipeline="hidden", run="b", step="s3", attempt=1, id="hidden.b.s3.1")
    workspace.register_dataset("made", table(workspace, "made", b"x\n1\n"), origin=origin)
    assert "made" in texts(client.get(f"{UI}/datasets"))
    assert "made" not in texts(client.get(f"{UI}/datasets", headers={"user": "ada"}))
    for path in ("made", "made/1"):
        assert client.get(f"{UI}/datasets/{path}", headers={"user": "ada"}).status_code == 404


# --- savings -----------------------------------------------------------------------------------------------------


def test_savings_are_summed_for_each_pipeline_and_step_that_one_may_see(client, workspace):
    make_run(workspace, chain("one"), "first", metrics={"accuracy": 0.5})
    make_run(
        workspace,
        chain("one"),
        "b",
        number=1,
        states={"s1": "reused", "s2": "reused"},
        metrics={"accuracy": 0.6},
    )
    make_run(workspace, chain("hidden"), "c", states={"s1": "reused"}, reused_from=("one", "first"))
    full, seen = (texts(client.get(f"{UI}/savings", headers={"user": user})) for user in ("admin", "ada"))
    assert "Saved 36 s Steps worked 72 s Share 33 %" in full
    assert "Saved 24 s Steps worked 48 s Share 33 %" in seen
    assert "hidden" not in seen
    steps = client.get(f"{UI}/savings/one")
    assert "s1 2 1 1 12 s 12 s 50 %" in texts(steps)
    assert steps.text.count("<polyline") == 1
    assert client.get(f"{UI}/savings/hidden", headers={"user": "ada"}).status_code == 404


def test_without_runs_every_page_says_so(client):
    for path in ("runs", "pipelines", "datasets", "savings"):
        answer = client.get(f"{UI}/{path}", headers={"user": "nobody"})
        assert answer.status_code == 200
        assert re.search(r"no runs yet|Nothing is published|No dataset is registered", texts(answer))

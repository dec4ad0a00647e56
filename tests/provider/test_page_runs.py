"""The pages of runs: what they say, to whom, and that nothing which is put in is more than text."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

import pytest
from made_runs import chain, make_run
from page_app import API, UI, page_client

from airflow_ml_pipelines.core.runs.folder import RunFolder
from airflow_ml_pipelines.core.runs.new_run import refused_run
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% raw %}",
    "\u202eevil\u202c \u200f",
    "'; DROP TABLE runs --",
    "x" * 10_000,
    "]]>&amp;<!--",
]
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def workspace(tmp_path):
    return Workspace("test", str(tmp_path / "root"), cache_directory=tmp_path / "cache")


@pytest.fixture
def client(workspace, monkeypatch):
    users = {"admin": None, "ada": ["one"], "nobody": []}
    with page_client(monkeypatch, workspace, users) as client:
        yield client


class Page(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes = set(), set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)


def texts(answer):
    """The text of a page, without its tags."""
    return html.unescape(re.sub(r"<[^>]*>", " ", answer.text))


def test_the_list_has_every_run_with_its_steps_parameters_and_metrics(client, workspace):
    make_run(workspace, chain("one"), "first", parameters={"depth": 3}, metrics={"accuracy": 0.875})
    make_run(workspace, chain("one"), "again", number=1, states=dict.fromkeys(("s1", "s2", "s3"), "reused"))
    answer = client.get(f"{UI}/runs")
    assert answer.status_code == 200
    text = " ".join(texts(answer).split())
    assert text.index("again") < text.index("first")
    assert "depth 3" in text
    assert "accuracy 0.875" in text
    assert "3 reused" in text
    assert "36 s" in text


def test_the_list_is_filtered_and_paged(client, workspace):
    for number in range(60):
        make_run(workspace, chain("one", 1), f"run-{number:02}", number=number, parameters={"depth": number})
    first, second = (client.get(f"{UI}/runs?page={page}").text for page in (1, 2))
    assert [("run-59" in page, "run-09" in page) for page in (first, second)] == [
        (True, False),
        (False, True),
    ]
    few = client.get(f"{UI}/runs", params={"parameter": "depth>57"}).text
    assert re.findall(r"run-\d\d(?=</a>)", few) == ["run-59", "run-58"]
    wrong = client.get(f"{UI}/runs", params={"metric": "accuracy>high"})
    assert wrong.status_code == 422
    assert "expected a number" in texts(wrong)


def test_a_run_is_a_graph_of_steps_each_with_its_state_and_why(client, workspace):
    make_run(workspace, chain("one", 4), "first")
    states = {"s1": "reused", "s2": "finished", "s3": "failed", "s4": "waiting"}
    make_run(workspace, chain("one", 4), "second", number=1, states=states, against=("one", "first"))
    answer = client.get(f"{UI}/runs/one/second")
    graph = answer.text[answer.text.index("<svg") : answer.text.index("</svg>")]
    found = dict(re.findall(r'class="node (\w+)" aria-label="(step \d)', graph))
    assert found == {"reused": "step 1", "ran": "step 2", "failed": "step 3", "waiting": "step 4"}
    text = texts(answer)
    assert "reused, saved 12 s" in text
    assert "it broke" in text
    assert "parameter alpha: 1 → 2" in text


def test_a_step_has_decision_data_metrics_files_and_logs(client, workspace):
    files = {
        "logs/stdout.txt": b"epoch 1\n",
        "outputs/images/roc.png": PNG,
        "outputs/notes.txt": b"notes",
    }
    metrics = {
        "accuracy": 0.5,
        "loss": [3, 2, 1],
        "image roc": "outputs/images/roc.png",
        "bad": [1, float("nan")],
    }
    make_run(
        workspace,
        chain("one", reads="raw"),
        "first",
        metrics=metrics,
        files=files,
        outputs={"table.csv": b"a,b\n1,<b>x</b>\n", "blob.bin": b"\0\1"},
        git={"commit": "abcdef0123456789", "branch": "main"},
    )
    at = f"{UI}/runs/one/first/steps/s3"
    answer = client.get(at)
    text = " ".join(texts(answer).split())
    for part in ("accuracy 0.5", "epoch 1", "table.csv", "step 2: out", "loss", "abcdef0123", "notes.txt"):
        assert part in text
    assert answer.text.count("<polyline") == 2
    assert "raw" in texts(client.get(f"{UI}/runs/one/first/steps/s1"))
    image = client.get(f"{at}/file", params={"name": "outputs/images/roc.png"})
    assert (image.content, image.headers["content-type"]) == (PNG, "image/png")
    table = client.get(f"{at}/preview", params={"output": "out", "name": "table.csv"})
    assert "<td>&lt;b&gt;x&lt;/b&gt;</td>" in table.text
    assert "This is no text." in texts(
        client.get(f"{at}/preview", params={"output": "out", "name": "blob.bin"})
    )


def test_files_are_never_run_by_a_browser(client, workspace):
    files = {"outputs/page.html": b"<script>alert(1)</script>", "outputs/x.svg": b"<svg onload='alert(1)'/>"}
    make_run(workspace, chain("one"), "first", files=files)
    for name, data in files.items():
        answer = client.get(f"{UI}/runs/one/first/steps/s3/file", params={"name": name})
        assert answer.content == data
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "name", ["../../run.json", "/etc/passwd", "logs/../job.json", "job.json", "metrics.jsonl", "", "\0"]
)
def test_no_file_but_those_that_the_step_kept_is_given(client, workspace, name):
    make_run(workspace, chain("one"), "first", files={"job.json": b"{}", "logs/stdout.txt": b"x"})
    for output in ("", "out", "other"):
        answer = client.get(f"{UI}/runs/one/first/steps/s3/file", params={"name": name, "output": output})
        assert answer.status_code in (404, 422)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_come_out_as_text(client, workspace, hostile):
    spec = chain("one")
    make_run(
        workspace,
        spec,
        "run" + hostile[:60],
        parameters={hostile: hostile},
        tags={hostile[:200]: hostile},
        metrics={"m" + hostile[:200]: 1.0, "v" + hostile[:200]: [1, 2], "t" + hostile[:200]: hostile},
        files={"logs/stdout.txt": hostile.encode()},
        experiment=hostile,
        git={"commit": hostile, "branch": hostile},
    )
    paths = [f"{UI}/runs"]
    paths += [
        html.unescape(path)
        for path in re.findall(r'href="([^"]*/runs/one/[^"]*)"', client.get(paths[0]).text)
    ]
    paths.append(f"{paths[1]}/steps/s3")
    assert len(paths) == 3
    for path in paths:
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert len(answer.content) < 100_000
        page = Page()
        page.feed(answer.text)
        assert page.tags <= TAGS, path
        assert not [name for name in page.attributes if name.startswith("on") or name == "style"], path
        assert "49" not in texts(answer)


TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "link",
        "script",
        "body",
        "a",
        "header",
        "nav",
        "main",
        "h1",
        "h2",
        "h3",
    ),
    *("p", "span", "form", "label", "select", "option", "input", "button", "div", "table", "thead", "tbody"),
    *(
        "tr",
        "th",
        "td",
        "time",
        "br",
        "dl",
        "dt",
        "dd",
        "section",
        "svg",
        "defs",
        "marker",
        "path",
        "g",
        "rect",
    ),
    *(
        "text",
        "figure",
        "figcaption",
        "line",
        "circle",
        "polyline",
        "details",
        "summary",
        "pre",
        "ul",
        "li",
        "b",
    ),
    *("img",),
}


def test_pages_let_nothing_in_but_their_own_style_and_script(client, workspace):
    make_run(workspace, chain("one"), "first")
    for path in ("runs", "runs/one/first", "runs/one/first/steps/s1", "runs/one/none"):
        answer = client.get(f"{UI}/{path}")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"<script(?![^>]* src=)|<style| style=|https?://(?!www.w3.org)", answer.text)
    for name in ("page.css", "page.js", "theme.js"):
        assert client.get(f"{UI}/static/{name}").status_code == 200
    assert client.get(f"{UI}/static/../app.py").status_code == 404


# --- who sees what -----------------------------------------------------------------------------------------------


def test_what_belongs_to_other_dags_is_not_there(client, workspace):
    make_run(
        workspace, chain("hidden"), "first", dag_id="secret", files={"logs/stdout.txt": b"private words"}
    )
    make_run(workspace, chain("one"), "mine", number=1)
    pages = ["runs", "runs?pipeline=hidden", "dags/secret", "dags/secret/runs/first"]
    for path in pages:
        answer = client.get(f"{UI}/{path}", headers={"user": "ada"})
        assert answer.status_code == 200
        text = texts(answer).replace("There", "")
        assert (
            not re.search(r"hidden(?!<)", text.split("Clear")[0].replace("all hidden", ""))
            or "=hidden" in path
        )
        assert "first" not in text
    assert "Runs 1" in " ".join(texts(client.get(f"{UI}/runs", headers={"user": "ada"})).split())
    for path in ("runs/hidden/first", "runs/hidden/first/steps/s1", "runs/hidden/first/steps/s1/file?name=x"):
        known = client.get(f"{UI}/{path}", headers={"user": "ada"})
        unknown = client.get(f"{UI}/{path.replace('hidden', 'absent')}", headers={"user": "ada"})
        assert (known.status_code, known.text.replace("hidden", "absent")) == (404, unknown.text)


def test_a_result_of_a_dag_that_one_may_not_see_does_not_name_it(client, workspace):
    make_run(
        workspace, chain("hidden"), "origin", dag_id="secret", files={"logs/stdout.txt": b"private words"}
    )
    states = {"s1": "finished", "s2": "reused", "s3": "reused"}
    make_run(
        workspace,
        chain("one"),
        "mine",
        number=1,
        states=states,
        reused_from=("hidden", "origin"),
        against=("hidden", "origin"),
    )
    for path in ("runs/one/mine", *(f"runs/one/mine/steps/s{number}" for number in (1, 2, 3))):
        told, full = (client.get(f"{UI}/{path}", headers={"user": user}) for user in ("ada", "admin"))
        assert "origin" in full.text
        for word in ("hidden/", "origin", "of hidden", "secret", "private words"):
            assert word not in told.text, (path, word)
    for path in ("plan", "steps", "steps/s1", "steps/s2", "explain"):
        told = client.get(f"{API}/runs/one/mine/{path}", headers={"user": "ada"})
        assert told.status_code == 200
        assert "hidden" not in told.text
        assert "origin" not in told.text
    assert "hidden" in client.get(f"{API}/runs/one/mine/steps/s2").text
    assert "same key as in a run that you may not see" in texts(
        client.get(f"{UI}/runs/one/mine", headers={"user": "ada"})
    )


def test_without_a_token_a_page_leads_to_the_login_and_back(client):
    answer = client.get(f"{UI}/runs?pipeline=a%20b", headers={"user": ""}, follow_redirects=False)
    assert answer.status_code == 302
    assert answer.headers["location"] == (
        "/api/v2/auth/login?next=%2Fml-pipelines%2Fui%2Fruns%3Fpipeline%3Da%2520b"
    )
    assert client.get("/ml-pipelines/api/v1/pipelines", headers={"user": ""}).status_code == 401


def test_airflows_tabs_lead_to_the_run_and_the_step(client, workspace):
    make_run(workspace, chain("one"), "manual__2026-11-21T10:00:00+00:00", dag_id="dag-of-one")
    dag_run = f"{UI}/dags/dag-of-one/runs/manual__2026-11-21T10%3A00%3A00%2B00%3A00"
    assert "manual__2026-11-21T10:00:00+00:00" in texts(client.get(f"{UI}/dags/dag-of-one"))
    assert 'aria-label="Graph of the steps"' in client.get(dag_run).text
    for task in ("s2.run", "s2.reuse"):
        assert "<h1>step 2" in client.get(f"{dag_run}/tasks/{task}").text
    assert 'aria-label="Graph of the steps"' in client.get(f"{dag_run}/tasks/plan").text


def test_a_dag_run_without_steps_is_waited_for_until_it_has_ended(client):
    waits, over, hidden = (
        client.get(f"{UI}/dags/{dag}/runs/x", headers={"user": user})
        for dag, user in (("other", "admin"), ("ended", "admin"), ("ended", "nobody"))
    )
    assert "no steps of an ML pipeline so far" in texts(waits)
    assert "data-refresh" in waits.text
    assert "the log of its first task says why" in texts(over)
    assert "data-refresh" not in over.text
    assert texts(hidden) == texts(waits)


def test_a_run_that_is_going_on_is_asked_for_again(client, workspace):
    make_run(workspace, chain("one"), "goes", states={"s3": "running"})
    make_run(workspace, chain("one"), "ended")
    assert 'data-refresh="4"' in client.get(f"{UI}/runs/one/goes").text
    assert "data-refresh" not in client.get(f"{UI}/runs/one/ended").text


def test_a_run_that_could_not_begin_is_listed_and_says_why(client, workspace):
    folder = RunFolder(workspace.store, "one", "refused")
    folder.write_run(refused_run(chain("one"), run_id="refused", parameters={"depth": "deep"}))
    folder.write_result("Failed", "there is no parameter 'dpeth'. Did you mean 'depth'?")
    assert "refused" in texts(client.get(f"{UI}/runs", params={"status": "Failed"}))
    answer = client.get(f"{UI}/runs/one/refused")
    text = texts(answer)
    assert "Did you mean 'depth'?" in text
    assert "deep" in text
    assert "did not begin" in text
    assert "/steps/" not in answer.text
    assert "data-refresh" not in answer.text


def test_the_logs_of_a_run_that_one_may_not_see_are_not_given_by_name_either(client, workspace):
    files = {"logs/stdout.txt": b"hidden words\n", "outputs/roc.png": PNG}
    make_run(workspace, chain("hidden"), "first", files=files)
    states = dict.fromkeys(("s1", "s2", "s3"), "reused")
    make_run(workspace, chain("one"), "second", number=1, states=states, reused_from=("hidden", "first"))
    codes = {}
    for user in ("admin", "ada"):
        for name in files:
            answer = client.get(
                f"{UI}/runs/one/second/steps/s3/file", params={"name": name}, headers={"user": user}
            )
            codes[user, name] = answer.status_code
    assert codes == {
        ("admin", "logs/stdout.txt"): 200,
        ("admin", "outputs/roc.png"): 200,
        ("ada", "logs/stdout.txt"): 404,
        ("ada", "outputs/roc.png"): 200,
    }

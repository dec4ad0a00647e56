"""REST calls and submissions from Python, on a real Airflow with users; and the page of the documentation about them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from servers.airflow import API, serve

from dag_factory import (
    DataPath,
    DataPathComputeBinding,
    Experiment,
    OutputFileDatasetConfig,
    Pipeline,
    PipelineDraft,
    PipelineEndpoint,
    PipelineParameter,
    PipelineRun,
    PublishedPipeline,
    PythonScriptStep,
    Workspace,
)

pytestmark = pytest.mark.system

PAGE = Path(__file__).parents[2] / "docs/publish.md"
MAKE = """
import pathlib, sys
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
(folder / "page.html").write_text("<script>alert(1)</script>")
(folder / "rows.csv").write_text("a,b\\n1,2\\n")
(folder / "way-out.txt").symlink_to("/etc/hostname")
pathlib.Path("outputs").mkdir(exist_ok=True)
pathlib.Path("outputs/plot.svg").write_text("<svg onload='alert(1)'/>")
print("<b>made</b>")
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory, postgres):
    with serve(tmp_path_factory.mktemp("rest"), postgres.create_database("rest")) as served:
        yield served


@pytest.fixture(scope="module")
def ws(served):
    """The workspace, whose file names the server."""
    (served.folder / "ws/workspace.yaml").write_text(f"name: test\nairflow: {served.airflow.url}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_API_URL", served.airflow.url)
        patch.setenv("AIRFLOW_API_TOKEN", served.token("admin"))
        yield Workspace.from_config(served.folder / "ws")


@pytest.fixture(scope="module")
def made(served, ws):
    """The path of a step of a run that has made files; the run's own; and an endpoint."""
    source = served.folder / "make"
    source.mkdir()
    (source / "make.py").write_text(MAKE)
    step = PythonScriptStep(
        "make.py",
        name="make",
        source_directory=source,
        arguments=[OutputFileDatasetConfig("out").as_upload(), PipelineParameter("number", 1)],
    )
    published = Pipeline(ws, [step], name="made").publish()
    endpoint = PipelineEndpoint.publish(ws, "made-service", None, published)
    run = published.submit(ws, "made")
    run.wait_for_completion()
    return f"{API}/runs/{published.id}/{run.id}", endpoint


# --- files of runs -------------------------------------------------------------------------------------------------


def test_logs_and_files_are_served_and_nothing_of_them_runs(served, made):
    base = f"{made[0]}/steps/make"
    _, page = served.call("GET", f"{base}/files")
    assert [item["path"] for item in page["items"]] == [
        "logs/stderr.txt",
        "logs/stdout.txt",
        "outputs/plot.svg",
    ]
    status, headers, body = served.fetch(f"{base}/files/logs/stdout.txt")
    assert (status, body) == (200, b"<b>made</b>\n")
    assert headers["content-type"] == "text/plain; charset=utf-8"
    status, headers, _ = served.fetch(f"{base}/files/outputs/plot.svg")
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    assert headers["content-disposition"].startswith("attachment;")
    assert headers["x-content-type-options"] == "nosniff"


def test_files_of_outputs_are_served_whole_and_in_parts(served, made):
    base = f"{made[0]}/steps/make/outputs/out/files"
    _, page = served.call("GET", f"{base}?limit=2")
    assert (page["total"], [item["path"] for item in page["items"]]) == (3, ["page.html", "rows.csv"])
    status, headers, body = served.fetch(f"{base}/page.html")
    assert (status, body) == (200, b"<script>alert(1)</script>")
    assert headers["content-disposition"].startswith("attachment;")
    status, headers, body = served.fetch(
        f"{base}/rows.csv", headers={"Range": "bytes=4-6", "Accept-Encoding": "gzip"}
    )
    assert (status, body, headers["content-range"]) == (206, b"1,2", "bytes 4-6/8")
    assert served.fetch(f"{base}/rows.csv", headers={"Range": "bytes=8-"})[0] == 416


@pytest.mark.parametrize(
    "path",
    [
        "steps/make/files/logs/../../../../../../../workspace.yaml",
        "steps/make/files/logs/%2e%2e/%2e%2e/run.json",
        "steps/make/files/logs%2f..%2f..%2f..%2frun.json",
        "steps/make/files//etc/passwd",
        "steps/make/files/job.json",
        "steps/make/files/metrics.jsonl",
        "steps/make/outputs/out/files/../../run.json",
        "steps/make/outputs/out/files/%2fetc%2fpasswd",
        "steps/make/outputs/..%2f../files",
        "steps/%2e%2e/files",
        "steps/make/files/" + "x" * 10_000,
    ],
)
def test_nothing_beyond_is_served(served, made, path):
    status, _, body = served.fetch(f"{made[0]}/{path}")
    assert status in (400, 404, 414), (status, body)
    assert b"Traceback" not in body
    assert b"root:" not in body


def test_files_and_reasons_want_a_token_and_a_viewer_may_read_them(served, made):
    for path in ("", "/explain", "/steps/make/files", "/steps/make/files/logs/stdout.txt"):
        assert served.call("GET", made[0] + path, user=None)[0] == 401
    assert served.fetch(f"{made[0]}/steps/make/files/logs/stdout.txt", user="viewer")[0] == 200


def test_why_a_step_ran_is_explained(served, ws, made):
    published = PublishedPipeline.get(ws, "made.1")
    run = published.submit(ws, "made", {"number": 2})
    run.wait_for_completion(show_output=False)
    status, (explained,) = served.call("GET", f"{API}/runs/made.1/{run.id}/explain")
    assert (status, explained["state"], explained["reasons"]) == (200, "finished", ["argument 2: 1 → 2"])
    (difference,) = explained["explanation"]["differences"]
    assert (difference["old"], difference["new"]) == (["1"], ["2"])
    first = made[0].rpartition("/")[2]
    status, (explained,) = served.call("GET", f"{API}/runs/made.1/{first}/explain?step=make&against={run.id}")
    assert (status, explained["explanation"]["against"]["run"]) == (200, run.id)
    assert served.call("GET", f"{API}/runs/made.1/{first}/explain?step=none")[0] == 404


@pytest.mark.parametrize(
    "name",
    ["..", "%2e%2e", "a%00b", "x" * 10_000, "%3Cscript%3E", "%0d%0aSet-Cookie:x", "..%2f..%2fetc%2fpasswd"],
)
def test_names_that_are_none_are_not_found_and_come_out_as_text(served, name):
    for kind in ("pipelines", "endpoints", "runs/x"):
        status, headers, body = served.fetch(f"{API}/{kind}/{name}")
        assert status in (404, 400, 414, 403), (status, body)
        assert b"Traceback" not in body
        assert "set-cookie" not in headers
        assert not headers.get("content-type", "").startswith("text/html")


@pytest.mark.parametrize("known", [False, True])
def test_no_request_that_the_description_allows_breaks_the_server(served, made, tmp_path, known):
    run, step = made[0].rpartition("/")[2], {"step": "make", "output": "out"}
    names = {"pipeline_id": "made.1", "pipeline": "made.1", "run": run, **step, "endpoint_id": made[1].id}
    lines = [f'"path.{name}" = "{value}"' for name, value in names.items()] if known else []
    (tmp_path / "st.toml").write_text("\n".join(["[parameters]", *lines, ""]))
    command = [str(Path(sys.executable).parent / "st"), "--config-file", str(tmp_path / "st.toml"), "run"]
    command += [f"{served.airflow.url}/ml-pipelines/openapi.json", "--max-time", "20", "--no-color"]
    command += ["--header", f"Authorization: Bearer {served.token('admin')}", "--continue-on-failure"]
    command += ["--checks", "not_a_server_error,response_schema_conformance,content_type_conformance"]
    environment = {**os.environ, "NO_PROXY": "localhost", "no_proxy": "localhost"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


# --- from Python ---------------------------------------------------------------------------------------------------


def test_a_pipeline_that_was_not_published_runs_on_the_server_and_is_not_listed(served, ws, capsys):
    source = served.folder / "two"
    source.mkdir()
    gate = served.folder / "gate"
    (source / "one.py").write_text("import sys; print('first', sys.argv[1])\n")
    (source / "two.py").write_text(
        f"import pathlib, sys; sys.exit(not pathlib.Path({str(gate)!r}).exists())\n"
    )
    one = PythonScriptStep(
        "one.py", name="one", source_directory=source, arguments=[PipelineParameter("word", "a")]
    )
    two = PythonScriptStep("two.py", name="two", source_directory=source)
    two.run_after(one)
    pipeline = Pipeline(ws, [two], name="twice")
    listed = [item.id for item in PublishedPipeline.list(ws, active_only=False)]

    run = Experiment(ws, "twice").submit(pipeline, tags={"team": "a"}, pipeline_parameters={"word": "b"})
    assert run.wait_for_completion(raise_on_error=False) == "Failed"
    told = capsys.readouterr().out
    for text in (
        "2 steps: 0 reused, 2 to run",
        "[one] first b",
        "[one] finished",
        "[two] failed",
    ):
        assert text in told
    assert (run.name, run.get_tags(), run.experiment.name) == ("twice.submitted.1", {"team": "a"}, "twice")

    gate.touch()
    again = Experiment(ws, "twice").submit(pipeline, pipeline_parameters={"word": "b"})
    assert again.wait_for_completion() == "Finished"
    assert "1 reused" in capsys.readouterr().out
    assert again.name == run.name
    assert {step.name: step.is_reused for step in again.get_steps()} == {"one": True, "two": False}

    (source / "one.py").write_text("print('changed')\n")
    changed = PipelineDraft.create(ws, pipeline, name="twice").submit_run()
    assert changed.name == "twice.submitted.2"
    assert changed.wait_for_completion(show_output=False) == "Finished"
    assert [item.id for item in PublishedPipeline.list(ws, active_only=False)] == listed
    assert served.call("GET", f"{API}/pipelines?active_only=false")[1]["total"] == len(listed)


def test_a_run_on_the_server_is_canceled_from_another_process(served, ws):
    (served.folder / "long").mkdir()
    (served.folder / "long/long.py").write_text(
        "import time; print('at work', flush=True); time.sleep(600)\n"
    )
    step = PythonScriptStep("long.py", source_directory=served.folder / "long", allow_reuse=False)
    run = Experiment(ws, "long").submit(Pipeline(ws, [step]))
    until = time.monotonic() + 90
    while not any(s.get_status() == "Running" for s in run.get_steps()):
        assert time.monotonic() < until
        time.sleep(0.5)
    code = f"""
from dag_factory import PipelineRun, Workspace
PipelineRun.get(Workspace.from_config({str(served.folder / "ws")!r}), {f"{run.name}/{run.id}"!r}).cancel()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    run.wait_for_completion(show_output=False, raise_on_error=False)
    while PipelineRun.get(ws, f"{run.name}/{run.id}").get_status() != "Canceled":
        assert time.monotonic() < until
        time.sleep(0.5)
    assert run.get_status() == "Canceled"


# --- the documentation ---------------------------------------------------------------------------------------------


def test_what_the_documentation_shows_works_in_its_order(served, ws, monkeypatch):
    monkeypatch.chdir(served.folder)
    (served.folder / "digits").mkdir()
    (served.folder / "digits/train.py").write_text("import sys; print('trains', *sys.argv[1:])\n")
    served.ws.core.datastore().put("incoming/first.csv", b"a,b\n")
    rows = (
        PipelineParameter("rows", DataPath("workspaceblobstore", "incoming/first.csv")),
        DataPathComputeBinding(),
    )
    step = PythonScriptStep(
        "train.py",
        source_directory="digits",
        arguments=[rows, PipelineParameter("max_depth", 8)],
        inputs=[rows],
    )
    names = {"ws": ws, "pipeline": Pipeline(ws, [step], name="digits")}
    for language, text in re.findall(
        r"^```(python|bash)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE
    ):
        if language == "python":
            exec(compile(text, str(PAGE), "exec"), names)
        else:
            subprocess.run(["bash", "-euc", text], check=True, timeout=90)
    assert names["response"].ok
    assert names["published"].id == "digits.2"
    for pipeline, run in (
        ("digits.2", names["started"].dag_run_id),
        (names["response"].json()["PipelineId"], names["run_id"]),
    ):
        assert served.wait(pipeline, run) == "success"
    runs = served.call("GET", f"{API}/runs/digits.2")[1]["items"]
    assert {run["parameters"]["max_depth"] for run in runs} == {4, 8}

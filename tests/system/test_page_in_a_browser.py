"""The pages in a browser, inside of a real Airflow's UI: with the mouse, with the keyboard alone, in light and dark."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from servers.process import lacking

from airflow_ml_pipelines.testing import LocalAirflow
from dag_factory import PipelineEndpoint, PipelineRun, PublishedPipeline, Workspace

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]

PATIENCE = 300
"""How many seconds something may take on a machine that others use as well: nothing here is measured."""

EXAMPLES = Path(__file__).parent.parent.parent / "example_dags"
AXE = Path(__file__).parent.parent / "servers/node_modules/axe-core/axe.min.js"
UI = "/ml-pipelines/ui"
LOAD = "from dag_factory import load_pipelines  # an Airflow DAG file\n\nload_pipelines()\n"
USERS = ("admin", "viewer")


class Page:
    """A tab of a browser, of a user who has logged in."""

    def __init__(self, browser, airflow, user="admin", **options):
        self.airflow = airflow
        self.context = browser.new_context(viewport={"width": 1440, "height": 900}, **options)
        self.tab = self.context.new_page()
        self.tab.set_default_timeout(1000 * PATIENCE)
        self.tab.set_default_navigation_timeout(1000 * PATIENCE)
        self.log_in(user)

    def log_in(self, user):
        self.tab.goto(f"{self.airflow.url}{UI}/runs")
        self.tab.get_by_label("Username").fill(user)
        self.tab.get_by_label("Password", exact=True).fill(f"{user}-password")
        self.tab.keyboard.press("Enter")
        self.tab.wait_for_url(f"**{UI}/runs")

    def goto(self, path):
        self.tab.goto(self.airflow.url + path)

    def open(self, path):
        """Open one of the pages by itself."""
        self.goto(UI + path)

    @property
    def frame(self):
        """What is shown inside of Airflow's page."""
        return self.tab.frame_locator("iframe")

    def violations(self):
        """What axe finds that is serious."""
        self.tab.evaluate(AXE.read_text())
        found = self.tab.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        return [
            (item["id"], [node["target"] for node in item["nodes"]][:3])
            for item in found["violations"]
            if item["impact"] in ("serious", "critical")
        ]


@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        lacking("Chromium", "apt-get install chromium")
    if not AXE.is_file():
        lacking("axe-core", "install node and npm, then make tests/servers/node_modules/.ready")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def airflow(tmp_path_factory):
    """An Airflow with users, the digits example as a DAG and as a published pipeline, and two runs of it."""
    folder = tmp_path_factory.mktemp("page")
    workspace, home, dags = folder / "ws", folder / "airflow", folder / "dags"
    workspace.mkdir()
    home.mkdir()
    shutil.copy(EXAMPLES / "workspace.yaml", workspace)
    make_data = [sys.executable, str(EXAMPLES / "make_data.py"), "--workspace", str(workspace)]
    subprocess.run(make_data, check=True, capture_output=True)
    dags.mkdir()
    shutil.copytree(EXAMPLES / "digits", dags / "digits")
    shutil.copy(EXAMPLES / "digits.pipeline.yaml", dags)
    (dags / "load.py").write_text(LOAD)
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps({user: f"{user}-password" for user in USERS}))
    bundles = [
        {
            "name": "dags-folder",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {},
        },
        {
            "name": "published",
            "classpath": "airflow_ml_pipelines.bundles.published.PublishedPipelinesBundle",
            "kwargs": {},
        },
    ]
    settings = {
        "core.simple_auth_manager_all_admins": "False",
        "core.simple_auth_manager_users": "admin:admin,viewer:viewer",
        "core.simple_auth_manager_passwords_file": str(passwords),
        "dag_processor.dag_bundle_config_list": json.dumps(bundles),
        "ml_pipelines.workspace": str(workspace),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ML_PIPELINES_CACHE", str(folder / "cache"))
        started = UserAirflow(home, dags_folder=dags, settings=settings)
        started.workspace = workspace
        with started:
            started.wait_for_dag("digits", PATIENCE)
            started.first = started.trigger("digits", {"max_depth": 8})
            assert started.wait_for_run("digits", started.first, PATIENCE) == "success", started.log_tail()
            yield started


class UserAirflow(LocalAirflow):
    """An Airflow whose REST API is used by its administrator."""

    def request(self, method, path, document=None):
        if self._token is None:
            login = {"username": "admin", "password": "admin-password"}
            self._token = self._send("POST", "/auth/token", login)["access_token"]
        return super().request(method, path, document)


@pytest.fixture(scope="module")
def page(browser, airflow):
    opened = Page(browser, airflow, color_scheme="light")
    yield opened
    opened.context.close()


def tab_to(tab, text, most=80):
    """Go along what has the focus with the Tab key until it is what has this text."""
    for _ in range(most):
        tab.keyboard.press("Tab")
        if (
            tab.evaluate(
                "() => document.activeElement.innerText || document.activeElement.value || ''"
            ).strip()
            == text
        ):
            return
    raise AssertionError(f"no way to {text!r} by keyboard")


def runs_of(airflow, dag_id="digits"):
    answer = airflow.request("GET", f"/api/v2/dags/{dag_id}/dagRuns?order_by=run_after")
    return {run["dag_run_id"]: run for run in answer["dag_runs"]}


@pytest.fixture(scope="module")
def second(page, airflow):
    """A run with another depth, started by Airflow's own form."""
    before = set(runs_of(airflow))
    page.goto("/dags/digits")
    tab = page.tab
    tab.get_by_role("button", name="Trigger").click()
    tab.get_by_role("button", name="Random forest").click()
    depth = tab.locator("[name=element_max_depth]")
    depth.fill("1000")
    depth.press("Tab")
    assert int(depth.input_value()) <= 64  # Airflow's form holds it to its bounds
    assert set(runs_of(airflow)) == before
    depth.fill("4")
    depth.press("Tab")
    tab.get_by_role("button", name="Trigger").last.click()
    until = time.monotonic() + PATIENCE
    while not (new := set(runs_of(airflow)) - before):
        assert time.monotonic() < until
        time.sleep(0.2)
    (run,) = new
    assert airflow.wait_for_run("digits", run, PATIENCE) == "success", airflow.log_tail()
    assert runs_of(airflow)[run]["conf"]["max_depth"] == 4
    return run


@pytest.fixture(scope="module")
def published(page, airflow, second):
    """The pipeline of that run, published, with an endpoint."""
    ws = Workspace.from_config(airflow.workspace)
    run = next(item for item in PipelineRun.get_pipeline_runs(ws, "digits") if item.id == second)
    found = run.publish_pipeline(
        name="digits-service", description="Two models, the better one is kept.", version="1"
    )
    PipelineEndpoint.publish(ws, name="digits-endpoint", description="For the app.", pipeline=found)
    airflow.wait_for_dag(found.id, PATIENCE)
    return found


@pytest.fixture(scope="module")
def refused(airflow):
    """A run that could not begin, since it was given what is no parameter."""
    run = airflow.trigger("digits", {"max_dpeth": 4})
    assert airflow.wait_for_run("digits", run, PATIENCE) == "failed"
    return run


def expect(locator):
    """What is to become true of something on a page, in its own time."""
    from playwright.sync_api import expect

    expect.set_options(timeout=1000 * PATIENCE)
    return expect(locator)


def test_the_tab_of_a_run_says_what_was_reused_and_why_the_rest_ran(page, airflow, second):
    page.goto(f"/dags/digits/runs/{quote(second, safe='')}/plugin/ml-pipelines-run")
    graph = page.frame.get_by_role("region", name="Graph of the steps")
    graph.wait_for()
    steps = graph.locator("a.node").all()
    states = {step.locator(".name").text_content(): step.get_attribute("class").split()[1] for step in steps}
    assert states == {
        "prepare": "reused",
        "train_logistic": "reused",
        "train_forest": "ran",
        "compare": "ran",
    }
    expect(page.frame.get_by_text("argument --max-depth: 8 → 4").first).to_be_visible()


def test_a_run_that_could_not_begin_says_why_and_is_in_the_list(page, airflow, refused):
    page.goto(f"/dags/digits/runs/{quote(refused, safe='')}/plugin/ml-pipelines-run")
    alert = page.frame.get_by_role("alert")
    expect(alert).to_contain_text("there is no parameter 'max_dpeth'. Did you mean 'max_depth'?")
    page.open("/runs?status=Failed")
    expect(page.tab.get_by_role("link", name=refused[:30])).to_be_visible()


def test_a_step_has_its_explanation_an_image_and_a_table(page, airflow, second):
    page.goto(f"/dags/digits/runs/{quote(second, safe='')}/tasks/compare.run/plugin/ml-pipelines-step")
    frame = page.frame
    assert frame.get_by_text("input forest: model.joblib changed").first.text_content()
    image = frame.get_by_role("img", name="confusion_matrix")
    image.scroll_into_view_if_needed()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    expect(frame.get_by_role("cell", name="RandomForestClassifier")).to_be_visible()
    image.click()
    frame.get_by_role("link", name="Download").wait_for()


def test_a_link_leads_from_the_task_to_its_step_and_from_there_back_to_airflow(page, airflow, second):
    path = f"/api/v2/dags/digits/dagRuns/{quote(second, safe='')}/taskInstances/train_forest.run/links"
    link = airflow.request("GET", path)["extra_links"]["Step"]
    assert link.endswith("/tasks/train_forest.run/plugin/ml-pipelines-step")
    page.goto(link)
    page.frame.get_by_role("link", name="Open in Airflow").click()
    page.tab.wait_for_url("**/tasks/train_forest.run")
    page.tab.get_by_role("link", name="Logs").first.wait_for()


def test_runs_are_found_by_what_they_logged_and_compared(page, airflow, second):
    page.goto("/plugin/ml-pipelines")
    frame = page.frame
    frame.get_by_label("Parameter").fill("max_depth=4")
    frame.get_by_role("button", name="Filter").click()
    frame.get_by_role("link", name="Clear").wait_for()
    expect(frame.locator("tbody tr")).to_have_count(1)
    frame.get_by_role("link", name="Clear").click()
    expect(frame.get_by_role("link", name="Clear")).to_have_count(0)  # what is ticked before is gone
    for run in (airflow.first, second):
        frame.get_by_label(f"Compare {run}").check()
    frame.get_by_role("button", name="Compare").click()
    frame.get_by_role("heading", name="2 runs compared").wait_for()
    expect(frame.locator("tr.differs", has_text="max_depth").get_by_role("cell")).to_have_text(["4", "8"])
    assert "/plugin/ml-pipelines/ml-pipelines/ui/compare" in page.tab.url


def test_a_pipeline_is_disabled_and_enabled_by_keyboard_alone(page, airflow, published):
    page.open("/runs")
    keys = page.tab.keyboard
    for link, heading in (("Pipelines", "Published pipelines"), (published.id, published.id)):
        tab_to(page.tab, link)
        keys.press("Enter")
        page.tab.get_by_role("heading", name=heading).first.wait_for()
    for button, status, after in (("Disable", "Disabled", "Enable"), ("Enable", "Active", "Disable")):
        tab_to(page.tab, button)
        keys.press("Enter")
        page.tab.get_by_role("button", name=after, exact=True).wait_for()
        ws = Workspace.from_config(airflow.workspace)
        assert PublishedPipeline.get(ws, published.id).status == status


def test_an_endpoint_is_disabled_and_enabled_by_keyboard_alone(page, airflow, published):
    page.open("/pipelines")
    for button, status, after in (("Disable", "Disabled", "Enable"), ("Enable", "Active", "Disable")):
        tab_to(page.tab, button)
        page.tab.keyboard.press("Enter")
        page.tab.get_by_role("button", name=f"{after} endpoint digits-endpoint").wait_for()
        ws = Workspace.from_config(airflow.workspace)
        assert PipelineEndpoint.get(ws, name="digits-endpoint").status == status


def test_one_goes_along_the_runs_and_back_by_keyboard_alone(page, airflow, second):
    page.open("/runs?status=Finished")
    keys = page.tab.keyboard
    keys.press("j")
    keys.press("j")
    keys.press("k")
    keys.press("Enter")
    page.tab.get_by_role("region", name="Graph of the steps").wait_for()
    assert second in page.tab.locator("h1").text_content()
    tab_to(page.tab, "train_forest")
    keys.press("Enter")
    page.tab.get_by_role("heading", name="train_forest").wait_for()
    tab_to(page.tab, "Runs")
    keys.press("Enter")
    page.tab.get_by_role("heading", name="Runs").wait_for()
    keys.press("/")
    assert page.tab.evaluate("() => document.activeElement.name") == "pipeline"


def test_a_published_pipeline_is_run_by_the_form_and_shown_when_it_is_there(page, airflow, published):
    page.open(f"/pipelines/{published.id}")
    field = page.tab.locator('[name="parameter.max_depth"]')
    field.fill("65")
    page.tab.get_by_role("button", name="Run", exact=True).click()
    assert field.evaluate("field => field.validity.rangeOverflow")  # the browser itself holds it back
    field.fill("4")
    page.tab.get_by_role("button", name="Run", exact=True).click()
    page.tab.wait_for_url("**/dags/*/runs/*")
    page.tab.locator(".badge.finished").first.wait_for()  # which comes without a reload
    labels = [item.get_attribute("aria-label") for item in page.tab.locator("a.node").all()]
    assert all("reused" in label for label in labels)


def test_a_viewer_can_change_nothing(browser, airflow, published):
    viewer = Page(browser, airflow, "viewer")
    viewer.open(f"/pipelines/{published.id}")
    expect(viewer.tab.get_by_text("You may not start runs of it.")).to_be_visible()
    assert viewer.tab.get_by_role("button").count() == 0
    viewer.open("/pipelines")
    expect(viewer.tab.get_by_text("digits-endpoint")).to_be_visible()
    assert viewer.tab.get_by_role("button").count() == 0
    viewer.context.close()


def test_the_colours_are_those_that_airflow_has_been_set_to(page, airflow, second):
    page.goto("/plugin/ml-pipelines")
    body = page.frame.locator("body")
    body.get_by_role("heading", name="Runs").wait_for()
    for theme, colour in (("dark", "rgb(9, 9, 11)"), ("light", "rgb(255, 255, 255)")):
        page.tab.evaluate("theme => localStorage.setItem('theme', theme)", theme)
        expect(body).to_have_css("background-color", colour)
    page.tab.evaluate("() => localStorage.removeItem('theme')")


PAGES = {
    "runs": "/runs",
    "run": "/dags/digits/runs/{run}",
    "refused": "/dags/digits/runs/{refused}",
    "step": "/dags/digits/runs/{run}/tasks/compare.run",
    "reused": "/dags/digits/runs/{run}/tasks/prepare.run",
    "compare": "/compare?run=digits/{first}&run=digits/{run}",
    "pipelines": "/pipelines",
    "pipeline": "/pipelines/{published}",
    "datasets": "/datasets",
    "dataset": "/datasets/digits-report",
    "difference": "/datasets/digits-report?old=1&new=2",
    "version": "/datasets/digits-report/1",
    "preview": "/runs/digits/{run}/steps/compare/preview?output=report&name=report.json",
    "image": "/runs/digits/{run}/steps/compare/preview?output=report&name=confusion_matrix.png",
    "savings": "/savings",
    "savings-of-one": "/savings/digits",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_used_by_everybody_and_fits_every_screen(
    browser, airflow, second, published, refused, scheme, tmp_path_factory
):
    """The pictures are kept: in ``ML_PIPELINES_SCREENSHOTS``, where that is set."""
    kept = Path(os.environ.get("ML_PIPELINES_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    kept.mkdir(parents=True, exist_ok=True)
    page = Page(browser, airflow, color_scheme=scheme)
    values = {
        "run": quote(second, safe=""),
        "first": quote(airflow.first, safe=""),
        "published": published.id,
        "refused": quote(refused, safe=""),
    }
    violations = {}
    for name, path in PAGES.items():
        page.open(path.format(**values))
        if found := page.violations():
            violations[name] = found
        for width in (1280, 2560, 1440):
            page.tab.set_viewport_size({"width": width, "height": 900})
            over = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.tab.evaluate(over) == 0, (name, width)
            size = "" if width == 1440 else f"-{width}"
            page.tab.screenshot(path=kept / f"{name}-{scheme}{size}.png", full_page=True)
    page.context.close()
    assert violations == {}

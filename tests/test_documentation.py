"""What the documentation says is so."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from airflow_ml_pipelines.core.key import FIELDS
from airflow_ml_pipelines.workspace_file import load_workspace
from dag_factory.definition import (
    DataDefinition,
    EnvironmentDefinition,
    InputDefinition,
    OutputDefinition,
    ParameterDefinition,
    PipelineDefinition,
    StepDefinition,
)

PROJECT = Path(__file__).parent.parent
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FENCES = {page: [text for _, text in FENCE.findall(page.read_text())] for page in PAGES}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def relative(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def blocks(language: str) -> list:
    found = []
    for page in PAGES:
        for number, (name, text) in enumerate(FENCE.findall(page.read_text()), 1):
            if name == language:
                found.append(pytest.param(page, text, id=f"{relative(page)}-{number}"))
    return found


def section(page: Path, title: str) -> str:
    text = page.read_text()
    start = text.index(f"\n## {title}\n")
    end = text.find("\n## ", start + 1)
    return text[start : end if end >= 0 else None]


@pytest.mark.parametrize(("page", "text"), blocks("yaml"))
def test_yaml_of_the_documentation_has_no_error(page, text, tmp_path):
    if page.name in ("workspace.md", "compute.md") or "root:" in text or "datastores:" in text:
        (tmp_path / "workspace.yaml").write_text(text)
        load_workspace(tmp_path)
        return
    if "\nextends: ../defaults.yaml\n" in text:
        (tmp_path / "defaults.yaml").write_text(
            next(other for other in FENCES[page] if "# defaults.yaml" in other)
        )
    if "steps:" not in text:
        text += "steps: {one: {script: one.py}}\n"
    file = tmp_path / "example/example.pipeline.yaml"
    file.parent.mkdir()
    file.write_text(text)
    PipelineDefinition.from_yaml(file).to_spec(check_files=False)


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_python_of_the_documentation_compiles(page, text):
    compile(text, page.name, "exec")


@pytest.mark.parametrize(("page", "text"), blocks("ini"))
def test_configuration_of_the_documentation_is_what_airflow_takes(page, text, monkeypatch):
    monkeypatch.setenv(
        "AIRFLOW_CONN_PIPELINES_GIT", '{"conn_type": "git", "host": "https://example.org/x.git"}'
    )
    parser = ConfigParser(interpolation=None)
    parser.read_string(text)
    assert set(parser.sections()) <= {"dag_processor", "ml_pipelines"}
    for bundle in json.loads(parser.get("dag_processor", "dag_bundle_config_list", fallback="[]")):
        module, _, name = bundle["classpath"].rpartition(".")
        made = getattr(importlib.import_module(module), name)(
            name=bundle["name"], version=None, **bundle["kwargs"]
        )
        assert made.name == bundle["name"]


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page):
    broken = []
    for link in LINK.findall(page.read_text()):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        anchors = []
        if target.suffix == ".md" and target.is_file():
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            anchors = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
        if not target.exists() or (anchor and anchor not in anchors):
            broken.append(link)
    assert not broken


def test_table_of_the_key_is_that_of_the_code():
    rows = [f"| {name} | {'yes' if inside else 'no'} | {why} |" for name, inside, why in FIELDS]
    table = [
        line for line in section(PROJECT / "docs/reuse.md", "What is in the key").splitlines() if "|" in line
    ]
    assert table[2:] == rows


@pytest.mark.parametrize(
    ("title", "model"),
    [
        ("The pipeline", PipelineDefinition),
        ("Parameters", ParameterDefinition),
        ("Data", DataDefinition),
        ("Steps", StepDefinition),
        ("Steps", InputDefinition),
        ("Steps", OutputDefinition),
        ("Environments", EnvironmentDefinition),
    ],
)
def test_every_field_of_a_definition_is_documented(title, model):
    text = section(PROJECT / "docs/definition.md", title)
    names = {field.alias or name for name, field in model.model_fields.items()} - {"schema_version"}
    if model is InputDefinition:
        names -= set(DataDefinition.model_fields)
    if model is EnvironmentDefinition:
        names -= {"name", "version"}
    missing = {name for name in names if f"`{name}`" not in text and f"`{name}:`" not in text}
    assert not missing


def test_every_field_of_the_workspace_file_is_documented():
    from airflow_ml_pipelines.workspace_model import DatastoreModel, WorkspaceFile

    text = (PROJECT / "docs/workspace.md").read_text()
    names = {*WorkspaceFile.model_fields, *DatastoreModel.model_fields} - {"schema_version"}
    assert not {name for name in names if f"| `{name}` |" not in text}


@pytest.mark.parametrize("command", ["run", "plan", "explain", "accept"])
def test_options_of_the_command_line_are_those_of_its_page(command):
    page = (PROJECT / "docs/command-line.md").read_text()
    documented = set()
    for line in page.splitlines():
        if line.startswith("| `-"):
            options, of = line.split("|")[1:3]
            only = re.match(r" \(([^)]*)\)", of)
            if only is None or f"`{command}`" in only[1]:
                documented.update(re.findall(r"`(-[-\w]+)", options))
    shown = subprocess.run(
        [sys.executable, "-m", "dag_factory.cli", command, "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    options = [
        re.findall(r"(?<![\w-])--?[a-z][\w-]*", line) for line in shown.splitlines() if line.startswith("  -")
    ]
    assert documented == {names[0] for names in options} - {"-h"}

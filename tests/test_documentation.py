"""What the documentation says is so."""

from __future__ import annotations

import argparse
import importlib
import json
import re
from configparser import ConfigParser
from pathlib import Path

import pytest

from airflow_ml_pipelines.core.keys.key import FIELDS
from airflow_ml_pipelines.workspace_file import load_workspace
from dag_factory.cli import make_parser
from dag_factory.definitions.definition import PipelineDefinition
from dag_factory.models.data import DataDefinition, InputDefinition, OutputDefinition
from dag_factory.models.environment import EnvironmentDefinition
from dag_factory.models.parameter import ParameterDefinition
from dag_factory.models.step import StepDefinition

PROJECT = Path(__file__).parent.parent
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FENCES = {page: [text for _, text in FENCE.findall(page.read_text())] for page in PAGES}
(_COMMANDS,) = (a for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction))
COMMANDS: dict[str, argparse.ArgumentParser] = dict(_COMMANDS.choices)
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
    if (
        page.name in ("workspace.md", "compute.md")
        or "compute_targets:" in text
        or "root:" in text
        or "datastores:" in text
    ):
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


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_options_of_a_command_are_on_its_page(command):
    page = (PROJECT / "docs/command-line.md").read_text()
    own = re.search(rf"^\*\*`{command}\b.*?(?=^\*\*`|^## )", page, re.DOTALL | re.MULTILINE)
    assert own is not None
    rows = section(PROJECT / "docs/command-line.md", "For all of them").splitlines()
    shared = [line for line in rows if line.startswith("| `-") and f"`{command}`" in line]
    documented = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", "\n".join([own[0], *shared])))
    for action in COMMANDS[command]._actions:
        names = set(action.option_strings)
        assert not names or "-h" in names or names & documented, action.option_strings
    known = {name for action in COMMANDS[command]._actions for name in action.option_strings}
    told = set(re.findall(r"`(--?[a-z][\w-]*)", re.sub(r"```.*?```", "", own[0], flags=re.DOTALL)))
    assert told <= known

"""The commands as Airflow's own."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

import pytest

from dag_factory import airflow_cli
from dag_factory.cli import make_parser

parser_module = pytest.importorskip("airflow.cli.cli_parser")
if "ml-pipelines" not in parser_module.ALL_COMMANDS_DICT:
    pytest.skip("this Airflow knows no commands of providers", allow_module_level=True)


def run(*arguments: str) -> int:
    options = parser_module.get_parser().parse_args(["ml-pipelines", *arguments])
    with pytest.raises(SystemExit) as stopped:
        options.func(options)
    return stopped.value.code


def test_airflow_has_every_command_but_that_of_the_shell():
    (group,) = airflow_cli.get_commands()
    (commands,) = (a for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction))
    assert {command.name for command in group.subcommands} == set(commands.choices) - {"completion"}
    assert all(command.help for command in group.subcommands)


def test_a_command_takes_the_workspace_of_airflows_configuration(workspace, monkeypatch, capsys):
    monkeypatch.delenv("ML_PIPELINES_WORKSPACE")
    monkeypatch.setenv("AIRFLOW__ML_PIPELINES__WORKSPACE", str(workspace.file))
    assert run("show") == 0
    assert capsys.readouterr().out.startswith("there is no run yet")


def test_a_command_has_its_own_options_and_exit_codes(workspace, capsys):
    assert run("show", "--json", "--limit", "3") == 0
    assert '"runs": []' in capsys.readouterr().out
    assert run("show", "gone") == 1
    assert capsys.readouterr().err.startswith("error: there is no run 'gone'")


def test_help_of_airflow_names_the_commands(capsys):
    with pytest.raises(SystemExit):
        parser_module.get_parser().parse_args(["ml-pipelines", "--help"])
    text = capsys.readouterr().out
    assert "explain" in text
    assert "say in what steps differ from earlier ones" in " ".join(text.split())


def test_the_real_command_checks_definitions(tmp_path):
    (tmp_path / "a.py").touch()
    (tmp_path / "good.pipeline.yaml").write_text("steps: {a: {script: a.py}}\n")
    (tmp_path / "bad.pipeline.yaml").write_text("steps: {a: {scrpt: a.py}}\n")
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "ml-pipelines", "lint", "."],
        cwd=tmp_path,
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path / "airflow")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert "bad.pipeline.yaml:1:13: steps.a.scrpt: unknown field. Did you mean 'script'?" in done.stdout
    assert "1 of 2 definitions without errors" in done.stdout
    assert "Traceback" not in done.stderr


LIGHT = """
import json, sys
import airflow.cli.cli_config
before = set(sys.modules)
from dag_factory.airflow_cli import get_commands
get_commands()
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print("RESULT" + json.dumps(sorted(new - set(sys.stdlib_module_names))))
"""


def test_every_command_of_airflow_pays_for_the_names_of_ours_alone():
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.rpartition("RESULT")[2]) == ["dag_factory"]

"""What a shell completes a command line to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from airflow_ml_pipelines.core.runs.folder import list_runs
from dag_factory.cli import main

YAML = """
parameters: {word: ok, count: 2}
steps:
  prepare: {script: hello.py, source_directory: src}
  train: {script: hello.py, source_directory: src, arguments: ["${{ parameters.word }}"], after: [prepare]}
"""


@pytest.fixture
def shop(ws, project, capsys):
    project.write("src/hello.py", "print('hello')")
    project.write("shop.pipeline.yaml", YAML)
    project.write("other.txt")
    assert main(["run", "-q", "shop.pipeline.yaml"]) == 0
    capsys.readouterr()
    return project


def completions(project, line: str) -> list[str]:
    """What bash is told of the line ``ml-pipelines …``."""
    answer = project.folder / "answer"
    line = f"ml-pipelines {line}"
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_SHELL": "bash",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    subprocess.run([sys.executable, "-m", "dag_factory.cli"], env=environment, check=True, timeout=60)
    found = [text.strip() for text in answer.read_text().splitlines()] if answer.exists() else []
    answer.unlink(missing_ok=True)
    return found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("exp", ["explain"]),
        ("plan --reg", ["--regenerate-outputs"]),
        ("completion ", ["bash", "zsh", "fish"]),
        ("plan shop", ["shop.pipeline.yaml"]),
        ("plan o", []),
        ("run shop.pipeline.yaml -p co", ["count="]),
        ("explain shop.pipeline.yaml tr", ["train"]),
        ("explain shop.pipeline.yaml -p ", ["count=", "word="]),
        ("datasets ", []),
    ],
)
def test_names_are_completed(shop, line, expected):
    assert sorted(completions(shop, line)) == sorted(expected)


def test_runs_and_their_steps_are_completed(shop, ws):
    ((_, run),) = list_runs(ws.core.store)
    assert completions(shop, "show loc") == [run]
    assert completions(shop, f"explain {run} ") == ["prepare", "train"]
    assert completions(shop, f"diff {run} l") == [run]
    assert completions(shop, "explain l") == [run]


def test_without_a_workspace_nothing_is_completed_and_nothing_said(project):
    assert completions(project, "show l") == []
    assert completions(project, "explain gone.pipeline.yaml ") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_takes_what_is_printed_for_it(shell, capsys):
    assert main(["completion", shell]) == 0
    code = capsys.readouterr().out
    assert "ml-pipelines" in code
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=code, text=True, check=True)


def test_bash_completes_with_it(shop):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    bin_folder = os.path.dirname(sys.executable)
    script = f"""
        export PATH={bin_folder}:$PATH
        source <(ml-pipelines completion bash)
        COMP_LINE='ml-pipelines exp' COMP_POINT=16 COMP_WORDS=(ml-pipelines exp) COMP_CWORD=1
        _python_argcomplete ml-pipelines
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["explain"], done.stderr

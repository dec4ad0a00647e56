from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from airflow_ml_pipelines.core.errors import EnvironmentBuildError
from airflow_ml_pipelines.execution.interpreters import check_interpreter, find_python

HERE = ".".join(map(str, sys.version_info[:3]))
MINOR = ".".join(map(str, sys.version_info[:2]))


def fake_python(path, version):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine that has no interpreters but those that the test puts there, and the one that runs it."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("UV_PYTHON_INSTALL_DIR", raising=False)
    return tmp_path


def test_python_alone_is_the_interpreter_that_runs_this():
    assert check_interpreter("python") == Path(sys.executable)


def test_a_path_and_a_command_are_found(machine):
    path = fake_python(machine / "bin" / "my-python", "3.9.1")
    assert check_interpreter("my-python") == path
    assert check_interpreter(str(path)) == path


def test_a_relative_path_is_made_absolute(machine, monkeypatch):
    path = fake_python(machine / "venv" / "bin" / "python", "3.9.1")
    monkeypatch.chdir(machine)
    assert check_interpreter("venv/bin/python") == path


@pytest.mark.parametrize("command", ["no-such-python", "/no/such/python", "", "a b; c"])
def test_an_interpreter_that_is_not_there_is_an_error(machine, command):
    with pytest.raises(EnvironmentBuildError, match=r"is not a .*: give the path of a Python interpreter"):
        check_interpreter(command)


def test_what_does_not_run_or_is_no_python_is_an_error(machine):
    for name, script in (("fails", "exit 3"), ("other", "echo hello")):
        path = machine / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        with pytest.raises(EnvironmentBuildError, match="does not run, or is no Python"):
            check_interpreter(name)


def test_an_interpreter_of_another_version_than_asked_for_is_an_error(machine):
    fake_python(machine / "bin" / "my-python", "3.9.1")
    assert check_interpreter("my-python", "3.9")
    with pytest.raises(EnvironmentBuildError, match=r"is Python 3\.9\.1, and the environment asks for 3\.1"):
        check_interpreter("my-python", "3.1")


@pytest.mark.parametrize("version", [None, MINOR, HERE, "3"])
def test_the_interpreter_that_runs_this_will_do_where_it_is_of_the_version(machine, version):
    assert find_python(version) == (Path(sys.executable), HERE)


@pytest.mark.parametrize(
    "place",
    [
        "bin/python3.9",
        "bin/python3",
        "home/.pyenv/versions/3.9.1/bin/python3",
        "home/.local/share/uv/python/x/bin/python3",
    ],
)
def test_other_versions_are_found_where_they_usually_are(machine, place):
    path = fake_python(machine / place, "3.9.1")
    assert find_python("3.9") == (path, "3.9.1")
    assert find_python("3.9.1") == (path, "3.9.1")


def test_a_name_that_lies_is_not_believed(machine):
    fake_python(machine / "bin" / "python3.9", "3.8.2")
    path = fake_python(machine / "bin" / "python3", "3.9.1")
    assert find_python("3.9") == (path, "3.9.1")


def test_a_shim_that_does_not_run_is_passed_over(machine, monkeypatch):
    shim = machine / "shims" / "python3.9"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    path = fake_python(machine / "bin" / "python3.9", "3.9.1")
    monkeypatch.setenv("PATH", f"{shim.parent}{os.pathsep}{machine / 'bin'}")
    assert find_python("3.9") == (path, "3.9.1")


def test_another_patch_of_the_same_version_will_do(machine):
    path = fake_python(machine / "bin" / "python3.9", "3.9.1")
    assert find_python("3.9.18") == (path, "3.9.1")
    assert find_python(f"{MINOR}.99") == (Path(sys.executable), HERE)


def test_where_there_is_none_it_is_said_which_there_are(machine):
    fake_python(machine / "bin" / "python3.9", "3.9.1")
    fake_python(machine / "bin" / "python3.10", "3.10.2")
    with pytest.raises(
        EnvironmentBuildError,
        match=r"Python 3\.1 is not on this machine\. There are: 3\.9\.1 .*, 3\.10\.2 .*",
    ) as caught:
        find_python("3.1")
    assert HERE in str(caught.value)
    assert "uv python install 3.1" in str(caught.value)

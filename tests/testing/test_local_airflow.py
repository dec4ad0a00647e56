"""What can be said of a local Airflow that is not started; tests/system starts one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from airflow_ml_pipelines.testing import LocalAirflow, LocalAirflowError


@pytest.fixture
def airflow(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "of the surrounding Airflow")
    monkeypatch.setenv("AIRFLOW_HOME", "of the surrounding Airflow")
    return LocalAirflow(
        tmp_path / "home",
        dags_folder=tmp_path / "dags",
        settings={"ml_pipelines.workspace": "/workspace", "core.parallelism": "1"},
        environment={"MORE": "1"},
    )


def test_environment_is_of_this_airflow_alone(airflow, tmp_path):
    environment = airflow.environ()
    assert environment["AIRFLOW_HOME"] == str(tmp_path / "home")
    assert "AIRFLOW__CORE__EXECUTOR" not in environment
    assert environment["PATH"].split(":")[0] == str(Path(sys.executable).parent)


def test_settings_and_environment_can_be_given(airflow):
    environment = airflow.environ()
    assert environment["AIRFLOW__ML_PIPELINES__WORKSPACE"] == "/workspace"
    assert environment["AIRFLOW__CORE__PARALLELISM"] == "1"
    assert environment["MORE"] == "1"


def test_secrets_are_long_and_the_same_each_time(airflow):
    secret = airflow.environ()["AIRFLOW__API_AUTH__JWT_SECRET"]
    assert len(secret) >= 64
    assert airflow.environ()["AIRFLOW__API_AUTH__JWT_SECRET"] == secret


def test_ports_differ(airflow):
    environment = airflow.environ()
    names = ("API__PORT", "LOGGING__WORKER_LOG_SERVER_PORT", "LOGGING__TRIGGER_LOG_SERVER_PORT")
    assert len({environment[f"AIRFLOW__{name}"] for name in names}) == 3


def test_an_airflow_that_has_not_been_started_is_an_error_with_the_log(airflow):
    airflow.home.mkdir()
    airflow.log_file.write_text("one\ntwo\n")
    with pytest.raises(LocalAirflowError, match="two"):
        airflow.missing()


def test_stopping_what_was_not_started_does_nothing(airflow):
    airflow.stop()
    assert airflow.log_tail() == ""

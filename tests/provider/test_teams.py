"""Where Airflow has teams, pipelines of one are hidden from the users of others."""

from __future__ import annotations

import inspect
import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Airflow 3.1 imports what it has deprecated itself
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.models.dag import DagModel

from airflow_ml_pipelines.plugin import access

TEAMS = {"churn": "sales", "shared": None}

if "teams" not in inspect.signature(SimpleAuthManagerUser).parameters:
    pytest.skip("the simple users of this Airflow have no teams", allow_module_level=True)


@pytest.fixture
def asked(monkeypatch):
    """The DAGs whose teams were looked up."""
    found = []

    def team_of(dag_id):
        found.append(dag_id)
        return TEAMS[dag_id]

    monkeypatch.setattr(DagModel, "get_team_name", team_of)
    monkeypatch.setattr(access, "get_auth_manager", SimpleAuthManager)
    return found


def user(*teams):
    return access.Access(SimpleAuthManagerUser(username="ann", role="user", teams=list(teams)))


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("runs", [False, True])
def test_a_pipeline_of_a_team_is_for_its_users_alone(asked, monkeypatch, method, runs):
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    assert user("sales").may(method, "churn", runs=runs)
    assert not user("research").may(method, "churn", runs=runs)
    assert user("research").may(method, "shared", runs=runs)


def test_a_team_is_looked_up_once_in_a_request(asked, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    ann = user("sales")
    assert all(ann.may("GET", dag_id) for dag_id in ("churn", "churn", "shared", "shared"))
    assert asked == ["churn", "shared"]


def test_nobody_asks_for_teams_where_there_are_none(asked, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "False")
    assert user().may("GET", "churn")
    assert not asked

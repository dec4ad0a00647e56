"""What this package adds to Airflow: the timetable of schedules, REST calls for what is published and for runs, and pages.

Every process of Airflow imports plugins, so nothing is imported here that only the API server needs; the application is
made when it gets its first request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar

try:
    from airflow.sdk.plugins_manager import AirflowPlugin
except ImportError:  # Airflow 3.1
    from airflow.plugins_manager import AirflowPlugin

from airflow_ml_pipelines.core.workspaces.server import STEP_ROUTE
from airflow_ml_pipelines.timetables import RecurrenceTimetable

__all__ = ["PREFIX", "MlPipelinesPlugin"]

PREFIX = "/ml-pipelines"
"""Where it is below the API server's address."""


class _LazyApp:
    """An ASGI application that is made when it is first asked for something."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        if self._app is None:
            from airflow_ml_pipelines.plugin.app import make_app

            self._app = make_app()
        scope["ml_pipelines.airflow"] = scope.get("app")  # Airflow's own application, which this one calls
        await self._app(scope, receive, send)


def _listen(app: Any) -> Any:
    """Let the process that serves an application hear of killed tasks, and return the application as it is."""
    from airflow_ml_pipelines.plugin.kills import listen

    listen()
    return app


def _view(name: str, path: str, destination: str, route: str) -> dict[str, Any]:
    """Return what Airflow's UI is told of a page."""
    return {
        "name": name,
        "href": f"{PREFIX}/ui/{path}",
        "destination": destination,
        "url_route": route,
        "icon": f"{PREFIX}/ui/static/icon.svg",
    }


class MlPipelinesPlugin(AirflowPlugin):  # type: ignore[misc]
    """Mounts the REST calls and pages below :data:`PREFIX`, and lets Airflow store the timetable."""

    name = "ml_pipelines"
    fastapi_apps: ClassVar[list[dict[str, Any]]] = [
        {"app": _LazyApp(), "url_prefix": PREFIX, "name": "ML Pipelines"}
    ]
    fastapi_root_middlewares: ClassVar[list[dict[str, Any]]] = [
        {"middleware": _listen, "args": [], "kwargs": {}, "name": "ML Pipelines: killed tasks"}
    ]
    timetables: ClassVar[list[type]] = [RecurrenceTimetable]
    external_views: ClassVar[list[dict[str, Any]]] = [
        _view("Pipelines", "runs", "nav", "ml-pipelines"),
        _view("ML pipeline", "dags/{DAG_ID}", "dag", "ml-pipelines-dag"),
        _view("ML pipeline", "dags/{DAG_ID}/runs/{RUN_ID}", "dag_run", "ml-pipelines-run"),
        _view("Step", "dags/{DAG_ID}/runs/{RUN_ID}/tasks/{TASK_ID}", "task_instance", STEP_ROUTE),
    ]
    """Where Airflow's UI has the pages: an entry at the side, and tabs of DAGs, runs and tasks."""

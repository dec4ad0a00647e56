"""What a script logged, in the form in which a page shows it: numbers, lines, tables, images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any

from markupsafe import Markup

from airflow_ml_pipelines.core.errors import NotFoundError
from airflow_ml_pipelines.core.metrics import read_events, read_metrics
from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.plugin.page.plots import Point, draw_line
from airflow_ml_pipelines.plugin.page.render import shown

__all__ = ["MetricTable", "MetricsView", "view_metrics"]

_ROWS, _COLUMNS = 100, 30


@dataclass(frozen=True)
class MetricTable:
    """A table that was logged.

    :param total: how many rows it has, of which the first are here.
    """

    columns: list[str]
    rows: list[list[Any]]
    total: int


@dataclass(frozen=True)
class MetricsView:
    """What a script logged.

    :param images: the names of their files, by the metrics' names.
    """

    values: dict[str, Any]
    plots: dict[str, Markup]
    tables: dict[str, MetricTable]
    images: dict[str, str]

    def __bool__(self) -> bool:
        return bool(self.values or self.plots or self.tables or self.images)


def view_metrics(store: Store, folder: str) -> MetricsView:
    """Return what the script of an attempt logged.

    :param folder: of the attempt; "" where there is none.
    """
    view = MetricsView({}, {}, {}, {})
    try:
        events = read_events(store.get(f"{folder}/metrics.jsonl")) if folder else []
    except NotFoundError:
        return view
    images = {
        event["name"]
        for event in events
        if event["kind"] == "metric" and event.get("form") == "image" and isinstance(event.get("name"), str)
    }
    for name, value in (read_metrics(events) | read_metrics(events, parent=True)).items():
        if name in images:
            for number, file in enumerate(value if isinstance(value, list) else [value], 1):
                view.images[name if number == 1 else f"{name} ({number})"] = str(file)
        elif isinstance(value, list):
            _add_list(view, name, value)
        elif isinstance(value, Mapping):
            view.tables[name] = _matrix(value) or _table(value)
        else:
            view.values[name] = value
    return view


def _add_list(view: MetricsView, name: str, value: list[Any]) -> None:
    numbers = [
        (number, item)
        for number, item in enumerate(value, 1)
        if isinstance(item, int | float) and not isinstance(item, bool)
    ]
    if len(numbers) != len(value) or not numbers:
        view.tables[name] = _table({name: value})
        return
    points = [Point(float(number), _float(item), f"{number}: {shown(item)}") for number, item in numbers]
    view.plots[name] = draw_line(points, f"{name}, {len(value)} values", "1", str(len(value)))
    view.values[name] = value[-1]


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _table(value: Mapping[str, Any]) -> MetricTable:
    columns = list(value)[:_COLUMNS]
    cells = [value[name] if isinstance(value[name], list) else [value[name]] for name in columns]
    total = max(map(len, cells), default=0)
    return MetricTable(columns, [list(row) for row in islice(zip_longest(*cells), _ROWS)], total)


def _matrix(value: Mapping[str, Any]) -> MetricTable | None:
    """Return the rows of a confusion matrix, None for what is none."""
    data = value.get("data")
    if not isinstance(data, Mapping):
        return None
    labels, matrix = data.get("class_labels"), data.get("matrix")
    if not isinstance(labels, list) or not isinstance(matrix, list):
        return None
    rows = [[label, *row] for label, row in zip(labels, matrix, strict=False) if isinstance(row, list)]
    return MetricTable(
        ["", *map(str, labels[: _COLUMNS - 1])], [row[:_COLUMNS] for row in rows[:_ROWS]], len(rows)
    )

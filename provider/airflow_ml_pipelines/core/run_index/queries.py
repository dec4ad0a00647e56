"""What the index is asked. Whatever a user may not see is left out here, so that no count has it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from airflow_ml_pipelines.core.run_index.conditions import Condition

__all__ = [
    "Flow",
    "Listed",
    "ListedPage",
    "RunFilter",
    "Savings",
    "choices",
    "dags_of",
    "datasets_used",
    "find_run",
    "flows",
    "list_page",
    "list_savings",
    "metric_series",
    "steps_savings",
]

_OPERATORS = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_SEEN = "dag_id IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True)
class RunFilter:
    """Which runs are wanted.

    :param dags: those whose runs the user may see.
    :param commit: how the commit begins.
    :param places: the folders of these pipelines and runs, None for all.
    """

    dags: Collection[str]
    pipeline: str = ""
    dag_id: str = ""
    experiment: str = ""
    status: str = ""
    commit: str = ""
    places: Collection[str] | None = None
    conditions: tuple[Condition, ...] = ()


class Listed(NamedTuple):
    """A run in a list."""

    pipeline: str
    run: str
    dag_id: str
    experiment: str
    status: str
    started: float
    finished: float | None
    worked: float
    saved: float
    steps: int
    ran: int
    reused: int
    failed: int
    going: int
    commit: str
    branch: str
    facts: dict[str, dict[str, str]]


class ListedPage(NamedTuple):
    """Some of the runs that are wanted, the latest first."""

    total: int
    items: list[Listed]


class Savings(NamedTuple):
    """What reuse saved a pipeline, or a step of one."""

    name: str
    runs: int
    ran: int
    reused: int
    worked: float
    saved: float
    latest: float

    @property
    def share(self) -> float:
        """Which part of the time that the steps would have taken was saved."""
        whole = self.worked + self.saved
        return self.saved / whole if whole else 0.0


class Flow(NamedTuple):
    """Steps that read or make a dataset."""

    dataset: str
    direction: str
    pipeline: str
    step: str
    runs: int
    run: str
    latest: float


def dags_of(connection: sqlite3.Connection) -> list[str]:
    """Return the DAGs that have runs: whoever asks is to keep those that the user may see."""
    return [row[0] for row in connection.execute("SELECT DISTINCT dag_id FROM runs")]


def list_page(connection: sqlite3.Connection, wanted: RunFilter, limit: int, offset: int = 0) -> ListedPage:
    """Return some of the runs, the latest first."""
    where, values = _where(wanted)
    total = connection.execute(f"SELECT count(*) FROM runs WHERE {where}", values).fetchone()[0]
    rows = connection.execute(
        f"SELECT * FROM runs WHERE {where} ORDER BY started DESC, id DESC LIMIT ? OFFSET ?",
        (*values, limit, offset),
    ).fetchall()
    facts: dict[int, dict[str, dict[str, str]]] = {}
    numbers = json.dumps([row["id"] for row in rows])
    for run, kind, name, text in connection.execute(
        "SELECT run, kind, name, text FROM facts WHERE run IN (SELECT value FROM json_each(?)) ORDER BY rowid",
        (numbers,),
    ):
        facts.setdefault(run, {}).setdefault(kind, {})[name] = text
    return ListedPage(total, [_listed(row, facts.get(row["id"], {})) for row in rows])


def find_run(connection: sqlite3.Connection, dag_id: str, dag_run: str) -> tuple[str, str] | None:
    """Return the pipeline and the run that a DAG run is, None where none is known."""
    row = connection.execute(
        "SELECT pipeline, run FROM runs WHERE dag_id = ? AND dag_run = ? LIMIT 1", (dag_id, dag_run)
    ).fetchone()
    return None if row is None else (row["pipeline"], row["run"])


def choices(connection: sqlite3.Connection, column: str, dags: Collection[str]) -> list[str]:
    """Return the values that a column of the runs has: ``pipeline``, ``experiment``, ``status``."""
    if column not in ("pipeline", "experiment", "status"):
        raise ValueError(column)
    query = f"SELECT DISTINCT {column} FROM runs WHERE {_SEEN} ORDER BY {column} LIMIT 1000"
    return [row[0] for row in connection.execute(query, (_list(dags),))]


def list_savings(connection: sqlite3.Connection, dags: Collection[str]) -> list[Savings]:
    """Return what reuse saved each pipeline, the most first."""
    return _savings(
        connection,
        "SELECT pipeline, count(*), sum(ran + failed), sum(reused), sum(worked), sum(saved), max(started)"
        f" FROM runs WHERE {_SEEN} GROUP BY pipeline ORDER BY sum(saved) DESC, pipeline",
        (_list(dags),),
    )


def steps_savings(connection: sqlite3.Connection, pipeline: str, dags: Collection[str]) -> list[Savings]:
    """Return what reuse saved each step of a pipeline, the most first."""
    return _savings(
        connection,
        "SELECT step, count(*), sum(steps.status NOT IN ('reused', 'waiting')), sum(steps.status = 'reused'),"
        " sum(coalesce(steps.seconds, 0)), sum(steps.saved), max(started)"
        " FROM steps JOIN runs ON runs.id = steps.run"
        f" WHERE pipeline = ? AND {_SEEN} GROUP BY step ORDER BY sum(steps.saved) DESC, step",
        (pipeline, _list(dags)),
    )


def flows(connection: sqlite3.Connection, dags: Collection[str], dataset: str | None = None) -> list[Flow]:
    """Return the steps that read or make datasets, or one dataset, with the latest run of each.

    :param dataset: of this one, and of those that the same steps read or make.
    """
    near = (
        " AND (pipeline, step) IN (SELECT other.pipeline, uses.step FROM uses"
        " JOIN runs AS other ON other.id = uses.run WHERE uses.dataset = ?)"
    )
    more, values = ("", ()) if dataset is None else (near, (dataset,))
    rows = connection.execute(
        "SELECT dataset, direction, pipeline, step, count(*), run_name, max(started) FROM"
        " (SELECT dataset, direction, pipeline, step, runs.run AS run_name, started FROM uses"
        f" JOIN runs ON runs.id = uses.run WHERE {_SEEN}{more})"
        " GROUP BY dataset, direction, pipeline, step ORDER BY pipeline, step, dataset LIMIT 500",
        (_list(dags), *values),
    )
    return [Flow(*row) for row in rows]


def datasets_used(connection: sqlite3.Connection, dags: Collection[str]) -> set[str]:
    """Return the names of the datasets that runs of these DAGs read or make."""
    query = f"SELECT DISTINCT dataset FROM uses JOIN runs ON runs.id = uses.run WHERE {_SEEN}"
    return {row[0] for row in connection.execute(query, (_list(dags),))}


def metric_series(
    connection: sqlite3.Connection, pipeline: str, dags: Collection[str], *, runs: int = 200
) -> dict[str, list[tuple[float, float, str]]]:
    """Return each metric of the latest runs of a pipeline: when the run was started, the value, and the run."""
    rows = connection.execute(
        "SELECT name, started, number, latest.run AS run_name FROM"
        f" (SELECT id, run, started FROM runs WHERE pipeline = ? AND {_SEEN} ORDER BY started DESC LIMIT ?)"
        " AS latest JOIN facts ON facts.run = latest.id"
        " WHERE kind = 'metric' AND number IS NOT NULL ORDER BY name, started",
        (pipeline, _list(dags), runs),
    )
    found: dict[str, list[tuple[float, float, str]]] = {}
    for name, started, number, run in rows:
        found.setdefault(name, []).append((started, number, run))
    return found


def _savings(connection: sqlite3.Connection, query: str, values: Sequence[str]) -> list[Savings]:
    return [Savings(*row) for row in connection.execute(query, values)]


def _where(wanted: RunFilter) -> tuple[str, list[str | float]]:
    parts, values = [_SEEN], [_list(wanted.dags)]
    found: list[str | float] = list(values)
    for column in ("pipeline", "dag_id", "experiment", "status"):
        value = getattr(wanted, column)
        if value:
            parts.append(f"{column} = ?")
            found.append(value)
    if wanted.places is not None:
        parts.append("place IN (SELECT value FROM json_each(?))")
        found.append(_list(wanted.places))
    if wanted.commit:
        parts.append("substr(commit_id, 1, length(?)) = ?")
        found += [wanted.commit, wanted.commit]
    for condition in wanted.conditions:
        part, more = _fact(condition)
        parts.append(f"id IN (SELECT run FROM facts WHERE kind = ? AND name = ?{part})")
        found += [condition.kind, condition.name, *more]
    return " AND ".join(parts), found


def _fact(condition: Condition) -> tuple[str, list[str | float]]:
    if not condition.operator:
        return "", []
    operator, number = _OPERATORS[condition.operator], condition.number
    if number is None:
        return f" AND text {operator} ?", [condition.value]
    if condition.operator in ("=", "!="):  # a text may look like a number
        same = "(ifnull(number = ?, 0) OR text = ?)"
        return f" AND {same if condition.operator == '=' else f'NOT {same}'}", [number, condition.value]
    return f" AND number {operator} ?", [number]


def _listed(row: sqlite3.Row, facts: dict[str, dict[str, str]]) -> Listed:
    taken = {name: row[name] for name in Listed._fields if name not in ("commit", "facts")}
    return Listed(commit=row["commit_id"], facts=facts, **taken)


def _list(names: Iterable[str]) -> str:
    return json.dumps(list(names))

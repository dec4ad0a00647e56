"""What can be done with a table before it is read: a chain of documents that goes along with the data.

=========  ==========================================  =================================================
``do``     fields                                      meaning
=========  ==========================================  =================================================
keep       ``columns``                                 these columns alone, in this order
drop       ``columns``                                 all but these columns
take       ``count``                                   the first rows
skip       ``count``                                   all but the first rows
sample     ``probability``, ``seed``                   each row with a probability
split      ``percentage``, ``seed``, ``rest``          the rows of one side of a split, or of the other
filter     ``where``                                   the rows for which an expression is true
=========  ==========================================  =================================================

Sampling depends on the seed and the position of a row alone, so that it is the same everywhere and each time.
"""

from __future__ import annotations

import datetime as dt
import random
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DataError, did_you_mean
from airflow_ml_pipelines.runtime.expressions import Expression, check_expression, column, quote_name, to_sql

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

__all__ = ["TableOperations", "apply_operation", "check_operation", "timestamp_column"]


_MOST = 2**63 - 1  # rows that SQL can count


class TableOperations:
    """The methods of a table that return a smaller one. Nothing is read by them."""

    def _then(self, *operations: dict[str, Any]) -> Self:
        raise NotImplementedError

    def _timestamp(self, name: str) -> str:
        raise NotImplementedError

    def __getitem__(self, name: str) -> Expression:
        """Return a column, to make a condition for :meth:`filter` of: ``dataset["price"] > 100``."""
        if not isinstance(name, str):
            raise TypeError(f"dataset[…]: expected the name of a column, found {name!r}")
        return column(name)

    def filter(self, expression: Expression) -> Self:
        """Return the table with the rows for which a condition is true: ``(table["a"] > 1) & (table["b"] == "x")``."""
        if not isinstance(expression, Expression):
            raise TypeError(
                f"filter(expression=…): expected a condition such as dataset['price'] > 100, found {expression!r}"
            )
        return self._then({"do": "filter", "where": expression.document})

    def keep_columns(self, columns: str | Sequence[str], validate: bool = False) -> Self:  # noqa: ARG002
        """Return the table with these columns alone."""
        return self._then({"do": "keep", "columns": _names("keep_columns", columns)})

    def drop_columns(self, columns: str | Sequence[str]) -> Self:
        """Return the table without these columns."""
        return self._then({"do": "drop", "columns": _names("drop_columns", columns)})

    def take(self, count: int) -> Self:
        """Return the table's first rows."""
        return self._then({"do": "take", "count": _count("take", count)})

    def skip(self, count: int) -> Self:
        """Return the table without its first rows."""
        return self._then({"do": "skip", "count": _count("skip", count)})

    def take_sample(self, probability: float, seed: int | None = None) -> Self:
        """Return the table with some of its rows, each taken with a probability.

        :param seed: the same seed takes the same rows; a new one each time if left out, which ends reuse.
        """
        chance = _share("take_sample(probability=…)", probability)
        return self._then({"do": "sample", "probability": chance, "seed": _seed(seed)})

    def random_split(self, percentage: float, seed: int | None = None) -> tuple[Self, Self]:
        """Return two tables that have all rows between them, the first one about this share of them."""
        share, number = _share("random_split(percentage=…)", percentage), _seed(seed)
        first, rest = (
            self._then({"do": "split", "percentage": share, "seed": number, "rest": side})
            for side in (False, True)
        )
        return first, rest

    def time_before(
        self,
        end_time: dt.datetime,
        include_boundary: bool = True,
        validate: bool = True,  # noqa: ARG002
    ) -> Self:
        """Return the table with the rows up to a time, by its timestamp column."""
        stamp = column(self._timestamp("time_before"))
        return self.filter(stamp <= end_time if include_boundary else stamp < end_time)

    def time_after(
        self,
        start_time: dt.datetime,
        include_boundary: bool = True,
        validate: bool = True,  # noqa: ARG002
    ) -> Self:
        """Return the table with the rows from a time on, by its timestamp column."""
        stamp = column(self._timestamp("time_after"))
        return self.filter(stamp >= start_time if include_boundary else stamp > start_time)

    def time_between(
        self,
        start_time: dt.datetime,
        end_time: dt.datetime,
        include_boundary: bool = True,
        validate: bool = True,
    ) -> Self:
        """Return the table with the rows between two times, by its timestamp column."""
        return self.time_after(start_time, include_boundary, validate).time_before(
            end_time, include_boundary, validate
        )

    def time_recent(
        self, time_delta: dt.timedelta, include_boundary: bool = True, validate: bool = True
    ) -> Self:
        """Return the table with the rows of the last days or hours, counted from now, which is fixed by this call."""
        if not isinstance(time_delta, dt.timedelta):
            raise TypeError(f"time_recent(time_delta=…): expected a datetime.timedelta, found {time_delta!r}")
        now = dt.datetime.now(dt.timezone.utc).replace(tzinfo=None)
        return self.time_after(now - time_delta, include_boundary, validate)


def _is_names(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(name, str) for name in value)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_share(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1


_FIELDS: dict[str, dict[str, tuple[Callable[[Any], bool], str]]] = {
    "keep": {"columns": (_is_names, "a list of names")},
    "drop": {"columns": (_is_names, "a list of names")},
    "take": {"count": (_is_count, "a number of rows")},
    "skip": {"count": (_is_count, "a number of rows")},
    "filter": {"where": (lambda value: isinstance(value, (list, tuple)), "a condition")},
    "sample": {
        "probability": (_is_share, "a number from 0 to 1"),
        "seed": (lambda value: type(value) is int, "a whole number"),
    },
    "split": {
        "percentage": (_is_share, "a number from 0 to 1"),
        "seed": (lambda value: type(value) is int, "a whole number"),
        "rest": (lambda value: isinstance(value, bool), "true or false"),
    },
}


def check_operation(operation: Mapping[str, Any]) -> dict[str, Any]:
    """Return an operation that somebody wrote down. :raises ValueError: that says what is wrong with it."""
    do = operation.get("do")
    fields = _FIELDS.get(do) if isinstance(do, str) else None
    if fields is None:
        raise ValueError(f"expected an operation with `do`, found {do!r}.{did_you_mean(str(do), _FIELDS)}")
    for name in operation:
        if name != "do" and name not in fields:
            raise ValueError(f"operation {do!r} has no field {name!r}.{did_you_mean(name, fields)}")
    for name, (fits, expected) in fields.items():
        if name not in operation:
            raise ValueError(f"operation {do!r}: the field {name!r} is missing: {expected}")
        if not fits(operation[name]):
            raise ValueError(f"operation {do!r}, {name}: expected {expected}, found {operation[name]!r}")
    if do == "filter":
        check_expression(operation["where"])
    return dict(operation)


def timestamp_column(options: Mapping[str, Any], where: str) -> str:
    """Return the column that says when a row is from. :raises DataError: where the table has none."""
    name = options.get("timestamp") or options.get("partition_timestamp")
    if not name:
        raise DataError(
            f"{where}: the table has no timestamp: name its column with with_timestamp_columns(timestamp=…)"
        )
    return str(name)


def apply_operation(sql: str, columns: Mapping[str, str], operation: Mapping[str, Any]) -> str:
    """Return a query for what an operation leaves of the rows of another query.

    :param columns: the columns of that query, with their types.
    :raises DataError: where it names a column that there is not, or there is no such operation.
    """
    do = operation.get("do")
    if do in ("keep", "drop"):
        names = operation["columns"]
        for name in names:
            if name not in columns:
                raise DataError(f"{do}_columns: there is no column {name!r}.{did_you_mean(name, columns)}")
        kept = names if do == "keep" else [name for name in columns if name not in names]
        if not kept:
            raise DataError("drop_columns: no column is left: keep one at least")
        return f"SELECT {', '.join(map(quote_name, kept))} FROM ({sql})"
    if do == "take":
        return f"SELECT * FROM ({sql}) LIMIT {min(int(operation['count']), _MOST)}"
    if do == "skip":
        return f"SELECT * FROM ({sql}) OFFSET {min(int(operation['count']), _MOST)}"
    if do == "filter":
        return f"SELECT * FROM ({sql}) WHERE {to_sql(operation['where'], columns)}"
    if do in ("sample", "split"):
        share = operation["probability" if do == "sample" else "percentage"]
        text = f"'{int(operation['seed'])}:' || row_number() OVER ()"
        chosen = (
            f"md5_number_lower({text}) {'>=' if operation.get('rest') else '<'} {int(share * 2**64)}::HUGEINT"
        )
        return f'SELECT * EXCLUDE (".chosen") FROM (SELECT *, {chosen} AS ".chosen" FROM ({sql})) WHERE ".chosen"'
    raise DataError(
        f"there is nothing to be done with a table that is called {do!r}; a newer version may know it"
    )


def _names(where: str, columns: str | Sequence[str]) -> list[str]:
    names = [columns] if isinstance(columns, str) else list(columns)
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"{where}(columns=…): expected the name of a column, or a list of names; found {columns!r}"
        )
    return names


def _count(where: str, count: int) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise TypeError(f"{where}(count=…): expected a number of rows, found {count!r}")
    return count


def _share(where: str, share: float) -> float:
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise TypeError(f"{where}: expected a number from 0 to 1, found {share!r}")
    return float(share)


def _seed(seed: int | None) -> int:
    if seed is not None and type(seed) is not int:
        raise TypeError(f"seed=…: expected a whole number, found {seed!r}")
    return random.SystemRandom().randrange(2**31) if seed is None else seed

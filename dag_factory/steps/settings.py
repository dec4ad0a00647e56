"""What a step's task in Airflow is given besides the step: retries, pool, queue, priority, whether it is deferred."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory._check import expect
from dag_factory.models.scalars import as_duration

__all__ = ["check_duration", "check_settings"]


def check_settings(
    where: str,
    *,
    description: str | None,
    retries: int | None,
    retry_delay: float | str | timedelta | None,
    pool: str | None,
    queue: str | None,
    priority_weight: int | None,
    deferrable: bool | None,
) -> dict[str, Any]:
    """Return those settings that are given, as fields of a step's definition.

    :param where: what an error begins with.
    :raises TypeError: where one is of a type that it can't be.
    :raises DefinitionError: where one has a value that it can't have.
    """
    for name, text in (("description", description), ("pool", pool), ("queue", queue)):
        if text is not None:
            expect(f"{where}({name}=…)", text, str, what="text")
    for name, number in (("retries", retries), ("priority_weight", priority_weight)):
        if number is not None:
            expect(f"{where}({name}=…)", number, int, what="a whole number")
    if retries is not None and retries < 0:
        raise DefinitionError(f"{where}(retries=…): expected at least 0, found {retries}")
    if deferrable is not None:
        expect(f"{where}(deferrable=…)", deferrable, bool, what="True or False")
    settings = {
        "description": description,
        "retries": retries,
        "retry_delay": check_duration(f"{where}(retry_delay=…)", retry_delay),
        "pool": pool,
        "queue": queue,
        "priority_weight": priority_weight,
        "deferrable": deferrable,
    }
    return {name: value for name, value in settings.items() if value is not None}


def check_duration(where: str, value: float | str | timedelta | None) -> float | None:
    """Return seconds, from a number of them, a ``timedelta`` or text such as ``1h30m``; None for None.

    :raises DefinitionError: for anything else.
    """
    if value is None:
        return None
    try:
        return as_duration(value.total_seconds() if isinstance(value, timedelta) else value)
    except ValueError as error:
        raise DefinitionError(f"{where}: {error}") from None

"""All that this package takes from Airflow, and what differs between its versions.

Airflow 3.1 has the exceptions in ``airflow.exceptions``, later versions in ``airflow.sdk.exceptions``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow.configuration import conf  # noqa: TID253
from airflow.dag_processing.bundles.base import BaseDagBundle  # noqa: TID253
from airflow.sdk import Asset, BaseOperator, BaseOperatorLink, BaseSensorOperator, PokeReturnValue  # noqa: TID253
from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent  # noqa: TID253

try:
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        DownstreamTasksSkipped,
    )
except ImportError:
    from airflow.exceptions import (
        AirflowException,
        AirflowFailException,
        DownstreamTasksSkipped,
    )

if TYPE_CHECKING:
    from airflow.sdk import Connection

__all__ = [
    "TRIGGERS_ARE_KILLED",
    "AirflowException",
    "AirflowFailException",
    "Asset",
    "BaseDagBundle",
    "BaseEventTrigger",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "BaseTrigger",
    "DownstreamTasksSkipped",
    "PokeReturnValue",
    "TriggerEvent",
    "conf",
    "get_connection",
    "has_secret",
]


TRIGGERS_ARE_KILLED: Final = hasattr(BaseTrigger, "on_kill")
"""Whether a trigger is told that its task was killed: since Airflow 3.3."""


def get_connection(name: str) -> Connection | None:
    """Return Airflow's connection of an id, None where there is none.

    What belongs to it is imported only here: few tasks have a datastore that names one.
    """
    from airflow.sdk import Connection

    try:
        from airflow.sdk.exceptions import AirflowNotFoundException
    except ImportError:
        from airflow.exceptions import AirflowNotFoundException
    try:
        return Connection.get(name)
    except AirflowNotFoundException:
        return None


def has_secret(text: str) -> bool:
    """Return whether a text has something in it that Airflow masks in the logs of this task, such as a password."""
    from airflow.sdk._shared.secrets_masker import redact

    return bool(redact(text) != text)

"""All that this package takes from Airflow, and what differs between its versions.

Airflow 3.1 has the exceptions in ``airflow.exceptions``, later versions in ``airflow.sdk.exceptions``.
"""

from __future__ import annotations

from airflow.configuration import conf  # noqa: TID253
from airflow.sdk import Asset, BaseOperator, BaseOperatorLink, BaseSensorOperator, PokeReturnValue  # noqa: TID253
from airflow.triggers.base import BaseTrigger, TriggerEvent  # noqa: TID253

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

__all__ = [
    "AirflowException",
    "AirflowFailException",
    "Asset",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "BaseTrigger",
    "DownstreamTasksSkipped",
    "PokeReturnValue",
    "TriggerEvent",
    "conf",
]

"""What a clean-up is to leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["DAY", "GRACE_SECONDS", "QUIET_SECONDS", "Policy"]

DAY: Final = 24 * 3600.0

GRACE_SECONDS: Final = 7 * DAY
"""How long a tombstone can be taken back, unless something else is said."""

QUIET_SECONDS: Final = 7 * DAY
"""For how long a run that has not ended may be silent until it counts as lost. What may be needed by one that has not
said so yet (snapshots, leases) is never removed sooner."""


@dataclass(frozen=True)
class Policy:
    """What a clean-up is to leave; without an age and a size everything that has a name.

    :param older_than: seconds for which a result or a run must not have been used.
    :param keep_size: bytes of results that may stay, those used last.
    :param grace: seconds for which a tombstone can be taken back.
    """

    older_than: float | None = None
    keep_size: int | None = None
    grace: float = GRACE_SECONDS

"""Does again what a cut connection has ended, where obstore does not.

obstore repeats requests that come to the same however often the server gets them. What makes or removes an object it
leaves to its caller, who alone knows whether it may be done twice.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final, TypeVar

from obstore.exceptions import BaseError

__all__ = ["explain_cut", "try_again"]

_TRIES: Final = 5
_PAUSE: Final = 0.1
_CUT = re.compile(
    r"Error performing \w+ (?P<server>\w+://[^/\s]+).*HTTP error: (?:error sending request|request or response body error)",
    re.DOTALL,
)
_REPEATED = re.compile(r"after \d+ retries")

_T = TypeVar("_T")


def try_again(work: Callable[[bool], _T]) -> _T:
    """Return what some work comes to, which is done again while connections are cut.

    :param work: is told whether it is done again: what was done before may have been done, or not.
    """
    for number in range(1, _TRIES):
        try:
            return work(number > 1)
        except BaseError as error:
            text = str(error)
            if not _CUT.search(text) or _REPEATED.search(text):  # a server that is away was waited for
                raise
            time.sleep(_PAUSE * 2**number)
    return work(True)


def explain_cut(text: str) -> str | None:
    """Return what an error says of a server that does not answer, None where it is about something else."""
    found = _CUT.search(text)
    if found is None:
        return None
    return (
        f"{found['server']} does not answer, or cuts connections: start again when it is there, or correct the "
        "datastore's address"
    )

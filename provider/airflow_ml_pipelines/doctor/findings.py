"""What an examination finds, and how several are made at once, each within a time limit."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from airflow_ml_pipelines.core.amounts import seconds_text
from airflow_ml_pipelines.core.errors import MlPipelinesError, explain_os_error
from airflow_ml_pipelines.core.stores.credentials import mask_url

__all__ = ["Examination", "Finding", "Level", "examine_all"]

Level = Literal["ok", "warning", "error"]

_LONGEST = 1000


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that was looked at.

    :param what: what it was, such as ``root`` or ``compute target gpu``.
    :param level: ``ok``, ``warning`` for what works less well than it could, ``error`` for what does not work.
    :param text: what was found. It names credentials and never has them.
    :param advice: what to do; "" where there is nothing to do.
    """

    what: str
    level: Level
    text: str
    advice: str = ""


@dataclass(frozen=True)
class Examination:
    """One look at one thing.

    :param look: yields what it finds; an error of this package is a finding too.
    :param advice: what to do where it does not end in time.
    """

    what: str
    look: Callable[[], Iterable[Finding]]
    advice: str = "check whether it is up and can be reached from here"


def examine_all(examinations: Sequence[Examination], seconds: float) -> Iterator[Finding]:
    """Make all examinations at once; yield what each finds, in their order.

    What hangs is left behind: its threads end with the process.

    :param seconds: how long each may take.
    """
    answers: list[queue.SimpleQueue[Finding | None]] = []
    for item in examinations:
        answer: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()
        answers.append(answer)
        name = f"examine {item.what}"
        threading.Thread(target=_examine, args=(item, answer), name=name, daemon=True).start()
    deadline = time.monotonic() + seconds
    for item, answer in zip(examinations, answers, strict=True):
        while True:
            try:
                finding = answer.get(timeout=max(deadline - time.monotonic(), 0.001))
            except queue.Empty:
                yield Finding(item.what, "error", f"no answer within {seconds_text(seconds)}", item.advice)
                break
            if finding is None:
                break
            yield finding


def _examine(item: Examination, answer: queue.SimpleQueue[Finding | None]) -> None:
    try:
        for finding in item.look():
            answer.put(finding)
    except MlPipelinesError as error:
        answer.put(Finding(item.what, "error", _without(item.what, mask_url(str(error)))))
    except OSError as error:
        answer.put(Finding(item.what, "error", mask_url(explain_os_error(error))))
    except Exception as error:  # noqa: BLE001 - a driver's or a plugin's own: it must not hide the other findings
        text = mask_url(" ".join(str(error).split()))
        answer.put(Finding(item.what, "error", f"{type(error).__name__}: {text}"[:_LONGEST]))
    finally:
        answer.put(None)


def _without(what: str, text: str) -> str:
    """Return a text without the name of what it is about, where it begins with that."""
    noun, _, name = what.rpartition(" ")
    for head in (what, f"{noun} {name!r}"):
        text = text.removeprefix(f"{head}: ").removeprefix(f"{head} ")
    return text

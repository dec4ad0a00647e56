"""Names that a destination can't have, which is said before anything is copied."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from unicodedata import normalize

from airflow_ml_pipelines.core.errors import DataError
from airflow_ml_pipelines.core.files.walk import ASIDE
from airflow_ml_pipelines.core.stores.obstore_store import ObstoreStore
from airflow_ml_pipelines.core.stores.store import Store
from airflow_ml_pipelines.core.transfer.copies import Copy

__all__ = ["refuse_names"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def refuse_names(copies: Mapping[str, Copy], target: Store, label: str) -> None:
    """Refuse files whose names the store that they are copied to can't have.

    :param copies: by their relative names.
    :param label: how errors call the destination.
    :raises DataError: naming the file, and why.
    """
    for name, copy in copies.items():
        reason = _refused(copy.target, target)
        if reason is not None:
            raise DataError(
                f"{name!r} of the source can't be copied to {label}: {reason}. Rename it, or leave it out"
            )
    local = target.local_path("")
    if local is not None:
        _refuse_nested(copies, label)
        _refuse_same(copies, local, label)


def _refused(path: str, target: Store) -> str | None:
    if not path.isascii():
        try:
            path.encode()
        except UnicodeEncodeError:
            return "its name is not UTF-8"
    if isinstance(target, ObstoreStore):
        if _CONTROL.search(path):
            return "its name has a line break, a tab, or another control character"
        if "\\" in path and target.config.kind == "azure":
            return "Azure takes the backslash in its name for a slash"
    return None


def _refuse_nested(copies: Mapping[str, Copy], label: str) -> None:
    """Refuse a file that is a folder as well, as an object store can have it and a file system can't."""
    for name in copies:
        folder = name
        while folder := folder.rpartition("/")[0]:
            if folder in copies:
                raise DataError(
                    f"{folder!r} of the source is a file, and the folder of {name!r}: {label} can't have both"
                )


def _refuse_same(copies: Iterable[str], local: Path, label: str) -> None:
    """Refuse names that are one on file systems which know no case, or take a letter and its accent for one."""
    seen: dict[str, str] = {}
    for name in copies:
        other = seen.setdefault(normalize("NFC", name).casefold(), name)
        if other is not name and _are_one(local, other, name):
            raise DataError(
                f"{other!r} and {name!r} of the source are one name on the file system of {label}: rename one of them, or "
                "copy them to another place"
            )


def _are_one(local: Path, one: str, other: str) -> bool:
    """Return whether the file system takes two names for one: it is tried with those of a folder that is removed again."""
    probe = f"{ASIDE}{secrets.token_hex(6)}"
    folder = local
    while not folder.is_dir():
        folder = folder.parent
    top = folder / probe
    try:
        first, second = (top.joinpath(*name.split("/")) for name in (one, other))
        first.mkdir(parents=True)
        return second.exists()
    except OSError:  # what is wrong there is said when it is written to
        return False
    finally:
        with suppress(OSError):
            for path, _, _ in os.walk(top, topdown=False):
                os.rmdir(path)

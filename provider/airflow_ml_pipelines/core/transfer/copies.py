"""What is copied, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from airflow_ml_pipelines.core.errors import DataError
from airflow_ml_pipelines.core.stores.store import ObjectInfo, Store

__all__ = ["Copied", "Copier", "Copy", "OnCopied", "changed", "differs", "unreadable"]


@dataclass(frozen=True, slots=True)
class Copy:
    """A file that is to be copied.

    :param name: relative to the place that is copied; what it is called in a manifest.
    :param info: what its store says of it: it is copied as that, or not at all.
    :param target: its path in the store that it is copied to.
    :param digest: of its content, "" where it is not known.
    """

    store: Store
    name: str
    info: ObjectInfo
    target: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Copied:
    """A file that was copied, and was found to be the same.

    :param digest: what its content is known by: the digest of its bytes; of a file that a service has copied by
        itself, ``md5:…`` or ``version:…``, made of what the service says of it.
    :param version: what the store that it was copied to says of it now, "" where that was not asked.
    """

    copy: Copy
    digest: str
    version: str


OnCopied = Callable[[Copied], None]
"""Is told of each file that was copied, by one thread at a time."""


class Copier(Protocol):
    """Copies files, many at once where that is faster."""

    def copy(self, copies: Sequence[Copy], on_copied: OnCopied, check: Callable[[], None]) -> None:
        """Copy files; the first that fails ends it.

        :param check: called several times a second; what it raises ends the work.
        :raises MlPipelinesError: that names the file that failed. Each file is then whole at its destination, or not
            changed there.
        """


def changed(copy: Copy) -> DataError:
    """Return the error for a file that is no longer what it was."""
    return DataError(
        f"{copy.info.path!r} in {copy.store.url} changed while it was copied: run the transfer again when nothing "
        "writes to it"
    )


def unreadable(copy: Copy, error: OSError) -> DataError:
    """Return the error for a file of this machine that can't be read."""
    if isinstance(error, FileNotFoundError):
        return changed(copy)
    return DataError(f"{copy.info.path!r} in {copy.store.url} can't be read: {error.strerror}")


def differs(copy: Copy, target: Store) -> DataError:
    """Return the error for a copy that has other bytes."""
    return DataError(
        f"{copy.target!r} in {target.url} has other bytes than {copy.info.path!r} in {copy.store.url}, of which it is a "
        "copy: something else writes there, or the store is damaged; run the transfer again"
    )

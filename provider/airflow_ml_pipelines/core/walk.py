"""Walks a folder and lists its files with what tells whether they changed.

Standard library only, and quick: a walk costs little more than ``os.scandir`` with one ``stat`` a file.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol

from airflow_ml_pipelines.core.errors import DataError

__all__ = ["ASIDE", "EVERYTHING", "STAT", "Everything", "Listing", "Rules", "list_file", "list_tree"]

ASIDE: Final = ".~"
"""What the names of files begin with that are still being written; no walk and no store shows them."""

STAT: Final = struct.Struct("<QqqQI")
"""Size, mtime and ctime in ns, inode and mode: while they are the same, so are a file's bytes."""

_VENV = "pyvenv.cfg"


class Rules(Protocol):
    """Which files of a folder count.

    :param key: differs between rules that do not take the same files.
    :param names: file and folder names that never count. With ``pyvenv.cfg`` among them, folders that have a file of
        that name do not count.
    :param endings: endings of file and folder names that never count.
    """

    @property
    def key(self) -> str: ...

    @property
    def names(self) -> frozenset[str]: ...

    @property
    def endings(self) -> tuple[str, ...]: ...

    def enters(self, folder: str) -> bool:
        """Return whether a folder is walked into, by its path relative to the root."""

    def takes(self, file: str) -> bool:
        """Return whether a file counts, by its path relative to the root."""


@dataclass(frozen=True)
class Everything:
    """Every file counts."""

    key: str = "everything"
    names: frozenset[str] = frozenset()
    endings: tuple[str, ...] = ()

    def enters(self, folder: str) -> bool:  # noqa: ARG002
        return True

    def takes(self, file: str) -> bool:  # noqa: ARG002
        return True


EVERYTHING = Everything()


@dataclass
class Listing:
    """The files below a folder, in the order in which the file system gave them.

    Files that only :meth:`Rules.takes` leaves out are in the listing, since asking it takes longer than the walk.

    :param root: the folder.
    :param names: the files' names.
    :param stats: the files' packed stats, see :data:`STAT`.
    :param groups: the paths of the folders that were read, with a ``/`` at the end, and how many names are of each.
    :param folders: what :meth:`Rules.enters` said of each folder.
    """

    root: str
    names: list[str] = field(default_factory=list)
    stats: list[bytes] = field(default_factory=list)
    groups: list[tuple[str, int]] = field(default_factory=list)
    folders: dict[str, bool] = field(default_factory=dict)

    def fold(self) -> bytes:
        """Return one digest of all that was seen."""
        digest = hashlib.sha256()
        for prefix, count in self.groups:
            digest.update(f"{count}:{prefix}\0".encode("utf-8", "surrogateescape"))
        digest.update("\0".join(self.names).encode("utf-8", "surrogateescape"))
        digest.update(b"".join(self.stats))
        return digest.digest()

    def paths(self) -> list[str]:
        """Return the files' paths relative to the root, in the order of ``names``."""
        paths: list[str] = []
        names = iter(self.names)
        for prefix, count in self.groups:
            paths += [prefix + name for name in islice(names, count)]
        return paths


def list_tree(
    root: str, rules: Rules = EVERYTHING, *, contained: bool = False, known: Mapping[str, bool] | None = None
) -> Listing:
    """List the files of a folder. Links are followed.

    :param contained: refuse links that lead out of the folder or nowhere, and what is neither file nor folder;
        otherwise such links are followed or left out, and what is no file is left out.
    :param known: what ``rules.enters`` is known to say of folders.
    :raises DataError: for a link that leads back to where the walk came from, and for what is refused.
    :raises OSError: where a folder can't be read.
    """
    known = known or {}
    listing = Listing(root)
    links = _Links(root, rules, contained=contained)
    names, stats, folders = listing.names, listing.stats, listing.folders
    dropped, endings = rules.names, rules.endings
    pack = STAT.pack
    stack: list[_Folder] = [_Folder(root, "")]
    while stack:
        folder = stack.pop()
        prefix = folder.prefix
        before, depth = len(names), len(stack)
        with os.scandir(folder.path) as entries:
            for entry in entries:
                name = entry.name
                if name in dropped or name.endswith(endings) or name.startswith(ASIDE):
                    if name == _VENV and prefix:  # a virtual environment: nothing in this folder counts
                        del names[before:], stats[before:], stack[depth:]
                        break
                    continue
                found = entry.stat(follow_symlinks=False)
                kind = found.st_mode & 0o170000
                trail = folder.trail
                if kind == stat.S_IFLNK:
                    followed = links.follow(folder, prefix + name)
                    if followed is None:
                        continue
                    found, trail = followed
                    kind = found.st_mode & 0o170000
                if kind == stat.S_IFREG:
                    names.append(name)
                    stats.append(
                        pack(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_mode)
                    )
                elif kind == stat.S_IFDIR:
                    path = prefix + name
                    enters = known.get(path)
                    if enters is None:
                        enters = rules.enters(path)
                    folders[path] = enters
                    if enters:
                        stack.append(_Folder(entry.path, path + "/", trail))
                elif contained and rules.takes(prefix + name):
                    raise DataError(f"{entry.path} is neither a file nor a folder: remove it or ignore it")
        if len(names) > before:
            listing.groups.append((prefix, len(names) - before))
    return listing


def list_file(path: str) -> Listing:
    """List one file as if it were alone in its folder. :raises OSError: where it can't be read."""
    folder, name = os.path.split(path)
    found = os.stat(path)
    packed = STAT.pack(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_mode)
    return Listing(folder, [name], [packed], [("", 1)])


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder to be read.

    :param trail: for each link that led to it: the real path of the folder that the link led to, and of the one where
        the next link was.
    """

    path: str
    prefix: str
    trail: tuple[tuple[str, str], ...] = ()


class _Links:
    def __init__(self, root: str, rules: Rules, *, contained: bool) -> None:
        self._root = root
        self._rules = rules
        self._contained = contained
        self._real = os.path.realpath(root)

    def follow(self, folder: _Folder, path: str) -> tuple[os.stat_result, tuple[tuple[str, str], ...]] | None:
        """Return what a link leads to, and the trail from there; None where it does not count."""
        link = os.path.join(self._root, path)
        try:
            found = os.stat(link)
        except OSError as error:
            if not self._contained or not self._rules.takes(path):
                return None
            raise DataError(
                f"link {link} leads to {os.readlink(link)!r}, which can't be read ({error.strerror}): "
                "remove it or ignore it"
            ) from None
        directory = stat.S_ISDIR(found.st_mode)
        if not (self._rules.enters(path) if directory else self._rules.takes(path)):
            return None
        target = os.path.realpath(link)
        if self._contained and not _is_in(target, self._real):
            raise DataError(
                f"link {link} leads to {target}, out of {self._root}: copy what is there into the folder, "
                "or ignore the link"
            )
        return (found, self._trail(folder, link, target)) if directory else (found, folder.trail)

    def _trail(self, folder: _Folder, link: str, target: str) -> tuple[tuple[str, str], ...]:
        here = os.path.realpath(folder.path)
        trail = folder.trail or ((self._real, here),)
        trail = (*trail[:-1], (trail[-1][0], here))
        for start, end in trail:
            if _is_in(target, start) and _is_in(end, target):
                raise DataError(
                    f"link {link} leads back to {target}, where it is itself: remove it or ignore it"
                )
        return (*trail, (target, target))


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)

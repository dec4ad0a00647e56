"""Walks a folder and lists its files with what tells whether they changed.

Standard library only, and quick: a walk costs little more than ``os.scandir`` with one ``stat`` a file.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from airflow_ml_pipelines.core.errors import DataError

__all__ = [
    "ASIDE",
    "EVERYTHING",
    "STAT",
    "Everything",
    "Listing",
    "Rules",
    "Trail",
    "extend_trail",
    "list_file",
    "list_tree",
]

ASIDE: Final = ".~"
"""What the names of files begin with that are still being written; no walk and no store shows them."""

STAT: Final = struct.Struct("<QqqQI")
"""Size, mtime and ctime in ns, inode and mode: while they are the same, so are a file's bytes."""

_PACKED = struct.Struct(f"{STAT.size}s")
_VENV = "pyvenv.cfg"

Trail = tuple[tuple[str, str], ...]
"""For each link on the way to a folder: the real path of where the walk began or the last link led to, and of the
folder that the next link was in."""


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
    :param groups: of each folder that has files: its path with a ``/`` at the end, the files' names with zero bytes
        between them, and their packed stats (:data:`STAT`) in a row. Put together, they take a fifth of the memory.
    :param folders: what :meth:`Rules.enters` said of each folder.
    """

    root: str
    groups: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    folders: dict[str, bool] = field(default_factory=dict)

    def add(self, prefix: str, names: list[str], stats: list[bytes]) -> None:
        """Add the files of a folder."""
        self.groups.append((prefix, "\0".join(names).encode("utf-8", "surrogateescape"), b"".join(stats)))

    def fold(self) -> bytes:
        """Return one digest of all that was seen."""
        digest = hashlib.sha256()
        for prefix, names, stats in self.groups:
            head = f"{prefix}\0{len(names)}\0{len(stats)}\0".encode("utf-8", "surrogateescape")
            digest.update(b"".join((head, names, stats)))
        return digest.digest()

    def files(self) -> Iterator[tuple[str, bytes, tuple[int, int, int, int, int]]]:
        """Yield each file's path relative to the root, its packed stat, and what that was packed from."""
        for prefix, names, stats in self.groups:
            paths = names.decode("utf-8", "surrogateescape").split("\0")
            for name, (packed,), fields in zip(
                paths, _PACKED.iter_unpack(stats), STAT.iter_unpack(stats), strict=True
            ):
                yield prefix + name, packed, fields

    def paths(self) -> list[str]:
        """Return the files' paths relative to the root."""
        return [path for path, _, _ in self.files()]


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
    return _Walk(Listing(root), rules, contained, known or {}).run()


def list_file(path: str) -> Listing:
    """List one file as if it were alone in its folder. :raises OSError: where it can't be read."""
    folder, name = os.path.split(path)
    found = os.stat(path)
    packed = STAT.pack(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_mode)
    listing = Listing(folder)
    listing.add("", [name], [packed])
    return listing


@dataclass(frozen=True, slots=True)
class _Folder:
    path: str
    prefix: str
    trail: Trail = ()


@dataclass
class _Walk:
    listing: Listing
    rules: Rules
    contained: bool
    known: Mapping[str, bool]
    stack: list[_Folder] = field(default_factory=list)

    def run(self) -> Listing:
        self.stack.append(_Folder(self.listing.root, ""))
        while self.stack:
            folder = self.stack.pop()
            depth = len(self.stack)
            if not self._read(folder):
                del self.stack[depth:]
        return self.listing

    def _read(self, folder: _Folder) -> bool:
        """Read one folder; return False for one of which nothing counts."""
        names: list[str] = []
        stats: list[bytes] = []
        add_name, add_stat = names.append, stats.append
        dropped, endings = self.rules.names, self.rules.endings
        pack, regular = STAT.pack, stat.S_IFREG
        with os.scandir(folder.path) as entries:
            for entry in entries:
                name = entry.name
                if name in dropped or name.endswith(endings) or name.startswith(ASIDE):
                    if name == _VENV and folder.prefix:
                        return False
                    continue
                found = entry.stat(follow_symlinks=False)
                mode = found.st_mode
                if mode & 0o170000 != regular:
                    other = self._look(folder, entry, found)
                    if other is None:
                        continue
                    found, mode = other, other.st_mode
                add_name(name)
                add_stat(pack(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, mode))
        if names:
            self.listing.add(folder.prefix, names, stats)
        return True

    def _look(self, folder: _Folder, entry: os.DirEntry[str], found: os.stat_result) -> os.stat_result | None:
        """Look at what is no regular file; return the stat of the file that a link leads to."""
        path = folder.prefix + entry.name
        trail = folder.trail
        if stat.S_ISLNK(found.st_mode):
            followed = self._follow(folder, path)
            if followed is None:
                return None
            found, trail = followed
        if stat.S_ISREG(found.st_mode):
            return found
        if stat.S_ISDIR(found.st_mode):
            if self._enters(path):
                self.stack.append(_Folder(entry.path, path + "/", trail))
        elif self.contained and self.rules.takes(path):
            raise DataError(f"{entry.path} is neither a file nor a folder: remove it or ignore it")
        return None

    def _enters(self, path: str) -> bool:
        enters = self.known.get(path)
        if enters is None:
            enters = self.rules.enters(path)
        self.listing.folders[path] = enters
        return enters

    def _follow(self, folder: _Folder, path: str) -> tuple[os.stat_result, Trail] | None:
        """Return what a link leads to, and the trail from there; None where it does not count."""
        link = os.path.join(self.listing.root, path)
        try:
            found = os.stat(link)
        except OSError as error:
            if not self.contained or not self.rules.takes(path):
                return None
            raise DataError(
                f"link {link} leads to {os.readlink(link)!r}, which can't be read ({error.strerror}): "
                "remove it or ignore it"
            ) from None
        folderish = stat.S_ISDIR(found.st_mode)
        if not (self._enters(path) if folderish else self.rules.takes(path)):
            return None
        target = os.path.realpath(link)
        real = os.path.realpath(self.listing.root)
        if self.contained and not _is_in(target, real):
            raise DataError(
                f"link {link} leads to {target}, out of {self.listing.root}: copy what is there into the folder, "
                "or ignore the link"
            )
        if not folderish:
            return found, folder.trail
        return found, extend_trail(link, target, folder.path, folder.trail or ((real, real),))


def extend_trail(link: str, target: str, folder: str, trail: Trail) -> Trail:
    """Return the trail beyond a link to a folder.

    :param target: the real path that the link leads to.
    :param folder: where the link is.
    :param trail: how the walk came there; it begins with the real path of its root, twice.
    :raises DataError: for a link that leads back to where the walk is.
    """
    here = os.path.realpath(folder)
    walked = (*trail[:-1], (trail[-1][0], here))
    if any(_is_in(target, start) and _is_in(end, target) for start, end in walked):
        raise DataError(f"link {link} leads back to {target}, where it is itself: remove it or ignore it")
    return (*walked, (target, target))


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)

"""Manifests: what files a folder has, by relative path, size and digest.

A manifest's own digest is how a step's output, a snapshot or an input folder is known: two folders with the same
files have the same one, wherever they lie and whenever they were written.
"""

from __future__ import annotations

import hashlib
import json.encoder
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Any

from airflow_ml_pipelines.core.errors import DocumentError, NewerDocumentError

__all__ = ["SCHEMA", "Entry", "Manifest", "digest_files", "encode_files"]

SCHEMA = 1
_TAG = "ml-pipelines/manifest/1"


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One file.

    :param path: relative to the folder, with ``/`` between segments. The file's name where the whole is one file.
    :param size: in bytes.
    :param digest: see :mod:`airflow_ml_pipelines.core.files.digest`.
    :param executable: whether its owner may execute it; always False outside snapshots.
    :param version: the store's version of the object when it was digested, "" where it is not known. Not a part of
        the manifest's digest.
    """

    path: str
    size: int
    digest: str
    executable: bool = False
    version: str = field(default="", compare=False)


@dataclass(frozen=True)
class Manifest:
    """The files of a folder, sorted by path.

    :param single: True where the whole is one file and not a folder that has one file.
    """

    entries: tuple[Entry, ...]
    single: bool = False

    @classmethod
    def of(cls, entries: Iterable[Entry], *, single: bool = False) -> Manifest:
        """Make a manifest of entries in any order."""
        return cls(tuple(sorted(entries, key=attrgetter("path"))), single)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def size(self) -> int:
        """All bytes together."""
        return sum(entry.size for entry in self.entries)

    @cached_property
    def digest(self) -> str:
        """The digest of the files' paths, sizes, contents and executable bits."""
        files = ((entry.path, entry.size, entry.digest, entry.executable) for entry in self.entries)
        return digest_files(files, single=self.single)

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest as it is stored."""
        files = [[e.path, e.size, e.digest, int(e.executable), e.version] for e in self.entries]
        return {"schema": SCHEMA, "digest": self.digest, "single": self.single, "files": files}

    def encode(self) -> bytes:
        """Return the manifest as it is stored, as JSON."""
        files = ((e.path, e.size, e.digest, e.executable, e.version) for e in self.entries)
        return encode_files(files, self.digest, single=self.single)

    @classmethod
    def from_dict(cls, document: Any) -> Manifest:
        """Read a stored manifest.

        :raises NewerDocumentError: where a newer version of this package wrote it.
        :raises DocumentError: where it is none, or its digest is not that of its files.
        """
        try:
            schema = document["schema"]
            if schema > SCHEMA:
                raise NewerDocumentError(f"a manifest of schema {schema}; this version reads up to {SCHEMA}")
            files = [Entry(str(p), int(s), str(d), bool(x), str(v)) for p, s, d, x, v in document["files"]]
            manifest = cls(tuple(files), bool(document["single"]))
            digest = document["digest"]
        except (KeyError, TypeError, ValueError) as error:
            raise DocumentError(f"not a manifest: {error!r}") from None
        if digest != manifest.digest:
            raise DocumentError(f"a damaged manifest: its digest is {manifest.digest}, it says {digest}")
        return manifest


def digest_files(files: Iterable[tuple[str, int, str, bool]], *, single: bool = False) -> str:
    """Return the digest of a manifest without making one.

    It is that of the canonical JSON of ``{"files": [[path, size, digest], …], "single": …}``, with a 1 behind the
    digest of an executable file. The JSON is put together here since that takes a fifth of the time.

    :param files: path, size, digest and executable bit of each file, sorted by path.
    """
    quote = json.encoder.encode_basestring
    rows = [
        f'[{quote(path)},{size},"{digest}",1]' if executable else f'[{quote(path)},{size},"{digest}"]'
        for path, size, digest, executable in files
    ]
    text = '{"files":[' + ",".join(rows) + '],"single":' + ("true}" if single else "false}")
    return hashlib.sha256(_TAG.encode() + b"\0" + text.encode("utf-8", "surrogatepass")).hexdigest()


def encode_files(
    files: Iterable[tuple[str, int, str, bool, str]], digest: str, *, single: bool = False
) -> bytes:
    """Return a manifest as it is stored, without making one: the compact JSON of :meth:`Manifest.to_dict`.

    :param files: path, size, digest, executable bit and version of each file, sorted by path.
    """
    quote = json.encoder.encode_basestring
    rows = [
        f'[{quote(path)},{size},"{content}",{int(executable)},{quote(version)}]'
        for path, size, content, executable, version in files
    ]
    head = f'{{"schema":{SCHEMA},"digest":"{digest}","single":{"true" if single else "false"},"files":['
    return (head + ",".join(rows) + "]}").encode("utf-8", "surrogatepass")

"""The objects of the server's buckets, with generations and preconditions."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import google_crc32c

__all__ = ["Buckets", "Page", "RefusedError", "Stored"]

_PAGE = 1000


class RefusedError(Exception):
    """A request is answered with an error."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


@dataclass(frozen=True)
class Stored:
    """One generation of an object.

    :param composite: whether it was put together of parts, and so has no MD5.
    """

    name: str
    data: bytes
    generation: int
    kind: str
    composite: bool = False
    written: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def md5(self) -> bytes | None:
        return None if self.composite else hashlib.md5(self.data, usedforsecurity=False).digest()

    @property
    def crc32c(self) -> bytes:
        return google_crc32c.Checksum(self.data).digest()

    @property
    def etag(self) -> str:
        """What the XML API says: of a simple object its MD5, of others something of the generation."""
        return self.md5.hex() if self.md5 else f"-{self.generation:x}"


class Page(NamedTuple):
    """A part of a listing; ``after`` is what the next one begins behind, "" at the end."""

    objects: list[Stored]
    prefixes: list[str]
    after: str


class Buckets:
    """All buckets. Everything it does is done at once, seen by all or by none."""

    def __init__(self) -> None:
        self._buckets: dict[str, dict[str, Stored]] = {}
        self._uploads: dict[str, dict[int, bytes]] = {}
        self._numbers = itertools.count(int(datetime.now(UTC).timestamp() * 1e6))
        self._lock = threading.RLock()

    def make(self, name: str) -> None:
        with self._lock:
            if name in self._buckets:
                raise RefusedError(409, "BucketAlreadyOwnedByYou", "The bucket is there already.")
            self._buckets[name] = {}

    def get(self, bucket: str, name: str) -> Stored:
        with self._lock:
            found = self._bucket(bucket).get(name)
            if found is None:
                raise RefusedError(404, "NoSuchKey", "The specified key does not exist.")
            return found

    def put(
        self, bucket: str, name: str, data: bytes, kind: str, match: str | None, *, composite: bool = False
    ) -> Stored:
        """Write an object.

        :param match: the generation that has to be there, ``0`` for none; None where it does not matter.
        """
        with self._lock:
            objects = self._bucket(bucket)
            self._check(objects.get(name), match)
            objects[name] = Stored(name, data, next(self._numbers), kind, composite)
            return objects[name]

    def copy(self, source: tuple[str, str], target: tuple[str, str], match: str | None) -> Stored:
        with self._lock:
            found = self.get(*source)
            return self.put(*target, found.data, found.kind, match, composite=found.composite)

    def delete(self, bucket: str, name: str, match: str | None) -> None:
        with self._lock:
            self._check(self.get(bucket, name), match)
            del self._buckets[bucket][name]

    def list(self, bucket: str, prefix: str, delimiter: str, after: str, most: int) -> Page:
        """Return what is listed behind a name: objects, and what names have in common up to a delimiter."""
        with self._lock:
            objects = dict(self._bucket(bucket))
        found: dict[str, Stored | None] = {}
        more = False
        for name in sorted(objects, key=str.encode):
            if not name.startswith(prefix):
                continue
            shown, mark, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
            key = prefix + shown + mark if mark else name
            if key.encode() <= after.encode() or key in found:
                continue
            if len(found) == min(most, _PAGE):
                more = True
                break
            found[key] = None if mark else objects[name]
        last = next(reversed(found), "") if more else ""
        return Page(
            [item for item in found.values() if item], [key for key, item in found.items() if not item], last
        )

    def begin_upload(self, bucket: str) -> str:
        with self._lock:
            self._bucket(bucket)
            number = f"upload-{next(self._numbers)}"
            self._uploads[number] = {}
            return number

    def put_part(self, upload: str, number: int, data: bytes) -> str:
        with self._lock:
            self._parts(upload)[number] = data
        return hashlib.md5(data, usedforsecurity=False).hexdigest()

    def end_upload(self, bucket: str, name: str, kind: str, upload: str, numbers: Iterable[int]) -> Stored:
        with self._lock:
            parts = self._parts(upload)
            data = b"".join(parts[number] for number in numbers)
            made = self.put(bucket, name, data, kind, None, composite=True)
            del self._uploads[upload]
            return made

    def drop_upload(self, upload: str) -> None:
        with self._lock:
            self._parts(upload)
            del self._uploads[upload]

    def _bucket(self, name: str) -> dict[str, Stored]:
        if name not in self._buckets:
            raise RefusedError(404, "NoSuchBucket", "The specified bucket does not exist.")
        return self._buckets[name]

    def _parts(self, upload: str) -> dict[int, bytes]:
        if upload not in self._uploads:
            raise RefusedError(404, "NoSuchUpload", "The requested upload was not found.")
        return self._uploads[upload]

    @staticmethod
    def _check(found: Stored | None, match: str | None) -> None:
        if match is not None and int(match) != (found.generation if found else 0):
            text = "At least one of the pre-conditions you specified did not hold."
            raise RefusedError(412, "PreconditionFailed", text)

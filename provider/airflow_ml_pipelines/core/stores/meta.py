"""Turns what fsspec's file systems say of an object into one type. Each of them uses names of its own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from airflow_ml_pipelines.core.stores.store import ObjectInfo

__all__ = ["WEAK", "is_strong", "object_info"]

WEAK: Final = "weak:"
"""What a version begins with that other bytes may have as well: it is made of a time stamp and the size."""

# names of GCS; S3, Azure and HTTP servers; versioned S3 and Azure; Azure, GCS and OSS; HDFS and others
_VERSIONS = (
    ("generation",),
    ("ETag", "etag", "e_tag", "e-tag"),
    ("version_id", "VersionId", "versionId"),
    ("Content-MD5", "content_md5", "contentMD5", "md5Hash", "md5", "sha256"),
    ("Digest", "checksum", "crc32c", "ChecksumSHA256"),
)
_TIMES = (
    "LastModified",
    "last_modified",
    "Last-Modified",
    "updated",
    "mtime",
    "modified",
    "timeModified",
    "created",
    "timeCreated",
)


def object_info(path: str, info: Mapping[str, Any]) -> ObjectInfo:
    """Return what a file system's ``info()`` says of an object, with the path that the store knows it by."""
    size = int(info.get("size") or 0)
    modified = _time(info)
    return ObjectInfo(
        path, size, _version(info) or f"{WEAK}{modified!r}-{size}-{info.get('ino', '')}", modified
    )


def is_strong(version: str) -> bool:
    """Return whether objects of one path with this version have the same bytes."""
    return bool(version) and not version.startswith(WEAK)


def _version(info: Mapping[str, Any]) -> str:
    for names in _VERSIONS:
        for name in names:
            value = info.get(name)
            if value is None and name == "content_md5":
                value = (info.get("content_settings") or {}).get(name)
            if value is None or value == "":
                continue
            text = value.hex() if isinstance(value, bytes | bytearray) else str(value).strip('"')
            if not text.startswith("W/"):  # an ETag of which the server says that other bytes may have it
                return text
    return ""


def _time(info: Mapping[str, Any]) -> float:
    for name in _TIMES:
        value = info.get(name)
        if isinstance(value, str):
            value = _parse(value)
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
        if isinstance(value, int | float):
            return float(value)
    return 0.0


def _parse(text: str) -> datetime | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        with suppress(ValueError):
            return parse(text)
    return None

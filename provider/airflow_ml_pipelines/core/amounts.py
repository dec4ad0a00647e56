"""Amounts as people read and write them."""

from __future__ import annotations

import re

__all__ = ["read_size", "seconds_text", "size_text"]

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:([kMGTP])(i?))?B?\s*", re.IGNORECASE | re.ASCII)


def read_size(text: str) -> int:
    """Return the bytes that a text such as ``500 MB``, ``1.5TB`` or ``100GiB`` stands for.

    :raises ValueError: for any other text.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"expected a size such as 500MB, 1.5TB or 100GiB, found {text!r}")
    number, unit, binary = found.groups()
    power = 0 if unit is None else "kmgtp".index(unit.lower()) + 1
    return int(float(number) * (1024 if binary else 1000) ** power)


def seconds_text(seconds: float) -> str:
    """Return a duration as people read it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def size_text(size: float) -> str:
    """Return a number of bytes as people read it."""
    if size < 1000:
        return f"{int(size)} B"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 1000:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"

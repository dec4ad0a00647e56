"""One spelling for every document: canonical JSON, and digests with a domain tag.

Canonical JSON is JSON with sorted keys, no insignificant white space and text as UTF-8, so that equal documents
have equal bytes. A digest is the sha256 of the tag, a zero byte and those bytes; the tag keeps documents of
different kinds apart even where their bytes are the same.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["canonical_json", "compact_json", "digest_document", "pretty_json"]


def canonical_json(document: Any) -> bytes:
    """Return the canonical JSON of a document made of dicts, lists, strings, numbers, booleans and None.

    :raises ValueError: for NaN and infinities, which JSON has no spelling for.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "surrogatepass")


def digest_document(tag: str, document: Any) -> str:
    """Return the digest of a document as 64 hexadecimal digits."""
    return hashlib.sha256(tag.encode() + b"\0" + canonical_json(document)).hexdigest()


def pretty_json(document: Any) -> bytes:
    """Return JSON for people to read, ending with a line break."""
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode(
        "utf-8", "surrogatepass"
    )


def compact_json(document: Any) -> bytes:
    """Return JSON for large documents: in one line, in the order that they have."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode(
        "utf-8", "surrogatepass"
    )

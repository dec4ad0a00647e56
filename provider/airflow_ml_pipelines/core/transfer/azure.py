"""Copies within one account of Azure Blob storage, which does it by itself.

Each of the two addresses of a copy has a shared access signature: the one that the datastore was given, or one that is
made with the account's key.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlencode

__all__ = ["ChangedError", "can_sign", "copy_between", "is_one_account"]

_VERSION = "2020-10-02"
_VALID = timedelta(
    hours=24
)  # a large blob takes the service a while, which goes on with the address it was given
_TIMEOUT = 60.0
_TRIES = 5
_LOOK_SECONDS = 0.5
_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
_CHANGED: Final = frozenset({404, 412})
_CODE = re.compile(r"<Code>([^<]+)</Code>")


class ChangedError(Exception):
    """That a blob is no longer what it was."""


def can_sign(settings: Mapping[str, Any]) -> bool:
    """Return whether addresses can be made with these settings that let the service itself read a blob.

    A signature for some IP addresses does not let it: the service reads from its own.
    """
    if settings.get("sas_key"):
        return "sip" not in parse_qs(settings["sas_key"].lstrip("?"))
    return bool(settings.get("account_key") and settings.get("account_name"))


def is_one_account(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether settings are of one account, however each is let in."""
    return all(one.get(name) == other.get(name) for name in ("account_name", "endpoint"))


def copy_between(
    source: tuple[Mapping[str, Any], str], target: tuple[Mapping[str, Any], str], threads: int
) -> Callable[[str, str, str], Awaitable[None]]:
    """Return what copies a blob of one container to another: by its name, its ETag, and the name of the copy.

    :param source: obstore's settings, and the container.
    :param target: the same; both are of one account.
    :param threads: how many copies may be under way.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="copies")
    settings = source[0]
    base = settings.get("endpoint") or f"https://{settings['account_name']}.blob.core.windows.net"
    base = base.rstrip("/").replace(".dfs.", ".blob.", 1)
    # obstore signs addresses of single blobs, wrongly where a name is to be quoted
    read, write = _sign(*source, "r"), _sign(*target, "rcw")

    async def copy(name: str, tag: str, to: str) -> None:
        headers = {
            "x-ms-copy-source": f"{base}/{source[1]}/{quote(name)}?{read}",
            "x-ms-source-if-match": f'"{tag}"',
        }
        address = f"{base}/{target[1]}/{quote(to)}?{write}"
        await asyncio.get_running_loop().run_in_executor(pool, _copy, address, headers)

    return copy


def _sign(settings: Mapping[str, Any], container: str, permissions: str) -> str:
    """Return a shared access signature for a container: that of the settings, else one that their key makes."""
    if settings.get("sas_key"):
        return str(settings["sas_key"]).lstrip("?")
    expiry = (datetime.now(UTC) + _VALID).strftime("%Y-%m-%dT%H:%M:%SZ")
    resource = f"/blob/{settings['account_name']}/{container}"
    # permissions, start, expiry, resource, identifier, IP, protocol, version, kind, snapshot, and five headers
    fields = [permissions, "", expiry, resource, "", "", "", _VERSION, "c", "", "", "", "", "", ""]
    key = base64.b64decode(settings["account_key"])
    signature = hmac.new(key, "\n".join(fields).encode(), hashlib.sha256).digest()
    query = {
        "sp": permissions, "se": expiry, "sv": _VERSION, "sr": "c", "sig": base64.b64encode(signature).decode()
    }  # fmt: skip
    return urlencode(query)


def _copy(address: str, headers: Mapping[str, str]) -> None:
    status = _ask("PUT", address, headers)
    while status == "pending":
        time.sleep(_LOOK_SECONDS)
        status = _ask("HEAD", address)
    if status not in ("success", None):
        raise RuntimeError(f"the service says {status!r}")


def _ask(method: str, address: str, headers: Mapping[str, str] | None = None) -> str | None:
    """Send a request; return what the service says of the copy.

    :raises ChangedError: where the blob is not there, or has another ETag.
    :raises RuntimeError: for everything else.
    """
    for turn in range(1, _TRIES + 1):
        request = urllib.request.Request(  # noqa: S310 - the store's own address
            address,
            b"" if method == "PUT" else None,
            {"x-ms-version": _VERSION, **(headers or {})},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
                status: str | None = answer.headers.get("x-ms-copy-status")
                return status
        except urllib.error.HTTPError as error:
            code = _CODE.search(error.read(10_000).decode(errors="replace"))
            reason = f"the server answers {error.code}" + (f": {code[1]}" if code else "")
            if error.code in _CHANGED:
                raise ChangedError from None
            if error.code not in _AGAIN or turn == _TRIES:
                raise RuntimeError(reason) from None
        except OSError as error:  # no address in it: that has a signature
            if turn == _TRIES:
                raise RuntimeError(str(getattr(error, "reason", error))) from None
        time.sleep(0.2 * 2**turn)
    raise AssertionError

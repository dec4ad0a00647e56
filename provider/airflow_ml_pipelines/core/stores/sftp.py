"""What a server with SSH is opened with: its key is checked, unless somebody says that it need not be."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

__all__ = ["SCHEMES", "explain_refusal", "is_lost", "sftp_options"]

SCHEMES: Final = frozenset({"sftp", "ssh"})
"""The schemes of URLs that are a server with SSH."""

_ALIVE = {"connect_timeout": 15, "keepalive_interval": 15, "keepalive_count_max": 4}


def sftp_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``sshfs`` is given for a datastore's options.

    :param options: those of ``asyncssh.connect``, and ``key_filename`` (a path), ``private_key`` (its text) and
        ``host_key`` (the server's public key, as a line of ``known_hosts`` has it after the host's name). Where none says
        which server is the right one, ``~/.ssh/known_hosts`` does, as for ``ssh``; ``known_hosts: null`` trusts any.
    :raises ImportError: where there is no ``sshfs``; fsspec's own file system knows other options.
    """
    import_module("sshfs")
    log = logging.getLogger("asyncssh")  # which says of every connection that there is one
    if log.level == logging.NOTSET:
        log.setLevel(logging.WARNING)
    given = dict(options)
    host_key = given.pop("host_key", None)
    key, text = given.pop("key_filename", None), given.pop("private_key", None)
    if host_key and "known_hosts" not in given:
        given["known_hosts"] = f"* {host_key}\n".encode()
    if (key or text) and "client_keys" not in given:
        given["client_keys"] = [key or _read_key(text, given.get("passphrase"))]
    # an empty tuple is what makes asyncssh look where ssh does; sshfs takes any server for the right one otherwise
    return {"known_hosts": (), **_ALIVE, **given}


def _read_key(text: str, passphrase: str | None) -> Any:
    import asyncssh

    return asyncssh.import_private_key(text, passphrase)


def is_lost(system: Any) -> bool:
    """Return whether a file system's connection is closed; it is never opened again by itself."""
    client = getattr(system, "_client", None)
    return client is not None and hasattr(client, "is_closed") and bool(client.is_closed())


def explain_refusal(error: BaseException) -> str | None:
    """Return what to do where a server is not known to be the right one, None for any other error."""
    if type(error).__name__ != "HostKeyNotVerifiable":
        return None
    return (
        "the server's key is not known here: log in once with ssh, which adds it to ~/.ssh/known_hosts, or give it as "
        "extra 'host_key' of the connection (`ssh-keyscan -t ed25519 <host>` shows it)"
    )

"""Keeps secrets out of documents, and finds them when a store is opened.

What is stored names credentials and never has them: a URL without a password, an Airflow connection by its id, and
environment variables by their names (``env:NAME``). Connections themselves: :mod:`airflow_ml_pipelines.core.stores.connections`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from airflow_ml_pipelines.core.errors import WorkspaceError

if TYPE_CHECKING:  # the launcher, which runs where no other package is, opens stores
    from airflow_ml_pipelines.core.spec import EnvironmentSpec

__all__ = [
    "check_environment",
    "check_options",
    "check_url",
    "looks_secret",
    "mask_url",
    "resolve_credentials",
    "resolve_variables",
    "secret_variables",
    "variable_name",
]

_PREFIX = "env:"
_SECRET = re.compile(
    r"(^|[_-])(password|passwd|passphrase|secret|token|sas|credentials?|connection_?string"
    r"|(access|account|secret|api|private|shared)[_-]?key)$",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SIGNATURES = frozenset({"sig", "x-amz-signature", "x-goog-signature", "signature"})
_NO_SECRETS = frozenset(
    {"anon", "browser", "cache", "cloud", "google_default"}
)  # what gcsfs takes as a token
_HOW = "name it instead: `connection: <an Airflow connection's id>` or `credentials: {<option>: 'env:<VARIABLE>'}`"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"]+")
_EXPANDED = re.compile(r"\$\{[A-Z0-9_]+\}")
_QUERY_SECRET = re.compile(
    r"([?&](?:[\w-]*(?:signature|token|key|secret|password|passwd|passphrase|sas|credentials?)|sig)=)[^&\s'\"]+",
    re.IGNORECASE,
)
_USER_INFO = re.compile(r"(?<=://)([^/?#\s@]*:)?[^/?#\s]*@")


def check_url(url: str, what: str, how: str = _HOW) -> None:
    """Refuse a URL that has a secret in it.

    :param how: what to do instead.
    :raises WorkspaceError: for a password, a token or a signature; the text does not repeat it.
    """
    try:
        parts = urlsplit(url)
        secret = bool(parts.password)
        secret |= parts.scheme.endswith(("http", "https")) and bool(parts.username)  # where a token stands
        secret |= any(
            name.lower() in _SIGNATURES or _SECRET.search(name) for name, _ in parse_qsl(parts.query)
        )
    except ValueError:
        raise WorkspaceError(f"{what}: expected a URL or a path, found {mask_url(url)!r}") from None
    if secret:
        raise WorkspaceError(
            f"{what}: the URL {mask_url(url)!r} has a secret in it, and secrets are never stored; {how}"
        )


def check_options(options: Mapping[str, Any], what: str) -> None:
    """Refuse options that have a secret among them, at any depth.

    :raises WorkspaceError: that names the option and does not repeat its value.
    """
    for name, value in options.items():
        if isinstance(value, Mapping):
            check_options(value, what)
        elif (
            isinstance(value, str)
            and value
            and value not in _NO_SECRETS
            and (name == "key" or _SECRET.search(name))
        ):
            raise WorkspaceError(
                f"{what}: option {name!r} looks like a secret, and secrets are never stored; {_HOW}"
            )


def check_environment(environment: EnvironmentSpec, what: str) -> None:
    """Refuse an environment that has a secret in it: a variable that looks like one, an index URL with a password.

    :raises WorkspaceError: that says where and how to give it instead, and does not repeat it.
    """
    for name, value in environment.variables.items():
        if value and _SECRET.search(name) and not value.startswith(_PREFIX):
            raise WorkspaceError(
                f"{what}: variable {name!r} looks like a secret, and secrets are never stored; write 'env:{name}', "
                f"and the value is taken from the variable {name} of the process that starts the step"
            )
    if environment.image is not None and environment.dockerfile is not None:
        raise WorkspaceError(
            f"{what}: image and dockerfile both say what it is made from: take one of them out"
        )
    for entry in (*environment.pip, *environment.pip_options):
        for url in _URL.findall(_EXPANDED.sub("", entry)):
            try:
                check_url(url, what)
            except WorkspaceError:
                raise WorkspaceError(
                    f"{what}: {mask_url(entry)!r} has a secret in it, and secrets are never stored; write '${{NAME}}' in its "
                    "place, and it is taken from the variable NAME of the process that makes the environment"
                ) from None


def variable_name(reference: str, what: str) -> str:
    """Return the name in ``env:NAME``.

    :raises WorkspaceError: where it is something else.
    """
    name = reference.removeprefix(_PREFIX)
    if not reference.startswith(_PREFIX) or not _NAME.fullmatch(name):
        raise WorkspaceError(
            f"{what}: expected 'env:' and the name of an environment variable, such as env:MY_SECRET; secrets are never stored"
        )
    return name


def resolve_credentials(credentials: Mapping[str, str], what: str) -> dict[str, str]:
    """Return credentials with each ``env:NAME`` replaced by that variable's value.

    :raises WorkspaceError: where a variable is not set.
    """
    return {
        option: _value(variable_name(ref, f"{what}, {option}"), f"{what}, {option}")
        for option, ref in credentials.items()
    }


def resolve_variables(variables: Mapping[str, str], what: str) -> dict[str, str]:
    """Return environment variables for a script, with each ``env:NAME`` replaced by that variable's value.

    :raises WorkspaceError: where a variable is not set.
    """
    return {
        name: _value(variable_name(value, f"{what}, {name}"), f"{what}, {name}")
        if value.startswith(_PREFIX)
        else value
        for name, value in variables.items()
    }


def secret_variables(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of environment variables that are secret: ``env:NAME``, and what is named like a secret."""
    return tuple(
        sorted(name for name, value in variables.items() if value.startswith(_PREFIX) or _SECRET.search(name))
    )


def _value(variable: str, what: str) -> str:
    value = os.environ.get(variable)
    if value is None:
        raise WorkspaceError(
            f"{what}: the environment variable {variable} is not set here; set it and try again"
        )
    return value


def mask_url(text: str, *, keep_length: bool = False) -> str:
    """Return text with the user and password of every URL, and what in a query is a secret, replaced by ``***``.

    :param keep_length: whether each character is replaced by one ``*``, so that nothing else moves.
    """
    if not keep_length:
        return _QUERY_SECRET.sub(r"\1***", _USER_INFO.sub("***@", text))
    text = _USER_INFO.sub(lambda found: "*" * (len(found[0]) - 1) + "@", text)
    return _QUERY_SECRET.sub(lambda found: found[1] + "*" * (len(found[0]) - len(found[1])), text)


def looks_secret(name: str) -> bool:
    """Return whether what an option or variable of a name holds is a secret."""
    return bool(_SECRET.search(name))

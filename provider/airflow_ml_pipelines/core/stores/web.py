"""Says what web servers answer that fsspec takes for a file that is not there."""

from __future__ import annotations

from typing import Final

__all__ = ["SCHEMES", "explain_answer", "find_reason"]

SCHEMES: Final = ("http", "https")
_ABSENT = (404, 410)
_DENIED = (401, 403, 407)


def find_reason(error: BaseException) -> BaseException:
    """Return why a file can't be read; of every failure to look at one, fsspec says that there is none."""
    cause = error.__cause__ or error.__context__
    if isinstance(error, FileNotFoundError) and cause is not None:
        error = cause
    return FileNotFoundError(str(error)) if _status(error) in _ABSENT else error


def explain_answer(error: BaseException) -> str | None:
    """Return what an error of aiohttp means to who wrote the address, None where it is no such error."""
    status, kind = _status(error), type(error).__name__
    if status in _DENIED:
        return f"access is denied (the server answers {_answer(error)}): check the datastore's connection"
    if status is not None and kind == "ClientResponseError":
        later = "; try again later" if status >= 500 or status == 429 else ""
        return f"the server answers {_answer(error)}{later}"
    if "Certificate" in kind:
        return (
            "the server's certificate is not trusted: name the file with the certificate of the authority that has "
            f"signed it in the variable SSL_CERT_FILE ({error})"
        )
    if kind in ("ClientPayloadError", "ServerDisconnectedError", "ServerTimeoutError", "ClientOSError"):
        return f"the server ended the connection before all was there ({error})"
    if kind.startswith("ClientConnector"):
        return f"the server can't be reached: {error}"
    return None


def _status(error: BaseException) -> int | None:
    found = getattr(error, "status", None)
    return found if isinstance(found, int) else None


def _answer(error: BaseException) -> str:
    return f"{_status(error)} {getattr(error, 'message', '')}".rstrip()

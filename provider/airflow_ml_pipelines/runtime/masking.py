"""Takes secrets out of what a script writes, before it is kept or handed on."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["MASK", "Mask"]

MASK = b"***"

_SHORTEST = 5  # a shorter one would be found in what has nothing to do with it


class Mask:
    """Replaces secrets in a stream of bytes, wherever it is cut into pieces.

    :param secrets: of more than one line, each line is one.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        lines = {line.strip() for secret in secrets for line in secret.splitlines()}
        found = {line.encode("utf-8", "surrogateescape") for line in lines if len(line) >= _SHORTEST}
        self._secrets = sorted(found, key=len, reverse=True)
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return what may be handed on by now; what may be the beginning of a secret is held back."""
        if not self._secrets:
            return data
        data = self._replace(self._rest + data)
        kept = self._beginning(data)
        self._rest = data[len(data) - kept :]
        return data[: len(data) - kept]

    def flush(self) -> bytes:
        """Return what was held back: there is no more."""
        rest, self._rest = self._rest, b""
        return rest

    def text(self, text: str) -> str:
        """Return a text without the secrets."""
        return self._replace(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def _replace(self, data: bytes) -> bytes:
        for secret in self._secrets:
            data = data.replace(secret, MASK)
        return data

    def _beginning(self, data: bytes) -> int:
        """Return the length of the longest end of the data that a secret begins with."""
        longest = 0
        for secret in self._secrets:
            for length in range(min(len(secret) - 1, len(data)), longest, -1):
                if data.endswith(secret[:length]):
                    longest = length
                    break
        return longest

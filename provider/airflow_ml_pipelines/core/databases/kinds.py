"""Which URLs are databases, and of what kind."""

from __future__ import annotations

from typing import Final

__all__ = ["DATABASES", "is_database"]

DATABASES: Final = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "mssql": "mssql",
    "sqlite": "sqlite",
}
"""The schemes of URLs that are databases, and which."""


def is_database(url: str) -> bool:
    """Return whether a URL is one of a database."""
    return url.partition("://")[0].lower() in DATABASES

"""Tables of databases: their names, and the queries that read them."""

from __future__ import annotations

import re

__all__ = ["check_table", "select_all"]

_TABLE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*){0,2}", re.ASCII)


def check_table(table: str) -> str | None:
    """Return what is wrong with the name of a table, None where nothing is."""
    if _TABLE.fullmatch(table):
        return None
    return (
        f"expected a table, or schema.table, of letters, digits and '_', found {table!r}: "
        "make a view of such a name for any other"
    )


def select_all(table: str) -> str:
    """Return the query that reads a table."""
    return f"SELECT * FROM {table}"  # noqa: S608 - a name of letters and digits

"""Writes what PostgreSQL's COPY sends into a file, row by row as they come."""

from __future__ import annotations

import select
from pathlib import Path
from typing import Any

__all__ = ["copy_out"]

_LOOK_SECONDS = 1.0


def copy_out(connection: Any, statement: str, target: Path) -> int:
    """Write what ``COPY … TO STDOUT`` sends into a file; return how many rows there were.

    psycopg's own ``cursor.copy()`` goes through several layers of Python for each row, and takes twice as long; this asks
    libpq as its manual says.

    :param connection: of psycopg's, in a transaction.
    :raises psycopg.Error: where the server says that it fails.
    """
    from psycopg.pq import ExecStatus

    server = connection.pgconn
    server.send_query(statement.encode(connection.info.encoding))
    while server.flush():
        select.select([server.socket], [server.socket], [], _LOOK_SECONDS)
    _result(connection, ExecStatus.COPY_OUT)
    row = server.get_copy_data
    with target.open("wb") as file:
        write = file.write
        while True:
            size, data = row(1)
            if size > 0:
                write(data)
            elif size == 0:
                _wait(server)
            else:
                break
    ended = _result(connection, ExecStatus.COMMAND_OK)
    while server.get_result() is not None:
        pass
    return int(ended.command_tuples or 0)


def _result(connection: Any, wanted: int) -> Any:
    """Return the next result of what the server was asked. :raises psycopg.Error: where it is that it failed."""
    from psycopg import errors

    server = connection.pgconn
    while server.is_busy():
        _wait(server)
    result = server.get_result()
    if result is None:
        raise errors.OperationalError("the server has ended the connection")
    if result.status != wanted:
        raise errors.error_from_result(result, connection.info.encoding)
    return result


def _wait(server: Any) -> None:
    """Wait for more from the server."""
    select.select([server.socket], [], [], _LOOK_SECONDS)
    server.consume_input()

"""MariaDB, from the programs that are on the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from servers.process import Server, free_port, lacking

PASSWORD = "testing-secret"


class MariadbServer(Server):
    def __init__(self) -> None:
        install, daemon = shutil.which("mariadb-install-db"), _find_daemon()
        if install is None or daemon is None:
            lacking("MariaDB", "apt-get install mariadb-server")
        # it refuses to be started by root, and another user does not see the folders of pytest
        user = "nobody" if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="mariadb-"))
        accounts = self.folder / "accounts.sql"
        accounts.write_text(
            "CREATE DATABASE shop CHARACTER SET utf8mb4;\n"
            f"CREATE USER 'tester'@'%' IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON shop.* TO 'tester'@'%';\n"
        )
        if user:
            for path in (self.folder, accounts):
                shutil.chown(path, user)
        data = self.folder / "data"
        subprocess.run(
            [install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal"],
            check=True,
            capture_output=True,
            user=user,
            cwd=self.folder,
        )
        port = free_port()
        self.url = f"mysql://127.0.0.1:{port}/shop"
        listen = [f"--port={port}", "--bind-address=127.0.0.1", "--skip-name-resolve"]
        places = [f"--datadir={data}", f"--socket={self.folder}/socket", f"--pid-file={self.folder}/pid"]
        super().__init__(
            [daemon, "--no-defaults", *places, *listen, f"--init-file={accounts}"],
            port,
            self.folder / "log",
            user=user,
        )

    @property
    def connection(self) -> dict[str, object]:
        """An Airflow connection to it."""
        return {
            "conn_type": "mysql",
            "host": "127.0.0.1",
            "port": self.port,
            "login": "tester",
            "password": PASSWORD,
            "schema": "shop",
        }

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        import pymysql

        options = {"host": "127.0.0.1", "port": self.port, "user": "tester", "password": PASSWORD}
        with closing(pymysql.connect(**options, database="shop", autocommit=True)) as connection:
            cursor = connection.cursor()
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def stop(self) -> None:
        super().stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def _find_daemon() -> str | None:
    return shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")

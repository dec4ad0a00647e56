"""PostgreSQL, from the programs that are on the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from servers.process import Server, free_port, lacking

PASSWORD = "testing-secret"


class PostgresServer(Server):
    def __init__(self) -> None:
        programs = [find_program("initdb"), find_program("postgres")]
        if None in programs:
            lacking("PostgreSQL", "apt-get install postgresql, or put initdb and postgres on the PATH")
        # it refuses to be started by root, and another user does not see the folders of pytest
        user = "nobody" if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        if user:
            shutil.chown(self.folder, user)
        data = self.folder / "data"
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        subprocess.run(
            [
                programs[0],
                "-D",
                data,
                "-U",
                "tester",
                "--auth=scram-sha-256",
                f"--pwfile={secret}",
                "-E",
                "UTF8",
            ],
            check=True,
            capture_output=True,
            user=user,
            cwd=self.folder,
        )
        port = free_port()
        self.url = f"postgresql://127.0.0.1:{port}/postgres"
        listen = ["-p", str(port), "-h", "127.0.0.1", "-k", str(self.folder), "-F"]
        super().__init__([programs[1], "-D", data, *listen], port, self.folder / "log", user=user)

    @property
    def connection(self) -> dict[str, object]:
        """An Airflow connection to it."""
        return {
            "conn_type": "postgres",
            "host": "127.0.0.1",
            "port": self.port,
            "login": "tester",
            "password": PASSWORD,
            "schema": "postgres",
        }

    def execute(self, *statements: str) -> None:
        import psycopg

        with psycopg.connect(self.url, user="tester", password=PASSWORD) as connection:
            for statement in statements:
                connection.execute(statement)

    def create_database(self, name: str) -> str:
        """Make an empty database and return its address, with the password."""
        import psycopg

        with psycopg.connect(self.url, user="tester", password=PASSWORD, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://tester:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def stop(self) -> None:
        super().stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def find_program(name: str) -> str | None:
    found = shutil.which(name)
    if found is None:
        candidates = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        found = str(candidates[-1]) if candidates else None
    return found

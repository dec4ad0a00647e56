"""The images that docker-compose.yml is given in tests, in place of those of a registry."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from servers.azurite import PROGRAM as AZURITE
from servers.images import CERTIFICATES, FileSystem, engine_client
from servers.postgres import find_program
from servers.process import lacking

TAG = "compose-test"

_SHELL = ("sh", "cat", "mkdir", "chown", "chmod", "rm", "env", "sleep", "ls", "tar")
_OTHERS = re.compile(r"/(\.bin|\.cache|moto|@types|typescript)(/|$)|\.(map|md|ts)$")

# as the image of PostgreSQL does it: a database of the user's, once
_START_POSTGRES = """\
#!/bin/sh
set -e
bin={bin}
if [ ! -e "$PGDATA/PG_VERSION" ]; then
    echo "$POSTGRES_PASSWORD" > /tmp/password
    $bin/initdb -D "$PGDATA" -U "$POSTGRES_USER" --pwfile=/tmp/password --auth-host=scram-sha-256 --auth-local=trust -E UTF8
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    echo "CREATE DATABASE $POSTGRES_DB" | $bin/postgres --single -D "$PGDATA" postgres
fi
exec $bin/postgres -D "$PGDATA" -h "*" -k /tmp -c max_connections=300
"""


def make_images(url: str) -> dict[str, str]:
    """Make them on an engine; return their names, by the variables that docker-compose.yml has for them."""
    with engine_client(url) as client:
        return {
            "PYTHON_IMAGE": _python(client),
            "POSTGRES_IMAGE": _postgres(client),
            "REDIS_IMAGE": _redis(client),
            "STORE_IMAGE": _store(client),
        }


def _python(client) -> str:
    files = FileSystem()
    files.python()
    files.tools(*_SHELL)
    trusted = [f"ENV {name}={CERTIFICATES}" for name in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")]
    return files.import_as(client, f"python:{TAG}", *trusted)


def _postgres(client) -> str:
    programs = {name: find_program(name) for name in ("initdb", "postgres", "pg_isready")}
    if None in programs.values():
        lacking("PostgreSQL", "apt-get install postgresql")
    folder = Path(str(programs["postgres"])).resolve().parent.parent  # bin, lib
    files = FileSystem("postgres:x:999:999::/tmp:/bin/sh\n")
    files.tools(*_SHELL)
    files.programs(*(folder / "bin" / name for name in programs), also=list((folder / "lib").glob("*.so")))
    files.tree(folder / "lib")
    for path in (Path("/usr/share/postgresql", folder.name), Path("/usr/share/zoneinfo")):
        files.tree(path)
    files.link("usr/local/bin/pg_isready", str(folder / "bin" / "pg_isready"))
    files.text("start", _START_POSTGRES.format(bin=folder / "bin"), 0o755)
    files.folder("var/lib/postgresql/data", 0o700, 999)
    return files.import_as(
        client,
        f"postgres:{TAG}",
        "ENV PGDATA=/var/lib/postgresql/data",
        "USER 999:999",
        "ENTRYPOINT /start",
    )


def _redis(client) -> str:
    if shutil.which("redis-server") is None:
        lacking("Redis", "apt-get install redis-server")
    files = FileSystem()
    files.tools(*_SHELL, "redis-server", "redis-cli")
    return files.import_as(client, f"redis:{TAG}")


def _store(client) -> str:
    node = shutil.which("node")
    if node is None or not AZURITE.is_file():
        lacking("Azurite", "install node and npm, then make tests/servers/node_modules/.ready")
    files = FileSystem()
    files.tools(*_SHELL, "node")
    modules = next(path for path in AZURITE.parents if path.name == "node_modules")
    files.tree(modules.resolve(), "/node_modules", skipped=_OTHERS)
    files.text(
        "usr/local/bin/azurite-blob",
        f'#!/bin/sh\nexec node /node_modules/{AZURITE.relative_to(modules)} "$@"\n',
        0o755,
    )
    return files.import_as(client, f"azurite:{TAG}")

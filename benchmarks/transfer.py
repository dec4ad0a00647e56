"""Transfers: many small files and a large one between stores, rows to a table, against rclone, cp, psql and pandas.

The servers are those of the tests, on this machine: moto's S3 server takes one request at a time, Azurite little more, so
that they are what both sides wait for. ``ML_PIPELINES_BENCH_SCALE=0.1`` does it with a tenth of the files and bytes.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import Result, pair, peer

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

SCALE = float(os.environ.get("ML_PIPELINES_BENCH_SCALE", "1"))
FILES = int(10_000 * SCALE)
SMALL = 10 << 10
LARGE = int((2 << 30) * SCALE)
ROWS = int(1_000_000 * SCALE)
SUBSET = 20
"""One of how many files the plain loop over fsspec copies, and rows pandas writes: they take too long for all."""

OURS = """
import json, sys
from pathlib import Path
from airflow_ml_pipelines.core.stores.locations import find
from airflow_ml_pipelines.core.files.statcache import StatCache
from airflow_ml_pipelines.core.stores.local_store import LocalStore
from airflow_ml_pipelines.core.stores.open import open_store
from airflow_ml_pipelines.core.transfer.journal import StoredJournal, place_key
from airflow_ml_pipelines.core.transfer.plan import choose_place, list_copies
from airflow_ml_pipelines.core.transfer.transfer import transfer_files
source, source_options, target, target_options, path, to, folder = json.loads(sys.argv[1])
found = (find(open_store(source, **source_options), path),)
place = choose_place(found, open_store(target, **target_options), to, to, source_type=None, target_type=None)
key = place_key(place.store, to)
copies = list_copies(found, place, StatCache(Path(folder, "cache")))
journal = StoredJournal(LocalStore(folder + "/root"), key, to)
transfer_files(copies, place, journal, "transfer-", delete_extra=False, check=lambda: None, log=str)
"""
LOOP = """
import json, sys, fsspec
source, source_options, target, target_options, path, to, step = json.loads(sys.argv[1])
one, top = fsspec.core.url_to_fs(source, **source_options)
other, there = fsspec.core.url_to_fs(target, **target_options)
for file in sorted(one.find(f"{top}/{path}"))[::step]:
    name = f"{there}/{to}/{file[len(top) + len(path) + 2:]}"
    other.makedirs(name.rpartition("/")[0], exist_ok=True)
    with one.open(file, "rb") as a, other.open(name, "wb") as b:
        b.write(a.read())
"""


class Place:
    """A store, as we, fsspec and rclone are told of it."""

    def __init__(self, kind: str, server: Any, folder: Path) -> None:
        self.kind = kind
        self.options: Mapping[str, Any] = {} if server is None else server.options
        self.url = (folder / "local").as_uri() if server is None else server.bucket("bench")
        self.remote = str(folder / "local") if server is None else f"{kind}:bench"
        given: Mapping[str, str] = {}
        if kind == "s3":
            given = {
                "TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": server.endpoint,
                "ACCESS_KEY_ID": server.options["key"], "SECRET_ACCESS_KEY": server.options["secret"],
            }  # fmt: skip
        elif kind == "azure":
            given = {"TYPE": "azureblob", "SAS_URL": f"{server.endpoint}/bench?{server.signature('bench')}"}
        self.variables = {f"RCLONE_CONFIG_{kind.upper()}_{name}": value for name, value in given.items()}

    def remove(self, path: str) -> None:
        from airflow_ml_pipelines.core.stores.open import open_store

        open_store(self.url, **self.options).remove(path)


def measure() -> list[Result]:
    folder = Path(tempfile.mkdtemp(prefix="bench-transfer-"))
    try:
        with servers(folder) as (s3, azurite):
            places = {
                "local": Place("local", None, folder),
                "s3": Place("s3", s3, folder),
                "azure": Place("azure", azurite, folder),
            }
            make_files(folder / "local")
            results = [item for pair in PAIRS for item in files(*(places[name] for name in pair), folder)]
        return results + rows(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


PAIRS = (("local", "local"), ("local", "s3"), ("s3", "s3"), ("local", "azure"), ("azure", "s3"))


@contextmanager
def servers(folder: Path) -> Iterator[tuple[Any, Any]]:
    from servers.azurite import AzuriteServer
    from servers.s3 import S3Server

    s3, azurite = S3Server(folder), AzuriteServer(folder)
    s3.start()
    azurite.start()
    try:
        yield s3, azurite
    finally:
        s3.stop()
        azurite.stop()


def make_files(folder: Path) -> None:
    generator = random.Random(1)
    for number in range(FILES):
        part = folder / "small" / f"part{number // 100:04}"
        if number % 100 == 0:
            part.mkdir(parents=True)
        (part / f"{number:06}.bin").write_bytes(generator.randbytes(SMALL))
    (folder / "large").mkdir()
    piece = generator.randbytes(1 << 20)
    with (folder / "large" / "large.bin").open("wb") as file:
        for number in range(LARGE >> 20):
            file.write(number.to_bytes(8, "big") + piece[8:])


_numbers = itertools.count()


def files(source: Place, target: Place, folder: Path) -> Iterator[Result]:
    """Copy the files from one store to another, as each peer does it."""
    is_local = source.kind == target.kind == "local"
    for path, what in (("small", f"{FILES} files of {SMALL >> 10} KB"), ("large", f"{LARGE >> 20} MB")):
        origin = path if source.kind == "local" else f"from-{source.kind}/{path}"
        arguments = [source.url, source.options, target.url, target.options, origin]
        most = 0.0

        def ours(to: str, arguments: list[Any] = arguments) -> float:
            nonlocal most
            taken, memory = timed([sys.executable, "-c", OURS, json.dumps([*arguments, to, str(folder)])])
            most = max(most, memory)
            return taken

        runs: dict[str, Callable[[str], float]] = {"ours": ours}
        if shutil.which("rclone") is None:
            print("   rclone is not installed: apt-get install rclone")
        else:
            runs["rclone copy"] = lambda to, origin=origin: rclone(source, origin, target, to)  # type: ignore[misc]
        if is_local:
            runs["cp -r"] = lambda to, origin=origin: timed(  # type: ignore[misc]
                ["cp", "-r", f"{source.remote}/{origin}", f"{target.remote}/{to}"]
            )[0]
        took = take_turns(runs, target, 3 if is_local else 2 if path == "large" else 1)
        if path == "small" and (bin_folder := peer("fsspec", "s3fs", "adlfs")) is not None:
            to = f"loop-{next(_numbers)}"
            command = [str(bin_folder / "python"), "-c", LOOP, json.dumps([*arguments, to, SUBSET])]
            took[f"fsspec loop (1 in {SUBSET}, scaled)"] = timed(command)[0] * SUBSET
            target.remove(to)
        goals = {"rclone copy": 1.0 if path == "small" else 1.1}
        name = f"{source.kind} → {target.kind}, {what}"
        taken = took.pop("ours")
        for peer_name, value in took.items():
            yield Result(name, taken, peer_name, value, goals.get(peer_name))
        yield Result(f"{name}: memory", most, "what it may take", 500, 1.0, "MB")
        if source.kind == "local" != target.kind:
            ours(f"from-{target.kind}/{path}")  # what is copied from there


def take_turns(runs: Mapping[str, Callable[[str], float]], target: Place, rounds: int) -> dict[str, float]:
    """Return the least time that each takes, after rounds in which they take turns: who comes later finds warm caches."""
    least: dict[str, float] = {}
    for number in range(rounds):
        for name in list(runs)[:: -1 if number % 2 else 1]:
            to = f"copy-{next(_numbers)}"
            least[name] = min(runs[name](to), least.get(name, float("inf")))
            target.remove(to)
    return least


def rclone(source: Place, path: str, target: Place, to: str) -> float:
    """Return how long rclone takes."""
    command = ["rclone", "copy", "--transfers", "32", "--checkers", "32", "--s3-no-check-bucket"]
    command += [f"{source.remote}/{path}", f"{target.remote}/{to}"]
    return timed(command, {**source.variables, **target.variables})[0]


def timed(command: list[str], variables: Mapping[str, str] | None = None) -> tuple[float, float]:
    """Return how many seconds a command takes, and how many MB it had at most."""
    start = time.perf_counter()
    plain = {
        name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"
    }  # rclone refuses it
    process = subprocess.Popen(
        command, env={**plain, **(variables or {})}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    taken = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[0]} failed: {said.decode()[-2000:]}")
    return taken, usage.ru_maxrss / 1024


# --- rows --------------------------------------------------------------------------------------------------------


def rows(folder: Path) -> list[Result]:
    """Bring rows to a table, and a query's answer to a file."""
    from servers.postgres import PASSWORD, PostgresServer

    server = PostgresServer()
    server.start()
    try:
        text = folder / "sales.csv"
        with text.open("w") as file:
            file.write("id,city,price,day\n")
            file.writelines(f"{n},city {n % 997},{n / 7:.4f},2024-01-{n % 28 + 1:02}\n" for n in range(ROWS))
        for table in ("ours", "theirs", "pandas"):
            server.execute(f"CREATE TABLE {table} (id BIGINT, city TEXT, price FLOAT8, day DATE)")
        return list(_rows(server, text, folder, PASSWORD))
    finally:
        server.stop()


def _rows(server: Any, text: Path, folder: Path, password: str) -> Iterator[Result]:
    from airflow_ml_pipelines.core.databases.append import NULL, Rows, append_rows
    from airflow_ml_pipelines.core.databases.database import open_database
    from airflow_ml_pipelines.runtime.places import DataFile
    from airflow_ml_pipelines.runtime.table_engine import Table

    database = open_database(server.url, {"username": "tester", "password": password}, "datastore 'bench'")

    def append() -> None:
        with Table([DataFile(str(text), text.name, text.name)], {"infer_column_types": False}) as table:
            found = Rows(
                list(table.columns),
                table.count,
                lambda file: table.write_rows(str(file), NULL),
                table.batches,
            )
            append_rows(database, "ours", found, f"bench-{next(_numbers)}", folder, lambda: None)

    def psql(statement: str) -> None:
        variables = {**os.environ, "PGPASSWORD": password}
        command = [str(shutil.which("psql")), "-U", "tester", "-q", "-c", statement, server.url]
        subprocess.run(command, check=True, env=variables, capture_output=True)

    def to_sql(bin_folder: Path, step: int) -> None:
        command = [str(bin_folder / "python"), "-c", PANDAS, str(text), server.url, password, str(step)]
        subprocess.run(command, check=True)

    def bring() -> None:
        database.export(query, answer, 600)

    answer, copied = folder / "answer.parquet", folder / "answer.csv"
    query = "SELECT * FROM theirs ORDER BY id"
    psql("SELECT 1")  # what is imported and started once is not what is measured
    open_database(server.url, {"username": "tester", "password": password}, "x").export(
        "SELECT 1", answer, 60
    )
    ours, theirs = pair(append, lambda: psql(f"\\copy theirs FROM '{text}' CSV HEADER"), rounds=3)
    yield Result(f"{ROWS} rows of CSV to a table", ours, "psql \\copy", theirs, 2.0)
    packages = peer("pandas", "sqlalchemy", "psycopg[binary]")
    if packages is not None:
        start = clock(lambda: to_sql(packages, ROWS))  # reads the file, and writes one row
        part = clock(lambda: to_sql(packages, SUBSET))
        taken = start + (part - start) * SUBSET
        peer_name = f"pandas to_sql (1 in {SUBSET}, scaled)"
        yield Result(f"{ROWS} rows of CSV to a table", ours, peer_name, taken, 0.1)
    psql("TRUNCATE theirs")
    psql(f"\\copy theirs FROM '{text}' CSV HEADER")
    ours, theirs = pair(bring, lambda: psql(f"\\copy ({query}) TO '{copied}' CSV HEADER"), rounds=3)
    yield Result(f"query of {ROWS} rows to Parquet", ours, "psql \\copy to CSV", theirs, 2.0)


PANDAS = """
import sys
import pandas, sqlalchemy
text, url, password, step = sys.argv[1:]
frame = pandas.read_csv(text, parse_dates=["day"]).iloc[:: int(step)]
address = sqlalchemy.make_url(url).set(drivername="postgresql+psycopg", username="tester", password=password)
with sqlalchemy.create_engine(address).begin() as connection:
    frame.to_sql("pandas", connection, if_exists="append", index=False)
"""


def clock(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start

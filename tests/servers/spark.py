"""Spark for tests: a standalone cluster of this machine, and what opens an S3 server."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from servers.process import lacking

_SECONDS = 180
_JARS = Path(__file__).parent / "spark_jars" / "sagemaker_pyspark" / "jars"
# what Hadoop says with units since 3.4, these JARs of an earlier one read as plain numbers
_PLAIN = {
    "threads.keepalivetime": 60,
    "connection.establish.timeout": 5000,
    "connection.timeout": 200000,
    "connection.request.timeout": 0,
    "connection.ttl": 300000,
    "multipart.purge.age": 86400,
}
_DEPLOY = "org.apache.spark.deploy"


@contextlib.contextmanager
def standalone_cluster(folder: Path) -> Iterator[str]:
    """Yield the address of the master, as ``spark-submit`` takes it, after a worker has joined it."""
    with contextlib.ExitStack() as ends:
        words = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
        log = _start(ends, folder, "master", [f"{_DEPLOY}.master.Master", *words])
        address = _wait(log, r"Starting Spark master at (spark://\S+)")
        words += ["--cores", "1", "--memory", "600m", "--work-dir", str(folder / "work"), address]
        log = _start(ends, folder, "worker", [f"{_DEPLOY}.worker.Worker", *words])
        _wait(log, r"Successfully registered with master (\S+)")
        yield address


def s3_jars() -> list[str]:
    """Return the JARs with which Spark opens S3."""
    found = [
        str(file) for name in ("hadoop-aws", "aws-java-sdk-bundle") for file in _JARS.glob(f"{name}-*.jar")
    ]
    if len(found) != 2:
        lacking("hadoop-aws", "make tests/servers/spark_jars/.ready")
    return found


def s3_conf() -> dict[str, str | int]:
    """Return the configuration that these JARs need."""
    return {f"spark.hadoop.fs.s3a.{name}": value for name, value in _PLAIN.items()}


def _start(ends: contextlib.ExitStack, folder: Path, name: str, words: list[str]) -> Path:
    from pyspark.find_spark_home import _find_spark_home

    log = folder / f"{name}.log"
    variables = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "256m"}
    with log.open("wb") as out:
        program = Path(_find_spark_home(), "bin", "spark-class")
        process = subprocess.Popen([program, *words], env=variables, stdout=out, stderr=subprocess.STDOUT)
    ends.callback(_end, process)
    return log


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(log: Path, pattern: str) -> str:
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        if found := re.search(pattern, log.read_text()):
            return found[1]
        time.sleep(0.1)
    raise TimeoutError(f"{log.name} has no {pattern!r} after {_SECONDS} s:\n{log.read_text()[-2000:]}")

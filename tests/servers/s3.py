"""An S3 server: moto's, which PyPI has; see :mod:`servers.moto_in_turn`."""

from __future__ import annotations

import sys
import urllib.request
from importlib.util import find_spec
from pathlib import Path

from servers.process import Server, free_port, lacking

ACCESS_KEY = "testing"
SECRET_KEY = "testing-secret"


class S3Server(Server):
    def __init__(self, folder: Path) -> None:
        if find_spec("moto") is None:
            lacking("moto", "make .venv/.ready, or pip install 'moto[s3,server]'")
        self._buckets: set[str] = set()
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        super().__init__(
            [sys.executable, Path(__file__).parent / "moto_in_turn.py", str(port)],
            port,
            folder / "s3.log",
            {"MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": str(1 << 22)},
        )

    @property
    def options(self) -> dict[str, object]:
        """What opens a store of it, as s3fs has it."""
        return {"key": ACCESS_KEY, "secret": SECRET_KEY, "endpoint_url": self.endpoint}

    @property
    def connection(self) -> dict[str, object]:
        """An Airflow connection to it."""
        return {
            "conn_type": "aws",
            "login": ACCESS_KEY,
            "password": SECRET_KEY,
            "extra": {"endpoint_url": self.endpoint, "region_name": "us-east-1"},
        }

    def bucket(self, name: str) -> str:
        """Return the URL of a bucket, which is made where there is none."""
        if name in self._buckets:
            return f"s3://{name}"
        request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).close()
        self._buckets.add(name)
        return f"s3://{name}"

"""The server as a process of its own, with a service account that it knows."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from servers.process import Server, free_port, lacking

_TESTS = Path(__file__).parents[2]


class GcsServer(Server):
    """:ivar key: the service account's key, as Google gives it to be downloaded."""

    def __init__(self, folder: Path) -> None:
        if find_spec("google_crc32c") is None:
            lacking("google-cloud-storage", "make .venv/.ready, or pip install google-cloud-storage")
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self.key, public = make_key(self.endpoint)
        (folder / "public.pem").write_text(public)
        self._buckets: set[str] = set()
        command = [sys.executable, "-m", "servers.gcs", str(port), folder / "public.pem"]
        super().__init__(command, port, folder / "gcs.log", {"PYTHONPATH": str(_TESTS)})

    @property
    def options(self) -> dict[str, object]:
        """What opens a store of it, as gcsfs has it."""
        return {"token": self.key, "endpoint_url": self.endpoint}

    @property
    def connection(self) -> dict[str, object]:
        """An Airflow connection to it."""
        extra = {"keyfile_dict": json.dumps(self.key), "endpoint_url": self.endpoint}
        return {"conn_type": "google_cloud_platform", "extra": extra}

    def bucket(self, name: str) -> str:
        """Return the URL of a bucket, which is made where there is none."""
        if name not in self._buckets:
            request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).close()
            self._buckets.add(name)
        return f"gs://{name}"


def make_key(endpoint: str) -> tuple[Mapping[str, str], str]:
    """Return a new service account's key, and the public half of it."""
    pair = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = pair.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = pair.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    key = {
        "type": "service_account",
        "project_id": "tests",
        "private_key_id": "1",
        "private_key": private.decode(),
        "client_email": "tests@tests.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"{endpoint}/token",
    }
    return key, public.decode()

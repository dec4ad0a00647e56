"""Azurite: the server of Azure Blob storage that Microsoft publishes for tests, from npm."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import urllib.request
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from urllib.parse import urlencode

from servers.process import Server, free_port, lacking

ACCOUNT = "devstoreaccount1"
# the key that every Azurite has, printed in its documentation
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

PROGRAM = Path(__file__).parent / "node_modules/azurite/dist/src/blob/main.js"


class AzuriteServer(Server):
    def __init__(self, folder: Path) -> None:
        node = shutil.which("node")
        if node is None or not PROGRAM.is_file():
            lacking("Azurite", "install node and npm, then make tests/servers/node_modules/.ready")
        self._buckets: set[str] = set()
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
        where = ["--location", folder / "azurite", "--blobHost", "127.0.0.1", "--blobPort", str(port)]
        quiet = ["--silent", "--disableTelemetry", "--skipApiVersionCheck"]
        super().__init__([str(node), PROGRAM, *where, *quiet], port, folder / "azurite.log")

    @property
    def connection_string(self) -> str:
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={self.endpoint};"

    @property
    def options(self) -> dict[str, object]:
        """What opens a store of it, as adlfs has it."""
        return {"connection_string": self.connection_string}

    @property
    def connection(self) -> dict[str, object]:
        """An Airflow connection to it."""
        return {"conn_type": "wasb", "extra": {"connection_string": self.connection_string}}

    def signature(self, container: str, permissions: str = "racwdl") -> str:
        """Return a shared access signature for a container, for a day."""
        version, expiry = "2020-10-02", (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        resource = f"/blob/{ACCOUNT}/{container}"
        signed = [permissions, "", expiry, resource, "", "", "", version, "c", "", "", "", "", "", ""]
        digest = hmac.new(base64.b64decode(KEY), "\n".join(signed).encode(), hashlib.sha256).digest()
        said = {"sp": permissions, "se": expiry, "sv": version, "sr": "c", "sig": base64.b64encode(digest)}
        return urlencode(said)

    def bucket(self, name: str) -> str:
        """Return the URL of a container, which is made where there is none."""
        if name in self._buckets:
            return f"abfs://{name}"
        date = formatdate(usegmt=True)
        headers = {"x-ms-date": date, "x-ms-version": "2021-12-02", "Content-Length": "0"}
        text = "PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:2021-12-02\n"
        text += f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
        signature = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(signature).decode()}"
        request = urllib.request.Request(
            f"{self.endpoint}/{name}?restype=container", headers=headers, method="PUT"
        )
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).close()
        self._buckets.add(name)
        return f"abfs://{name}"

"""Databricks' REST API, as far as steps need it.

What fails for the moment (429, 5xx, a connection that can't be made or breaks off) is tried again with growing pauses.
Every call may be sent twice without harm: a run is submitted with an idempotency token, files are replaced as a whole.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from airflow_ml_pipelines.core.databricks.login import Login, find_login
from airflow_ml_pipelines.core.errors import ComputeTargetException, NotFoundError
from airflow_ml_pipelines.core.workspaces.registry import ComputeTargetSpec

__all__ = ["DatabricksClient", "open_client"]

_TRIES = 9
_BACKOFF = 0.1
_LONGEST_PAUSE = 20
_TIMEOUT = (10, 60)
_PASSING = (429, 500, 502, 503, 504)
_CHUNK = 1 << 20
_LONGEST_TEXT = 2000
_STARTED = ("PENDING", "RUNNING", "RESTARTING", "RESIZING")
_WHOSE = ": is it the address of a Databricks workspace?"


class DatabricksClient:
    """A Databricks workspace.

    :param where: how errors call the compute target.
    """

    def __init__(self, login: Login, where: str) -> None:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3 import Retry

        self.url = login.url.rstrip("/")
        self.where = where
        self._login = login
        self._session = requests.Session()
        self._session.auth = lambda request: request  # else a .netrc would go before the login
        retry = Retry(
            total=_TRIES,
            backoff_factor=_BACKOFF,
            backoff_max=_LONGEST_PAUSE,
            backoff_jitter=_BACKOFF,
            status_forcelist=_PASSING,
            allowed_methods=None,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))

    def close(self) -> None:
        """Close its connections."""
        self._session.close()

    # --- runs and clusters ---------------------------------------------------------------------------------------

    def submit(self, request: Mapping[str, Any]) -> int:
        """Start a run and return its id; that of the same run where the same token was submitted before."""
        path = "2.2/jobs/runs/submit"
        return int(self._field(self._json("POST", path, request), "run_id", int, path))

    def run(self, run_id: int) -> dict[str, Any]:
        """Return how a run stands. :raises NotFoundError: where there is none."""
        path = "2.2/jobs/runs/get"
        found = self._json("GET", path, query={"run_id": run_id})
        for document in (found, *self._field({"tasks": [], **found}, "tasks", list, path)):
            self._field(document, "state", dict, path)
        return found

    def output(self, run_id: int) -> dict[str, Any]:
        """Return what the run of a task has made."""
        return self._json("GET", "2.2/jobs/runs/get-output", query={"run_id": run_id})

    def cancel(self, run_id: int) -> None:
        """Let a run end."""
        self._json("POST", "2.2/jobs/runs/cancel", {"run_id": run_id})

    def cluster(self, cluster_id: str) -> dict[str, Any]:
        """Return how a cluster stands."""
        return self._json("GET", "2.1/clusters/get", query={"cluster_id": cluster_id})

    def start_cluster(self, cluster_id: str) -> None:
        """Start a cluster that was ended, unless somebody else has meanwhile."""
        try:
            self._json("POST", "2.1/clusters/start", {"cluster_id": cluster_id})
        except ComputeTargetException:
            if self.cluster(cluster_id).get("state") not in _STARTED:
                raise

    def libraries(self, cluster_id: str) -> list[dict[str, Any]]:
        """Return how each library of a cluster stands."""
        found = self._json("GET", "2.0/libraries/cluster-status", query={"cluster_id": cluster_id})
        statuses: list[dict[str, Any]] = found.get("library_statuses", [])
        return statuses

    def user(self) -> str:
        """Return who asks."""
        return str(self._json("GET", "2.0/preview/scim/v2/Me").get("userName", ""))

    # --- code and files ------------------------------------------------------------------------------------------

    def export(self, path: str) -> bytes:
        """Return the source of a notebook, or the bytes of a file, of the workspace.

        :raises NotFoundError: where there is none.
        """
        found = self._json("GET", "2.0/workspace/export", query={"path": path, "format": "SOURCE"})
        return self._decoded(found, "content", "2.0/workspace/export")

    def object_type(self, path: str) -> str:
        """Return what an object of the workspace is: ``NOTEBOOK``, ``FILE`` … "" where there is none."""
        where = "2.0/workspace/get-status"
        try:
            return str(self._field(self._json("GET", where, query={"path": path}), "object_type", str, where))
        except NotFoundError:
            return ""

    def put(self, path: str, data: bytes, *, notebook: str | None = None) -> None:
        """Write a file or a notebook to the workspace, or a file to a volume; what is there is replaced.

        :param notebook: the format of a notebook, ``SOURCE`` or ``JUPYTER``; None for a file.
        """
        if path.startswith("/Volumes/"):
            self._call("PUT", f"2.0/fs/files{quote(path)}", query={"overwrite": "true"}, data=data)
            return
        document = {
            "path": path,
            "format": notebook or "RAW",
            "content": base64.b64encode(data).decode(),
            "overwrite": True,
        }
        if notebook is not None:
            document["language"] = "PYTHON"
        self._json("POST", "2.0/workspace/import", document)

    def make_folder(self, path: str) -> None:
        """Make a folder, and those that it is in."""
        if path.startswith("/Volumes/"):
            self._call("PUT", f"2.0/fs/directories{quote(path)}")
        else:
            self._json("POST", "2.0/workspace/mkdirs", {"path": path})

    def read(self, path: str) -> bytes:
        """Return the bytes of a file: of the workspace, of a volume, or of ``dbfs:/``.

        :raises NotFoundError: where there is none.
        """
        plain = path.removeprefix("dbfs:")
        if plain.startswith("/Volumes/"):
            return bytes(self._call("GET", f"2.0/fs/files{quote(plain)}").content)
        if not path.startswith("dbfs:"):
            return self.export(path)
        found = bytearray()
        while True:
            query = {"path": plain, "offset": len(found), "length": _CHUNK}
            piece = self._decoded(
                {"data": "", **self._json("GET", "2.0/dbfs/read", query=query)}, "data", "2.0/dbfs/read"
            )
            found += piece
            if len(piece) < _CHUNK:
                return bytes(found)

    # --- calls ---------------------------------------------------------------------------------------------------

    def _json(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        answer = self._call(method, path, body=body, query=query)
        try:
            found = answer.json() if answer.content else {}
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ComputeTargetException(f"{self.where}: {self.url} answers to {path} with no JSON{_WHOSE}")
        return found

    def _field(self, document: Any, name: str, kind: type, path: str) -> Any:
        found = document.get(name) if isinstance(document, dict) else None
        if not isinstance(found, kind):
            raise ComputeTargetException(
                f"{self.where}: {self.url} answers to {path} without {name!r}{_WHOSE}"
            )
        return found

    def _decoded(self, document: dict[str, Any], name: str, path: str) -> bytes:
        text = self._field(document, name, str, path)
        try:
            return base64.b64decode(text, validate=True)
        except ValueError:
            raise ComputeTargetException(
                f"{self.where}: {self.url} answers to {path} with a {name!r} that is not base64{_WHOSE}"
            ) from None

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        data: bytes | None = None,
    ) -> Any:
        headers = dict(self._login.headers())
        given = {"json": body, "params": query, "data": data}
        answer = self._send(method, path, headers, given)
        if answer.status_code in (401, 403) and self._login.renew():  # its token has ended before its time
            headers = dict(self._login.headers())
            answer = self._send(method, path, headers, given)
        if answer.status_code >= 300:
            raise self._refusal(answer, path, headers)
        return answer

    def _send(self, method: str, path: str, headers: Mapping[str, str], given: Mapping[str, Any]) -> Any:
        import requests

        for tried in range(_TRIES + 1):
            try:
                return self._session.request(
                    method,
                    f"{self.url}/api/{path}",
                    headers=headers,
                    timeout=_TIMEOUT,
                    allow_redirects=False,
                    **given,
                )
            except requests.exceptions.ChunkedEncodingError as error:  # it broke off after it had begun
                if tried == _TRIES:
                    raise self._unreached(error) from None
                time.sleep(min(_BACKOFF * 2**tried, _LONGEST_PAUSE))
            except requests.RequestException as error:
                raise self._unreached(error) from None
        raise AssertionError

    def _unreached(self, error: Exception) -> ComputeTargetException:
        return ComputeTargetException(
            f"{self.where}: {self.url} can't be reached ({type(error).__name__}), after {_TRIES} further tries: "
            "check the address and the network"
        )

    def _refusal(self, answer: Any, path: str, headers: Mapping[str, str]) -> Exception:
        code, said = "", str(answer.reason)
        try:
            document = answer.json()
            code, said = str(document.get("error_code", "")), str(document.get("message") or said)
        except (ValueError, AttributeError):
            pass
        if answer.status_code == 404 or code == "RESOURCE_DOES_NOT_EXIST":
            return NotFoundError(f"{self.where}: {_plain(said, headers)}")
        hint = ""
        if answer.status_code in (401, 403):
            hint = ": check the token of the connection, and what its user may do"
        elif answer.status_code in _PASSING:
            hint = f": it was tried {_TRIES + 1} times"
        elif answer.status_code < 400:
            hint = f", to {urlsplit(answer.headers.get('Location', '')).netloc or 'itself'}{_WHOSE}"
        return ComputeTargetException(
            f"{self.where}: {self.url} answers {answer.status_code} to {path}: {_plain(said, headers)}{hint}"
        )


def _plain(said: str, headers: Mapping[str, str]) -> str:
    """Return what a server said as it may stand in an error: on one line, not too long, and without the token."""
    token = headers.get("Authorization", "").rpartition(" ")[2]
    text = said.replace(token, "***") if token else said
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def open_client(spec: ComputeTargetSpec) -> DatabricksClient:
    """Return the Databricks workspace of a compute target; nothing is asked of it yet.

    It is that of ``connection``, else of ``host`` and ``token_variable``, else of ``DATABRICKS_HOST`` and
    ``DATABRICKS_TOKEN``, else of the connection ``databricks_default``.

    :raises ComputeTargetException: where none of them is there.
    """
    where = f"compute target {spec.name!r}"
    return DatabricksClient(find_login(spec.options, where), where)

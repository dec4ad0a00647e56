"""Databricks' REST API, as far as steps need it.

What fails for the moment (429, 5xx, a connection that can't be made or breaks off) is tried again with growing pauses.
Every call may be sent twice without harm: a run is submitted with an idempotency token, files are replaced as a whole.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from airflow_ml_pipelines.core.errors import ComputeTargetException, NotFoundError, WorkspaceError
from airflow_ml_pipelines.core.stores.connections import Connection, find_connection
from airflow_ml_pipelines.core.stores.credentials import resolve_credentials
from airflow_ml_pipelines.core.workspaces.registry import ComputeTargetSpec

__all__ = ["DatabricksClient", "Login", "open_client", "set_login_source"]

_TRIES = 9
_BACKOFF = 0.1
_LONGEST_PAUSE = 20
_TIMEOUT = (10, 60)
_PASSING = (429, 500, 502, 503, 504)
_CHUNK = 1 << 20
_DEFAULT_CONNECTION = "databricks_default"
_OAUTH = "service_principal_oauth"


class Login(NamedTuple):
    """How a Databricks workspace is reached.

    :param headers: returns those that say who asks; they are asked for at each call, since tokens end.
    """

    url: str
    headers: Callable[[], Mapping[str, str]]


LoginSource = Callable[[str], Login | None]

_login_source: LoginSource | None = None


def set_login_source(source: LoginSource | None) -> None:
    """Set who turns the id of an Airflow connection into a login, for this process; None for this module itself."""
    global _login_source  # noqa: PLW0603 - one per process, set by the Airflow glue
    _login_source = source


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
        self._session.trust_env = True
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
        return int(self._json("POST", "2.2/jobs/runs/submit", request)["run_id"])

    def run(self, run_id: int) -> dict[str, Any]:
        """Return how a run stands. :raises NotFoundError: where there is none."""
        return self._json("GET", "2.2/jobs/runs/get", query={"run_id": run_id})

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
        """Start a cluster that was ended."""
        self._json("POST", "2.1/clusters/start", {"cluster_id": cluster_id})

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
        query = {"path": path, "format": "SOURCE"}
        return base64.b64decode(self._json("GET", "2.0/workspace/export", query=query)["content"])

    def object_type(self, path: str) -> str:
        """Return what an object of the workspace is: ``NOTEBOOK``, ``FILE`` … "" where there is none."""
        try:
            return str(self._json("GET", "2.0/workspace/get-status", query={"path": path})["object_type"])
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
            answer = self._json("GET", "2.0/dbfs/read", query=query)
            found += base64.b64decode(answer.get("data", ""))
            if int(answer.get("bytes_read", 0)) < _CHUNK:
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
            raise ComputeTargetException(
                f"{self.where}: {self.url} answers to {path} with no JSON: is it the address of a Databricks workspace?"
            )
        return found

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        data: bytes | None = None,
    ) -> Any:
        import requests

        try:
            answer = self._session.request(
                method,
                f"{self.url}/api/{path}",
                json=body,
                params=query,
                data=data,
                headers=dict(self._login.headers()),
                timeout=_TIMEOUT,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise ComputeTargetException(
                f"{self.where}: {self.url} can't be reached ({type(error).__name__}), after {_TRIES} further tries: "
                "check the address and the network"
            ) from None
        if answer.status_code >= 300:
            raise self._refusal(answer, path)
        return answer

    def _refusal(self, answer: Any, path: str) -> Exception:
        code, said = "", answer.reason
        try:
            document = answer.json()
            code, said = str(document.get("error_code", "")), str(document.get("message") or said)
        except (ValueError, AttributeError):
            pass
        if answer.status_code == 404 or code == "RESOURCE_DOES_NOT_EXIST":
            return NotFoundError(f"{self.where}: {said}")
        hint = ""
        if answer.status_code in (401, 403):
            hint = ": check the token of the connection, and what its user may do"
        elif answer.status_code in _PASSING:
            hint = f": it was tried {_TRIES + 1} times"
        return ComputeTargetException(
            f"{self.where}: {self.url} answers {answer.status_code} to {path}: {said}{hint}"
        )


# --- who asks ----------------------------------------------------------------------------------------------------


def open_client(spec: ComputeTargetSpec) -> DatabricksClient:
    """Return the Databricks workspace of a compute target; nothing is asked of it yet.

    It is that of ``connection``, else of ``host`` and ``token_variable``, else of ``DATABRICKS_HOST`` and
    ``DATABRICKS_TOKEN``, else of the connection ``databricks_default``.

    :raises ComputeTargetException: where none of them is there.
    """
    where = f"compute target {spec.name!r}"
    return DatabricksClient(_login(spec.options, where), where)


def _login(options: Mapping[str, Any], where: str) -> Login:
    name = options.get("connection")
    host = options.get("host") or (None if name else os.environ.get("DATABRICKS_HOST"))
    if name is None and host:
        variable = options.get("token_variable") or "DATABRICKS_TOKEN"
        given = resolve_credentials({"token": f"env:{variable}"}, where)
        return Login(_address(str(host)), lambda: {"Authorization": f"Bearer {given['token']}"})
    try:
        found = _login_source(name or _DEFAULT_CONNECTION) if _login_source is not None else None
        return found or _of_connection(find_connection(name or _DEFAULT_CONNECTION, where), where)
    except WorkspaceError as error:
        if name is not None:
            raise
        raise ComputeTargetException(
            f"{where}: nothing says which Databricks workspace it is: give it `connection: <an Airflow connection's id>`, "
            "or `host` and `token_variable`, or set DATABRICKS_HOST and DATABRICKS_TOKEN"
        ) from error


def _of_connection(connection: Connection, where: str) -> Login:
    host = str(connection.extra.get("host") or connection.host or "")
    if not host:
        raise ComputeTargetException(
            f"{where}: its connection has no host, the address of the Databricks workspace"
        )
    port = f":{connection.port}" if connection.port else ""
    url = _address(f"{host}{port}", connection.schema or "https")
    token = connection.extra.get("token") or (None if connection.login else connection.password)
    if token:
        return Login(url, lambda: {"Authorization": f"Bearer {token}"})
    if connection.login and connection.password and connection.extra.get(_OAUTH):
        return Login(url, _service_principal(url, connection.login, connection.password, where))
    raise ComputeTargetException(
        f"{where}: its connection has no token: put it into the password, with no login; or the id and the secret of a "
        f'service principal into login and password, with extra {{"{_OAUTH}": true}}'
    )


def _service_principal(url: str, client_id: str, secret: str, where: str) -> Callable[[], Mapping[str, str]]:
    import time

    known: dict[str, Any] = {"ends": 0.0, "token": ""}

    def headers() -> Mapping[str, str]:
        if time.monotonic() > known["ends"]:
            import requests

            try:
                answer = requests.post(
                    f"{url}/oidc/v1/token",
                    data={"grant_type": "client_credentials", "scope": "all-apis"},
                    auth=(client_id, secret),
                    timeout=_TIMEOUT,
                )
                answer.raise_for_status()
                found = answer.json()
                known.update(
                    token=found["access_token"], ends=time.monotonic() + float(found["expires_in"]) - 60
                )
            except (requests.RequestException, ValueError, KeyError) as error:
                raise ComputeTargetException(
                    f"{where}: {url} gives the service principal {client_id!r} no token ({type(error).__name__}): check "
                    "its id and its secret"
                ) from None
        return {"Authorization": f"Bearer {known['token']}"}

    return headers


def _address(host: str, scheme: str = "https") -> str:
    return host.rstrip("/") if "://" in host else f"{scheme}://{host.rstrip('/')}"

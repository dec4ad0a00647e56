"""Which packages the launcher needs to reach the stores of a workspace from elsewhere."""

from __future__ import annotations

from airflow_ml_pipelines.core.stores.obstore_options import SCHEMES
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["store_packages"]

_OBSTORE = "obstore>=0.8"
_FSSPEC = {
    "sftp": ("sshfs",),
    "ssh": ("sshfs",),
    "http": ("fsspec", "aiohttp"),
    "https": ("fsspec", "aiohttp"),
}


def store_packages(workspace: Workspace) -> tuple[str, ...]:
    """Return what has to be installed; nothing where all stores are local folders."""
    found: set[str] = set()
    for spec in (workspace.root, *workspace.datastores().values()):
        scheme, sign, _ = spec.url.partition("://")
        if not sign or scheme == "file":
            continue
        found.update((_OBSTORE,) if scheme.lower() in SCHEMES else _FSSPEC.get(scheme, ("fsspec",)))
    return tuple(sorted(found))

"""Opens the store at a URL: of this machine, of a cloud through obstore, or whatever fsspec has a file system for."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from urllib.parse import unquote_to_bytes

from airflow_ml_pipelines.core.errors import StoreError
from airflow_ml_pipelines.core.stores.local_store import LocalStore
from airflow_ml_pipelines.core.stores.store import Store

__all__ = ["open_store"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?://|:)")


def open_store(url: str, **options: object) -> Store:
    """Open the store at a URL: a local folder (a path or ``file://``), or what fsspec has a file system for.

    S3, Azure and Google Cloud Storage are opened through obstore, unless an option is given that only fsspec knows.

    A path may begin with ``~`` and may have a drive; what looks like ``scheme://`` or ``scheme::`` is a URL.

    :param options: as fsspec takes them.
    :raises StoreError: where no file system knows the URL's scheme, or it needs a package that is not there.
    """
    scheme = _SCHEME.match(url)
    if scheme is None:
        return LocalStore(os.path.expanduser(url))
    if scheme[1].lower() in ("file", "local"):
        host, slash, path = url[scheme.end() :].partition("/")
        if host not in ("", "localhost"):
            raise StoreError(f"{url!r} names the host {host!r}: expected file:///folder, or another scheme")
        return LocalStore(os.fsdecode(unquote_to_bytes(slash + path)))
    from airflow_ml_pipelines.core.stores.obstore_options import read_options

    config = read_options(url, options)
    if config is not None:
        with suppress(ModuleNotFoundError):  # where the launcher runs alone, in an image that has only fsspec
            from airflow_ml_pipelines.core.stores.obstore_store import ObstoreStore

            return ObstoreStore(url, config)
    from airflow_ml_pipelines.core.stores.fsspec_store import FsspecStore

    return FsspecStore(url, **options)

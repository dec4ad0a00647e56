"""Copies within one service, which does it by itself: no byte comes here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf
from posixpath import commonpath
from typing import Any

import obstore

from airflow_ml_pipelines.core.canonical import digest_document
from airflow_ml_pipelines.core.progress import advance
from airflow_ml_pipelines.core.stores.obstore_options import ObjectStoreConfig
from airflow_ml_pipelines.core.stores.obstore_store import ObstoreStore, object_version, open_client
from airflow_ml_pipelines.core.stores.parallel import each
from airflow_ml_pipelines.core.stores.store import ObjectInfo, Store, join
from airflow_ml_pipelines.core.transfer.azure import ChangedError, can_sign, copy_between, is_one_account
from airflow_ml_pipelines.core.transfer.copies import Copied, Copy, OnCopied, changed, differs
from airflow_ml_pipelines.core.transfer.pieces import is_md5
from airflow_ml_pipelines.core.transfer.streams import run_many

__all__ = ["ServiceCopier", "identity", "service_copier"]

_LARGEST = 5 << 30  # bytes of an object that S3 copies at once

_FILES = 32
_FEW = 100  # files that are looked at one by one


@dataclass(frozen=True)
class ServiceCopier:
    """Lets a service copy its own objects.

    :param order: asks for the copy of an object: by its whole name in bucket or container, its version, and the whole
        name of the copy.
    :param is_exact: whether that fails where the object has another version by now; else it is looked at afterwards.
    :param largest: bytes of the largest object that it copies.
    """

    order: Callable[[str, str, str], Awaitable[None]]
    source: ObstoreStore
    target: ObstoreStore
    is_exact: bool = False
    largest: float = _LARGEST

    def copy(self, copies: Sequence[Copy], on_copied: OnCopied, check: Callable[[], None]) -> None:
        if not copies:
            return

        async def one(copy: Copy) -> None:
            on_copied(await self._copy(copy))
            advance(copy.info.size)

        asyncio.run(run_many(one, copies, _FILES, check))
        if not self.is_exact:
            self._refuse_changed(copies)

    def _refuse_changed(self, copies: Sequence[Copy]) -> None:
        """Refuse objects that are no longer those that were to be copied. What is noted of them holds for no other."""
        left = {copy.info.path: copy for copy in copies}
        infos: Iterable[ObjectInfo | None]
        if len(left) <= _FEW:
            infos = each(self.source, self.source.info, list(left))
        else:
            infos = self.source.walk(commonpath([path.rpartition("/")[0] for path in left]))
        for info in infos:
            if info is not None and info.path in left and info.version == left[info.path].info.version:
                del left[info.path]
        for copy in left.values():
            raise changed(copy)

    async def _copy(self, copy: Copy) -> Copied:
        source = join(self.source.config.prefix, copy.info.path)
        target = join(self.target.config.prefix, copy.target)
        with self.source.errors(copy.info.path, f"copied to {copy.target!r} in {self.target.url}"):
            try:
                await self.order(source, copy.info.version, target)
            except ChangedError:
                raise changed(copy) from None
        if is_md5(copy.info.version):  # the copy has the same, which the listing at the end shows
            return Copied(copy, identity(copy), copy.info.version)
        with self.target.errors(copy.target, "looked at"):
            meta = await obstore.head_async(self.target.client, copy.target)
        if meta["size"] != copy.info.size:
            raise differs(copy, self.target)
        return Copied(copy, identity(copy), object_version(meta["e_tag"], meta["version"]))


def identity(copy: Copy) -> str:
    """Return what the content of a file is known by whose bytes are not looked at."""
    if copy.digest:
        return copy.digest
    info = copy.info
    if is_md5(info.version):
        return f"md5:{info.version}"
    where = [copy.store.url, info.path, info.size, info.version]
    return f"version:{digest_document('ml-pipelines/version/1', where)}"


def service_copier(source: Store, target: Store) -> ServiceCopier | None:
    """Return what copies from one store to another without a byte coming here; None where they are of two services.

    Two buckets of S3 are one service where the credentials are the same, and two containers of Azure where they are of one
    account and each is opened with its key or a shared access signature. Of Google Cloud Storage, and with other
    credentials of Azure, only what is within one bucket or container is.
    """
    if not isinstance(source, ObstoreStore) or not isinstance(target, ObstoreStore):
        return None
    one, other = source.config, target.config
    if one.kind == other.kind == "azure" and can_sign(one.settings) and can_sign(other.settings):
        ends = (one.settings, one.bucket), (other.settings, other.bucket)
        is_one = is_one_account(one.settings, other.settings)
        order = copy_between(*ends, _FILES)
        return ServiceCopier(order, source, target, is_exact=True, largest=inf) if is_one else None
    if (one.kind, dict(one.settings)) != (other.kind, dict(other.settings)) or _differ(one, other):
        return None
    if one.bucket != other.bucket and one.kind != "s3":
        return None
    asked = replace(one, prefix="") if one.bucket == other.bucket else _across_buckets(one, other.bucket)
    return ServiceCopier(_within(open_client(source.url, asked)), source, target)


def _within(client: Any) -> Callable[[str, str, str], Awaitable[None]]:
    async def order(source: str, _: str, target: str) -> None:
        await obstore.copy_async(client, source, target)

    return order


def _differ(one: ObjectStoreConfig, other: ObjectStoreConfig) -> bool:
    return (one.credentials is None) != (other.credentials is None)


def _across_buckets(source: ObjectStoreConfig, bucket: str) -> ObjectStoreConfig:
    """Return what names objects of one bucket as the source of a copy, and sends the request to another.

    obstore puts the bucket's name into the header that names the source. Where the endpoint is said to have the
    bucket's name already, the request goes there as it is.
    """
    settings = dict(source.settings)
    region = settings.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    endpoint = settings.get("endpoint") or f"https://s3.{region or 'us-east-1'}.amazonaws.com"
    settings |= {"endpoint": f"{endpoint.rstrip('/')}/{bucket}", "virtual_hosted_style_request": True}
    return replace(source, prefix="", settings=settings)

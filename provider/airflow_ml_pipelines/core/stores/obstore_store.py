"""A store on S3, Azure Blob storage (and Data Lake Gen2) or Google Cloud Storage, through obstore.

fsspec reaches these as well. obstore keeps what reuse is built on (a put that is atomic and may be conditional, a listing
that is never cached) and takes a fraction of the time for many small objects.
"""

from __future__ import annotations

import io
import itertools
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError

from airflow_ml_pipelines.core.errors import InvalidPathError, NotFoundError, StoreError
from airflow_ml_pipelines.core.files.walk import ASIDE
from airflow_ml_pipelines.core.stores.credentials import mask_url
from airflow_ml_pipelines.core.stores.cut_connections import explain_cut, try_again
from airflow_ml_pipelines.core.stores.meta import WEAK
from airflow_ml_pipelines.core.stores.obstore_options import ObjectStoreConfig
from airflow_ml_pipelines.core.stores.parallel import each
from airflow_ml_pipelines.core.stores.store import ObjectInfo, check_path, is_unfinished, probe_clock

if TYPE_CHECKING:
    from obstore import ObjectMeta

__all__ = ["ObstoreStore", "object_version", "open_client"]

_PIECE: Final = 8 << 20
"""Bytes of one request: a large object is read and written in pieces of this size, several at once."""

_AT_ONCE = 4
_PARTS = 9_000  # of one object; S3 takes 10,000
_LISTED = 1000
_TIMES = {"timeout": "10m", "read_timeout": "60s", "connect_timeout": "5s"}
_RETRIES = {"max_retries": 8}  # which take about 16 s: a wrong address is told soon
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist", re.IGNORECASE)
_REGION = re.compile(r"incorrectly configured region|PermanentRedirect|AuthorizationHeaderMalformed")
_STATUS = re.compile(
    r"status code: (\d{3})(?:.*?<Code>(?P<code>\w+)</Code>)?(?:.*?<Message>(?P<text>[^<\n]+))?", re.DOTALL
)


class ObstoreStore:
    """A folder of a bucket or container.

    :param url: as fsspec has it, such as ``s3://bucket/folder`` or ``abfs://container@account.dfs.core.windows.net``.
    :param config: what obstore is given, see :func:`~airflow_ml_pipelines.core.stores.obstore_options.read_options`.
    :raises StoreError: where obstore can't be used with that.

    :ivar client: obstore's own store, which knows paths as this one does.
    """

    conditional = True

    def __init__(self, url: str, config: ObjectStoreConfig) -> None:
        self.url = url
        self.config = config
        self.client = open_client(url, config)

    def __repr__(self) -> str:
        return f"ObstoreStore({self.url!r})"

    def get(self, path: str) -> bytes:
        with self.errors(path, "read"):
            return bytes(obstore.get(self.client, self._existing(path)).bytes())

    def put(self, path: str, data: bytes) -> None:
        target = self._object(path)
        with self.errors(path, "written"):
            obstore.put(self.client, target, data, use_multipart=False)

    def create(self, path: str, data: bytes) -> bool:
        target = self._object(path)
        with self.errors(path, "written"):
            return try_again(lambda again: self._create(target, data, again=again))

    def _create(self, target: str, data: bytes, *, again: bool) -> bool:
        try:
            obstore.put(self.client, target, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            # where the answer was lost, what is there may be what was written before
            return again and bytes(obstore.get(self.client, target).bytes()) == data
        return True

    def info(self, path: str) -> ObjectInfo | None:
        target = check_path(path)
        if not target:
            return None
        try:
            with self.errors(path, "looked at"):
                meta = obstore.head(self.client, target)
                if not meta["size"] and self.config.kind == "azure" and self._is_folder(target):
                    return None
        except NotFoundError:
            return None
        return self._told(target, meta)

    def walk(self, path: str = "", *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        folder = check_path(path)
        with self.errors(path, "listed"):
            for metas in obstore.list(self.client, folder or None, chunk_size=_LISTED):
                marks = {"", folder, *self._folder_marks(metas)}
                for meta in metas:
                    name = meta["path"]
                    if name not in marks and (unfinished or not is_unfinished(name)):
                        yield self._told(name, meta)

    def _folder_marks(self, metas: Sequence[ObjectMeta]) -> Iterator[str]:
        """Yield which empty objects are marks of folders, as consoles make them: their names end with a slash.

        obstore shows such a name without it, by which no object is to be had. It leaves out those of Azure by itself.
        """
        empty = [meta["path"] for meta in metas if not meta["size"] and meta["path"]]
        if empty and self.config.kind != "azure":
            infos = each(self, self.info, empty)
            yield from (path for path, info in zip(empty, infos, strict=True) if info is None)

    def folders(self, path: str = "") -> list[str]:
        folder = check_path(path)
        with self.errors(path, "listed"):
            found = obstore.list_with_delimiter(self.client, folder or None)["common_prefixes"]
        return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in found)

    def delete(self, path: str) -> None:
        target = self._object(path)
        with suppress(NotFoundError), self.errors(path, "removed"):
            try_again(lambda _: obstore.delete(self.client, target))

    def remove(self, path: str) -> None:
        target = self._object(path)
        with self.errors(path, "removed"):
            try_again(lambda _: self._remove(target))

    def _remove(self, folder: str) -> None:
        infos = self.walk(folder, unfinished=True)
        while batch := [info.path for info in itertools.islice(infos, _LISTED)]:
            try:
                obstore.delete(self.client, batch)
            except (
                FileNotFoundError
            ):  # Azure and Google say so of one that somebody else removed, and may leave others
                for _ in each(self, self.delete, batch):
                    pass

    def open(self, path: str) -> BinaryIO:
        with self.errors(path, "read"):
            meta = obstore.head(self.client, self._existing(path))
        return cast("BinaryIO", io.BufferedReader(_Reader(meta["size"], self._reader(path, meta)), _PIECE))

    def upload(self, source: Path, path: str) -> None:
        size = source.stat().st_size
        target = self._object(path)
        with self.errors(path, "written"):
            pieces = max(_PIECE, size // _PARTS + 1)
            try_again(lambda _: obstore.put(self.client, target, source, chunk_size=pieces))

    def download(self, path: str, target: Path) -> None:
        target.parent.stat()
        aside = target.with_name(f"{ASIDE}{os.getpid()}-{secrets.token_hex(6)}")
        try:
            with self.errors(path, "read"):
                found = obstore.get(self.client, self._existing(path))
                with open(aside, "wb") as file:
                    if found.meta["size"] <= _PIECE:
                        file.write(found.bytes())
                    else:
                        _read_pieces(file.fileno(), found.meta["size"], self._reader(path, found.meta))
            os.replace(aside, target)
        finally:
            with suppress(OSError):
                os.unlink(aside)

    def local_path(self, path: str) -> Path | None:  # noqa: ARG002
        return None

    def clock(self) -> float:
        """Return the time that the store gives an object written now; some know whole seconds only."""
        return probe_clock(self)

    def _told(self, path: str, meta: ObjectMeta) -> ObjectInfo:
        modified = meta["last_modified"].timestamp()
        if (
            self.config.kind == "gcs"
        ):  # which tells milliseconds in a listing, and whole seconds of one object
            modified = float(int(modified))
        version = object_version(meta["e_tag"], meta["version"]) or f"{WEAK}{modified!r}-{meta['size']}-"
        return ObjectInfo(path, meta["size"], version, modified)

    def _existing(self, path: str) -> str:
        target = check_path(path)
        if not target:
            raise NotFoundError(f"there is no {path!r} in {self.url}")
        return target

    def _object(self, path: str) -> str:
        target = check_path(path)
        if not target:
            raise InvalidPathError(f"{path!r} names no object in {self.url}")
        return target

    def _is_folder(self, target: str) -> bool:
        """Return whether an empty object is what a Data Lake has for a folder."""
        attributes = obstore.get(self.client, target).attributes
        return any(str(name).lower() == "hdi_isfolder" for name in attributes)

    def _reader(self, path: str, meta: ObjectMeta) -> Callable[[int, int], Any]:
        """Return what reads from one byte of an object up to another, and fails where it was replaced since."""

        def read(start: int, end: int) -> Any:
            with self.errors(path, "read"):
                tag = {"if_match": meta["e_tag"]} if meta["e_tag"] else {}
                options = cast("Any", {"range": (start, end), **tag})
                return obstore.get(self.client, meta["path"], options=options).bytes()

        return read

    @contextmanager
    def errors(self, path: str, what: str) -> Iterator[None]:
        """Turn obstore's errors into this package's, for what is done to an object.

        :param what: such as ``read``; that there is no object is no error of its own for what is ``written``.
        """
        try:
            yield
        except StoreError:
            raise
        except (OSError, BaseError, ValueError, RuntimeError) as error:
            text = str(error).partition("\n\nDebug source")[0]
            where = f"{path!r} in {self.url}" if path else self.url
            if _NO_BUCKET.search(text):
                noun = "container" if self.config.kind == "azure" else "bucket"
                raise StoreError(
                    f"{where} can't be {what}: there is no {noun} {self.config.bucket!r}; make it, or correct the URL"
                ) from None
            if isinstance(error, FileNotFoundError) and what != "written":
                raise NotFoundError(f"there is no {path!r} in {self.url}") from None
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
                raise  # it is about the file on this machine
            raise StoreError(f"{where} can't be {what}: {_explain(error, text)}") from error


class _Reader(io.RawIOBase):
    """An object as a file that can be read at any position."""

    def __init__(self, size: int, read: Callable[[int, int], Any]) -> None:
        self._size = size
        self._read = read
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        end = min(self._position + len(buffer), self._size)
        if end <= self._position:
            return 0
        data = memoryview(self._read(self._position, end))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def _read_pieces(file: int, size: int, read: Callable[[int, int], Any]) -> None:
    """Write an object into a file, several pieces at once."""

    def bring(start: int) -> None:
        data = memoryview(read(start, min(start + _PIECE, size)))
        while data:
            written = os.pwrite(file, data, start)
            data, start = data[written:], start + written

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="pieces") as pool:
        try:
            for _ in pool.map(bring, range(0, size, _PIECE)):
                pass
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def open_client(url: str, config: ObjectStoreConfig) -> Any:
    """Return obstore's own store. :raises StoreError: where obstore can't be used with that."""
    from obstore.store import AzureStore, GCSStore, S3Store

    client = {**_TIMES, "allow_http": config.plain_http}
    arguments: dict[str, Any] = {
        "prefix": config.prefix or None,
        "client_options": client,
        "retry_config": _RETRIES,
        **({"credential_provider": config.credentials()} if config.credentials else {}),
    }
    kind = {"s3": S3Store, "azure": AzureStore, "gcs": GCSStore}[config.kind]
    try:
        return kind(config.bucket, config=cast("Any", dict(config.settings)), **arguments)
    except (BaseError, ValueError, OSError) as error:
        text = mask_url(str(error).partition("\n\nDebug source")[0])
        raise StoreError(f"store {url} can't be opened: {text}") from None


def _explain(error: Exception, text: str) -> str:
    """Return the reason of an error in one line, without what has a secret in it."""
    found = _STATUS.search(text)
    reason = mask_url(" ".join(text.split()))
    if found:
        parts = (found["code"], found["text"])
        reason = ": ".join(part for part in parts if part) or f"the server answers {found[1]}"
    if not found and (cut := explain_cut(text)) is not None:
        return cut
    denied = isinstance(error, PermissionDeniedError | UnauthenticatedError)
    if denied or (found and found[1] in ("401", "403")):
        return f"access is denied ({reason}): check the datastore's connection or credentials"
    if _REGION.search(text):
        return f"the bucket is in another region ({reason}): give `options: {{client_kwargs: {{region_name: …}}}}`"
    return reason


def object_version(tag: str | None, version: str | None) -> str:
    """Return the strong version that an ETag and a version id are, "" where they are none."""
    plain = (tag or "").strip('"')
    return (version if plain.startswith("W/") else plain or version) or ""

"""The XML API, which obstore speaks."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from email.utils import format_datetime
from urllib.parse import unquote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from servers.gcs.objects import Buckets, RefusedError, Stored
from servers.gcs.request import Answer, Request, give

__all__ = ["answer", "refuse"]

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
_LIST = "http://doc.s3.amazonaws.com/2006-03-01"
_MATCH = "x-goog-if-generation-match"


def answer(buckets: Buckets, request: Request) -> Answer:
    bucket, name = request.path[0], "/".join(request.path[1:])
    match (request.method, bool(name)):
        case ("PUT", False):
            buckets.make(bucket)
            return Answer(200)
        case ("GET", False):
            return _list(buckets, bucket, request)
        case ("GET" | "HEAD", True):
            stored = buckets.get(bucket, name)
            return give(stored, request, _headers(stored))
        case ("PUT", True):
            return _put(buckets, bucket, name, request)
        case ("POST", True):
            return _upload(buckets, bucket, name, request)
        case ("DELETE", True):
            return _delete(buckets, bucket, name, request)
    raise RefusedError(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")


def refuse(refused: RefusedError) -> Answer:
    text = f"<Error><Code>{refused.code}</Code><Message>{escape(refused.text)}</Message></Error>"
    return _document(text, refused.status)


def _list(buckets: Buckets, bucket: str, request: Request) -> Answer:
    query = request.query
    if query.get("list-type") != "2":
        raise RefusedError(400, "InvalidArgument", "Only the second version of listings is there.")
    after = query.get("continuation-token") or query.get("start-after", "")
    prefix = query.get("prefix", "")
    most = int(query.get("max-keys", 1000))
    page = buckets.list(bucket, prefix, query.get("delimiter", ""), after, most)
    rows = [
        _element(
            "Contents",
            _text("Key", item.name),
            _text("Generation", str(item.generation)),
            _text("MetaGeneration", "1"),
            _text("LastModified", item.written.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"),
            _text("ETag", f'"{item.etag}"'),
            _text("Size", str(len(item.data))),
        )
        for item in page.objects
    ]
    rows += [_element("CommonPrefixes", _text("Prefix", name)) for name in page.prefixes]
    token = [_text("NextContinuationToken", page.after)] if page.after else []
    text = "".join(
        [
            f'<ListBucketResult xmlns="{_LIST}">',
            _text("Name", bucket),
            _text("Prefix", prefix),
            _text("KeyCount", str(len(rows))),
            _text("IsTruncated", "true" if page.after else "false"),
            *token,
            *rows,
            "</ListBucketResult>",
        ]
    )
    return _document(text)


def _put(buckets: Buckets, bucket: str, name: str, request: Request) -> Answer:
    match = request.headers.get(_MATCH)
    if "uploadId" in request.query:
        number = int(request.query["partNumber"])
        tag = buckets.put_part(request.query["uploadId"], number, request.body)
        return Answer(200, b"", {"ETag": f'"{tag}"'})
    source = request.headers.get("x-goog-copy-source")
    if source is None:
        kind = request.headers.get("Content-Type", "application/octet-stream")
        return Answer(200, b"", _headers(buckets.put(bucket, name, request.body, kind, match)))
    of, _, which = unquote(source).strip("/").partition("/")
    made = buckets.copy((of, which), (bucket, name), match)
    text = _element("CopyObjectResult", _text("ETag", f'"{made.etag}"'))
    return _document(text, headers={"x-goog-generation": str(made.generation)})


def _upload(buckets: Buckets, bucket: str, name: str, request: Request) -> Answer:
    """Begin an upload in parts, or put the parts together."""
    if "uploads" in request.query:
        number = buckets.begin_upload(bucket)
        fields = (_text("Bucket", bucket), _text("Key", name), _text("UploadId", number))
        return _document(_element("InitiateMultipartUploadResult", *fields))
    parts = [
        int(part.text or 0)
        for part in ET.fromstring(request.body).iter()
        if part.tag.rpartition("}")[2] == "PartNumber"
    ]
    kind = "application/octet-stream"
    made = buckets.end_upload(bucket, name, kind, request.query["uploadId"], sorted(parts))
    fields = (_text("Bucket", bucket), _text("Key", name), _text("ETag", f'"{made.etag}"'))
    headers = {"x-goog-generation": str(made.generation)}
    return _document(_element("CompleteMultipartUploadResult", *fields), headers=headers)


def _delete(buckets: Buckets, bucket: str, name: str, request: Request) -> Answer:
    if "uploadId" in request.query:
        buckets.drop_upload(request.query["uploadId"])
    else:
        buckets.delete(bucket, name, request.headers.get(_MATCH))
    return Answer(204)


def _headers(stored: Stored) -> dict[str, str]:
    hashes = [f"crc32c={base64.b64encode(stored.crc32c).decode()}"]
    if stored.md5:
        hashes.append(f"md5={base64.b64encode(stored.md5).decode()}")
    return {
        "ETag": f'"{stored.etag}"',
        "Last-Modified": format_datetime(stored.written, usegmt=True),
        "Content-Type": stored.kind,
        "x-goog-generation": str(stored.generation),
        "x-goog-metageneration": "1",
        "x-goog-hash": ",".join(hashes),
        "x-goog-stored-content-length": str(len(stored.data)),
    }


def _document(
    text: str, status: int = 200, headers: Iterable[tuple[str, str]] | dict[str, str] = ()
) -> Answer:
    return Answer(status, (_HEAD + text).encode(), {"Content-Type": "application/xml", **dict(headers)})


def _element(name: str, *inner: str) -> str:
    return f"<{name}>{''.join(inner)}</{name}>"


def _text(name: str, value: str) -> str:
    return f"<{name}>{escape(value)}</{name}>"

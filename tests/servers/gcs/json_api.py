"""The JSON API, which Google's own clients speak."""

from __future__ import annotations

import base64
import json
from email import message_from_bytes
from email.policy import HTTP
from typing import Any

from servers.gcs.objects import Buckets, RefusedError, Stored
from servers.gcs.request import Answer, Request, give

__all__ = ["answer", "refuse"]


def answer(buckets: Buckets, request: Request) -> Answer:
    query = request.query
    match (request.method, *request.path):
        case ("POST", "storage", "v1", "b"):
            name = json.loads(request.body)["name"]
            buckets.make(name)
            return _document({"kind": "storage#bucket", "name": name, "id": name})
        case ("GET", "storage", "v1", "b", bucket, "o"):
            return _list(buckets, bucket, request)
        case ("GET", "download" | "storage" as door, *_, "b", bucket, "o", name):
            stored = buckets.get(bucket, name)
            if door == "storage" and query.get("alt") != "media":
                return _document(_resource(bucket, stored))
            return give(stored, request, _headers(stored))
        case ("DELETE", "storage", "v1", "b", bucket, "o", name):
            buckets.delete(bucket, name, query.get("ifGenerationMatch"))
            return Answer(204)
        case ("POST", "storage", "v1", "b", of, "o", source, "copyTo", "b", bucket, "o", name):
            made = buckets.copy((of, source), (bucket, name), query.get("ifGenerationMatch"))
            return _document(_resource(bucket, made))
        case ("POST", "upload", "storage", "v1", "b", bucket, "o") if query.get("uploadType") == "multipart":
            about, data = _parts(request)
            kind = about.get("contentType") or data.get_content_type()
            body = data.get_payload(decode=True)
            made = buckets.put(bucket, about["name"], body, kind, query.get("ifGenerationMatch"))
            return _document(_resource(bucket, made))
    raise RefusedError(400, "invalid", f"{request.method} {'/'.join(request.path)} is not there.")


def refuse(refused: RefusedError) -> Answer:
    reason = {404: "notFound", 412: "conditionNotMet", 409: "conflict", 401: "required"}.get(refused.status)
    errors = [{"message": refused.text, "domain": "global", "reason": reason or "invalid"}]
    return _document(
        {"error": {"code": refused.status, "message": refused.text, "errors": errors}}, refused.status
    )


def _list(buckets: Buckets, bucket: str, request: Request) -> Answer:
    query = request.query
    most = int(query.get("maxResults", 1000))
    after = query.get("pageToken") or ""
    page = buckets.list(bucket, query.get("prefix", ""), query.get("delimiter", ""), after, most)
    found: dict[str, Any] = {"kind": "storage#objects"}
    found["items"] = [_resource(bucket, item) for item in page.objects]
    found["prefixes"] = page.prefixes
    if page.after:
        found["nextPageToken"] = page.after
    return _document(found)


def _parts(request: Request) -> tuple[dict[str, Any], Any]:
    """Return what an upload says of the object, and the part of the message that has its bytes."""
    kind = request.headers["Content-Type"]
    message = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + request.body, policy=HTTP)
    about, data = message.iter_parts()
    return json.loads(about.get_payload(decode=True)), data


def _resource(bucket: str, stored: Stored) -> dict[str, Any]:
    time = stored.written.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    md5 = {"md5Hash": base64.b64encode(stored.md5).decode()} if stored.md5 else {}
    return {
        "kind": "storage#object",
        "id": f"{bucket}/{stored.name}/{stored.generation}",
        "name": stored.name,
        "bucket": bucket,
        "generation": str(stored.generation),
        "metageneration": "1",
        "contentType": stored.kind,
        "timeCreated": time,
        "updated": time,
        "size": str(len(stored.data)),
        "crc32c": base64.b64encode(stored.crc32c).decode(),
        "etag": base64.b64encode(str(stored.generation).encode()).decode(),
        **md5,
    }


def _headers(stored: Stored) -> dict[str, str]:
    return {
        "Content-Type": stored.kind,
        "x-goog-generation": str(stored.generation),
        "x-goog-hash": f"crc32c={base64.b64encode(stored.crc32c).decode()}",
    }


def _document(body: dict[str, Any], status: int = 200) -> Answer:
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"})

from __future__ import annotations

import asyncio
import os
from typing import Annotated
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI, Header
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_ml_pipelines.core.errors import NotFoundError
from airflow_ml_pipelines.core.stores.local_store import LocalStore
from airflow_ml_pipelines.core.stores.open import open_store
from airflow_ml_pipelines.plugin import serve

BYTES = bytes(range(256)) * 8


def ask(store, path, wanted=None):
    """Return what a client gets of a file."""
    app = FastAPI()

    @app.get("/{path:path}")
    def get(path: str, range: Annotated[str | None, Header()] = None):  # noqa: A002
        return serve.serve_file(store, path, range)

    async def call():
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.get("/" + quote(path), headers={"Range": wanted} if wanted else {})

    return asyncio.run(call())


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    found = LocalStore(tmp_path / "root") if request.param == "local" else open_store("memory://served")
    found.put("a.bin", BYTES)
    found.put("empty.txt", b"")
    return found


def test_a_file_is_served_whole(store):
    answer = ask(store, "a.bin")
    assert (answer.status_code, answer.content) == (200, BYTES)
    assert answer.headers["accept-ranges"] == "bytes"
    assert ask(store, "empty.txt").content == b""


@pytest.mark.parametrize(
    ("name", "kind", "disposition"),
    [
        ("a.txt", "text/plain; charset=utf-8", "inline"),
        ("METRICS.JSON", "text/plain; charset=utf-8", "inline"),
        ("a.png", "image/png", "inline"),
        ("a.html", "application/octet-stream", "attachment"),
        ("a.svg", "application/octet-stream", "attachment"),
        ("a.xhtml", "application/octet-stream", "attachment"),
        ("a.js", "application/octet-stream", "attachment"),
        ("html", "application/octet-stream", "attachment"),
    ],
)
def test_nothing_that_a_script_wrote_runs_in_a_browser(tmp_path, name, kind, disposition):
    store = LocalStore(tmp_path)
    store.put(name, b"<script>alert(1)</script>")
    headers = ask(store, name).headers
    assert headers["content-type"] == kind
    assert headers["content-disposition"] == f"{disposition}; filename*=UTF-8''{name}"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_a_name_can_t_become_a_header(tmp_path):
    store = LocalStore(tmp_path)
    name = 'a"\r\nSet-Cookie: x=1;ä.html'
    store.put(name, b"x")
    answer = serve.serve_file(store, name, None)  # a route has no name with line breaks anyway
    assert "set-cookie" not in answer.headers
    assert answer.headers["content-disposition"].endswith("a%22%0D%0ASet-Cookie%3A%20x%3D1%3B%C3%A4.html")


@settings(max_examples=80, deadline=None)
@given(wanted=st.from_regex(r"bytes=[0-9]{0,4}-[0-9]{0,4}", fullmatch=True))
def test_a_range_is_what_http_says(wanted):
    store = open_store("memory://ranges")
    store.put("a.bin", BYTES)
    answer = ask(store, "a.bin", wanted)
    first, last = wanted.removeprefix("bytes=").split("-")
    if not (first or last) or (first and last and int(last) < int(first)):
        assert (answer.status_code, answer.content) == (200, BYTES)
        return
    start = int(first) if first else max(0, len(BYTES) - int(last))
    expected = BYTES[start : int(last) + 1 if first and last else None]
    if not expected:
        assert answer.status_code == 416
        assert answer.headers["content-range"] == f"bytes */{len(BYTES)}"
        return
    assert (answer.status_code, answer.content) == (206, expected)
    assert answer.headers["content-range"] == f"bytes {start}-{start + len(expected) - 1}/{len(BYTES)}"


@pytest.mark.parametrize(
    "wanted", ["bytes=0-1,3-4", "lines=0-1", "bytes=a-b", "-1", "bytes=" + "9" * 400 + "-"]
)
def test_what_is_no_range_is_passed_over(store, wanted):
    assert ask(store, "a.bin", wanted).content == BYTES


def test_a_large_file_is_served_in_parts(store, monkeypatch):
    monkeypatch.setattr(serve, "MOST", 1000)
    answer = ask(store, "a.bin")
    assert (answer.status_code, "2048 bytes" in answer.json()["detail"]) == (413, True)
    answer = ask(store, "a.bin", "bytes=10-")
    assert (answer.status_code, answer.content) == (206, BYTES[10:1010])
    assert answer.headers["content-range"] == "bytes 10-1009/2048"


def test_links_out_of_the_store_lead_nowhere(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/secret.txt").write_text("secret")
    store = LocalStore(tmp_path / "root")
    store.put("a.txt", b"x")
    os.symlink(tmp_path / "secret.txt", tmp_path / "root/link.txt")
    os.symlink(tmp_path / "out", tmp_path / "root/folder")
    os.symlink(tmp_path / "root/a.txt", tmp_path / "root/within.txt")
    for path in ("link.txt", "folder/secret.txt", "gone.txt"):
        with pytest.raises(NotFoundError):
            serve.serve_file(store, path, None)
    assert ask(store, "within.txt").content == b"x"

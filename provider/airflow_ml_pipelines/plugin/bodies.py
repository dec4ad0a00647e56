"""Reads the documents that requests bring: of a size that a document can have, and with each name once."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

__all__ = ["MOST", "DocumentRoute", "refuse_fields"]

MOST = 1 << 20
"""How many bytes a document has at most."""

_SHOWN = 200


class DocumentRoute(APIRoute):
    """A route whose requests may bring a document."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """Return what answers a request."""
        answer = super().get_route_handler()

        async def answer_document(request: Request) -> Response:
            return await answer(_DocumentRequest(request.scope, request.receive))

        return answer_document


class _DocumentRequest(Request):
    async def body(self) -> bytes:
        """Return the bytes. :raises HTTPException: where there are too many, as soon as that is known."""
        if not hasattr(self, "_body"):
            pieces, size = [], 0
            async for piece in self.stream():
                pieces.append(piece)
                size += len(piece)
                if size > MOST:
                    raise HTTPException(413, f"expected a document of at most {MOST} bytes")
            self._body = b"".join(pieces)
        return self._body

    async def json(self) -> Any:
        """Return the document. :raises HTTPException: where a name is in it twice."""
        if not hasattr(self, "_json"):
            self._json = json.loads(await self.body(), object_pairs_hook=_once)
        return self._json


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise HTTPException(422, f"{twice[:_SHOWN]!r} is given twice: give it once")
    return found


def refuse_fields(error: RequestValidationError) -> Response:
    """Answer with what is wrong with each field, without the values: they may be long, secret, or no text at all."""
    problems = [
        {
            "type": problem["type"],
            "loc": [part[:_SHOWN] if isinstance(part, str) else part for part in problem["loc"]],
            "msg": str(problem["msg"]),
        }
        for problem in error.errors()
    ]
    return Response(json.dumps({"detail": problems}), 422, media_type="application/json")

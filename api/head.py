"""HEAD wherever there is a GET: the same route answers, and the server sends the headers alone."""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

_ASKED = "farm.head"


class HeadAsGet:
    """The server drops the body, because its own scope still says HEAD."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET", _ASKED: True}
        await self._app(scope, receive, send)


def is_head(request: HTTPConnection) -> bool:
    """For routes that would do much for a body that nobody gets."""
    return _ASKED in request.scope

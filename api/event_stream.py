"""An answer of server-sent events that goes on until its client leaves.

    id: 1796000000000-0          of an event that a client may go on after, with Last-Event-ID
    event: status
    data: {"object":"job","id":"job_…","status":"succeeded",…}

A comment is sent every PING_SECONDS, so that proxies and clients know that the stream lives. A client that reads
nothing for STALL_SECONDS is closed. FastAPI's own event streams have no such limit, and take twice the memory.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable

from fastapi import Response
from starlette.types import Receive, Scope, Send

from api.leaving import done_before_leaving

log = logging.getLogger(__name__)

MEDIA_TYPE = "text/event-stream"
PING_SECONDS = 15.0
STALL_SECONDS = 60.0
PING = b": ping\n\n"

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx would keep events back


def frame(event: str, data: str, id: str | None = None) -> bytes:
    """`data` is JSON, which has no line ends."""
    lines = [f"id: {id}"] if id is not None else []
    return "\n".join([*lines, f"event: {event}", f"data: {data}", "", ""]).encode()


def compact(data: object) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)


class EventStream(Response):
    """`frames` yields whole frames; its end closes the stream. `close` is called whatever happens, once the answer is
    begun."""

    def __init__(self, frames: AsyncGenerator[bytes], close: Callable[[], None]) -> None:
        super().__init__(None, 200, _HEADERS, MEDIA_TYPE)
        del self.headers["content-length"]
        self._frames, self._close = frames, close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await done_before_leaving(receive, self._tell(scope, send))
        finally:
            await self._frames.aclose()
            self._close()

    async def _tell(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async for piece in self._frames:
                async with asyncio.timeout(STALL_SECONDS):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            log.info("request %s: its client reads no events; the stream is closed", scope["request_id"])

"""The answer of a speech request: audio as it is rendered, bare or as server-sent events.

The status waits for the first audio, so that whatever fails before it has a status of its own. After the 200 a failure
cuts the connection: audio that ended cleanly half-way would be taken for all of it. A client that leaves ends the work.

    data: {"type":"speech.audio.delta","audio":"<base64>"}
    data: {"type":"speech.audio.done","usage":{…}}             or, before the connection is cut,
    data: {"type":"error","error":{…}}
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator

from fastapi import Response
from starlette.types import Receive, Scope, Send

from api.event_stream import MEDIA_TYPE as EVENTS
from api.leaving import done_before_leaving
from api.openai_errors import error_object
from api.speech.narration import Narration
from api.speech.request import MEDIA_TYPES
from farm.errors import FarmError

log = logging.getLogger(__name__)

LONGEST_STALL = 600.0  # seconds in which a client reads nothing, after which it is taken for gone

_PIECE = 49_152  # bytes of one write; a multiple of 3, so that base64 needs no padding within a file
_PING_S = 15.0


class SpeechAnswer(Response):
    def __init__(self, narration: Narration) -> None:
        self._narration = narration
        wanted = narration.wanted
        headers = {"X-Farm-Job": narration.job, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        if wanted.ignored:
            headers["X-Farm-Ignored"] = wanted.ignored
        super().__init__(None, 200, headers, EVENTS if wanted.events else MEDIA_TYPES[wanted.format])
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if not await done_before_leaving(receive, self._speak(scope, send)):
                log.info("request %s: the client left; job %s is canceled", scope["request_id"], self._narration.job)
        finally:
            await asyncio.shield(self._narration.close())

    async def _speak(self, scope: Scope, send: Send) -> None:
        """Raises what fails before the first audio."""
        chunks = self._narration.chunks()
        first = await anext(chunks)
        if self._narration.whole and not self._narration.wanted.events:
            self.headers["content-length"] = str(len(first))
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        body = _Events(send, self._narration) if self._narration.wanted.events else _Audio(send)
        try:
            await body.chunk(first)
            async for chunk in _paced(chunks):
                await body.chunk(chunk)
            await body.end()
        except Exception as error:
            log.warning("request %s: job %s: its answer is cut: %r", scope["request_id"], self._narration.job, error)
            await body.fault(error)  # and return without an end, for which the server closes the connection


class _Audio:
    def __init__(self, send: Send) -> None:
        self._send = send

    async def chunk(self, chunk: bytes | None) -> None:
        """Returns when the client has read most of it, so that no further clip is fetched before. None: nothing to say
        for a while."""
        if chunk is None:
            return
        for begin in range(0, len(chunk), _PIECE):
            await self._write(chunk[begin : begin + _PIECE])
        await self._write(b"")

    async def end(self) -> None:
        await self._write(b"", more=False)

    async def fault(self, error: Exception) -> None:
        pass

    async def _write(self, data: bytes, more: bool = True) -> None:
        async with asyncio.timeout(LONGEST_STALL):
            await self._send({"type": "http.response.body", "body": data, "more_body": more})


class _Events(_Audio):
    def __init__(self, send: Send, narration: Narration) -> None:
        super().__init__(send)
        self._narration = narration

    async def chunk(self, chunk: bytes | None) -> None:
        if chunk is None:
            await self._write(b": ping\n\n")
            return
        for begin in range(0, len(chunk), _PIECE):
            audio = base64.b64encode(chunk[begin : begin + _PIECE]).decode()
            await self._event(type="speech.audio.delta", audio=audio)
        await self._write(b"")

    async def end(self) -> None:
        """A farm has no tokens: characters in, and milliseconds of audio out."""
        characters, milliseconds = self._narration.wanted.order.characters, self._narration.milliseconds
        usage = {
            "input_tokens": characters, "output_tokens": milliseconds, "total_tokens": characters + milliseconds
        }  # fmt: skip
        await self._event(type="speech.audio.done", usage=usage)
        await super().end()

    async def fault(self, error: Exception) -> None:
        known = error if isinstance(error, FarmError) else FarmError("the farm failed; its log has the reason")
        await self._event(type="error", error=error_object(known).model_dump())

    async def _event(self, **event: object) -> None:
        await self._write(b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n")


async def _paced(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes | None]:
    """The chunks, and None where none has come for a while."""
    while True:
        following = asyncio.ensure_future(anext(chunks, b""))
        try:
            while not (await asyncio.wait((following,), timeout=_PING_S))[0]:
                yield None
            chunk = following.result()
        finally:
            following.cancel()
        if not chunk:
            return
        yield chunk

"""The body of a request within its limit of bytes, enforced while it is read: Content-Length is not trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.types import Message, Receive

from farm.errors import TooLarge
from farm.wire import MAX_DOCUMENT_BYTES, MAX_JSON_BYTES, MAX_JSONL_BYTES, MAX_VOICE_BYTES

JSONL_TYPES = ("application/jsonl", "application/x-ndjson", "application/jsonlines")

_FORM_BYTES = {"/v1/batches": MAX_JSONL_BYTES, "/v1/documents": MAX_DOCUMENT_BYTES}  # of others a recording's
_FORM_OVERHEAD = 100_000  # bytes of boundaries, part headers and small fields around a file
_DRAIN_BYTES = 20_000_000  # read and dropped after a refusal, so that the client gets to read the answer
_DRAIN_SECONDS = 5.0


class Body:
    """A request's body, counted while it is read."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._size = 0

    async def check_announced(self, headers: Mapping[bytes, bytes]) -> None:
        announced = headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > self._limit:
            if b"expect" not in headers:  # else the client waits with its body for our word
                await self._drain({"type": "http.request", "more_body": True})
            raise self._refusal()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            if self._size > self._limit:
                await self._drain(message)
                raise self._refusal()
        return message

    def _refusal(self) -> TooLarge:
        return TooLarge(f"the body is larger than {self._limit:,} bytes, which is the limit here; split the request")

    async def _drain(self, message: Message) -> None:
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while message.get("more_body") and self._size < self._limit + _DRAIN_BYTES:
                    message = await self._receive()
                    self._size += len(message.get("body", b""))
        except TimeoutError:
            pass


def limit_of(path: str, content_type: bytes) -> int:
    kind = content_type.partition(b";")[0].strip().lower().decode("latin-1")
    if path == "/v1/batches" and kind in JSONL_TYPES:
        return MAX_JSONL_BYTES
    if kind == "multipart/form-data":
        return _FORM_BYTES.get(path, MAX_VOICE_BYTES) + _FORM_OVERHEAD
    return MAX_JSON_BYTES

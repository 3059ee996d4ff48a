"""What answers are written to. Those of one turn of the event loop leave together at its end, each by one system call.

uvicorn writes a head at once, and then its body. Each write is a system call, and wakes a client that sleeps, which
takes longer still; of an accept that was a sixth.
"""

from __future__ import annotations

import asyncio
from typing import Any

_MOST_BYTES = 65_536  # that wait for the end of the turn


class Envelope(asyncio.Transport):
    """The transport of a connection, as far as uvicorn uses it."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport, self._loop = transport, loop
        self._pieces: list[bytes | bytearray | memoryview] = []
        self._size = 0
        self._sends = False  # at the end of this turn

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _MOST_BYTES:
            self._send()
        elif not self._sends:
            self._sends = True
            self._loop.call_soon(self._end_turn)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def abort(self) -> None:
        self._pieces, self._size = [], 0
        self._transport.abort()

    def get_write_buffer_size(self) -> int:
        return self._size + self._transport.get_write_buffer_size()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def _end_turn(self) -> None:
        self._sends = False
        self._send()

    def _send(self) -> None:
        pieces, self._pieces, self._size = self._pieces, [], 0
        if pieces and not self._transport.is_closing():
            self._transport.writelines(pieces)

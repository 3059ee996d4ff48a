"""A thousand event streams, of which half vanish: their machines or networks went, and said no goodbye.

Nobody takes what is sent to a client that has vanished, and nobody answers. A filter on the client's own socket that
lets no packet in looks the same from the server, and needs no rights, unlike a network whose cable is pulled.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from api import connection, event_stream
from api.channels import Listener
from api.connection import Connection
from api.event_stream import EventStream
from tests.api.conftest import Served
from tests.patience import patient
from tests.until import until

LISTENERS, VANISHED = 1_000, 500
NOTICED_S = 1.0  # in place of a minute
OF_EACH_STREAM = (Connection, EventStream, Listener)

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has filters on sockets")
def test_listeners_that_vanish_are_let_go_and_the_others_hear_on(
    served: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection._KEEPALIVE, "TCP_USER_TIMEOUT", round(NOTICED_S * 1000))
    monkeypatch.setattr(event_stream, "PING_SECONDS", 0.5)
    crowd: list[Client] = []

    async def scenario() -> None:
        try:
            await _half_of_them_vanish(served(), crowd)
        finally:
            for _, writer in crowd:
                writer.close()

    asyncio.run(scenario())


async def _half_of_them_vanish(api: Served, crowd: list[Client]) -> None:
    before = kept()
    await asyncio.gather(*(opened(api, crowd) for _ in range(LISTENERS)))
    assert api.app.state.farm.watch.channels.listeners == LISTENERS
    gone, here = crowd[:VANISHED], crowd[VANISHED:]
    for _, writer in gone:
        vanish(writer.get_extra_info("socket"))
    await hears_of_a_job(api, here)
    await asyncio.to_thread(until, lambda: api.app.state.farm.watch.channels.listeners == len(here))
    await asyncio.to_thread(until, lambda: kept() - before == Counter(dict.fromkeys(OF_EACH_STREAM, len(here))))
    await hears_of_a_job(api, here)


async def opened(api: Served, crowd: list[Client]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    crowd.append((reader, writer))
    writer.write(f"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\n\r\n".encode())
    await reader.readuntil(b"event: state")


def vanish(client: socket.socket) -> None:
    """Attaches a program of the Berkeley Packet Filter with one instruction: take 0 bytes of whatever comes."""
    instruction = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    so_attach_filter = 26
    client.setsockopt(socket.SOL_SOCKET, so_attach_filter, struct.pack("HL", 1, ctypes.addressof(instruction)))


async def hears_of_a_job(api: Served, listeners: list[Client]) -> None:
    async with httpx.AsyncClient(base_url=api.url, timeout=patient(30)) as client:
        job = (await client.post("/v1/jobs", json={"input": "Mind the gap."})).json()["id"]
        await client.post(f"/v1/jobs/{job}/cancel")
    async with asyncio.timeout(patient(10)):
        await asyncio.gather(
            *(reader.readuntil(f'"id":"{job}","status":"canceled"'.encode()) for reader, _ in listeners)
        )


def kept() -> Counter[Any]:
    """What the API holds for its streams."""
    gc.collect()
    return Counter(type(each) for each in gc.get_objects() if type(each) in OF_EACH_STREAM)

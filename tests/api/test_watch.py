"""Requests that wait: they end with their client, and a tenant has so many of them and no more."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any, cast

import httpx
import pytest
from fastapi import Request

from api import watch
from api.gate import Principal
from farm.errors import TooOften
from farm.store import AsyncStore, jobs
from tests.patience import patient


class Client:
    """A request whose client leaves when `leave` is called."""

    def __init__(self, tenant: str) -> None:
        self.scope = {"principal": Principal(tenant)}
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._messages.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    async def receive(self) -> dict[str, Any]:
        return await self._messages.get()

    def leave(self) -> None:
        self._messages.put_nowait({"type": "http.disconnect"})


class Waits:
    """Requests that wait for a job that never ends."""

    def __init__(self) -> None:
        self.watch = watch.Watch(cast(AsyncStore, None))
        self.reads = asyncio.Semaphore(0)

    def start(self, client: Client) -> asyncio.Task[str]:
        async def read() -> str:
            self.reads.release()
            return "running"

        async def wait() -> str:
            return await self.watch.until(cast(Request, client), "job_a", read, lambda status: False, 60)

        return asyncio.create_task(wait())


def test_a_wait_ends_when_its_client_has_left() -> None:
    async def scenario() -> None:
        waits, client = Waits(), Client("ann")
        request = waits.start(client)
        for _ in range(2):
            await waits.reads.acquire()
        client.leave()
        async with asyncio.timeout(patient(2)):
            assert await request == "running"
        assert not asyncio.all_tasks() - {asyncio.current_task()}

    asyncio.run(scenario())


def test_a_tenant_has_so_many_waits_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MOST_WAITS", 2)

    async def scenario() -> None:
        waits, clients = Waits(), [Client("ann"), Client("ann"), Client("bob")]
        requests = [waits.start(client) for client in clients]
        for _ in range(6):
            await waits.reads.acquire()
        with pytest.raises(TooOften, match="wait here already"):
            await waits.start(Client("ann"))
        clients[0].leave()
        await requests[0]
        again = Client("ann")
        requests[0] = waits.start(again)
        for client in (*clients, again):
            client.leave()
        assert await asyncio.gather(*requests) == ["running"] * 3

    asyncio.run(scenario())


def test_abandoned_long_polls_read_no_more(serve: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "GLANCE", 0.02)
    read, reads = jobs.record, threading.Semaphore(0)

    def counted(*names: Any) -> Any:
        reads.release()
        return read(*names)

    api = serve()
    job = api.post("/v1/jobs", json={"input": "One."}).json()["id"]
    monkeypatch.setattr(jobs, "record", counted)
    sockets = [socket.create_connection((api.base_url.host, api.base_url.port)) for _ in range(20)]
    for each in sockets:
        each.sendall(f"GET /v1/jobs/{job}?wait=60 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    for _ in range(100):
        assert reads.acquire(timeout=patient(10))
    for each in sockets:
        each.close()
    while reads.acquire(timeout=0.5):  # as long as anybody reads on
        pass


def test_a_preferred_wait_that_is_one_too_many_is_ignored(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MOST_WAITS", 0)
    answer = api.post("/v1/jobs", json={"input": "One."}, headers={"Prefer": "wait=30"})
    assert (answer.status_code, "preference-applied" in answer.headers) == (202, False)
    refused = api.get(f"/v1/jobs/{answer.json()['id']}", params={"wait": 30})
    assert (refused.status_code, refused.json()["code"], refused.json()["retryable"]) == (429, "too_many_waits", True)

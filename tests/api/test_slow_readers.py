"""Clients that take their answers slowly or never: they take neither the connections nor the memory of others."""

from __future__ import annotations

import hashlib
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress

import pytest

from api import connection
from api.connection import Connection
from api.shares import Shares
from farm.errors import TooOften
from farm.store import Store, registry
from tests.api.conftest import Served
from tests.patience import patient
from tests.until import until

BUFFER = 4_096  # bytes that the system holds for either side
LARGE = "/openapi.json"  # some 200 kB, for whoever asks

Ask = Callable[..., socket.socket]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def asker(api: Served, stack: ExitStack) -> Ask:
    def ask(path: str, key: str = "") -> socket.socket:
        """A client that has read the status of its answer, and nothing more."""
        client = stack.enter_context(socket.socket())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        client.settimeout(patient(20))
        client.connect(("127.0.0.1", api.port))
        sent = f"Authorization: Bearer {key}\r\n" if key else ""
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\n{sent}\r\n".encode())
        return client

    return ask


def status(client: socket.socket) -> int:
    return int(client.recv(15, socket.MSG_WAITALL).split()[1])


def is_cut_off(client: socket.socket) -> bool:
    """Whether less comes than the answer announces."""
    head, _, rest = client.recv(BUFFER).partition(b"\r\n\r\n")
    (announced,) = (int(line.split()[1]) for line in head.lower().splitlines() if line.startswith(b"content-length:"))
    left = announced - len(rest)
    with suppress(ConnectionResetError):
        while left and (piece := client.recv(65_536)):
            left -= len(piece)
    return left > 0


def test_event_streams_of_one_tenant_leave_connections_to_another(
    served: Callable[..., Served], store: Store, stack: ExitStack
) -> None:
    for name in ("ann", "bob"):
        digest = hashlib.sha256(f"fk_{name}".encode()).hexdigest()
        store.run(registry.put_key(digest, name, name, operator=False))
    api = served(connections=8)
    ask = asker(api, stack)
    streams = [ask("/v1/events", "fk_ann") for _ in range(8)]
    assert [status(each) for each in streams] == [200] * 4 + [429] * 4
    assert b'"code":"too_many_open_requests"' in streams[-1].recv(4_096)
    assert [status(ask("/v1/events", "fk_bob")) for _ in range(3)] == [200, 200, 429]
    for each in streams[:2]:
        each.close()
    until(lambda: status(ask("/v1/events", "fk_ann")) == 200)


def test_a_share_is_what_is_free_for_the_others() -> None:
    shares, held = Shares(12), ExitStack()

    def take(tenant: str) -> int:
        """As many as it gets."""
        taken = 0
        while True:
            one: AbstractContextManager[None] = shares.one_more(tenant)
            try:
                held.enter_context(one)
            except TooOften:
                return taken
            taken += 1

    assert [take("ann"), take("bob"), take("cem")] == [6, 3, 2]
    held.close()
    assert take("bob") == 6


def test_answers_that_nobody_takes_are_cut_off_before_they_fill_the_memory(
    served: Callable[..., Served], stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MOST_UNTAKEN", 500_000)
    api = served()
    api.limit_buffers(BUFFER)
    ask = asker(api, stack)
    clients = []
    for _ in range(8):
        clients.append(ask(LARGE))
        assert status(clients[-1]) == 200
        assert Connection.untaken <= 500_000
    assert is_cut_off(clients[0])  # it has waited longest
    assert not is_cut_off(clients[-1])
    stack.close()
    until(lambda: Connection.untaken == 0)


def test_an_answer_that_nobody_takes_makes_room_for_a_new_connection(
    served: Callable[..., Served], stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "most", 6)
    api = served()
    api.limit_buffers(BUFFER)
    ask = asker(api, stack)
    stalled = [ask(LARGE) for _ in range(6)]
    assert {status(each) for each in stalled} == {200}
    assert [status(ask("/healthz")) for _ in range(3)] == [200] * 3
    assert sum(is_cut_off(each) for each in stalled) == 3


def test_every_connection_may_have_a_file_open_beside_its_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    for files in (256, 1_024, 4_096):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert 2 * connection.raise_file_limit() <= files - 50  # for Redis and whatever else is open

"""The proxy breaks connections in the ways that its methods name."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.chaos.proxy import Proxy
from tests.patience import patient


class Echo:
    """Sends back what it gets, and counts the bytes."""

    def __init__(self) -> None:
        self.received = 0
        self.left = threading.Event()  # a connection ended
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            while data := connection.recv(65536):
                self.received += len(data)
                connection.sendall(data)
        except OSError:
            pass
        finally:
            self.left.set()
            connection.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.close()


@pytest.fixture
def line(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.port) as proxy:
        yield proxy


@contextmanager
def connected(line: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", line.port), timeout=patient(5)) as client:
        yield client


def all_of(client: socket.socket) -> bytes:
    received = b""
    while data := client.recv(65536):
        received += data
    return received


def test_a_calm_line_passes_everything(line: Proxy) -> None:
    with connected(line) as client:
        client.sendall(b"x" * 300_000)
        client.shutdown(socket.SHUT_WR)
        assert len(all_of(client)) == 300_000


def test_a_cut_resets_open_connections_and_refuses_new_ones(line: Proxy) -> None:
    with connected(line) as client:
        client.sendall(b"one")
        assert client.recv(3) == b"one"
        line.cut()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with pytest.raises(ConnectionResetError), connected(line) as client:  # the reset may come while it connects
        client.recv(1)


def test_a_hanging_line_stays_open_and_delivers_when_it_heals(line: Proxy) -> None:
    with connected(line) as client:
        line.hang()
        client.sendall(b"late")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(4)
        line.heal()
        client.settimeout(patient(5))
        assert client.recv(4) == b"late"


def test_a_connection_breaks_in_the_middle_of_a_message(line: Proxy, echo: Echo) -> None:
    line.cut_after(1000)
    with connected(line) as client:
        client.sendall(b"x" * 5000)
        with pytest.raises(ConnectionResetError):
            all_of(client)
    assert echo.left.wait(patient(5))
    assert echo.received == 1000


def test_a_request_gets_the_answer_of_the_line(line: Proxy, echo: Echo) -> None:
    line.answer(b"HTTP/1.1 500 No\r\n\r\n")
    with connected(line) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 500")
    assert echo.received == 0

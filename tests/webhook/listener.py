"""A receiver on loopback that answers by a given function (its temper): healthy, silent, slow or broken."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable

Temper = Callable[[socket.socket], None]


class Listener:
    """Reads one request per connection, keeps it in `requests`, and lets its temper answer."""

    def __init__(self, temper: Temper, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None):
        self.requests: list[bytes] = []
        self._temper = temper
        self._tls = tls
        self._closing = threading.Event()
        self._socket = socket.create_server((host, port))
        self.host, self.port = self._socket.getsockname()
        self.url = f"http://{self.host}:{self.port}/hook"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._closing.set()
        socket.create_connection((self.host, self.port)).close()  # wakes accept
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def _accept(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            if self._closing.is_set():
                connection.close()
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                self.requests.append(_request(connection))
                self._temper(connection)
        except OSError:
            connection.close()  # the sender hung up, as it should on some of these


def _request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += _some(connection)
    head = received.partition(b"\r\n\r\n")[0]
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(received) < len(head) + 4 + length:
        received += _some(connection)
    return received


def _some(connection: socket.socket) -> bytes:
    if part := connection.recv(65536):
        return part
    raise ConnectionError("the sender hung up in the middle of its request")


def answers(status: int, *headers: str, body: bytes = b"") -> Temper:
    lines = (f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers, "", "")
    return lambda connection: connection.sendall("\r\n".join(lines).encode() + body)


def silent(connection: socket.socket) -> None:
    """Never answers: waits until the sender hangs up."""
    connection.recv(1)


def dripping(head: bytes) -> Temper:
    """Sends `head`, then a byte every 20 ms until the sender hangs up."""

    def temper(connection: socket.socket) -> None:
        connection.sendall(head)
        connection.settimeout(0.02)
        while True:
            try:
                if not connection.recv(1):
                    return
            except TimeoutError:
                connection.sendall(b"x")

    return temper

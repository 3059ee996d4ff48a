"""A TCP proxy on loopback that breaks what passes through it, for connections to Redis and to S3.

    with Proxy(port) as line:
        line.cut()                  refused and reset, as by a dead process
        line.hang()                 half-open: still connected, and nothing arrives any more
        line.delay(0.5)             everything comes half a second late
        line.cut_after(100_000)     each connection breaks once so many bytes were sent, in the middle of a message
        line.answer(SLOW_DOWN)      every request is answered with these bytes instead
        line.heal()

What is said holds from the next byte on, for connections that are open and for new ones. `hang` keeps what arrives; it
is delivered on `heal`, as by a network that comes back.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_CHUNK = 1 << 16
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST, as the kernel does for a process that was killed


@dataclass(frozen=True, slots=True)
class Weather:
    """How a line is at the moment."""

    refuses: bool = False
    hangs: bool = False
    delay_s: float = 0.0
    upstream_bytes: int | None = None  # of each connection, before it breaks
    answer: bytes | None = None


CALM = Weather()


class Proxy:
    """Connections on `port` go to `target`, a port of this machine or the path of a socket."""

    def __init__(self, target: int | Path) -> None:
        self.target = target
        self.connections = 0  # that were ever made
        self._weather = CALM
        self._change = threading.Condition()
        self._pairs: set[_Pair] = set()
        self._over = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = int(self._listener.getsockname()[1])
        self._accepting = threading.Thread(target=self._accept, name=f"proxy-{target}", daemon=True)
        self._accepting.start()

    # --- what can happen to it ----------------------------------------------------------------------------------------

    @contextmanager
    def during(self, fault: Callable[[], None]) -> Iterator[None]:
        """`with line.during(line.hang): …`"""
        fault()
        try:
            yield
        finally:
            self.heal()

    def heal(self) -> None:
        self._become(CALM)

    def cut(self) -> None:
        """Open connections are reset; new ones are, as soon as they are made."""
        self._become(Weather(refuses=True))
        self.reset()

    def reset(self) -> None:
        """Open connections break, once; new ones pass."""
        with self._change:
            pairs = list(self._pairs)
        for pair in pairs:
            pair.reset()

    def hang(self) -> None:
        self._become(Weather(hangs=True))

    def delay(self, seconds: float) -> None:
        self._become(Weather(delay_s=seconds))

    def cut_after(self, upstream_bytes: int) -> None:
        self._become(Weather(upstream_bytes=upstream_bytes))

    def answer(self, response: bytes) -> None:
        self._become(Weather(answer=response))

    def close(self) -> None:
        with self._change:
            self._over = True
        self._become(Weather(refuses=True))
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()  # wakes accept
        self._accepting.join()
        self._listener.close()
        self.reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- how it works -------------------------------------------------------------------------------------------------

    def weather(self, *, once_calm: bool = False) -> Weather:
        """As it is now; with `once_calm`, as it is when it no longer hangs."""
        with self._change:
            if once_calm:
                self._change.wait_for(lambda: not self._weather.hangs)
            return self._weather

    def forget(self, pair: _Pair) -> None:
        with self._change:
            self._pairs.discard(pair)

    def _become(self, weather: Weather) -> None:
        with self._change:
            self._weather = weather
            self._change.notify_all()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            with self._change:
                if self._over:
                    client.close()
                    return
                self.connections += 1
                refuses = self._weather.refuses
            if refuses:
                _reset(client)
                continue
            try:
                server = self._connect()
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            for end in (client, server):
                if end.family == socket.AF_INET:
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = _Pair(self, client, server)
            with self._change:
                self._pairs.add(pair)
            pair.start()

    def _connect(self) -> socket.socket:
        if isinstance(self.target, int):
            return socket.create_connection(("127.0.0.1", self.target), timeout=5)
        server = socket.socket(socket.AF_UNIX)
        server.settimeout(5)
        try:
            server.connect(str(self.target))
        except OSError:
            server.close()
            raise
        return server


class _Pair:
    """One connection: a pump for each direction."""

    def __init__(self, line: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._line, self._client, self._server = line, client, server
        self._open_ends = 2
        self._sent = 0
        self._broken = False
        self._lock = threading.Lock()

    def start(self) -> None:
        for pump in (self._upstream, self._downstream):
            threading.Thread(target=self._run, args=(pump,), daemon=True).start()

    def reset(self) -> None:
        """The pumps wake and close; an end that another thread still reads is not closed by close()."""
        self._broken = True
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RD)
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)

    def _run(self, pump: Callable[[], None]) -> None:
        try:
            pump()
        except OSError:
            self.reset()
        finally:
            with self._lock:
                self._open_ends -= 1
                over = self._open_ends == 0
            if over:
                (_reset if self._broken else socket.socket.close)(self._client)
                self._server.close()
                self._line.forget(self)

    def _upstream(self) -> None:
        while data := self._client.recv(_CHUNK):
            weather = self._pass()
            if weather.answer is not None:
                self._client.sendall(weather.answer)
                self._client.shutdown(socket.SHUT_WR)
                self._server.shutdown(socket.SHUT_RDWR)
                while self._client.recv(_CHUNK):  # read to its end, so that the client gets to read the answer
                    pass
                return
            if weather.upstream_bytes is not None and self._sent + len(data) > weather.upstream_bytes:
                self._server.sendall(data[: max(0, weather.upstream_bytes - self._sent)])
                raise ConnectionResetError
            self._sent += len(data)
            self._server.sendall(data)
        self._end(self._server)

    def _downstream(self) -> None:
        while data := self._server.recv(_CHUNK):
            self._pass()
            self._client.sendall(data)
        self._end(self._client)

    def _end(self, other: socket.socket) -> None:
        if not self._broken:
            with suppress(OSError):  # it may be over as well
                other.shutdown(socket.SHUT_WR)

    def _pass(self) -> Weather:
        """Waits as long as the weather wants it."""
        weather = self._line.weather(once_calm=True)
        if weather.refuses:
            raise ConnectionResetError
        if weather.delay_s:
            threading.Event().wait(weather.delay_s)
        return weather


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    end.close()

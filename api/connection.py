"""A client's connection, with limits that uvicorn does not have. No client can hold the server by sending slowly.

    head     at most 64 kB of request line and headers, complete within 10 s                     431, 408
    body     at least 1 kB/s while the server reads it; its size is the gate's business          408
    silence  a client that went without a word is noticed within a minute
    number   half as many connections as the process may have files open, for an answer may be a file. Above that, one
             whose client takes nothing of a whole answer makes room, else the oldest that has sent no complete head,
             and only if there is none the new one is refused                                    503
    answers  64 MB that clients have not taken; above that, the client that has taken nothing for longest is cut off
    rest     75 s between two requests: longer than clients and load balancers keep an idle connection, so that none of
             them sends a request into one that is being closed

What is not HTTP is refused with 400. The answers are problem+json. They close the connection, because where the next
request begins is unknown.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.envelope import Envelope
from api.gate import new_request_id
from api.problems import MEDIA_TYPE, document
from farm.errors import FarmError
from farm.settings import Settings

log = logging.getLogger(__name__)

HEAD_BYTES = 65_536
HEAD_SECONDS = 10.0
BODY_CHECK_SECONDS = 10.0
BODY_BYTES_PER_SECOND = 1_000

# Seconds of silence before the system asks, between two questions, and milliseconds without an acknowledgement.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 60_000}
_PIECE = 16_384  # bytes that are parsed at once, by which a head may exceed its limit
MOST_CONNECTIONS = 16_384
MOST_UNTAKEN = 64_000_000  # bytes of answers, beside what the system has taken

_FILES = 2  # of a connection: its socket, and a file of the storage that is sent
_SPARE_FILES = 64  # for Redis, storage, scratch files and the listener
_REST_SECONDS = 75  # httpx keeps an idle connection for 5 s, as uvicorn would; load balancers keep it for 60 s
_GRACE_SECONDS = 10  # for requests in flight on SIGTERM; long polls are cut off then and ask again


class HeadTooLarge(FarmError):
    status = 431
    code = "head_too_large"


class MalformedHttp(FarmError):
    status = 400
    code = "malformed_http"


class TooSlow(FarmError):
    status = 408
    code = "too_slow"
    retryable = True


class TooManyConnections(FarmError):
    status = 503
    code = "too_many_connections"
    retryable = True


def server_options(settings: Settings) -> dict[str, Any]:
    """How uvicorn serves the API, wherever it does."""
    return {
        "http": Connection,
        "ws": "none",  # else uvicorn takes a library that happens to be there
        "loop": "uvloop",
        "log_config": None,
        "timeout_keep_alive": _REST_SECONDS,
        "timeout_graceful_shutdown": _GRACE_SECONDS,
        "proxy_headers": bool(settings.trusted_proxies),
        "forwarded_allow_ips": list(settings.trusted_proxies),  # given, or a variable of uvicorn's own would decide
    }


def raise_file_limit() -> int:
    """Takes as many open files as the system grants, and returns how many connections fit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES * MOST_CONNECTIONS + _SPARE_FILES
    files = min(hard, wanted) if hard != resource.RLIM_INFINITY else wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return max(1, (files - _SPARE_FILES) // _FILES)


def notice_vanishing(of: socket.socket) -> None:
    """A client whose machine or network went says no goodbye. The system asks it now and then, and closes the
    connection when nothing comes back. Otherwise an event stream would wait a quarter of an hour for it, and an idle
    connection for ever."""
    if of.family in (socket.AF_INET, socket.AF_INET6):
        of.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            if hasattr(socket, option):  # not on every system
                of.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


class Connection(HttpToolsProtocol):
    most = MOST_CONNECTIONS  # of the process; `python -m api` sets what the system grants
    untaken = 0  # bytes of answers, of all connections whose clients are slow

    _in_head = True  # the next byte belongs to a head, or is the first of one
    _head_bytes = 0
    _body_bytes = 0
    _timer: asyncio.TimerHandle | None = None
    _untaken = 0  # of its own answer, since `_slow_since` by the clock of the loop
    _slow_since = 0.0
    _cut_off = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = Envelope(transport, self.loop)
        notice_vanishing(transport.get_extra_info("socket"))
        if len(self.connections) > self.most and not self._make_room():
            self._refuse(TooManyConnections("the server has too many open connections; try again later"))
            return
        self._start_timer(HEAD_SECONDS, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._count_untaken(0)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feeds the parser piece by piece while a head is read, because one header of 100 MB takes minutes to parse."""
        if not self._in_head:
            self._body_bytes += len(data)
            super().data_received(data)
            return
        if self._timer is None:  # the first bytes after an answer
            self._start_timer(HEAD_SECONDS, self._head_is_late)
        for begin in range(0, len(data), _PIECE):
            if self.transport.is_closing():
                return
            piece = data[begin : begin + _PIECE]
            super().data_received(piece)
            if self._in_head:
                self._head_bytes += len(piece)
                if self._head_bytes > HEAD_BYTES:
                    self._refuse(
                        HeadTooLarge(f"the URL and the headers have more than {HEAD_BYTES:,} bytes; shorten them")
                    )
                    return

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Refuses what RFC 9112 (2.3, 3.2) does and the parser takes: HTTP/0.9, and a request without exactly one host,
        for which a proxy could take another one."""
        self._in_head, self._body_bytes = False, 0
        version, hosts = self.parser.get_http_version(), sum(name == b"host" for name, _ in self.headers)
        if version not in ("1.0", "1.1") or hosts > 1 or (version == "1.1" and not hosts):
            raise ValueError("not a request of HTTP/1.1")  # the parser passes this on as a fault of its own
        self._start_timer(BODY_CHECK_SECONDS, self._check_body)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head, self._head_bytes = True, 0
        self._stop_timer()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What the parser refuses, as a problem too."""
        self._refuse(MalformedHttp("this is not HTTP/1.1 as RFC 9112 has it; look at the headers and the chunks"))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._slow_since = self.loop.time()
        self._count_untaken(self.transport.get_write_buffer_size())
        while Connection.untaken > MOST_UNTAKEN:
            slow = [other for other in self.connections if isinstance(other, Connection) and other._untaken]
            if not slow:
                return
            min(slow, key=lambda other: other._slow_since).cut_off()

    def resume_writing(self) -> None:
        self._count_untaken(0)
        super().resume_writing()

    def cut_off(self) -> None:
        """Ends the connection now, without what its client has not taken."""
        self._cut_off = True
        self._count_untaken(0)
        self.transport.abort()

    def _count_untaken(self, size: int) -> None:
        Connection.untaken += size - self._untaken
        self._untaken = size

    # --- limits -------------------------------------------------------------------------------------------------------

    def _start_timer(self, seconds: float, act: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, act)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_is_late(self) -> None:
        self._refuse(TooSlow(f"the headers were not complete within {HEAD_SECONDS:g} seconds; send the request again"))

    def _check_body(self) -> None:
        """The client is not slow while it waits for the server: to use up what it has sent, or to say "continue"."""
        waits = self.flow.read_paused or self.cycle.waiting_for_100_continue
        if self._body_bytes < BODY_BYTES_PER_SECOND * BODY_CHECK_SECONDS and not waits:
            self._refuse(TooSlow(f"the body came slower than {BODY_BYTES_PER_SECOND:,} bytes a second; send it again"))
            return
        self._body_bytes = 0
        self._start_timer(BODY_CHECK_SECONDS, self._check_body)

    def _make_room(self) -> bool:
        """Cuts off the connection that is needed least. False where every one is being answered."""
        idle = [
            other for other in self.connections if other is not self and isinstance(other, Connection) and other.idle
        ]
        if not idle:
            return False
        min(idle, key=lambda other: other.late_at).cut_off()
        return True

    @property
    def idle(self) -> bool:
        """No request is being answered: a head is awaited, or is incomplete, or a whole answer is not taken."""
        answered = self.cycle is None or self.cycle.response_complete
        return self._in_head and answered and not self._cut_off

    @property
    def late_at(self) -> float:
        """When the head is late, in seconds by the clock of the loop; never, between two requests. Who takes no answer
        is late already."""
        if self._untaken:
            return 0.0
        return self._timer.when() if self._timer is not None else float("inf")

    def _refuse(self, error: FarmError) -> None:
        """Answers at once and closes; a request that is under way is told that its client has gone."""
        self._stop_timer()
        if self.transport.is_closing():
            return
        answering = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if not answering:
            request_id = self._request_id()
            log.info("request %s: %s", request_id, error.message)
            body = document(error, request_id)
            head = (
                f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\nconnection: close\r\n"
                f"x-request-id: {request_id}\r\n"
                f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()

    def _request_id(self) -> str:
        """That of the request whose body is awaited, which the gate gave it; a new one where no request is complete."""
        under_way = self.cycle is not None and not self.cycle.response_complete
        given = self.cycle.scope.get("request_id") if under_way else None
        return given if isinstance(given, str) else new_request_id()

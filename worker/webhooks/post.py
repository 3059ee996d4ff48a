"""One attempt to deliver a webhook by the rules of Standard Webhooks: signed, posted, and judged by its status code.

A user chose the URL, so the request must reach no address that is closed to users. A name is resolved once, and all of
its addresses must be allowed. The connection goes to exactly these addresses, while Host, SNI and the certificate check
keep the name. httpcore posts, because it follows no redirect, reads no proxy from the environment and decompresses
nothing. farm/webhooks/schedule.py decides the step after an attempt.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from http import HTTPStatus
from ipaddress import ip_address

import anyio.to_thread
import httpcore
import httpx
from standardwebhooks import Webhook

from farm.errors import BadInput
from farm.webhooks.addresses import Network, check_url, forbidden
from farm.webhooks.schedule import Answer, retry_after_s
from farm.wire import Attempt

DEADLINE_S = 15.0  # from the name's resolution to the status line, however slowly bytes drip
CONNECT_S = 5.0  # for one address, so that a dead one leaves time for the next
ASKS_TO_WAIT = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})

OWN_FAULT = "the farm failed at it by itself; its operator finds the reason in the log of the desk"
_ERROR_LENGTH = 300
# The body of an answer does not count; a little of it is read so that a receiver sees its answer arrive.
_BODY_BYTES = 4096
_BODY_S = 1.0

log = logging.getLogger(__name__)

Resolve = Callable[[str, int], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Message:
    """One webhook. `id` is the delivery's and stays the same on every attempt; `body` is JSON in UTF-8. Each of the
    secrets signs it, in their order: a receiver may have any of them."""

    id: str
    url: str
    body: bytes
    secrets: Sequence[str]
    traceparent: str | None = None


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name by the system's resolver. Raises OSError, or UnicodeError for a malformed name."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Sender:
    """Posts messages, each on a connection of its own. Certificates are checked against the usual authorities, or
    against those of SSL_CERT_FILE."""

    def __init__(
        self, allow: Sequence[Network] = (), *, resolve: Resolve = resolve, deadline_s: float = DEADLINE_S
    ) -> None:
        self._allow = allow
        self._resolve = resolve
        self._deadline_s = deadline_s

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Made for the first receiver that wants it: the certificates are a megabyte, and read in 13 ms."""
        return httpx.create_ssl_context()

    def attempt(self, message: Message, now: datetime) -> Answer:
        """Any error is in the answer. Returns within the deadline plus the second that a body gets. Any thread may
        call it."""
        started = time.monotonic()
        status: int | None = None
        wait_s: float | None = None
        try:
            status, retry_after = asyncio.run(self._post(message, now))
            error = _complaint(status)
            if status in ASKS_TO_WAIT and retry_after is not None:
                wait_s = retry_after_s(retry_after, now)
        except TimeoutError:
            error = f"no answer within {self._deadline_s:g} seconds"
        except BadInput as refused:
            error = refused.message
        except httpcore.ConnectTimeout:
            error = f"could not connect within {CONNECT_S:g} seconds"
        except httpcore.ConnectError as failure:
            error = f"could not connect: {failure}"
        except httpcore.NetworkError as failure:
            error = f"the connection broke before an answer: {failure}"
        except httpcore.ProtocolError as failure:
            error = _no_http(failure)
        except Exception:
            log.exception("an attempt of %s failed in the farm itself", message.id)
            error = OWN_FAULT
        attempt = Attempt(
            at=now,
            status_code=status,
            error=error[:_ERROR_LENGTH] if error else None,
            seconds=round(time.monotonic() - started, 3),
        )
        return Answer(attempt, wait_s)

    async def _post(self, message: Message, now: datetime) -> tuple[int, str | None]:
        """The status code and the Retry-After header."""
        check_url(message.url, self._allow)
        url = httpx.URL(message.url)
        async with AsyncExitStack() as open_until_read:
            async with asyncio.timeout(self._deadline_s):
                dialler = _Dialler(await self._checked_addresses(url))
                tls = self._tls if url.scheme == "https" else None
                pool = httpcore.AsyncConnectionPool(ssl_context=tls, network_backend=dialler)
                await open_until_read.enter_async_context(pool)
                response = await open_until_read.enter_async_context(
                    pool.stream(
                        "POST",
                        # In parts, so that httpcore does not parse the checked URL once more.
                        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                        headers=[(b"Host", url.netloc), *_headers(message, now)],
                        content=message.body,
                    )
                )
            with suppress(TimeoutError, httpcore.NetworkError, httpcore.ProtocolError):
                async with asyncio.timeout(_BODY_S):
                    await _read_a_little(response)
            retry_after = httpx.Headers(response.headers).get("retry-after")
            return response.status, retry_after

    async def _checked_addresses(self, url: httpx.URL) -> list[str]:
        """Refuses a name with even one forbidden address: a name that is public and private at once is a mistake or an
        attack, and the address of the connection must not depend on luck."""
        port = url.port or (443 if url.scheme == "https" else 80)
        host = url.raw_host.decode("ascii")
        try:
            # Abandoned on timeout: getaddrinfo can't be stopped, and a dead name server takes it half a minute.
            addresses = await anyio.to_thread.run_sync(self._resolve, host, port, abandon_on_cancel=True)
        except (OSError, UnicodeError) as error:
            raise BadInput(f"the name {host} could not be resolved: {error}") from None
        for address in addresses:
            if kind := forbidden(ip_address(address), self._allow):
                raise BadInput(
                    f"{host} resolves to {kind}; the farm's operator can add its network to FARM_WEBHOOK_ALLOW"
                )
        return list(dict.fromkeys(addresses))


class _Dialler(httpcore.AsyncNetworkBackend):
    """Connects to the given addresses in turn and ignores the host's name, which httpcore uses for TLS afterwards."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in self._addresses:
            try:
                return await self._network.connect_tcp(address, port, CONNECT_S, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


def _headers(message: Message, now: datetime) -> list[tuple[bytes, bytes]]:
    sent = now.astimezone(UTC)  # sign() takes the clock time of any zone for UTC's
    signatures = (Webhook(secret).sign(message.id, sent, message.body.decode()) for secret in message.secrets)
    return [
        (b"Content-Type", b"application/json"),
        (b"User-Agent", b"tts-farm"),
        (b"Connection", b"close"),
        (b"webhook-id", message.id.encode()),
        (b"webhook-timestamp", str(int(sent.timestamp())).encode()),
        (b"webhook-signature", " ".join(signatures).encode()),
        *([] if message.traceparent is None else [(b"traceparent", message.traceparent.encode())]),
    ]


async def _read_a_little(response: httpcore.Response) -> None:
    received = 0
    async for part in response.aiter_stream():
        received += len(part)
        if received >= _BODY_BYTES:
            return


def _no_http(failure: httpcore.ProtocolError) -> str:
    """In words of our own: those of the library quote what came, and a tenant must read nothing of a service that its
    operator's network hides."""
    if str(failure).startswith("Server disconnected"):
        return "the connection broke before an answer"
    return "the connection broke before an answer: what came instead is not HTTP"


def _complaint(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"answered {status}; redirects are not followed, so give the URL that it points to"
    return f"answered {status}"

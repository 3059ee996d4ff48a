"""The gate in front of all routes: it identifies, authenticates and limits requests, and answers the exceptions of
routes.

    request id   the client's X-Request-Id, else a new one; it is in every answer, problem and log line
    trace        the traceparent of the request's span; where nothing is traced, the client's
    principal    by API key (Bearer), by the session that a key has opened (a cookie), or by the path that a key was
                 given for listening; keys are kept hashed, a few seconds old at most. Once a key was made, nobody is
                 answered without one; before, programs of this machine are
    share        of the server's connections, which no tenant can take from the others (shares.py)
    quotas       the RateLimit fields of every good answer to a tenant
    browsers     no shared cache keeps what a tenant gets, and none takes it for something else than it is called
    limit        of the body in bytes (body.py)

Plain ASGI: it stands in the path of every accept, and a BaseHTTPMiddleware there costs more than the accept.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from http import HTTPStatus
from itertools import count
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.body import Body, limit_of
from api.browser_sessions import Sessions
from api.listening.tickets import FOLDER as LISTENING
from api.listening.tickets import Tickets, without_ticket
from api.openai_errors import is_openai
from api.problems import answer
from api.rate_limit import Standings, fields
from api.refusals import Refusals
from api.shares import Shares
from api.ttl_cache import TtlCache
from farm import logs
from farm.errors import Forbidden, Unauthorized
from farm.job import DEFAULT_TENANT, Lane
from farm.store.registry import Access
from farm.tracing import OFF, Tracing, read_traceparent, trace_id

log = logging.getLogger(__name__)

_NEW_KEY_SECONDS = 0.2  # how long a key that was made just now may be unknown; bounds what wrong keys cost
_OF_PROXIES = frozenset({b"forwarded", b"via", b"x-real-ip"})
_OPEN_PATHS = frozenset({"/healthz", "/readyz", "/docs", "/openapi.json", "/docs/oauth2-redirect", "/"})
_OPEN_FOLDER = "/dashboard/"  # files that say nothing of this farm
_OF_KEYS = frozenset({b"authorization", b"cookie"})  # an address for listening needs none, and heeds none
_READS = ("GET", "HEAD")
_ASKS_WHO = ("GET", "/v1/session")
_PREFIX = f"req_{secrets.token_hex(6)}_"  # of this process; a random id for each request costs a system call
_NUMBERS = count(1)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sends a request. `principal_of` of api/state.py has that of a request."""

    tenant: str  # sees its own alone
    operator: bool = False  # sees the whole farm too: /metrics, workers, the depth of all queues
    key: str | None = None  # the name of its API key; None on a farm without keys


@dataclass(frozen=True, slots=True)
class KeyRing:
    holders: Mapping[str, Principal]  # by the SHA-256 of their key
    closed: bool  # nobody is answered without a key; also when all keys were revoked
    lanes: Mapping[str, Lane]  # tenant -> the highest lane that it may use, where it may not use all

    @classmethod
    def of(cls, access: Access) -> KeyRing:
        holders = {key.digest: Principal(key.tenant, key.operator, name) for name, key in access.keys.items()}
        return cls(holders, access.closed, access.lanes)


class _State(Protocol):
    """What the gate needs of api/state.py."""

    keys: TtlCache[KeyRing]
    standings: Standings


_ANYBODY_HERE = Principal(DEFAULT_TENANT, operator=True)  # on a farm without keys


class Gate:
    def __init__(
        self,
        app: ASGIApp,
        *,
        state: Callable[[], _State],
        sessions: Sessions,
        tickets: Tickets,
        public_url: str | None,
        places: int,
        origins: Collection[str] = (),
        tracing: Tracing = OFF,
    ) -> None:
        """`state` is asked at each request: there is none before the API has started. `places` are the connections that
        the server may have. `origins` are those of other sites whose pages may come, also to a farm without keys."""
        self._app = app
        self._refusals = Refusals()
        self._shares = Shares(places)
        self._state = state
        self._sessions, self._tickets = sessions, tickets
        self._tracing = tracing
        self._origins = frozenset(origin.encode() for origin in origins)
        self._public_host = urlsplit(public_url).hostname if public_url else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _first_of_each(scope)
        request_id = _request_id(headers.get(b"x-request-id"))
        scope["request_id"], scope["shown_path"] = request_id, without_ticket(scope["path"])
        scope["trace"] = self._tracing.current() or read_traceparent(headers.get(b"traceparent"))
        with logs.about(request_id=request_id, trace_id=trace_id(scope["trace"])):
            await self._answer(scope, receive, send, headers)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, headers: Mapping[bytes, bytes]) -> None:
        request_id = scope["request_id"]
        started = False

        async def send_marked(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                marks = [(b"x-request-id", request_id.encode())]
                if "principal" in scope:
                    marks += _for_browsers(scope["method"], message["headers"])
                if message["status"] < HTTPStatus.BAD_REQUEST:
                    marks += await self._quotas(scope.get("principal"))
                message["headers"] = [*message["headers"], *marks]
            await send(message)

        body = Body(receive, limit_of(scope["path"], headers.get(b"content-type", b"")))
        try:
            if scope["path"] not in _OPEN_PATHS and not scope["path"].startswith(_OPEN_FOLDER):
                if scope["path"].startswith(LISTENING):
                    scope["ticket"] = await self._tickets.read(scope["path"])
                    headers = {name: value for name, value in headers.items() if name not in _OF_KEYS}
                scope["key_digest"] = await self._key(scope, headers)
                scope["principal"] = await self._identified(scope, headers)
                scope["still_opens"] = partial(self._still_opens, scope, headers)
            with self._share(scope):
                await body.check_announced(headers)
                await self._app(scope, body.receive, send_marked)
        except ClientDisconnect:
            log.info("request %s: the client left before its answer", request_id)
        except Exception as error:
            if started:
                raise
            await answer(error, scope)(scope, receive, send_marked)

    def _share(self, scope: Scope) -> AbstractContextManager[None]:
        principal: Principal | None = scope.get("principal")
        return nullcontext() if principal is None else self._shares.one_more(principal.tenant)

    async def _key(self, scope: Scope, headers: Mapping[bytes, bytes]) -> str | None:
        """The digest of the key that the request sends, that opened its session, or that asked for its address."""
        if "ticket" in scope:
            return cast(str | None, scope["ticket"].key)
        kind, _, key = headers.get(b"authorization", b"").partition(b" ")
        if kind.lower() == b"bearer" and key:
            return hashlib.sha256(key.strip()).hexdigest()
        if kind or b"cookie" not in headers:
            return None
        session = await self._sessions.find(headers[b"cookie"].decode("latin-1"))
        if session is None:
            return None
        self._sessions.check_origin(scope["method"], headers)
        return session[0]

    async def _identified(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Principal | None:
        try:
            return await self._principal(scope, headers)
        except Unauthorized as error:
            if (scope["method"], scope["path"]) == _ASKS_WHO:
                return None
            self._refusals.note((scope.get("client") or ("an unknown address",))[0], error.message)
            raise

    async def _principal(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Principal:
        keys = self._state().keys
        ring = await keys.get()
        given, digest = headers.get(b"authorization"), scope["key_digest"]
        if digest is not None:
            if digest not in ring.holders:  # perhaps made a moment ago
                ring = await keys.get(_NEW_KEY_SECONDS if ring.holders else 0)
            holder = ring.holders.get(digest)
            if holder is not None:
                return holder
        # Clients of OpenAI's API can't do without a key, if only an empty one; on a farm without keys it says nothing.
        says_nothing = not ring.closed and is_openai(scope["path"])
        if given is not None and not says_nothing:
            if digest is None:
                raise Unauthorized(
                    "the Authorization header holds no API key; send it as `Authorization: Bearer <key>`"
                )
            raise Unauthorized("this API key is not known; `farm keys list` shows which are")
        if ring.closed:
            raise Unauthorized("this farm needs an API key; send it as `Authorization: Bearer <key>`")
        if not (_is_loopback((scope.get("server") or ("",))[0]) and self._is_own_name(headers.get(b"host", b""))):
            raise Unauthorized("without API keys the farm answers on loopback only; make one with `farm keys create`")
        _refuse_others(headers, self._origins)
        return _ANYBODY_HERE

    async def _quotas(self, principal: Principal | None) -> list[tuple[bytes, bytes]]:
        if principal is None or principal.key is None:
            return []
        standing = await self._state().standings.get(principal.tenant)
        said = None if standing is None else fields(standing)
        return [] if said is None else [(b"ratelimit-policy", said[0].encode()), (b"ratelimit", said[1].encode())]

    async def _still_opens(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
        """For an answer that lasts: whether a request like it would be answered now."""
        ring = await self._state().keys.get()
        digest = await self._key(scope, headers)
        return not ring.closed if digest is None else digest in ring.holders

    def _is_own_name(self, host: bytes) -> bool:
        """False for a Host that is not this farm's: a web page may have made its own name resolve here (DNS
        rebinding)."""
        try:
            name = urlsplit("//" + host.decode("latin-1")).hostname or ""
        except ValueError:  # brackets without an address in them
            return False
        return name == self._public_host or _is_loopback(name)


def _for_browsers(method: str, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """A cache may keep an answer that says nothing of this for a tenth of the age of its file: a browser plays the
    voice that was replaced, and a proxy, which knows nothing of our cookie, gives one tenant's file to another."""
    fields = [(b"x-content-type-options", b"nosniff")]
    if method in _READS and all(name != b"cache-control" for name, _ in headers):
        fields.append((b"cache-control", b"private, no-cache"))
    return fields


def _refuse_others(headers: Mapping[bytes, bytes], origins: Collection[bytes]) -> None:
    """A farm without keys is for programs of this machine: not for web pages of other sites, whose browser runs here as
    well, and not for whoever comes through a proxy. Raises Forbidden."""
    forwarded = next((name for name in headers if name in _OF_PROXIES or name.startswith(b"x-forwarded-")), None)
    if forwarded is not None:
        raise Forbidden(
            f"without API keys the farm answers no proxy, and a header here is {forwarded.decode('latin-1')}; "
            "make a key with `farm keys create`",
            code="proxied",
        )
    site, origin = headers.get(b"sec-fetch-site", b"none"), headers.get(b"origin")
    own = origin is None or origin.partition(b"://")[2].lower() == headers.get(b"host", b"").lower()
    if origin in origins:
        return
    if site not in (b"none", b"same-origin") or not own:
        raise Forbidden(
            "without API keys the farm answers no web page of another site; make a key with `farm keys create`",
            code="cross_site",
        )


def _first_of_each(scope: Scope) -> dict[bytes, bytes]:
    wanted: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        wanted.setdefault(name, value)
    return wanted


def _request_id(given: bytes | None) -> str:
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode()
    return new_request_id()


def new_request_id() -> str:
    return f"{_PREFIX}{next(_NUMBERS):x}"


@lru_cache(maxsize=1024)
def _is_loopback(host: Any) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False

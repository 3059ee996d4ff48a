"""Sessions of browsers, as the gate sees them: a cookie that stands for an API key, because EventSource, <audio> and
links to files can send no Authorization header.

The cookie holds the digest of the key and a random secret, of which the store keeps the hash for 12 hours. The gate
takes the digest for the key's own, so that a revoked key ends its sessions at once.

A web page of another site may make a browser send the cookie, but not with our Origin. So every write by cookie needs
our Origin.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from starlette.requests import cookie_parser

from farm.errors import Forbidden
from farm.store import AsyncStore
from farm.store.sessions import close_session, expiry, open_session

COOKIE = "farm_session"
SECONDS = 12 * 3600

_FORM = re.compile(r"([0-9a-f]{64})\.([A-Za-z0-9_-]{43})")
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Sessions:
    def __init__(self, store: Callable[[], AsyncStore], public_url: str | None) -> None:
        """`store` is asked at each request: there is none before the API has started."""
        self._store = store
        self._public = urlsplit(public_url).netloc.lower() if public_url else None

    async def open(self, key: str) -> tuple[str, int]:
        """Returns the value of a new cookie, and when its session ends, in ms of Unix time. `key` is the digest."""
        secret, ends = secrets.token_urlsafe(32), _now_ms() + SECONDS * 1000
        for call in open_session(key, _hashed(secret), ends):
            await self._store().run(call)
        return f"{key}.{secret}", ends

    async def find(self, cookies: str) -> tuple[str, int] | None:
        """The digest of the key that opened the session of a Cookie header, and its end in ms. None without a session
        that lasts."""
        found = _read(cookies)
        ends = await self._store().run(expiry(*found)) if found else None
        return (found[0], ends) if found and ends is not None and ends > _now_ms() else None

    async def close(self, cookies: str) -> None:
        found = _read(cookies)
        if found is not None:
            await self._store().run(close_session(*found))

    def check_origin(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        """Raises Forbidden for a write that a page of another site may have caused."""
        if method in _READS:
            return
        origin = _netloc(headers.get(b"origin", b"").decode("latin-1"))
        host = headers.get(b"host", b"").decode("latin-1").lower()
        own = bool(origin) and origin in (host, self._public)
        if not own or headers.get(b"sec-fetch-site", b"same-origin") != b"same-origin":
            raise Forbidden(
                "a write with a session's cookie must come from the farm's own pages; programs send their key as "
                "`Authorization: Bearer <key>`",
                code="cross_site",
            )


def _read(cookies: str) -> tuple[str, str] | None:
    """The digest of the key and the hash of the secret."""
    found = _FORM.fullmatch(cookie_parser(cookies).get(COOKIE, ""))
    return None if found is None else (found[1], _hashed(found[2]))


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # brackets without an address in them
        return ""


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _now_ms() -> int:
    return round(time.time() * 1000)

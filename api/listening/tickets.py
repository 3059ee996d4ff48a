"""Addresses by which a player hears one job for 12 hours. Players can send no Authorization header, so the path itself
says who let them in:

    /v1/listen/<job>.<end>.<key>.<signature>/stream.m3u8

`end` is seconds of Unix time, in hexadecimal. `key` is the digest of the API key that asked for the address, which dies
with that key; "-" on a farm without keys. The signature is a HMAC under a secret of the farm, which the store keeps.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass

from api.ttl_cache import TtlCache
from farm.errors import NotFound, Unauthorized
from farm.store import AsyncStore, tickets

FOLDER = "/v1/listen/"
SECONDS = 12 * 3600

_SECRET_SECONDS = 60.0  # after which an API notices that the store was emptied, and has another secret
_SIGNATURE_BYTES = 16
_FORM = re.compile(r"((\w{1,64})\.([0-9a-f]{1,12})\.([\w-]{43}|-))\.([\w-]{22})", re.ASCII)
_IN_PATH = re.compile(rf"({re.escape(FOLDER)}\w{{1,64}})[^/]*")


@dataclass(frozen=True, slots=True)
class Ticket:
    job: str
    key: str | None  # the digest of an API key; None on a farm without keys


class Tickets:
    def __init__(self, store: Callable[[], AsyncStore], now: Callable[[], float] = time.time) -> None:
        """`store` is asked at each request: there is none before the API has started."""
        self._store, self.now = store, now
        self._secret = TtlCache(self._read_secret, _SECRET_SECONDS)

    async def make(self, ticket: Ticket) -> str:
        key = "-" if ticket.key is None else _encoded(bytes.fromhex(ticket.key))
        said = f"{ticket.job}.{int(self.now()) + SECONDS:x}.{key}"
        return f"{said}.{_signature(await self._secret.get(), said)}"

    async def read(self, path: str) -> Ticket:
        """Of a path below FOLDER. Raises NotFound for what this farm did not sign, Unauthorized once it has ended."""
        found = _FORM.fullmatch(path.removeprefix(FOLDER).partition("/")[0])
        if found is None or not hmac.compare_digest(found[5], _signature(await self._secret.get(), found[1])):
            raise NotFound("there is no such address for listening; GET /v1/jobs/{id}/stream.m3u8 leads to one")
        if int(found[3], 16) <= self.now():
            raise Unauthorized(
                f"this address for listening has ended, after {SECONDS // 3600} hours; GET "
                f"/v1/jobs/{found[2]}/stream.m3u8 leads to a fresh one",
                code="address_ended",
            )
        return Ticket(found[2], None if found[4] == "-" else urlsafe_b64decode(found[4] + "=").hex())

    async def _read_secret(self) -> bytes:
        store = self._store()
        await store.run(tickets.offer_secret(secrets.token_hex(32)))
        return bytes.fromhex(await store.run(tickets.secret()))


def without_ticket(path: str) -> str:
    """A path as logs may have it."""
    return _IN_PATH.sub(r"\1…", path)


def _signature(secret: bytes, said: str) -> str:
    return _encoded(hmac.digest(secret, said.encode(), hashlib.sha256)[:_SIGNATURE_BYTES])


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")

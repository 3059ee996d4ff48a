"""The Idempotency-Key header: a request that is sent again under its key is accepted once.

same key, same request      the first answer's job or batch again, marked Idempotent-Replayed
same key, another request   422
same key, still in flight   409
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from starlette.requests import Request

from api.state import AppState
from farm.errors import BadInput, StoreUnavailable
from farm.store import jobs

_LONGEST = 255


@dataclass(frozen=True, slots=True)
class Claimed:
    """A reserved key. `earlier` is the id that an earlier request under this key got, None when there was none."""

    earlier: str | None


def key_of(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= _LONGEST and key.isascii() and key.isprintable()):
        raise BadInput(
            f"Idempotency-Key must be 1 to {_LONGEST} printable ASCII characters", code="invalid_idempotency_key"
        )
    return key


@asynccontextmanager
async def reserved(state: AppState, tenant: str, key: str | None, digest: str, ttl_s: int) -> AsyncIterator[Claimed]:
    """Reserves the key during slow work that ends in accepting, and releases it when the work fails."""
    if key is None:
        yield Claimed(None)
        return
    earlier = await state.store.run(jobs.reserve(tenant, key, digest, ttl_s * 1000))
    try:
        yield Claimed(earlier)
    except BaseException:
        if earlier is None:
            with suppress(StoreUnavailable):  # then the reservation runs out by itself
                await state.store.run(jobs.unreserve(tenant, key, digest))
        raise

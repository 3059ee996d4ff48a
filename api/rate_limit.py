"""The fields by which a client learns of its quotas, of draft-ietf-httpapi-ratelimit-headers-10.

    RateLimit-Policy: "requests";q=600;w=60, "characters";q=20000000, "bytes";q=100000000000
    RateLimit: "requests";r=598;t=41, "characters";r=19999932, "bytes";r=99999985530

An answer that accepted something has them from the script that accepted. Other answers have figures of this process
that are a second old at most.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import lru_cache

from farm.errors import FarmError
from farm.quota import MINUTE_MS, Quota, Standing

_FRESH_S = 1.0
_TENANTS = 1_000  # that are remembered; the one that was quiet for longest is forgotten


def fields(standing: Standing) -> tuple[str, str] | None:
    """RateLimit-Policy and RateLimit; None for a tenant without limits.

    By numbers, without the enum: it stands in the path of every accept, and the other way cost a tenth of it."""
    requests, characters, stored, records, most_requests, most_characters, most, most_records, reset = standing.numbers
    if most_records >= 0 and (most < 0 or most_records - records < most - stored):
        stored, most = records, most_records  # told as bytes, where there is less left
    said = []
    if most_requests >= 0:
        said.append(f'"requests";r={max(most_requests - requests, 0)};t={-(-reset // 1000)}')
    if most_characters >= 0:
        said.append(f'"characters";r={max(most_characters - characters, 0)}')
    if most >= 0:
        said.append(f'"bytes";r={max(most - stored, 0)}')
    return (_policy(most_requests, most_characters, most), ", ".join(said)) if said else None


@lru_cache(maxsize=1024)
def _policy(requests: int, characters: int, stored: int) -> str:
    quotas = (
        (requests, f'"{Quota.REQUESTS}";q={requests};w={MINUTE_MS // 1000}'),
        (characters, f'"{Quota.CHARACTERS}";q={characters}'),
        (stored, f'"{Quota.BYTES}";q={stored}'),
    )
    return ", ".join(said for most, said in quotas if most >= 0)


class Standings:
    """The latest known standing of each tenant."""

    def __init__(self, read: Callable[[str], Awaitable[Standing]], clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._known: OrderedDict[str, tuple[float, Standing]] = OrderedDict()

    def note(self, tenant: str, standing: Standing | None) -> None:
        """What a script has answered; None where it told of none."""
        if standing is None:
            return
        self._known[tenant] = (self._clock(), standing)
        self._known.move_to_end(tenant)
        if len(self._known) > _TENANTS:
            self._known.popitem(last=False)

    async def get(self, tenant: str) -> Standing | None:
        """None while the store can't tell."""
        known = self._known.get(tenant)
        if known is not None and self._clock() - known[0] < _FRESH_S:
            return known[1]
        with suppress(FarmError):
            standing = await self._read(tenant)
            self.note(tenant, standing)
            return standing
        return None

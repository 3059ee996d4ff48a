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
    """RateLimit-Policy and RateLimit; None for a tenant without limits."""
    told = standing.told
    if not told:
        return None
    return _policy(tuple((quota, standing.most_of(quota)) for quota in told)), ", ".join(
        f'"{quota.policy}";r={standing.left(quota)}'
        + (f";t={-(-standing.reset_ms // 1000)}" if quota is Quota.REQUESTS else "")
        for quota in told
    )


@lru_cache(maxsize=1024)
def _policy(limits: tuple[tuple[Quota, int | None], ...]) -> str:
    window = f";w={MINUTE_MS // 1000}"
    return ", ".join(f'"{quota.policy}";q={most}{window if quota is Quota.REQUESTS else ""}' for quota, most in limits)


class Standings:
    """The latest known standing of each tenant."""

    def __init__(self, read: Callable[[str], Awaitable[Standing]], clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._known: OrderedDict[str, tuple[float, Standing]] = OrderedDict()

    def note(self, tenant: str, standing: Standing) -> None:
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

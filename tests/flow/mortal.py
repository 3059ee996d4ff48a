"""A desk that is killed between two steps: whatever it does to the store or the storage is one."""

from __future__ import annotations

from typing import Any

import redis

from farm.store.call import Call
from tests.flow.house import House


class Killed(BaseException):
    """Ends a desk between two steps as a signal would: nothing is given back."""


class Mortal:
    """A store and a storage that end their desk at step number `last`, and from then on."""

    def __init__(self, house: House, last: int) -> None:
        self._house, self._left = house, last

    @property
    def died(self) -> bool:
        return self._left < 0

    def step(self) -> None:
        self._left -= 1
        if self.died:
            raise Killed

    def run(self, call: Call[Any]) -> Any:
        if call.verb not in ("extend", "take"):  # of threads of their own, and so at any time
            self.step()
        return self._house.store.run(call)

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._house.storage, name)

        def stepping(*args: Any, **named: Any) -> Any:
            self.step()
            return real(*args, **named)

        return stepping


def due_now(house: House, kind: str) -> None:
    """The leases of killed desks have run out, and due times have come."""
    client = redis.Redis.from_url(house.settings.redis_url)
    for key in client.keys(f"f:due:{kind}:*") + client.keys(f"f:desk:{kind}:*"):
        for member in client.zrange(key, 0, -1):
            client.zadd(key, {member: 1})
    client.close()

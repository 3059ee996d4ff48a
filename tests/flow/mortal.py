"""A desk that is killed between two steps: whatever it does to the store or the storage is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import redis

from farm.store.call import Call
from tests.flow.house import House
from tests.nightly import NIGHTLY
from worker.desk.desk import Desk

STRIDE = 1 if NIGHTLY else 7  # steps from one kill to the next; `make nightly` has all


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


class MortalDesk:
    """A desk that is killed at step number `last`, and does nothing from then on."""

    def __init__(self, house: House, last: int) -> None:
        self._mortal = Mortal(house, last)
        self._desk = Desk(self._mortal, self._mortal, house.waker, house.settings)  # type: ignore[arg-type]

    def drain(self) -> None:
        with suppress(Killed):
            self._desk.drain()

    @property
    def died(self) -> bool:
        return self._mortal.died


def mortal_desks(house: House, stride: int = STRIDE) -> Iterator[MortalDesk]:
    """Each is killed that many steps later than the one before; the last one is not."""
    for last in range(0, 1_000, stride):
        desk = MortalDesk(house, last)
        yield desk
        if not desk.died:
            return


def due_now(house: House, *kinds: str) -> None:
    """The leases of killed desks have run out, and due times have come."""
    client = redis.Redis.from_url(house.settings.redis_url)
    for kind in kinds:
        for key in client.keys(f"f:due:{kind}:*") + client.keys(f"f:desk:{kind}:*"):
            for member in client.zrange(key, 0, -1):
                client.zadd(key, {member: 1})
    client.close()

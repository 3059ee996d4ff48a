"""Work without wake-ups. While the broker takes no writes, because Redis is full or the broker is away, nobody can wake
a worker. Then the worker looks for work of its kind by itself, and does it in this process.

Seen on a Redis above maxmemory: the broker took no message, so jobs stood still that only needed their last step, and
that step would have made room.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import redis

from farm.store import connection
from worker.process.ticker import Ticker

log = logging.getLogger(__name__)

_EVERY_S = 1.0


class Standby:
    """`has_work` asks the store; `drain` works until nothing is left."""

    def __init__(self, broker_url: str, has_work: Callable[[], bool], drain: Callable[[], None]) -> None:
        self._broker = connection.client(broker_url, "FARM_BROKER_URL")
        self._has_work, self._drain = has_work, drain
        self.ticker = Ticker(
            "standby", _EVERY_S, self._work_if_nobody_can_wake,
            on_outage=partial(log.debug, "can't look for work: %s"), survives=True,
        )  # fmt: skip

    def close(self) -> None:
        """Call it after the ticker has ended."""
        self._broker.close()

    def _work_if_nobody_can_wake(self) -> None:
        if not self._broker_takes_writes() and self._has_work():
            log.info("nobody can be woken, so this worker looks for work by itself")
            self._drain()

    def _broker_takes_writes(self) -> bool:
        try:
            self._broker.set("farm:writable", 1, px=1000)
        except redis.RedisError:
            return False
        return True

"""Work without wake-ups. While the broker takes no writes, because Redis is full or the broker is away, nobody can wake
a worker; then it looks by itself for work of its kind, and does it in this process.

Seen on a Redis above maxmemory: it takes no message, so that jobs stood still which only needed to be finished to make
room.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import redis

from farm.errors import StoreUnavailable

log = logging.getLogger(__name__)

_TICK = 1.0


class Standby:
    """`has_work` asks the store; `drain` works until nothing is left."""

    def __init__(self, broker_url: str, has_work: Callable[[], bool], drain: Callable[[], None]) -> None:
        self._broker = redis.Redis.from_url(broker_url, socket_timeout=5, socket_connect_timeout=3)
        self._has_work, self._drain = has_work, drain
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._standing_by, name="standby", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self._broker.close()

    def _standing_by(self) -> None:
        while not self._over.wait(_TICK):
            try:
                if not self._broker_takes_writes() and self._has_work():
                    log.info("nobody can be woken, so this worker looks for work by itself")
                    self._drain()
            except StoreUnavailable as error:
                log.debug("no work to be seen: %s", error)
            except Exception:
                log.exception("the standby stumbled and goes on")

    def _broker_takes_writes(self) -> bool:
        try:
            self._broker.set("farm:writable", 1, px=1000)
        except redis.RedisError:
            return False
        return True

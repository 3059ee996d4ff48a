"""How far one job has come, as the store has it, past the API and the proxy: a fault then hits at a known moment, and
the time is measured until work goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from redis.exceptions import ConnectionError

from tests.chaos.rig import Rig, Stopwatch

_LOOK_S = 0.005


class Progress:
    def __init__(self, rig: Rig, job: str) -> None:
        self._redis: Any = rig.redis
        self.job = job

    @property
    def status(self) -> str:
        return (self._redis.hget(f"f:j:{self.job}", "status") or b"").decode()

    @property
    def done(self) -> int:
        return int(self._redis.hget(f"f:j:{self.job}", "done") or 0)

    def holders(self) -> set[str]:
        """The workers that have begun some of it."""
        return {worker for worker, _ in self.held()}

    def held(self) -> set[tuple[str, int]]:
        """Which worker has begun which of its segments."""
        return set(self._held())

    def _held(self) -> Iterator[tuple[str, int]]:
        for token in self._redis.zrange("f:lease", 0, -1):
            grant = self._redis.hgetall(f"f:g:{token.decode()}")
            for field, begun in grant.items():
                job, _, segment = field.decode().partition(":")
                if job == self.job and begun == b"1":
                    yield grant[b"w"].decode(), int(segment)

    def until_done(self, count: int, within: float = 60) -> None:
        until(lambda: self.done >= count, within, f"{count} segments of {self.job}")

    def until_status(self, status: str, within: float = 60) -> None:
        until(lambda: self.status == status, within, f"{self.job} to be {status}")

    def until_further(self, than: int, within: float) -> None:
        """Until more is done than it was, or the job has ended."""
        until(lambda: self.done > than or self.status == "succeeded", within, f"{self.job} to go on after {than}")


def until(holds: Callable[[], object], within: float, what: str) -> float:
    """The seconds until it holds. While Redis is away it does not."""
    watch = Stopwatch()
    while not _held(holds):
        assert watch.seconds < within, f"waited {within:g} s in vain for {what}"
        time.sleep(_LOOK_S)  # the store tells of a job's states and not of its segments: it has to be asked
    return watch.seconds


def _held(holds: Callable[[], object]) -> bool:
    try:
        return bool(holds())
    except ConnectionError:
        return False

"""How far a job has come, and waits until something holds.

Progress reads the store past the API and the proxy, so a fault hits at a known moment and the time is measured until
work goes on. Every bound is written in seconds of a quiet machine; `until` makes it longer on a busy one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from redis.exceptions import ConnectionError

from tests.chaos.rig import Rig, Stopwatch
from tests.patience import patient

if TYPE_CHECKING:
    from tests.chaos.ledger import Ledger

_LOOK_S = 0.005


class Progress:
    """One job, as the store has it."""

    def __init__(self, rig: Rig, job: str) -> None:
        self._redis: Any = rig.redis
        self.job = job

    @property
    def status(self) -> str:
        return (self._redis.hget(f"f:j:{self.job}", "status") or b"").decode()

    @property
    def done(self) -> int:
        """Segments."""
        return int(self._redis.hget(f"f:j:{self.job}", "done") or 0)

    def holders(self) -> set[str]:
        """The workers that have begun segments of this job."""
        return {worker for worker, _ in self.held()}

    def held(self) -> set[tuple[str, int]]:
        """Each segment that has begun, with its worker."""
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

    def until_further(self, than: int, within: float = 60) -> float:
        """The seconds until more than so many segments are done, or the job has succeeded."""
        return until(
            lambda: self.done > than or self.status == "succeeded", within, f"{self.job} to go on after {than}"
        )


def until(
    holds: Callable[[], object], within: float, what: str, *, every: float = _LOOK_S, seen: Callable[[], object] = str
) -> float:
    """The seconds until it holds, looked at `every` so many. While Redis is away it does not hold. `seen` says what the
    last look found."""
    watch = Stopwatch()
    while not _held(holds):
        assert watch.seconds < patient(within), f"waited {watch.seconds:.1f} s in vain for {what} {seen()}"
        time.sleep(every)  # the store tells of a job's states and not of its segments: it has to be asked
    return watch.seconds


def told(ledger: Ledger, job: str, tenant: str = "ann", within: float = 20) -> float:
    """The seconds until the job's webhook has come."""
    return until(lambda: ledger.mailboxes[tenant].told(job), within, f"the webhook of {job}")


def attempts(ledger: Ledger, job: str, tenant: str = "ann") -> dict[int, int]:
    """Segment -> how often it was begun; 0 for one that came from the cache."""
    return {row["index"]: row["attempts"] for row in _rows(ledger, job, tenant)}


def attempts_lost(ledger: Ledger, job: str, tenant: str = "ann") -> int:
    """Of all segments together: each may begin once, and a cached one never."""
    return sum(row["attempts"] - (0 if row["cached"] else 1) for row in _rows(ledger, job, tenant))


def _rows(ledger: Ledger, job: str, tenant: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = ledger.clients[tenant].manifest(job)["segments"]
    return rows


def _held(holds: Callable[[], object]) -> bool:
    try:
        return bool(holds())
    except ConnectionError:
        return False

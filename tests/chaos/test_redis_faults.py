"""Redis fails while the farm is at work, in each of the ways that it can. During the fault every request is answered in
time, with 503 where it needed Redis, and a refused job has left nothing behind. After the fault, work goes on by
itself, and no segment has paid for it with an attempt."""

from __future__ import annotations

import itertools
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest

from tests.chaos.crowd import ANSWERED_S, Crowd
from tests.chaos.ledger import Ledger
from tests.chaos.lengths import length
from tests.chaos.progress import Progress, attempts
from tests.chaos.record import Record
from tests.chaos.rig import Rig, Stopwatch
from tests.patience import patient

BOOK = "\n\n".join(f"Wave {n} came in." for n in range(400))
LINE = "The tide went out."
RECOVERY_S = 5.0
NOBODY = 9  # the discard port, where no Redis is


def unreachable(rig: Rig) -> AbstractContextManager[None]:
    return rig.redis_line.during(rig.redis_line.cut)


def half_open(rig: Rig) -> AbstractContextManager[None]:
    return rig.redis_line.during(rig.redis_line.hang)


@contextmanager
def half_open_and_then_cut(rig: Rig) -> Iterator[None]:
    """As when the other machine is back and knows nothing of the connections that it had."""
    with rig.redis_line.during(rig.redis_line.hang):
        yield
        rig.redis_line.cut()


@contextmanager
def frozen(rig: Rig) -> Iterator[None]:
    rig.freeze("redis")
    yield
    rig.thaw("redis")


@contextmanager
def read_only(rig: Rig) -> Iterator[None]:
    rig.redis.execute_command("REPLICAOF", "127.0.0.1", NOBODY)
    yield
    rig.redis.execute_command("REPLICAOF", "NO", "ONE")


@contextmanager
def out_of_memory(rig: Rig) -> Iterator[None]:
    limit = rig.redis.config_get("maxmemory")["maxmemory"]
    rig.redis.config_set("maxmemory", 1)
    yield
    rig.redis.config_set("maxmemory", limit)


@contextmanager
def disk_full(rig: Rig) -> Iterator[None]:
    """Its append-only file can't grow any further."""
    pid = rig.pid("redis")
    assert pid is not None
    size = max(file.stat().st_size for file in (rig.data / "redis").rglob("*.aof"))
    unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)


@dataclass(frozen=True)
class Fault:
    during: Callable[[Rig], AbstractContextManager[None]]
    seconds: float
    told: str  # what the API says of it
    loses_answers: bool = False  # a write may be executed that nobody hears of
    drains: bool = False  # what was accepted goes on meanwhile


# Longer than two waits of 5 s for an answer, of requests and of threads, and longer than a heartbeat lives (10 s).
# Nothing waits for a Redis that says no: 4 s are four pauses of a worker.
FAULTS = {
    "unreachable": Fault(unreachable, length(12, full=22), "Redis can't be reached", loses_answers=True),
    "half-open": Fault(half_open, length(14, full=20), "Redis does not answer", loses_answers=True),
    "half-open, then cut": Fault(half_open_and_then_cut, 12, "Redis does not answer", loses_answers=True),
    "frozen": Fault(frozen, length(14, full=30), "Redis does not answer", loses_answers=True),
    "read-only": Fault(read_only, 4, "read-only replica"),
    "out of memory": Fault(out_of_memory, 4, "no new work is accepted", drains=True),
    "disk full": Fault(disk_full, 4, "can't write its data to disk"),
}


@pytest.fixture
def crowd(rig: Rig, ledger: Ledger) -> Iterator[Crowd]:
    ledger.learn(LINE)
    ledger.learn(BOOK)
    with Crowd(rig, ledger) as crowd:
        yield crowd


@pytest.mark.parametrize("name", FAULTS)
def test_the_farm_answers_during_a_fault_of_redis_and_goes_on_after_it(
    rig: Rig, ledger: Ledger, crowd: Crowd, record: Record, name: str
) -> None:
    fault = FAULTS[name]
    book = Progress(rig, ledger.submit(BOOK).id)
    open_job = ledger.submit(BOOK, priority="bulk", webhook=False)
    ledger.promises[open_job.id].wanted = frozenset({"succeeded", "canceled"})
    book.until_done(1)
    numbers = itertools.count()
    errands = [
        *[lambda: crowd.submit(LINE, f"{name} {next(numbers)}")] * 3,
        lambda: crowd.ask("GET", f"/v1/jobs/{open_job.id}"),
        lambda: crowd.ask("GET", "/v1/jobs"),
        lambda: crowd.ask("GET", "/v1/queue"),
        lambda: crowd.ask("GET", "/v1/voices"),
        lambda: crowd.ask("GET", "/readyz"),
        lambda: crowd.ask("POST", f"/v1/jobs/{open_job.id}/cancel"),
    ]

    with crowd.asking(errands):
        with fault.during(rig):
            crowd.outlast(fault.seconds)
        back, reached = Stopwatch(), book.done
    line = first_accepted(crowd, name)
    accepts_s = back.seconds
    book.until_further(reached)
    works_s = back.seconds
    ledger.clients["ann"].wait(line, timeout=patient(60))
    line_s = back.seconds

    slowest = crowd.check_answers()
    assert any(fault.told in answer.detail for answer in crowd.answers), {a.detail for a in crowd.answers}
    crowd.check_nothing_half_accepted(lost_answers=fault.loses_answers)
    record(
        f"Redis {name}, {fault.seconds:g} s", requests=len(crowd.answers), slowest_answer_s=slowest,
        answer_bound_s=ANSWERED_S, refused=len(crowd.refused), accepts_s=accepts_s, renders_s=works_s,
        bound_s=RECOVERY_S, line_done_s=line_s,
    )  # fmt: skip
    crowd.check_retries()
    for job in ledger.check(within=60):
        if job.status == "succeeded":
            assert set(attempts(ledger, job.id).values()) <= {0, 1}, f"{job.id} paid with an attempt"
    recovery = f"accepted {accepts_s:.1f} s, rendered {works_s:.1f} s later"
    assert max(accepts_s, works_s) <= patient(RECOVERY_S), recovery


def first_accepted(crowd: Crowd, name: str) -> str:
    """A line of text, submitted until it is accepted; its job."""
    for number in itertools.count():
        answer = crowd.submit(LINE, f"{name}, over {number}", priority="interactive")
        if answer.status == 202:
            return str(answer.body["id"])
        assert number < 600, answer.body
        time.sleep(0.05)  # nobody tells when Redis is well again
    raise AssertionError

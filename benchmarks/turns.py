"""How work is shared out, on a real store and simulated GPUs: python -m benchmarks.turns

    tenants   one with a job of 10,000 segments, one with 200 jobs of 5, one with an interactive line every second.
              Goals: the first two get shares within 10 % of equal, interactive lines wait at most two batch times,
              batches stay as full as without the others
    lanes     all three full all the time. Goal: each gets at least 10 %

Two workers render 32 segments in 0.2 s of simulated time. Each claims its next batch while this one runs, and tops up
the batch that is about to start with interactive work, as worker.render.renderer does.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import mean

import redis

from benchmarks.redis_server import redis_server
from farm.job import Due, Lane
from farm.store import Store, jobs, segments, tasks

BATCH = 32
STEP = 0.2  # seconds
WORKERS = 2
LEASE = 10**9

Segment = tuple[str, str, int]  # token, job, index


@dataclass(frozen=True)
class Arrival:
    at: float
    tenant: str
    lane: Lane
    segments: int


@dataclass
class Worker:
    running: list[Segment] = field(default_factory=list)
    ahead: list[Segment] = field(default_factory=list)


@dataclass
class Outcome:
    """`ends`: (arrival, last clip) of the jobs of a tenant. `clips`: (time, tenant, lane). Seconds."""

    fills: list[int] = field(default_factory=list)
    ends: defaultdict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    clips: list[tuple[float, str, Lane]] = field(default_factory=list)

    def waits(self, tenant: str) -> list[float]:
        return [end - arrival for arrival, end in self.ends[tenant]]


class Simulation:
    def __init__(self, store: Store, arrivals: Sequence[Arrival]) -> None:
        self.store = store
        self.outcome = Outcome()
        self._arrivals = arrivals
        self._workers = [Worker() for _ in range(WORKERS)]
        self._left = {f"job_{number}": arrival.segments for number, arrival in enumerate(arrivals)}
        self._events = [(arrival.at, number, "arrival") for number, arrival in enumerate(arrivals)]
        heapq.heapify(self._events)

    def run(self, until: float) -> Outcome:
        while self._events and self._events[0][0] < until:
            now, number, what = heapq.heappop(self._events)
            if what == "arrival":
                self._arrive(number)
                for idle, worker in enumerate(self._workers):
                    if not worker.running:
                        self._start(idle, now)
            else:
                self._settle(number, now)
                self._start(number, now)
        return self.outcome

    def _arrive(self, number: int) -> None:
        arrival = self._arrivals[number]
        job = jobs.NewJob(f"job_{number}", arrival.tenant, "m", arrival.lane, "{}", "text", 4, 3600)
        self.store.run(jobs.accept(job))
        for task in self.store.run(tasks.take([Due.PLAN], want=1, lease_ms=LEASE)):
            self.store.run(jobs.plan(task.id, task.token, arrival.segments))

    def _start(self, number: int, now: float) -> None:
        worker = self._workers[number]
        batch = [*self._claim(BATCH, express=True), *worker.ahead]
        batch += self._claim(BATCH - len(batch))
        worker.running, worker.ahead = batch[:BATCH], batch[BATCH:]
        worker.ahead += self._claim(BATCH - len(worker.ahead))
        if worker.running:
            self.outcome.fills.append(len(worker.running))
            heapq.heappush(self._events, (now + STEP, number, "batch"))

    def _claim(self, want: int, express: bool = False) -> Iterator[Segment]:
        grant = (
            self.store.run(segments.claim("m", want=want, worker="w", lease_ms=LEASE, express=express))
            if want > 0
            else None
        )
        for job, indices in grant.segments.items() if grant else ():
            for index in indices:
                yield grant.token, job, index  # type: ignore[union-attr]

    def _settle(self, number: int, now: float) -> None:
        clips: defaultdict[str, list[segments.Settled]] = defaultdict(list)
        for token, job, index in self._workers[number].running:
            clips[token].append(segments.Settled(job, index, 1500))
            arrival = self._arrivals[int(job.removeprefix("job_"))]
            self.outcome.clips.append((now, arrival.tenant, arrival.lane))
            self._left[job] -= 1
            if self._left[job] == 0:
                self.outcome.ends[arrival.tenant].append((arrival.at, now))
        for token, settled in clips.items():
            assert all(self.store.run(segments.settle(token, settled)).counted)
        self._workers[number].running = []


def main() -> None:
    with redis_server(aof=False) as url, redis.Redis.from_url(url) as client:

        def simulate(arrivals: Sequence[Arrival], until: float) -> Outcome:
            client.flushall()
            return Simulation(Store.connect(url), arrivals).run(until)

        book = [Arrival(0, "book", Lane.NORMAL, 10_000)]
        shorts = [Arrival(1 + number / 1000, "shorts", Lane.NORMAL, 5) for number in range(200)]
        lines = [Arrival(1.05 + number * 1.037, "lines", Lane.INTERACTIVE, 1) for number in range(28)]
        tenants(simulate(book, 30), simulate(book + shorts + lines, 40))

        full = [Arrival(0, lane, lane, 20_000) for lane in (Lane.NORMAL, Lane.BULK)]
        full += [Arrival(0, f"user{number % 3}", Lane.INTERACTIVE, 1) for number in range(4000)]
        served = Counter(lane for _, _, lane in simulate(full, 10).clips)
        shares = ", ".join(f"{lane} {served[lane] / served.total():.3f}" for lane in Lane)
        print(f"all lanes full: {shares} of the segments")


def tenants(alone: Outcome, mixed: Outcome) -> None:
    """While the short jobs last, both tenants wait all the time: then shares can be compared."""
    first, last = 1.2 + 2 * STEP, max(end for _, end in mixed.ends["shorts"])
    served = Counter(tenant for now, tenant, _ in mixed.clips if first <= now <= last)
    waits = sorted(mixed.waits("shorts"))
    print(f"segments while both wait: book {served['book']}, shorts {served['shorts']}, ", end="")
    print(f"shorts to book {served['shorts'] / served['book']:.2f}")
    print(f"short jobs end after {waits[100]:.1f} s (median), {waits[-1]:.1f} s (longest)")
    lines = mixed.waits("lines")
    print(f"interactive lines wait {max(lines) / STEP:.2f} batch times at most, of {len(lines)}")
    print(f"segments in a batch: {mean(alone.fills):.1f} alone, {mean(mixed.fills):.1f} together")


if __name__ == "__main__":
    main()

"""A store whose clock is set by the test, and short ways to bring a job into the state that a test needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

import redis

from farm.job import Due, Lane
from farm.store import Store, jobs, segments, tasks
from farm.store.call import CONSTANTS, Call, Script, read_lua, render_scripts

T = TypeVar("T")
NOON = 1_750_000_000_000
LEASE = 10_000


class Clock:
    """The time for the scripts of this store, in a key: leases expire when the test moves it forward."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.now = NOON
        self.forward(0)

    def forward(self, milliseconds: int) -> None:
        self.now += milliseconds
        self._client.set("test:clock", self.now)

    @staticmethod
    def lua(name: str) -> str:
        return re.sub(
            r"^local function now\(\)\n.*?^end",
            "local function now()\n  return tonumber(call('GET', 'test:clock'))\nend",
            read_lua(name),
            flags=re.DOTALL | re.MULTILINE,
        )


@cache
def clocked_scripts(lua: Callable[[str], str] = Clock.lua, **constants: int) -> Mapping[str, Script]:
    return render_scripts(lua, {**CONSTANTS, **constants})


def new_job(id: str = "job_a", **more: Any) -> jobs.NewJob:
    fields: dict[str, Any] = {"tenant": "ann", "model": "m", "lane": Lane.NORMAL, "spec": "{}", "text": "Once upon."}
    return jobs.NewJob(id=id, **{**fields, "characters": 10, "retention_s": 3600, **more})


class Farm:
    """One store, and the steps that tests often need. Its times come from the clock."""

    def __init__(self, url: str, lua: Callable[[str], str] = Clock.lua) -> None:
        self._url, self._lua = url, lua
        self.redis = redis.Redis.from_url(url)
        self.store = Store.connect(url, clocked_scripts(lua))
        self.clock = Clock(self.redis)
        self._others: dict[tuple[tuple[str, int], ...], Store] = {}

    def close(self) -> None:
        for store in (self.store, *self._others.values()):
            store.close()
        self.redis.close()

    def run(self, call: Call[T], **constants: int) -> T:
        """`constants` replace those of the farm in the script of this one call: MAX_ATTEMPTS=1."""
        if not constants:
            return self.store.run(call)
        key = tuple(sorted(constants.items()))
        if key not in self._others:
            self._others[key] = Store.connect(self._url, clocked_scripts(self._lua, **constants))
        return self._others[key].run(call)

    def accept(self, job: str = "job_a", **more: Any) -> str:
        self.run(jobs.accept(new_job(job, **more)))
        return job

    def running(self, job: str = "job_a", segments: int = 4, **more: Any) -> str:
        self.accept(job, **more)
        assert self.run(jobs.plan(job, self.task(Due.PLAN, job).token, segments))
        return job

    def assembling(self, job: str = "job_a", count: int = 4, **more: Any) -> tasks.Task:
        self.running(job, count, **more)
        self.run(segments.settle("0", [segments.Settled(job, index, 100) for index in range(count)]))
        return self.task(Due.ASSEMBLE, job)

    def task(self, kind: Due, id: str) -> tasks.Task:
        """Takes the task of this kind and id, and everything else of this kind that is due."""
        taken = self.run(tasks.take([kind], want=1000, lease_ms=LEASE))
        return next(task for task in taken if task.id == id)

    def claim(self, want: int = 32, **more: Any) -> segments.Grant:
        grant = self.run(segments.claim("m", want=want, worker="w", lease_ms=LEASE, **more))
        assert grant is not None
        return grant

    def idle(self, **more: Any) -> bool:
        """Whether a claim finds nothing."""
        return self.run(segments.claim("m", want=32, worker="w", lease_ms=LEASE, **more)) is None

    def quarantine(self, job: str = "job_a", index: int = 0) -> None:
        """One segment of a running job loses two workers; its other segments are done."""
        self.run(
            segments.settle(
                "0", [segments.Settled(job, other, 100) for other in range(self.record(job).total) if other != index]
            )
        )
        for _ in range(2):
            grant = self.claim()
            assert grant.segments == {job: [index]}
            self.run(segments.begin(grant.token, grant.segments))
            self.lose_workers()

    def lose_workers(self) -> None:
        """Lets every lease expire, with a keeper that sweeps in time: no grace."""
        self.run(segments.rescue(LEASE))
        self.clock.forward(LEASE)
        self.run(segments.rescue(LEASE))

    def record(self, job: str = "job_a") -> jobs.JobRecord:
        record = self.run(jobs.record(job))
        assert record is not None
        return record

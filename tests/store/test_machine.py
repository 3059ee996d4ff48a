"""Sequences of verbs by several workers, with leases that expire at any time. After every step the rules hold in Redis,
and at the end one healthy worker finishes every job. The rules read the keys; test_walk.py has a model instead.

MACHINE_EXAMPLES makes it longer (`make nightly`: 1,000 sequences).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from farm.job import ENDED, OPEN, Due, Lane, Status
from farm.store import jobs, segments, tasks
from tests.store.clocked import Clock, Farm, new_job
from tests.store.store_keys import snapshot

EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "25"))
HUNTING_SEED = 4  # of twelve, the one whose first twenty sequences meet every bug, in 0.6 s at most
LEASE = 1000
JOBS = [f"job_{number}" for number in range(5)]
KINDS = [Due.PLAN, Due.ASSEMBLE]
HOME = {Status.QUEUED: {Due.PLAN}, Status.RUNNING: set(), Status.ASSEMBLING: {Due.ASSEMBLE}}

job_ids = st.sampled_from(JOBS)
shares = st.sampled_from((1, 2, 3))  # every segment of a grant, every second, every third

# what is wrong: (Lua file, its text, its text with the bug)
BUGS = {
    "rescue forgets what had not begun": ("rescue", "give_back(job, waiting)", ""),
    "a late settle leaves the ready bit": ("settle", "call('SETBIT', 'f:r:' .. job, segment, 0) == 1", "false"),
    "an ended job keeps its plan due": ("shared/jobs", "unschedule('plan', job, t)", ""),
    "a segment is counted as often as it is settled": ("settle", "before % 2 == 1 or nil", "nil"),
}


class Machine(RuleBasedStateMachine):
    grants = Bundle("grants")
    tasks = Bundle("tasks")

    def __init__(self, farm: Farm) -> None:
        super().__init__()
        farm.redis.delete(*(key for key in farm.redis.keys("f:*") if key not in (b"f:born", b"f:schema")), "f:none")
        self.farm = farm
        self.counted: set[tuple[str, int]] = set()

    # --- verbs --------------------------------------------------------------------------------------------------------

    @rule(job=job_ids, tenant=st.sampled_from(("ann", "bob")), lane=st.sampled_from(Lane), skips=st.booleans())
    def accept(self, job: str, tenant: str, lane: Lane, skips: bool) -> None:
        more = {"tenant": tenant, "lane": lane, "on_error": "skip" if skips else "fail"}
        self.farm.run(jobs.accept(new_job(job, **more)))

    @rule(target=tasks, want=st.integers(1, 3))
    def take(self, want: int) -> Any:
        return multiple(*self.farm.run(tasks.take(KINDS, want=want, lease_ms=LEASE)))

    @rule(task=tasks, total=st.sampled_from((0, 1, 5, 9)))
    def plan(self, task: tasks.Task, total: int) -> None:
        self.farm.run(jobs.plan(task.id, task.token, total))

    @rule(target=grants, worker=st.sampled_from("ABC"), want=st.sampled_from((1, 3, 20)))
    def claim(self, worker: str, want: int) -> Any:
        grant = self.farm.run(segments.claim("m", want=want, worker=worker, lease_ms=LEASE))
        return multiple() if grant is None else grant

    @rule(grant=grants, share=shares)
    def begin(self, grant: segments.Grant, share: int) -> None:
        self.farm.run(segments.begin(grant.token, some(grant, share)))

    @rule(grant=grants)
    def renew(self, grant: segments.Grant) -> None:
        self.farm.run(segments.renew(grant.token, LEASE))

    @rule(grant=grants, share=shares)
    def settle(self, grant: segments.Grant, share: int) -> None:
        clips = [segments.Settled(job, index, 100) for job, indices in some(grant, share).items() for index in indices]
        self.settled(grant.token, clips)

    @rule(grant=grants, share=shares)
    def fail(self, grant: segments.Grant, share: int) -> None:
        for job, indices in some(grant, share).items():
            for index in indices:
                self.farm.run(segments.fail(grant.token, job, index, "bad"))

    @rule(grant=grants, share=shares, everything=st.booleans())
    def release(self, grant: segments.Grant, share: int, everything: bool) -> None:
        self.farm.run(segments.release(grant.token, None if everything else some(grant, share)))

    @rule()
    def rescue(self) -> None:
        self.farm.run(segments.rescue(LEASE))

    @rule()
    def lose_workers(self) -> None:
        self.farm.run(segments.rescue(LEASE))
        self.farm.clock.forward(LEASE)
        self.farm.run(segments.rescue(LEASE))

    @rule(task=tasks)
    def finish(self, task: tasks.Task) -> None:
        self.farm.run(jobs.finish(task.id, task.token, "{}"))

    @rule(task=tasks, indices=st.sets(st.integers(0, 9), max_size=3))
    def redo(self, task: tasks.Task, indices: set[int]) -> None:
        if self.farm.run(jobs.redo(task.id, task.token, indices)):
            self.counted -= {(task.id, index) for index in indices}

    @rule(job=job_ids, tenant=st.sampled_from(("ann", "bob")))
    def cancel(self, job: str, tenant: str) -> None:
        self.farm.run(jobs.cancel(job, tenant))

    @rule(job=job_ids, tenant=st.sampled_from(("ann", "bob")))
    def retry(self, job: str, tenant: str) -> None:
        record = self.record(job)
        over = record.get("status") in ENDED and record["tenant"] == tenant
        if over and not (record["status"] == Status.SUCCEEDED and not int(record.get("dead", 0))):
            self.farm.run(jobs.retry(job, tenant))
            self.forget_counted(job)

    @rule(job=job_ids)
    def forget(self, job: str) -> None:
        if self.record(job).get("status") in ENDED:
            self.farm.run(jobs.forget(job))
            self.forget_counted(job)

    @rule(milliseconds=st.sampled_from((1, LEASE // 2, LEASE + 1, 5 * LEASE)))
    def wait(self, milliseconds: int) -> None:
        self.farm.clock.forward(milliseconds)

    def settled(self, token: str, clips: list[segments.Settled]) -> None:
        for clip, counts in zip(clips, self.farm.run(segments.settle(token, clips)).counted, strict=True):
            if counts:
                assert (clip.job, clip.index) not in self.counted, f"{clip} is counted twice"
                self.counted.add((clip.job, clip.index))

    # --- rules after each step ----------------------------------------------------------------------------------------

    @invariant()
    def rules_hold(self) -> None:
        keys = snapshot(self.farm.redis)
        records = {job: keys[f"f:j:{job}"] for job in JOBS if f"f:j:{job}" in keys}
        every_segment_is_in_one_place(keys, records)
        every_lease_has_segments(keys)
        a_job_is_due_for_the_work_of_its_status(keys, records)
        a_job_ends_once_for_each_time_it_was_queued(keys, records, self.farm.redis.xrange("f:ev"))

    # --- afterwards ---------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """One healthy worker is left, and time."""
        for _ in range(60):
            self.lose_workers()
            for task in self.farm.run(tasks.take(KINDS, want=100, lease_ms=LEASE)):
                end = (
                    jobs.finish(task.id, task.token, "{}")
                    if task.kind is Due.ASSEMBLE
                    else jobs.plan(task.id, task.token, 3)
                )
                assert self.farm.run(end)
            while grant := self.farm.run(segments.claim("m", want=20, worker="healthy", lease_ms=LEASE)):
                clips = [
                    segments.Settled(job, index, 100) for job, indices in grant.segments.items() for index in indices
                ]
                self.settled(grant.token, clips)
            if all(self.record(job)["status"] in ENDED for job in self.jobs()):
                break
        else:
            raise AssertionError(f"not ended: {[self.record(job) for job in self.jobs()]}")
        self.lose_workers()
        self.rules_hold()
        left = ("f:g:", "f:lease", "f:solo:", "f:ring:", "f:jobs:", "f:r:", "f:d:", "f:a:")
        remains = {key: value for key, value in snapshot(self.farm.redis).items() if key.startswith(left)}
        assert not remains, f"left over: {remains}"

    # --- reading ------------------------------------------------------------------------------------------------------

    def forget_counted(self, job: str) -> None:
        self.counted = {pair for pair in self.counted if pair[0] != job}
        # Its events too: those of an earlier life under the same name are another job's.
        if not self.record(job):
            for id, event in self.farm.redis.xrange("f:ev"):
                if event[b"o"].decode() == job:
                    self.farm.redis.xdel("f:ev", id)

    def jobs(self) -> list[str]:
        return [job for job in JOBS if self.farm.redis.exists(f"f:j:{job}")]

    def record(self, job: str) -> dict[str, str]:
        return self.hash(f"f:j:{job}")

    def hash(self, key: str) -> dict[str, str]:
        return {field.decode(): value.decode() for field, value in self.farm.redis.hgetall(key).items()}


def every_segment_is_in_one_place(keys: dict[str, Any], records: dict[str, dict[str, str]]) -> None:
    held = Counter(field for key in keys if key.startswith("f:g:") for field in keys[key])
    quarantine, waiting = keys.get("f:solo:m", set()), Counter[str]()
    for job, record in records.items():
        ready, done = keys.get(f"f:r:{job}", set()), keys.get(f"f:d:{job}", set())
        if record["status"] != Status.RUNNING:
            assert not ready
            continue
        dead = {int(index) for index, said in keys.get(f"f:a:{job}", {}).items() if said.startswith("x")}
        assert (len(ready), len(done), len(dead)) == tuple(int(record[name]) for name in ("ready", "done", "dead"))
        assert max(ready | done, default=-1) < int(record["total"])
        waiting[f"m:{record['lane']}"] += len(ready)
        for index in range(int(record["total"])):
            name = f"{job}:{index}"
            places = [index in ready, index in dead, index in done, name in quarantine].count(True)
            # Somebody else's clip may have come first: then its holder does not know yet.
            assert places + held[name] == 1 or (index in done and places == held[name] == 1), (
                f"{name} is in {places} places, and {held[name]} hold it"
            )
    assert Counter(keys.get("f:ready", {})) == +waiting


def every_lease_has_segments(keys: dict[str, Any]) -> None:
    grants = {key.removeprefix("f:g:"): held for key, held in keys.items() if key.startswith("f:g:")}
    assert grants.keys() == keys.get("f:lease", {}).keys()
    assert all(len(held) > 2 for held in grants.values()), "beside its worker and its model"


def a_job_is_due_for_the_work_of_its_status(keys: dict[str, Any], records: dict[str, dict[str, str]]) -> None:
    due: dict[str, set[str]] = {job: set() for job in records}
    for key in keys:
        if key.startswith("f:due:") and key != "f:due:token":
            for job in keys[key]:
                due[job].add(key.split(":")[2])
    for job, kinds in due.items():
        assert kinds == HOME.get(Status(records[job]["status"]), {Due.EXPIRE}), f"{job} is due for {kinds}"
    for leased in keys.get("f:due:token", {}):
        kind, job = leased.split(":")
        assert kind in due[job]


def a_job_ends_once_for_each_time_it_was_queued(
    keys: dict[str, Any], records: dict[str, dict[str, str]], events: list[Any]
) -> None:
    seen: dict[str, Counter[str]] = {job: Counter() for job in records}
    for _, event in events:
        seen[event[b"o"].decode()][event[b"s"].decode()] += 1
    for job, record in records.items():
        ends = sum(seen[job][status] for status in ENDED)
        assert seen[job]["queued"] == ends + (record["status"] in OPEN), f"{job}: {seen[job]}"
    assert Counter(keys.get("f:count", {})) == Counter(record["status"] for record in records.values())


def some(grant: segments.Grant, share: int) -> dict[str, list[int]]:
    return {job: list(indices)[::share] for job, indices in grant.segments.items()}


def explore(farm: Farm, examples: int, start: int | None = None, **more: Any) -> None:
    """Raises AssertionError at the first sequence that breaks a rule. `start` seeds the sequences."""

    def machine() -> Machine:
        return Machine(farm)

    found = settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        **more,
    )
    factory = machine if start is None else seed(start)(machine)
    run_state_machine_as_test(factory, settings=found)  # type: ignore[no-untyped-call]


@pytest.mark.timeout(1200)
def test_any_sequence_of_verbs_keeps_every_segment_and_ends_every_job(farm: Farm) -> None:
    explore(farm, EXAMPLES)


@pytest.mark.parametrize("bug", BUGS)
def test_the_machine_notices_when(bug: str, redis_url: str, farm_of: Callable[..., Farm]) -> None:
    verb, good, bad = BUGS[bug]

    def lua(name: str) -> str:
        text = Clock.lua(name)
        assert name != verb or good in text
        return text.replace(good, bad, 1) if name == verb else text

    with pytest.raises(AssertionError):
        hunt(farm_of(lua))


def hunt(farm: Farm) -> None:
    """At most 400 sequences, in twenties: the first twenty find every bug, unless Hypothesis draws others one day."""
    for start in range(HUNTING_SEED, HUNTING_SEED + 20):
        explore(farm, 20, start, phases=[Phase.generate])


@pytest.fixture
def farm_of(redis_url: str) -> Any:
    opened: list[Farm] = []

    def connect(lua: Callable[[str], str]) -> Farm:
        opened.append(Farm(redis_url, lua))
        return opened[-1]

    yield connect
    for farm in opened:
        farm.close()

"""What a million waiting segments cost Redis, in few jobs and in many: python -m benchmarks.memory

Goal: at most 1.5 bytes per segment and 1.5 kB per job. Jobs are planned and wait; each has a spec of 180 bytes, an
idempotency key and a webhook, and one of 50 tenants.
"""

from __future__ import annotations

import redis

from benchmarks.redis_server import redis_server
from farm.job import Due, Lane, new_id
from farm.store import Store, jobs, tasks

SEGMENTS = 1_000_000
SPEC = '{"voice":"en-gb","language":"en","output":{"format":"mp3"},"metadata":{"book":"17"}}'.ljust(180)


def main() -> None:
    print("| jobs | MB | bytes a job | allowed MB | of what is allowed |\n|---|---|---|---|---|")
    for job_count in (100, 20_000):
        with redis_server(aof=False) as url, redis.Redis.from_url(url) as client:
            store = Store.connect(url)
            empty = used(client)
            fill(store, job_count, SEGMENTS // job_count)
            cost, allowed = used(client) - empty, 1.5 * SEGMENTS + 1500 * job_count
            each = cost / job_count
            print(f"| {job_count:,} | {cost / 1e6:.2f} | {each:,.0f} | {allowed / 1e6:.2f} | {cost / allowed:.2f} |")


def fill(store: Store, job_count: int, segments: int) -> None:
    for number in range(job_count):
        job = jobs.NewJob(
            id=new_id("job"),
            tenant=f"tenant{number % 50}",
            model="indextts-2",
            lane=Lane.BULK,
            spec=SPEC,
            text="A short text.",
            characters=100_000,
            retention_s=2_592_000,
            events=("succeeded", "failed", "canceled"),
            idempotency_key=new_id("key"),
            request_digest="0" * 64,
        )
        store.run(jobs.accept(job))
    while taken := store.run(tasks.take([Due.PLAN], want=100, lease_ms=60_000)):
        for task in taken:
            assert store.run(jobs.plan(task.id, task.token, segments))


def used(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory"])


if __name__ == "__main__":
    main()

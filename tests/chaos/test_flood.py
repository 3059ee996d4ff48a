"""One tenant sends a small request that asks for much: the others go on, and it can be stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from farm.wire import JobRequest
from tests.chaos.progress import until
from tests.chaos.record import Record
from tests.chaos.rig import Rig, Stopwatch
from tests.patience import patient

MAXMEMORY = 64_000_000
LINES = 3_000
LINE_S = 10.0  # for one line of another tenant, beside 3,000
ENDED_S = 5.0  # from the cancel until the batch has ended
GONE_S = 60.0  # from the DELETE until no job of it is left


@contextmanager
def limited(rig: Rig) -> Iterator[None]:
    before = rig.redis.config_get("maxmemory")["maxmemory"]
    rig.redis.config_set("maxmemory", MAXMEMORY)
    yield
    rig.redis.config_set("maxmemory", before)


def flood(rig: Rig) -> httpx.Response:
    """70 kB that asked for 93 MB of records: every job has 25 kB of metadata and a URL of 1.9 kB by default."""
    defaults = {
        "metadata": {f"field {number}": "\N{SNOWMAN}" * 500 for number in range(16)},
        "webhook": {"url": "http://127.0.0.1:9/" + "x" * 1900},
    }
    return httpx.post(
        f"{rig.url}/v1/batches",
        files={"file": b'{"input":"x"}\n' * LINES},
        data={"defaults": json.dumps(defaults, ensure_ascii=False)},
        headers=rig.authorization("bob"),
        timeout=patient(60),
    )


def test_a_flood_of_one_tenant_stops_nobody_and_can_be_stopped(rig: Rig, record: Record) -> None:
    with limited(rig), rig.client("ann") as ann, rig.client("bob") as bob:
        of_others = {job.id for job in bob.jobs()}  # of tests before
        answer = flood(rig)
        assert answer.status_code == 202, answer.text
        batch = answer.json()["id"]
        until(lambda: bob.batch(batch).counts.get("succeeded", 0) > 0, 60, "the first of its jobs")
        line = Stopwatch()
        job = ann.submit(JobRequest.model_validate({"input": "The tide went out.", "priority": "interactive"}))
        assert ann.wait(job.id, timeout=patient(LINE_S)).status == "succeeded"
        line_s = line.seconds
        used = int(rig.redis.info("memory")["used_memory"])
        assert used < 0.7 * MAXMEMORY

        cancel = Stopwatch()
        bob.cancel_batch(batch)
        until(lambda: bob.batch(batch).ended_at is not None, ENDED_S, "the end of the batch")
        ended_s = cancel.seconds
        ended = bob.batch(batch)
        assert (ended.status, sum(ended.counts.values())) == ("canceled", LINES)

        delete = Stopwatch()
        bob.delete_batch(batch)
        until(lambda: {job.id for job in bob.jobs()} <= of_others, GONE_S, "its jobs to be deleted", every=0.5)
        until(lambda: not rig.redis.keys(f"f:*{batch}*"), GONE_S, "the batch to be deleted")
        ann.delete(job.id)
    record(
        f"a batch of {LINES} lines that asked for {MAXMEMORY:,} bytes", a_line_of_another_s=line_s, ended_s=ended_s,
        deleted_s=delete.seconds, bound_s=LINE_S,
    )  # fmt: skip

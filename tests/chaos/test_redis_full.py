"""Redis is near its limit of memory, or above it: nothing new is accepted, and each job that was accepted before is
planned, rendered, assembled and told, canceled or deleted. Above the limit no worker can be woken: the broker is the
same Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.crowd import Crowd
from tests.chaos.ledger import Ledger
from tests.chaos.progress import told, until
from tests.chaos.record import Record
from tests.chaos.rig import Rig, Stopwatch
from tests.patience import patient

BOOK = "\n\n".join(f"Wave {n} came in." for n in range(200))
LINE = "The tide went out."
BOUND_S = 5.0  # for an answer, and from the limit until it is noticed
TOLD_S = 10.0
BALLAST = 40_000_000  # bytes, beside which the farm's own work weighs little, as in a large farm


@pytest.fixture
def crowd(rig: Rig, ledger: Ledger) -> Iterator[Crowd]:
    ledger.learn(LINE)
    ledger.learn(BOOK)
    unlimited = rig.redis.config_get("maxmemory")["maxmemory"]
    rig.redis.setrange("ballast", BALLAST - 1, b"\0")  # as a value it would lie in a buffer of the connection too
    with Crowd(rig, ledger) as crowd:
        yield crowd
    rig.redis.config_set("maxmemory", unlimited)
    rig.redis.delete("ballast")


@pytest.mark.parametrize("share", [0.85, 1.1])
def test_a_full_farm_drains_and_accepts_again(
    rig: Rig, ledger: Ledger, crowd: Crowd, record: Record, share: float
) -> None:
    unlimited = rig.redis.config_get("maxmemory")["maxmemory"]
    book = ledger.submit(BOOK)
    waiting = [ledger.submit(BOOK, priority="bulk", webhook=False) for _ in range(2)]
    line = ledger.submit(LINE)
    used = int(rig.redis.info("memory")["used_memory"])
    full = Stopwatch()
    rig.redis.config_set("maxmemory", round(used / share))
    if share > 1:  # so that no worker goes on for having been woken before
        for name in ("render", "desk"):
            rig.replaced(name, rig.kill(name))

    def refusal() -> bool:
        return crowd.submit(LINE, f"at {share}, {len(crowd.answers)}").body.get("code") == "farm_full"

    until(refusal, BOUND_S, "a refusal", every=0.05)  # the API measures once a second
    refused = [
        crowd.answers[-1],
        crowd.ask("POST", "/v1/batches", json={"jobs": [{"input": LINE}]}),
        crowd.ask("POST", "/v1/voices", files={"audio": b"RIFF"}, data={"name": "nobody", "consent": "true"}),
    ]
    assert {(each.status, each.body["code"]) for each in refused} == {(503, "farm_full")}
    assert all("it takes no new work until some of what it has is done" in each.detail for each in refused)
    assert crowd.ask("POST", f"/v1/jobs/{waiting[0].id}/cancel").status == 202
    ledger.promises[waiting[0].id].wanted = frozenset({"canceled"})
    assert crowd.ask("DELETE", f"/v1/jobs/{waiting[1].id}").status == 204
    ledger.promises[waiting[1].id].deleted = True
    for job in (line, book):
        assert ledger.clients["ann"].wait(job.id, timeout=patient(60)).status == "succeeded"
        told(ledger, job.id, within=TOLD_S)
    drained_s = full.seconds
    slowest = crowd.check_answers(BOUND_S)
    crowd.check_nothing_half_accepted(lost_answers=False)

    rig.redis.config_set("maxmemory", unlimited)
    accepts_s = until(
        lambda: crowd.submit(LINE, f"again after {share}, {len(crowd.answers)}").status == 202, BOUND_S,
        "the farm to accept again", every=0.05,
    )  # fmt: skip
    record(
        f"Redis at {share:.0%} of maxmemory", slowest_answer_s=slowest, drained_s=drained_s, accepts_s=accepts_s,
        bound_s=BOUND_S,
    )  # fmt: skip
    crowd.check_retries()
    ledger.check()

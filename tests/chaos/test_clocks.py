"""Workers whose wall clocks are an hour fast or slow. Only the clock of Redis counts: nothing expires early or late, a
living worker is not taken for dead, and receivers accept the webhooks although they refuse a date five minutes off."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.chaos.ledger import Ledger
from tests.chaos.progress import until
from tests.chaos.record import Record
from tests.chaos.rig import Rig
from tests.chaos.shared import SharedFarm

ROOT = Path(__file__).parents[2]
HOUR_S = 3600
HEARTBEAT_S = 10.0  # for so long a killed worker counts as alive
RETENTION_DAYS = 1.0
SLACK_S = 60.0
BOOK = "\n\n".join(f"It struck {n}, and the clock in the hall stood at {n} past something else." for n in range(120))


@pytest.fixture(scope="module", params=[HOUR_S, -HOUR_S], ids=["fast", "slow"])
def skew(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, skew: int) -> Iterator[SharedFarm]:
    """The desk is wrong one way and the render worker the other."""
    stands_in = {
        role: (sys.executable, "-m", "tests.chaos.skewed", str(wrong), role)
        for role, wrong in (("desk", skew), ("render", -skew))
    }
    environment = {"PYTHONPATH": os.fspath(ROOT), "FARM_RETENTION_DAYS": f"{RETENTION_DAYS:g}"}

    def start() -> Rig:
        return Rig(tmp_path_factory.mktemp("rig"), environment=environment, stands_in=stands_in).start()

    with SharedFarm(start) as shared:
        yield shared


def off(moment: datetime) -> float:
    """Seconds between this moment and now."""
    return (moment - datetime.now(UTC)).total_seconds()


def test_nothing_expires_early_and_receivers_accept_the_webhooks(
    rig: Rig, ledger: Ledger, record: Record, skew: int
) -> None:
    ledger.learn(BOOK)
    jobs = [ledger.submit(BOOK, tenant=tenant) for tenant in ("ann", "bob")]
    ledger.check()  # a receiver that refuses a webhook is a breach
    for job in jobs:
        tenant = ledger.promises[job.id].tenant
        ended = ledger.clients[tenant].job(job.id)
        assert ended.result is not None
        assert abs(off(ended.result.expires_at) - RETENTION_DAYS * 86_400) < SLACK_S
        segments = ledger.clients[tenant].manifest(job.id)["segments"]
        assert all(row["attempts"] == 1 for row in segments if not row["cached"]), "a lease expired early"
        (delivery,) = ledger.clients[tenant].deliveries(job.id)
        assert abs(off(delivery.attempts[0].at)) < SLACK_S
    record("workers' clocks an hour off", desk_s=skew, render_s=-skew, expired_early=0, webhooks_refused=0)


def test_living_workers_count_as_alive_and_a_killed_one_does_not(rig: Rig, ledger: Ledger) -> None:
    queue = ledger.clients["ann"].queue()
    assert sorted(worker.kind for worker in queue.workers) == ["desk", "render"]
    for worker in queue.workers:
        assert abs(off(worker.seen_at)) < SLACK_S
        assert abs(off(worker.started_at)) < SLACK_S * 10

    dead = {worker.id for worker in queue.workers if worker.kind == "render"}
    rig.replaced("render", rig.kill("render"))

    def alive() -> set[str]:
        return {worker.id for worker in ledger.clients["ann"].queue().workers}

    until(
        lambda: len(now := alive()) >= 2 and not dead & now, HEARTBEAT_S + 20,
        "the queue to have the new worker, and not the dead one", every=0.05,
    )  # fmt: skip
    ledger.submit(BOOK)
    ledger.check()

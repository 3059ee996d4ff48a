"""Engines that fail at one sentence: they hang, raise, decline, run out of memory. The segment with this sentence is
dead after three attempts, and its job names it. Every other segment is rendered, and sounds as if nothing had happened.

Such a text is poison: it costs workers. A segment that has cost two is quarantined, and rendered with nothing beside
it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.job import MAX_ATTEMPTS
from farm.wire import Job
from tests.chaos.ledger import Ledger
from tests.chaos.lengths import length
from tests.chaos.record import Record
from tests.chaos.rig import Rig, Stopwatch
from tests.chaos.shared import SharedFarm
from tests.chaos.sickly import sentence
from tests.patience import patient

ROOT = Path(__file__).parents[2]
WATCHDOG_S = length(1.5, full=3.0)  # an utterance takes 0.03 s; a hang costs five of these, one a death
SICK = (sys.executable, "-m", "tests.chaos.sickly", "render")
DEATHS = {"hangs": MAX_ATTEMPTS, "seizes": MAX_ATTEMPTS, "raises": MAX_ATTEMPTS, "hoards": MAX_ATTEMPTS,
          "dies": MAX_ATTEMPTS, "declines": 0}  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedFarm]:
    environment = {"FARM_WATCHDOG_SECONDS": f"{patient(WATCHDOG_S):.2f}", "PYTHONPATH": os.fspath(ROOT)}

    def start() -> Rig:
        return Rig(tmp_path_factory.mktemp("rig"), environment=environment, stands_in={"render": SICK}).start()

    with SharedFarm(start) as shared:
        yield shared


def starts(rig: Rig) -> int:
    """How often the render worker was started."""
    return rig.logged("render", " ready.")


def error_of(job: Job) -> tuple[str, int | None]:
    assert job.error is not None
    return job.error.code, job.error.segment


@pytest.mark.parametrize("illness", DEATHS)
def test_the_poison_segment_of_a_claim_is_the_only_one_that_dies(
    rig: Rig, ledger: Ledger, record: Record, illness: str
) -> None:
    healthy = f"Before one that {illness}.\n\nAnother that is well.\n\nAnd a third."
    poison = f"The first is well.\n\n{sentence(illness)}\n\nThe last is well."
    ledger.learn(healthy)
    before, watch = starts(rig), Stopwatch()
    rig.freeze("render")  # until all of them are ready, so that they are claimed together
    neighbours = [ledger.submit(healthy, tenant=tenant) for tenant in ("ann", "bob")]
    skipping = ledger.submit(poison, on_error="skip")
    failing = ledger.submit(poison, tenant="bob")
    ledger.promises[failing.id].wanted = frozenset({"failed"})
    for job in (*neighbours, skipping, failing):
        tenant = ledger.promises[job.id].tenant
        next(seen for seen in ledger.clients[tenant].watch(job.id, every=0.05) if seen.status == "running")
    rig.thaw("render")
    ledger.check(within=120)

    manifest = ledger.clients["ann"].manifest(skipping.id)
    assert [row["index"] for row in manifest["segments"] if "error" in row] == [1]
    assert ledger.clients["ann"].job(skipping.id).progress.segments_failed == 1
    assert error_of(ledger.clients["bob"].job(failing.id)) == ("segment_failed", 1)
    manifests = [ledger.clients[ledger.promises[job.id].tenant].manifest(job.id) for job in neighbours]
    lost = [row["attempts"] - 1 for told in (*manifests, manifest) for row in told["segments"] if "attempts" in row]
    deaths = starts(rig) - before
    record(
        f"an engine that {illness}", deaths=deaths, dead_of_healthy=0, attempts_lost_by_a_neighbour=max(lost),
        seconds=watch.seconds,
    )  # fmt: skip
    assert max(lost) < MAX_ATTEMPTS
    assert DEATHS[illness] <= deaths <= 2 * DEATHS[illness], "the worker died more often than two poison texts allow"

"""Processes that stand still for longer than their lease, so that others get their work, and then wake up. Their late
work counts once at most, and their late words about work of others are refused."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from farm.wire import Output, Webhook
from tests.chaos.ledger import Ledger
from tests.chaos.progress import told, until
from tests.chaos.record import Record
from tests.chaos.rig import Rig, Stopwatch
from tests.chaos.shared import SharedFarm
from tests.chaos.sickly import dozed, sentence
from tests.patience import patient
from tests.webhook.listener import Listener, answers

ROOT = Path(__file__).parents[2]
CAPACITY = 8
KEEPER_S = 5.0  # the lock's 3 s and a look
DESK_S = 30.0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedFarm]:
    """Two of each worker: for every one that freezes there is another."""
    sickly = (sys.executable, "-m", "tests.chaos.sickly", "render")
    stands_in = {"render": sickly, "render-2": sickly}
    environment = {"PYTHONPATH": os.fspath(ROOT)}

    def start() -> Rig:
        rig = Rig(tmp_path_factory.mktemp("rig"), workers=2, environment=environment, stands_in=stands_in).start()
        rig._add("desk-2", (sys.executable, "-P", "-m", "worker", "desk"))
        until(lambda: len(beats(rig)) == 4, 30, "the second desk", every=0.05)
        return rig

    with SharedFarm(start) as shared:
        yield shared


def beats(rig: Rig) -> list[Any]:
    with rig.client() as ann:
        return ann.queue().workers


def begun(rig: Rig) -> dict[str, set[str]]:
    """token -> the segments that its holder has begun."""
    client: Any = rig.redis
    tokens = client.zrange("f:lease", 0, -1)
    grants = {token: client.hgetall(b"f:g:" + token) for token in tokens}
    return {token.decode(): {f.decode() for f, v in grant.items() if v == b"1"} for token, grant in grants.items()}


def state(rig: Rig, job: str) -> tuple[Any, ...]:
    """All that the store knows of a job, and the whole history."""
    client: Any = rig.redis
    return client.hgetall(f"f:j:{job}"), client.get(f"f:o:{job}"), client.xinfo_stream("f:ev")["last-generated-id"]


def test_a_thawed_render_worker_changes_nothing(rig: Rig, ledger: Ledger, record: Record) -> None:
    text = "\n\n".join([sentence("dozes"), *(f"Paragraph {n} of what it held." for n in range(60))])
    dozed(rig.data).touch()
    ledger.learn(text)
    dozed(rig.data).unlink()
    rig.freeze("render-2")  # so that the other one meets the sentence
    job = ledger.submit(text)
    until(dozed(rig.data).exists, 20, "the worker to doze in the middle of a batch")
    rig.freeze("render")
    held = set().union(*begun(rig).values())
    assert 0 < len(held) <= CAPACITY
    rig.thaw("render-2")

    watch = Stopwatch()
    done = ledger.clients["ann"].wait(job.id, patient(60))
    recovered = watch.seconds
    assert done.status == "succeeded"
    told(ledger, job.id)
    until(lambda: not ledger.leftovers(), 20, "everything to be put away", every=0.05)
    before, lines = state(rig, job.id), rig.logged("render", "are no longer ours to render")
    rig.thaw("render")
    until(lambda: rig.logged("render", "are no longer ours to render") > lines, 20, "it to notice", every=0.05)
    until(lambda: rig.logged("render", "it woke up too late"), 20, "its failure to be refused", every=0.05)
    rig.replaced("render", rig.kill("render", signal.SIGTERM))  # it gives back its segments, and ends
    assert state(rig, job.id) == before
    rows = ledger.clients["ann"].manifest(job.id)["segments"]
    burnt = {f"{job.id}:{row['index']}" for row in rows if row["attempts"] > 1}
    assert burnt <= held
    assert max(row["attempts"] for row in rows) <= 2
    ledger.check()
    record("a render worker frozen past its lease", begun=len(held), burnt=len(burnt), taken_over_s=recovered)


def test_a_desk_frozen_in_an_assembly_leaves_one_result(rig: Rig, ledger: Ledger, record: Record) -> None:
    text = "\n\n".join(f"Chapter {n} is about the sea, and goes on for a while about it." for n in range(300))
    ledger.learn(text, output=Output(format="wav", loudness_lufs=-18))
    rig.freeze("desk-2")
    job = ledger.submit(text, output=Output(format="wav", loudness_lufs=-18))
    key = f"f:j:{job.id}"
    until(lambda: any(rig.scratch.glob("tts-farm-scratch-assembly-*/*")), 60, "the assembly")
    rig.freeze("desk")
    assert rig.redis.hget(key, "status") == b"assembling", "frozen too late to prove anything; make the book longer"
    rig.thaw("desk-2")
    watch = Stopwatch()
    assert ledger.clients["ann"].wait(job.id, patient(60)).status == "succeeded"
    recovered = watch.seconds
    told(ledger, job.id)
    before = state(rig, job.id)
    rig.thaw("desk")
    until(lambda: rig.logged("desk", f"{job.id} is no longer ours"), 30, "the late desk to notice", every=0.05)
    assert state(rig, job.id) == before
    ledger.check()
    assert len(ledger.mailboxes["ann"].told(job.id)) == 1
    record("a desk frozen in an assembly", results=1, webhooks=1, taken_over_s=recovered, bound_s=DESK_S)
    assert recovered <= patient(DESK_S)


def test_a_delivery_of_a_frozen_desk_is_made_again_under_the_same_id(rig: Rig, ledger: Ledger, record: Record) -> None:
    """The first receiver hears the request and answers only when the desk that asked stands still."""
    asked: list[str] = []

    def hold(connection: Any) -> None:
        asked.append("")
        if len(asked) == 1:
            until(lambda: len(asked) > 1, 40, "the other desk")
        answers(204)(connection)

    with closing(Listener(hold)) as listener:
        rig.freeze("desk-2")
        job = ledger.clients["ann"].submit(
            ledger.request("It is told twice.", "ann", webhook=False).model_copy(
                update={"webhook": Webhook(url=listener.url)}
            )
        )
        until(lambda: asked, 30, "the first delivery")
        rig.freeze("desk")
        rig.thaw("desk-2")
        watch = Stopwatch()
        until(lambda: len(asked) == 2, rig.lease_s + 20, "the second delivery")
        recovered = watch.seconds
        rig.thaw("desk")

        def delivery() -> Any:
            return ledger.clients["ann"].deliveries(job.id)[0]

        until(lambda: delivery().status == "delivered", 20, "the delivery", every=0.05)
        ids = {
            line for request in listener.requests for line in request.split(b"\r\n") if line.startswith(b"webhook-id")
        }
        assert len(ids) == 1
        ledger.check()
        assert len(delivery().attempts) == 1, "the late desk's attempt was recorded as well"
    record("a desk frozen in a delivery", ids=1, told=len(listener.requests), again_s=recovered)


def test_a_frozen_keeper_is_replaced(rig: Rig, ledger: Ledger, record: Record) -> None:
    client: Any = rig.redis
    until(lambda: client.get("f:lock:keeper"), 10, "a keeper")
    names = ("render", "render-2", "desk", "desk-2")
    holder = client.get("f:lock:keeper")
    for name in names:  # which of them it is shows when it stands still
        rig.freeze(name)
        watch = Stopwatch()
        while watch.seconds < patient(KEEPER_S) and client.get("f:lock:keeper") in (holder, None):
            time.sleep(0.01)
        rig.thaw(name)
        if client.get("f:lock:keeper") not in (holder, None):
            break
    else:
        raise AssertionError(f"nobody took over from the keeper within {KEEPER_S:g} s")
    record("the keeper frozen", replaced_after_s=watch.seconds, bound_s=KEEPER_S)
    ledger.submit("Work goes on.")
    ledger.check()

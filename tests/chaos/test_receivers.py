"""Webhook receivers that misbehave in every way: no other delivery waits for them, the desk's memory stays small, and
each delivery goes on by its schedule."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta

import pytest

from farm.webhooks.schedule import JITTER, SCHEDULE_S
from farm.wire import Delivery, Job, JobRequest, Output, Webhook
from tests.chaos.ledger import Ledger
from tests.chaos.progress import told, until
from tests.chaos.record import Record
from tests.chaos.rig import TENANTS, Rig
from tests.patience import patient
from tests.webhook.listener import Listener, Temper, answers
from worker.webhooks.post import DEADLINE_S

HANGING = 100
PROMPT_S = 5.0  # from the end of a job until a receiver that is well has heard of it
ANSWER_BYTES = 1_000_000_000
GROWTH_BYTES = 100_000_000  # of all the desk's processes together, while they wait for all receivers that hang
LATE_S = 2.5  # a delivery that is due is found by the keeper, which looks once a second

_PITCHES = (-number * 1e-7 for number in itertools.count(1))  # so near zero that they can't be heard


class Hold:
    """Does not answer until it is let go, and then hangs up."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def __call__(self, connection: socket.socket) -> None:
        self.over.wait(60)


class Flood:
    """Answers with a gigabyte, until the client closes."""

    def __init__(self) -> None:
        self.sent = 0

    def __call__(self, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 Whatever\r\nContent-Length: %d\r\n\r\n" % ANSWER_BYTES)
        while self.sent < ANSWER_BYTES:
            self.sent += connection.send(bytes(1 << 16))


def slow(connection: socket.socket) -> None:
    threading.Event().wait(DEADLINE_S + 1)
    answers(200)(connection)


def hangs_up(connection: socket.socket) -> None:
    """Closes at once."""


def babbles(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n" * 100)


@pytest.fixture
def listen() -> Iterator[Callable[[Temper], Listener]]:
    with ExitStack() as stack:

        def start(temper: Temper) -> Listener:
            listener = Listener(temper)
            stack.callback(listener.close)
            return listener

        yield start


def telling(*urls: str) -> list[JobRequest]:
    """One short job for each receiver."""
    return [
        JobRequest(input="All is told.", pitch=next(_PITCHES), output=Output(format="wav"), webhook=Webhook(url=url))
        for url in urls
    ]


def submitted(ledger: Ledger, jobs: Sequence[JobRequest]) -> list[Job]:
    """As one batch of ann's, which no ledger knows: not every receiver will hear of the end of its job."""
    ann = ledger.clients["ann"]
    batch = ann.submit_batch(jobs).id
    until(lambda: len(list(ann.batch_jobs(batch))) == len(jobs), 30, "the batch to be unfolded", every=0.05)
    return list(ann.batch_jobs(batch))


def deleted(ledger: Ledger, jobs: Sequence[Job]) -> None:
    for job in jobs:
        ledger.clients["ann"].delete(job.id)


def size(rig: Rig) -> int:
    return sum(process.memory_info().rss for process in rig.family("desk"))


def test_a_hundred_hanging_receivers_delay_no_other_delivery(
    rig: Rig, ledger: Ledger, listen: Callable[[Temper], Listener], record: Record
) -> None:
    hold = Hold()
    hanging = listen(hold)
    before = size(rig)
    jobs = submitted(ledger, telling(*[hanging.url] * HANGING))
    until(lambda: len(hanging.requests) >= 32, 60, "the desk to be full of receivers that hang")

    delays = []
    for number in range(6):
        tenant = TENANTS[number % 2]
        job = ledger.submit(f"This is told at once, for the {number}th time.", tenant=tenant)
        ledger.clients[tenant].wait(job.id, patient(30))
        delays.append(told(ledger, job.id, tenant, within=60))
    until(lambda: len(hanging.requests) >= HANGING, 30, "every receiver to hang")
    growth = size(rig) - before
    hold.over.set()
    deleted(ledger, jobs)
    ledger.check()
    record(
        "receivers that hang", hanging=HANGING, slowest_other_s=max(delays), bound_s=PROMPT_S, growth_mb=growth / 1e6
    )
    assert max(delays) <= patient(PROMPT_S), f"others were told after {delays} s"
    assert growth < GROWTH_BYTES


def test_failing_receivers_are_tried_again_by_the_schedule_and_one_that_is_gone_is_not(
    rig: Rig, ledger: Ledger, listen: Callable[[Temper], Listener], record: Record
) -> None:
    flood = Flood()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        down = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    redirected = listen(answers(200))
    receivers = {
        "down": down,
        "answers 500": listen(answers(500)).url,
        "redirects": listen(answers(302, f"Location: {redirected.url}")).url,
        "hangs up": listen(hangs_up).url,
        "babbles": listen(babbles).url,
        "slow": listen(slow).url,
    }
    gone, flooding = listen(answers(410)), listen(flood)
    before = size(rig)
    jobs = submitted(ledger, telling(*receivers.values(), gone.url, flooding.url))
    ledger.submit("One that is well.")

    def delivery(job: Job) -> Delivery:
        return ledger.clients["ann"].deliveries(job.id)[0]

    def tries(job: Job) -> int:
        found = ledger.clients["ann"].deliveries(job.id)
        return len(found[0].attempts) if found else 0

    *failing, refusing, flooded = jobs
    wanted = [2] * (len(failing) - 1) + [1, 1, 1]  # the slow one takes its 15 s each time
    until(lambda: all(tries(job) >= n for job, n in zip(jobs, wanted, strict=True)), 60, "the attempts", every=0.05)
    assert delivery(refusing).status == "abandoned"
    assert delivery(flooded).status == "delivered"
    assert flood.sent < ANSWER_BYTES / 100
    assert size(rig) - before < GROWTH_BYTES
    assert redirected.requests == []
    late = [lateness(delivery(job)) for job in failing]
    assert len(gone.requests) == 1
    deleted(ledger, jobs)
    ledger.check()
    record("receivers that fail", kinds=len(jobs), latest_second_try_s=max(late), read_mb=flood.sent / 1e6)


def lateness(delivery: Delivery) -> float:
    """Checks every wait of a delivery that goes on; how much later than its schedule the second attempt began."""
    first, *again = delivery.attempts
    assert delivery.status == "pending"
    assert delivery.next_attempt_at is not None
    moments = [*(attempt.at for attempt in again), delivery.next_attempt_at]
    over = first.at + timedelta(seconds=first.seconds)
    late = 0.0
    for number, moment in enumerate(moments, start=1):
        wait = (moment - over).total_seconds()
        planned = SCHEDULE_S[number]
        assert planned - 0.1 <= wait <= planned * (1 + JITTER) + patient(LATE_S), (
            f"attempt {number + 1} after {wait:.1f} s"
        )
        if number == 1:
            late = max(0.0, wait - planned * (1 + JITTER))
        if number <= len(again):
            over = moment + timedelta(seconds=again[number - 1].seconds)
    return late

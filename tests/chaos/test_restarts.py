"""Work goes on after kill -9 of Redis, after a stop of the whole farm, and after all its wake-ups are lost. It goes on
where it stood, and no segment has paid for it with an attempt."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import redis

from farm.layout import CLIPS
from farm.settings import Settings
from tests.chaos.ledger import Ledger
from tests.chaos.progress import Progress, attempts_lost, until
from tests.chaos.record import Record
from tests.chaos.rig import Rig, Stopwatch
from tests.patience import patient

BOOK = "\n\n".join(f"Lamp {n}." for n in range(600))
LINE = "The tide went out."
BATCH = 8  # espeak's capacity
BACK_S = 5.0
DOWN_LEASES = (0.25, 1.75)  # for less and for more than a lease


def test_work_goes_on_after_each_of_six_kills_of_redis(rig: Rig, ledger: Ledger, record: Record) -> None:
    ledger.learn(LINE)
    ledger.learn(BOOK)
    book = Progress(rig, ledger.submit(BOOK, priority="bulk").id)
    over, recoveries = threading.Event(), []

    def submitting() -> None:
        with rig.client("bob") as client:
            client.health()
            while not over.wait(0.5):
                ledger.submit(LINE, tenant="bob", client=client)

    with ThreadPoolExecutor(1) as pool:
        user = pool.submit(submitting)
        try:
            for kill in range(6):
                book.until_done(90 * kill + 20)
                with rig.redis_down():
                    over.wait(DOWN_LEASES[kill % 2] * rig.lease_s)
                until(rig.redis.ping, 30, "Redis to be back")
                recoveries.append(until(lambda then=book.done: book.done > then, 60, "work to go on"))
        finally:
            over.set()
        user.result()
    jobs = ledger.check()
    burnt = sum(attempts_lost(ledger, job.id, tenant=ledger.promises[job.id].tenant) for job in jobs)
    record(
        "Redis killed under load", kills=6, accepted=len(jobs), lost=0, attempts_burnt=burnt, slowest_s=max(recoveries),
        bound_s=BACK_S,
    )  # fmt: skip
    assert burnt == 0
    assert max(recoveries) <= patient(BACK_S)


def test_a_job_ends_although_all_wake_ups_are_lost(rig: Rig, ledger: Ledger, record: Record) -> None:
    """Also those of a job that no worker has seen yet, whose sender does not wake a second time."""
    ledger.learn(BOOK)
    broker = redis.Redis.from_url(Settings(redis_url=rig.direct_redis_url).broker)
    flushes = 0
    with broker:
        for name in ("desk", "render"):  # while they start, nobody fetches what is sent
            rig.replaced(name, rig.kill(name))
        book = Progress(rig, ledger.submit(BOOK).id)
        until(lambda: broker.llen("desk"), 10, "the wake-up to be sent")
        broker.flushdb()
        watch = Stopwatch()
        while book.status != "succeeded":
            broker.flushdb()
            flushes += 1
            assert watch.seconds < patient(60), f"{book.job} is {book.status} with {book.done} done"
            threading.Event().wait(0.05)
    seconds = watch.seconds
    ledger.check()
    record("the broker's database flushed", flushes=flushes, lost=0, book_s=seconds)


def test_a_job_goes_on_after_the_whole_farm_was_stopped_and_started(tmp_path: Path, record: Record) -> None:
    with Rig(tmp_path) as rig, Ledger(rig) as ledger:
        undisturbed = ledger.learn(BOOK)
        with rig.client() as client:
            book = client.submit(ledger.request(BOOK, "ann", webhook=False))
        stood = Progress(rig, book.id)
        stood.until_done(200)
        done = stood.done
        watch = Stopwatch()
        rig.terminate()
        stopped = watch.seconds
    began = datetime.now(UTC)
    with Rig(tmp_path) as rig, Ledger(rig) as ledger:
        ledger.accepted(book, BOOK)
        (ended,) = ledger.check(90)
        rendered = sum(clip.modified >= began for clip in rig.storage().list(CLIPS))
        burnt = attempts_lost(ledger, book.id)
    record("all stopped at once", stopped_in_s=stopped, stood_at=done, rendered_after=rendered, attempts_burnt=burnt)
    assert ended.result is not None
    assert ended.result.sha256 == undisturbed
    assert rendered <= 600 - done
    # Redis went at the same moment, so what was in flight could be neither settled nor given back.
    assert burnt <= BATCH

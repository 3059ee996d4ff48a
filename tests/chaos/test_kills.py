"""kill -9, at every stage of a job and over and over: no accepted job is lost, only segments that had begun are
rendered once more, and the audio is that of an undisturbed run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import pytest

from farm.layout import result_prefix
from farm.settings import Settings
from farm.wire import JobRequest
from tests.chaos.ledger import Ledger
from tests.chaos.lengths import length
from tests.chaos.progress import Progress, attempts, until
from tests.chaos.record import Record
from tests.chaos.rig import LEASE_S, Rig, Stopwatch
from tests.patience import patient

KILLS = length(6, full=20)  # each costs a start of the worker
BETWEEN = 140  # segments, from one kill to the next
BOOK = "\n\n".join(f"Lamp {n}." for n in range(length(1500, full=3000)))
LEAFLET = "\n\n".join(f"Lamp {n}." for n in range(500))
LINE = "The tide went out."
KNOWN = -1e-7  # the pitch with which every clip is in storage already, so that a job is soon assembled
BACK_S = 2.0  # beyond the lease
BATCH = 8  # espeak's capacity
BEGUN = 3 * BATCH  # the batch that runs, and two behind it that may be on their way into storage
DESK_S = 30.0


def test_a_book_survives_many_kills_of_its_render_worker(tmp_path: Path, record: Record) -> None:
    """With the lease that a farm has by default: the start of the only worker is most of the time."""
    lost: list[set[int]] = []
    dead: set[str] = set()  # workers whose leases are perhaps not over yet
    recoveries: list[float] = []
    lease_s = float(Settings.model_fields["lease_seconds"].default)
    with Rig(tmp_path, environment={"FARM_LEASE_SECONDS": f"{lease_s:g}"}) as rig, Ledger(rig) as ledger:
        ledger.learn(BOOK)
        book = Progress(rig, ledger.submit(BOOK, priority="bulk").id)
        for kill in range(KILLS):
            book.until_done(BETWEEN * kill + 100)
            watch = Stopwatch()
            rig.replaced("render", rig.kill("render"))
            held = book.held()
            lost.append({segment for worker, segment in held if worker not in dead})
            dead |= {worker for worker, _ in held}
            book.until_further(book.done, within=30)
            recoveries.append(watch.seconds)
        ledger.check(90)
        again = rendered_again(ledger, book.job)
    record(
        "render worker killed", kills=KILLS, lost=0, begun_at_most=max(map(len, lost)), rendered_again=len(again),
        back_to_work_s=median(recoveries), slowest_s=max(recoveries), bound_s=lease_s + BACK_S,
    )  # fmt: skip
    assert again <= set().union(*lost), "a segment that had not begun was rendered again"
    assert max(map(len, lost)) <= BEGUN
    assert max(recoveries) <= lease_s + patient(BACK_S)


def test_a_render_worker_goes_on_when_another_is_killed(tmp_path: Path, record: Record) -> None:
    recoveries, pauses = [], []
    with Rig(tmp_path, workers=2) as rig, Ledger(rig) as ledger:
        ledger.learn(LEAFLET)
        for _ in range(3):
            # Once both are up: a busy machine starts a worker more slowly than the other one renders the text.
            until(lambda: rig.render_workers() == 2, DESK_S, "both workers to have started")
            book = Progress(rig, ledger.submit(LEAFLET).id)
            until(lambda book=book: len(book.holders()) == 2, DESK_S, "both workers to be at work")
            held = book.held()
            watch = Stopwatch()
            rig.kill("render-2")
            rig.forget_workers()
            book.until_further(book.done, within=DESK_S)
            pauses.append(watch.seconds)
            until(
                lambda book=book, held=held: not held & book.held(),
                DESK_S,
                "the segments of the dead to be taken back",
            )
            recoveries.append(watch.seconds)
        ledger.check()
    record(
        "one of two render workers killed", kills=3, lost=0, pause_s=max(pauses), pause_bound_s=LEASE_S,
        taken_back_s=max(recoveries), bound_s=LEASE_S + BACK_S,
    )  # fmt: skip
    assert max(pauses) < rig.lease_s, "the survivor waited for the dead one's lease"
    assert max(recoveries) <= rig.lease_s + patient(BACK_S)


# --- the desk ---------------------------------------------------------------------------------------------------------


def planning(rig: Rig, book: Progress) -> bool:
    return bool(rig.redis.hexists("f:due:token", f"plan:{book.job}"))


def making_passages(rig: Rig, book: Progress) -> bool:
    return any(field.startswith(f"passage:{book.job}.".encode()) for field in rig.redis.hkeys("f:due:token"))


def assembling(rig: Rig, book: Progress) -> bool:
    return any(file.stat().st_size for file in rig.scratch.glob("tts-farm-scratch-assembly-*/audio.wav"))


def uploaded(rig: Rig, book: Progress) -> bool:
    return any(rig.storage().list(result_prefix(book.job)))


@pytest.mark.parametrize(
    ("stage", "statuses"),
    [
        (planning, ["queued"]),
        (making_passages, ["running", "assembling"]),
        (assembling, ["assembling"]),
        (uploaded, ["assembling"]),
    ],
)
def test_a_job_survives_a_kill_of_the_desk(
    rig: Rig, ledger: Ledger, record: Record, stage: Callable[[Rig, Progress], bool], statuses: list[str]
) -> None:
    ledger.learn(BOOK)
    ledger.stock(BOOK, KNOWN)
    for _ in range(5):  # a desk may get on faster than one can look
        book = Progress(rig, ledger.submit(BOOK, pitch=KNOWN).id)
        until(lambda book=book: stage(rig, book), 60, stage.__name__)
        rig.freeze("desk")
        watch = Stopwatch()
        rig.replaced("desk", rig.kill("desk"))
        if book.status in statuses:
            break
    else:
        pytest.fail("every kill came too late")
    book.until_status("succeeded", DESK_S)
    seconds = watch.seconds
    ledger.check()
    record(f"desk killed: {stage.__name__}", lost=0, ended_after_s=seconds, bound_s=DESK_S)
    assert seconds <= patient(DESK_S)


def reading(rig: Rig) -> bool:
    return any(field.startswith(b"document:") for field in rig.redis.hkeys("f:due:token"))


def test_a_document_survives_a_kill_of_the_desk_that_reads_it(rig: Rig, record: Record, tmp_path: Path) -> None:
    for number in range(5):  # a desk may get on faster than one can look
        file = tmp_path / f"{number}.html"
        file.write_text(f"<h1>{number}</h1>" + "<p>The lamp was lit.</p>" * 100_000)
        with rig.client() as client, ThreadPoolExecutor(1) as pool:
            upload = pool.submit(client.add_document, file)
            until(lambda: reading(rig), 60, "reading")
            rig.freeze("desk")
            caught, watch = reading(rig), Stopwatch()
            rig.replaced("desk", rig.kill("desk"))
            document = upload.result(2 * patient(DESK_S))
            client.remove_document(document.id)
        if caught:
            break
    else:
        pytest.fail("every kill came too late")
    seconds = watch.seconds
    assert (document.status, document.kind) == ("ready", "html")
    assert document.characters > 1_700_000
    record("desk killed: reading", lost=0, ended_after_s=seconds, bound_s=DESK_S)
    assert seconds <= patient(DESK_S)


def test_a_webhook_comes_again_when_the_desk_is_killed_during_its_delivery(
    rig: Rig, ledger: Ledger, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = ledger.mailboxes["ann"]
    asked, answer = threading.Event(), threading.Event()
    take = mailbox._take

    def hesitant(body: bytes, headers: dict[str, str]) -> int:
        asked.set()
        answer.wait(patient(DESK_S))
        return take(body, headers)

    monkeypatch.setattr(mailbox, "_take", hesitant)
    job = ledger.submit(LINE)
    assert asked.wait(patient(DESK_S))
    rig.replaced("desk", rig.kill("desk"))
    watch = Stopwatch()
    answer.set()
    until(lambda: len(mailbox.deliveries) == 2, DESK_S, "the webhook to come again")
    seconds = watch.seconds
    ledger.check()
    record("desk killed: delivering", told=2, ids=len(mailbox.told(job.id)), told_again_after_s=seconds, bound_s=DESK_S)


# --- the API ----------------------------------------------------------------------------------------------------------


def test_no_submission_is_lost_or_doubled_when_the_api_is_killed(rig: Rig, ledger: Ledger, record: Record) -> None:
    """Four clients submit while it is killed."""
    ledger.learn(LINE)
    before = set(rig.redis.zrange("f:list:ann", 0, -1))
    answered: dict[str, tuple[JobRequest, str]] = {}
    over = threading.Event()

    def submitting(name: str) -> None:
        with rig.client("ann") as client:
            client.health()
            while not over.wait(0.15):
                key, request = f"{name}-{len(answered)}", ledger.request(LINE, "ann")
                job = client.submit(request, idempotency_key=key)
                ledger.accepted(job, LINE)
                answered[key] = request, job.id

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(submitting, name) for name in ("north", "east", "south", "west")]
        try:
            for kill in range(5):
                until(lambda kill=kill: len(answered) >= 12 * (kill + 1), 60, "more to be accepted")
                rig.replaced("api", rig.kill("api"))
        finally:
            over.set()
        for client in clients:
            client.result()
    ids = {id for _, id in answered.values()}
    assert len(ids) == len(answered)
    for key, (request, id) in answered.items():
        assert ledger.clients["ann"].submit(request, idempotency_key=key).id == id
    accepted = {job.decode() for job in set(rig.redis.zrange("f:list:ann", 0, -1)) - before}
    assert accepted == ids, "a job that nobody was answered for, or the other way round"
    ledger.check()
    record("API killed under load", kills=5, accepted=len(ids), lost=0, twice=0)


def rendered_again(ledger: Ledger, job: str) -> set[int]:
    """Segments that were begun more than once; one whose clip was in storage by then was not."""
    return {segment for segment, count in attempts(ledger, job).items() if count > 1}

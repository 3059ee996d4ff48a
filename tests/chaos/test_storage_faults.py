"""The bucket fails while the farm is at work. During the fault each request that needs it is answered in time, a text
that could not be stored is not accepted, and workers wait instead of failing. After the fault they go on by themselves.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest

from farm.layout import JOBS
from tests.chaos.crowd import ANSWERED_S, Crowd
from tests.chaos.ledger import Ledger
from tests.chaos.lengths import length
from tests.chaos.progress import Progress, attempts, until
from tests.chaos.proxy import Proxy
from tests.chaos.record import Record
from tests.chaos.rig import Rig, Stopwatch
from tests.chaos.shared import SharedFarm
from tests.patience import patient
from tests.s3_server import S3Server

SEGMENTS = length(100, full=160)  # their audio is above 16 MB, so its upload has several parts
BOOK = "\n\n".join(f"Wave {n} came in, and nobody was there to see it go out again." for n in range(SEGMENTS))
LETTER = "\n\n".join(f"Letter {n}. " + "We have seen nothing but water. " * 9 for n in range(30))  # lies in storage
LETTERS = length(4, full=20)  # of one fault: a refused one is sent again, and each is assembled after the fault
LINE = "The tide went out."  # lies in Redis until it is planned
KNOWN = 0.0  # the pitch with which every clip is in storage already
RECOVERY_S = 30.0

BODY = b"<Error><Code>%s</Code><Message>try later</Message></Error>"


@dataclass(frozen=True)
class Bucket:
    """The server, and the line that leads to it."""

    server: S3Server
    line: Proxy
    rig: Rig


def down(bucket: Bucket) -> AbstractContextManager[None]:
    return bucket.line.during(bucket.line.cut)


def half_open(bucket: Bucket) -> AbstractContextManager[None]:
    return bucket.line.during(bucket.line.hang)


def slow(bucket: Bucket) -> AbstractContextManager[None]:
    return bucket.line.during(lambda: bucket.line.delay(0.3))


def answering(status: bytes, code: bytes) -> Callable[[Bucket], AbstractContextManager[None]]:
    body = BODY % code
    answer = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)
    return lambda bucket: bucket.line.during(lambda: bucket.line.answer(answer))


@contextmanager
def other_keys(bucket: Bucket) -> Iterator[None]:
    """And a desk that starts while they are wrong."""
    server, rig = bucket.server, bucket.rig
    server.stop()
    server.start(secret="another-one")
    try:
        rig.replaced("desk", rig.kill("desk"))
        refusals = rig.logged("desk", "AWS_SECRET_ACCESS_KEY")
        yield
        until(lambda: rig.logged("desk", "AWS_SECRET_ACCESS_KEY") > refusals, 30, "the new desk to be refused")
    finally:
        server.stop()
        server.start()


@dataclass(frozen=True)
class Fault:
    during: Callable[[Bucket], AbstractContextManager[None]]
    seconds: float
    told: str | None  # what the API says of it; None: nothing, it works


# down: twice the 5 s after which the desk tries again, and /readyz looks again. half-open: a request of the API, which
# takes 2 × 5 s. slow, 500, 503: once the 5 s. other keys: the start of a desk, and the 5 s.
FAULTS = {
    "down": Fault(down, length(12, full=60), "can't reach"),
    "half-open": Fault(half_open, length(12, full=15), "can't reach"),
    "slow": Fault(slow, 5, None),
    "500": Fault(answering(b"500 Internal Server Error", b"InternalError"), 6, "InternalError"),
    "503": Fault(answering(b"503 Slow Down", b"SlowDown"), 6, "SlowDown"),
    "other keys": Fault(other_keys, length(8, full=10), "AWS_SECRET_ACCESS_KEY"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, server: S3Server) -> Iterator[SharedFarm]:
    with SharedFarm(lambda: Rig(tmp_path_factory.mktemp("rig"), s3=server).start()) as shared:
        yield shared


@pytest.fixture
def bucket(server: S3Server, rig: Rig) -> Bucket:
    assert rig.s3_line is not None
    return Bucket(server, rig.s3_line, rig)


@pytest.fixture
def crowd(rig: Rig, ledger: Ledger) -> Iterator[Crowd]:
    with Crowd(rig, ledger) as crowd:
        yield crowd


@pytest.mark.parametrize("name", FAULTS)
def test_the_farm_waits_for_a_failing_bucket(
    bucket: Bucket, rig: Rig, ledger: Ledger, crowd: Crowd, record: Record, name: str
) -> None:
    fault = FAULTS[name]
    for text in (BOOK, LETTER, LINE):
        ledger.learn(text)
    ledger.stock(LETTER, KNOWN)
    spoken = ledger.submit(LINE, webhook=False)
    ledger.clients["ann"].wait(spoken.id, patient(60))
    book = Progress(rig, ledger.submit(BOOK).id)
    book.until_done(1)
    keys = itertools.cycle(f"{name} {n}" for n in range(LETTERS))
    errands = [
        lambda: crowd.submit(LETTER, next(keys), pitch=KNOWN),
        lambda: crowd.ask("GET", f"/v1/jobs/{book.job}"),
        lambda: crowd.ask("GET", f"/v1/jobs/{book.job}/segments"),
        lambda: crowd.ask("GET", f"/v1/jobs/{spoken.id}/audio"),
        lambda: crowd.ask("GET", "/readyz"),
    ]
    worker = rig.pid("render")

    with crowd.asking(errands):
        with fault.during(bucket):
            crowd.outlast(fault.seconds)
        back, reached = Stopwatch(), book.done
    until(
        lambda: crowd.submit(LETTER, next(keys), pitch=KNOWN).status == 202,
        60,
        "a long text to be accepted",
        every=0.05,
    )
    accepts_s = back.seconds
    until(lambda: book.done > reached or book.done == SEGMENTS, 60, "rendering to go on")
    works_s = back.seconds

    slowest = crowd.check_answers()
    refused = [answer for answer in crowd.answers if answer.asked == "POST /v1/jobs" and answer.status == 503]
    details = {answer.detail for answer in crowd.answers if answer.status == 503}
    if fault.told is None:
        assert not details
    else:
        ill = [answer for answer in crowd.answers if answer.asked == "GET /readyz" and answer.status == 503]
        assert any(fault.told in answer.detail for answer in ill), f"/readyz says nothing of it: {ill}"
        assert any(fault.told in detail for detail in details), details
        assert refused
    crowd.check_nothing_half_accepted(lost_answers=False)
    crowd.check_retries()
    late = remove_late_uploads(rig) if name == "half-open" else 0
    jobs = ledger.check(within=90)
    record(
        f"S3 {name}, {fault.seconds:g} s", requests=len(crowd.answers), slowest_answer_s=slowest,
        answer_bound_s=ANSWERED_S, refused=len(refused), late_uploads=late, accepts_s=accepts_s, renders_s=works_s,
        bound_s=RECOVERY_S,
    )  # fmt: skip
    assert rig.pid("render") == worker, "a worker ended because of its storage"
    assert all(set(attempts(ledger, job.id).values()) <= {0, 1} for job in jobs), "a segment paid with an attempt"
    recovery = f"accepted {accepts_s:.1f} s, rendered {works_s:.1f} s later"
    assert max(accepts_s, works_s) <= patient(RECOVERY_S), recovery


def test_a_broken_upload_is_made_again_in_full(bucket: Bucket, rig: Rig, ledger: Ledger, record: Record) -> None:
    ledger.learn(BOOK)
    ledger.stock(BOOK, KNOWN)
    waits = rig.logged("desk", "assemble of")
    bucket.line.cut_after(200_000)
    book = ledger.submit(BOOK, pitch=KNOWN)

    until(lambda: rig.logged("desk", "assemble of") > waits, 60, "an upload of the result to break off", every=0.05)
    bucket.line.heal()
    back = Stopwatch()
    ledger.clients["ann"].wait(book.id, timeout=patient(60))
    done_s = back.seconds
    result = next(job.result for job in ledger.check() if job.id == book.id)
    assert result is not None
    record("S3 cut in an upload", megabytes=result.bytes / 1e6, done_s=done_s, bound_s=RECOVERY_S)
    assert done_s <= patient(RECOVERY_S)


def remove_late_uploads(rig: Rig) -> int:
    """Removes the texts of refused jobs whose upload arrived when the line was well again. Nothing leads to them."""
    storage = rig.storage()
    texts = [found.key for found in storage.list(JOBS)]
    late = [key for key in texts if not rig.redis.exists(f"f:j:{key.split('/')[1]}")]
    storage.delete(*late)
    return len(late)

"""The bucket is ill while the farm is at work. As long as that lasts whoever needs it is told so in time, a text that
could not be stored is not accepted, and workers wait instead of failing; when it is over they go on by themselves."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest

from farm.wire import Job
from tests.chaos.crowd import Crowd
from tests.chaos.ledger import Ledger
from tests.chaos.proxy import Proxy
from tests.chaos.record import Record
from tests.chaos.rig import Rig, Stopwatch
from tests.s3_server import S3Server

SEGMENTS = 160
BOOK = "\n\n".join(f"Wave {n} came in, and nobody was there to see it go out again." for n in range(SEGMENTS))
LETTER = "\n\n".join(f"Letter {n}. " + "We have seen nothing but water. " * 9 for n in range(30))  # lies in storage
LETTERS = 20  # of one fault: who is refused sends the same one again
LINE = "The tide went out."  # lies in Redis until it is planned
LONGEST_ANSWER_S = 15.0
LONGEST_RECOVERY_S = 30.0

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
    """And a worker that is started while they are wrong."""
    bucket.server.stop()
    bucket.server.start(secret="another-one")
    bucket.rig.kill("desk")
    yield
    bucket.server.stop()
    bucket.server.start()


@dataclass(frozen=True)
class Fault:
    during: Callable[[Bucket], AbstractContextManager[None]]
    seconds: float
    told: str | None  # what the API says of it; None: nothing, it works


FAULTS = {
    "down": Fault(down, 60, "can't reach"),
    "half-open": Fault(half_open, 15, "can't reach"),
    "slow": Fault(slow, 5, None),
    "500": Fault(answering(b"500 Internal Server Error", b"InternalError"), 6, "InternalError"),
    "503": Fault(answering(b"503 Slow Down", b"SlowDown"), 6, "SlowDown"),
    "other keys": Fault(other_keys, 10, "AWS_SECRET_ACCESS_KEY"),
}


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    try:
        with Rig(tmp_path_factory.mktemp("rig"), s3=server) as rig:
            assert rig.s3_line is not None
            yield Bucket(server, rig.s3_line, rig)
    finally:
        server.stop()


@pytest.fixture(scope="module")
def rig(bucket: Bucket) -> Rig:
    return bucket.rig


@pytest.fixture
def crowd(rig: Rig, ledger: Ledger) -> Iterator[Crowd]:
    with Crowd(rig, ledger) as crowd:
        yield crowd


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", FAULTS)
def test_an_ill_bucket_is_waited_for(
    bucket: Bucket, rig: Rig, ledger: Ledger, crowd: Crowd, record: Record, name: str
) -> None:
    fault = FAULTS[name]
    for text in (BOOK, LETTER, LINE):
        ledger.learn(text, pitch=0)
    spoken = next(id for id, promise in ledger.promises.items() if promise.text == LINE)
    book = ledger.submit(BOOK)
    until(lambda: done(rig, book) > 0, "rendering began")
    keys = itertools.cycle(f"{name} {n}" for n in range(LETTERS))
    errands = [
        lambda: crowd.submit(LETTER, next(keys), pitch=0),
        lambda: crowd.ask("GET", f"/v1/jobs/{book.id}"),
        lambda: crowd.ask("GET", f"/v1/jobs/{book.id}/segments"),
        lambda: crowd.ask("GET", f"/v1/jobs/{spoken}/audio"),
        lambda: crowd.ask("GET", "/readyz"),
    ]
    worker = rig.pid("render")

    with crowd.asking(errands):
        with fault.during(bucket):
            time.sleep(fault.seconds)  # how long it lasts is its definition
        back, reached = Stopwatch(), done(rig, book)
    until(lambda: crowd.submit(LETTER, next(keys), pitch=0).status == 202, "a long text is accepted")
    accepts_s = back.seconds
    until(lambda: done(rig, book) > reached or done(rig, book) == SEGMENTS, "rendering goes on")
    works_s = back.seconds

    slowest = crowd.check_answers(LONGEST_ANSWER_S)
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
        refused=len(refused), late_uploads=late, accepts_s=accepts_s, renders_s=works_s,
    )  # fmt: skip
    assert rig.pid("render") == worker, "a worker ended because of its storage"
    assert all(attempts(ledger, job) <= {0, 1} for job in jobs), "a segment paid with an attempt"
    assert max(accepts_s, works_s) <= LONGEST_RECOVERY_S, f"accepted {accepts_s:.1f} s, rendered {works_s:.1f} s later"


@pytest.mark.timeout(300)
def test_an_upload_that_breaks_off_is_made_again_whole(
    bucket: Bucket, rig: Rig, ledger: Ledger, record: Record
) -> None:
    ledger.learn(BOOK, pitch=0)
    waits = rig.logged("desk", "assemble of")
    bucket.line.cut_after(200_000)
    book = ledger.submit(BOOK, pitch=0)

    until(lambda: rig.logged("desk", "assemble of") > waits, "an upload of the result broke off")
    bucket.line.heal()
    back = Stopwatch()
    ledger.clients["ann"].wait(book.id, timeout=60)
    done_s = back.seconds
    result = next(job.result for job in ledger.check() if job.id == book.id)
    assert result is not None
    record("S3 cut in an upload", megabytes=result.bytes / 1e6, done_s=done_s)
    assert done_s <= LONGEST_RECOVERY_S


# --- what is looked at ------------------------------------------------------------------------------------------------


def done(rig: Rig, job: Job) -> int:
    return int(rig.redis.hget(f"f:j:{job.id}", "done") or 0)  # type: ignore[arg-type]


def remove_late_uploads(rig: Rig) -> int:
    """An upload that nobody waits for any more may arrive when the line is well again: the text of a job that was
    refused. Nothing leads to it, and nothing takes it away."""
    storage = rig.storage()
    texts = [found.key for found in storage.list("jobs/")]
    late = [key for key in texts if not rig.redis.exists(f"f:j:{key.split('/')[1]}")]
    storage.delete(*late)
    return len(late)


def attempts(ledger: Ledger, job: Job) -> set[int]:
    """How often its segments were begun; 0 for one that came from the cache."""
    return {row["attempts"] for row in ledger.clients["ann"].manifest(job.id)["segments"]}


def until(holds: Callable[[], bool], what: str, within: float = 60) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.05)  # storage and Redis are looked at from outside, and tell nobody

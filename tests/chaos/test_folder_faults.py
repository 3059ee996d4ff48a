"""The folder that a farm keeps its objects in is full, or gone, while the farm is at work: the same promises as with a
bucket that is ill."""

from __future__ import annotations

import itertools
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass

import psutil
import pytest

from tests.chaos.crowd import Crowd
from tests.chaos.ledger import Ledger
from tests.chaos.record import Record
from tests.chaos.rig import Rig, Stopwatch
from tests.chaos.test_storage_faults import BOOK, LETTER, LONGEST_RECOVERY_S, SEGMENTS, attempts, done, until


@contextmanager
def full(rig: Rig) -> Iterator[None]:
    """No process of the farm but Redis can write a file of more than a kilobyte."""
    everybody = [process for name in rig.names if name != "redis" for process in rig.family(name)]
    before = [(process, process.rlimit(psutil.RLIMIT_FSIZE)) for process in everybody]
    for process in everybody:
        process.rlimit(psutil.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    yield
    for process, limits in before:
        with suppress(psutil.NoSuchProcess):  # a desk's pool replaces its own
            process.rlimit(psutil.RLIMIT_FSIZE, limits)


@contextmanager
def unmounted(rig: Rig) -> Iterator[None]:
    """An empty folder stands where the disk was mounted."""
    mounted, aside = rig.data / "storage", rig.data / "aside"
    mounted.rename(aside)
    mounted.mkdir()
    yield
    mounted.rmdir()
    aside.rename(mounted)


@dataclass(frozen=True)
class Fault:
    during: Callable[[Rig], AbstractContextManager[None]]
    told: str


FAULTS = {"full": Fault(full, "no space left"), "unmounted": Fault(unmounted, "is gone: mount it again")}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", FAULTS)
def test_a_folder_that_takes_nothing_is_waited_for(rig: Rig, ledger: Ledger, record: Record, name: str) -> None:
    for text in (BOOK, LETTER):
        ledger.learn(text, pitch=0)
    book = ledger.submit(BOOK)
    until(lambda: done(rig, book) > 0, "rendering began")
    worker, numbers = rig.pid("render"), itertools.count()
    with Crowd(rig, ledger) as crowd:
        errands = [
            lambda: crowd.submit(LETTER, f"{name} {next(numbers)}", pitch=0),
            lambda: crowd.ask("GET", f"/v1/jobs/{book.id}/segments"),
            lambda: crowd.ask("GET", "/v1/queue"),
        ]
        with crowd.asking(errands), FAULTS[name].during(rig):
            time.sleep(5)
        back, reached = Stopwatch(), done(rig, book)
        until(lambda: crowd.submit(LETTER, f"{name} {next(numbers)}", pitch=0).status == 202, "a long text is accepted")
        accepts_s = back.seconds
        until(lambda: done(rig, book) > reached or done(rig, book) == SEGMENTS, "rendering goes on")
        works_s = back.seconds

        slowest = crowd.check_answers(5)
        told = {answer.detail for answer in crowd.answers if answer.status == 503}
        assert any(FAULTS[name].told in detail for detail in told), told
        crowd.check_nothing_half_accepted(lost_answers=False)
        crowd.check_retries()
    jobs = ledger.check()
    record(
        f"folder {name}, 5 s", requests=len(crowd.answers), slowest_answer_s=slowest, refused=len(crowd.refused),
        accepts_s=accepts_s, renders_s=works_s,
    )  # fmt: skip
    assert rig.pid("render") == worker, "a worker ended because of its storage"
    assert all(attempts(ledger, job) <= {0, 1} for job in jobs), "a segment paid with an attempt"
    assert max(accepts_s, works_s) <= LONGEST_RECOVERY_S

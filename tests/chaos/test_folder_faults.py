"""The folder with the farm's objects is full, or gone, while the farm is at work: the same promises as with a failing
bucket."""

from __future__ import annotations

import itertools
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass

import psutil
import pytest

from tests.chaos.crowd import Crowd
from tests.chaos.ledger import Ledger
from tests.chaos.progress import Progress, attempts, until
from tests.chaos.record import Record
from tests.chaos.rig import Rig, Stopwatch
from tests.chaos.test_storage_faults import BOOK, KNOWN, LETTER, RECOVERY_S, SEGMENTS
from tests.patience import patient

FAULT_S = 5.0  # a folder fails at once: five times a worker's pause, and one pause of the desk
ANSWER_S = 5.0


@contextmanager
def full(rig: Rig) -> Iterator[None]:
    """No process of the farm but Redis can write a file of more than a kilobyte."""
    limits = {}
    for process in [process for name in rig.names if name != "redis" for process in rig.family(name)]:
        with suppress(psutil.NoSuchProcess):  # planners, encoders and decoders come and go
            limits[process] = process.rlimit(psutil.RLIMIT_FSIZE)
            process.rlimit(psutil.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    yield
    for process, before in limits.items():
        with suppress(psutil.NoSuchProcess):
            process.rlimit(psutil.RLIMIT_FSIZE, before)


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


@pytest.mark.parametrize("name", FAULTS)
def test_the_farm_waits_for_a_folder_that_takes_no_writes(rig: Rig, ledger: Ledger, record: Record, name: str) -> None:
    ledger.learn(BOOK)
    ledger.learn(LETTER)
    ledger.stock(LETTER, KNOWN)
    book = Progress(rig, ledger.submit(BOOK).id)
    book.until_done(1)
    worker, numbers = rig.pid("render"), itertools.count()
    with Crowd(rig, ledger) as crowd:
        errands = [
            lambda: crowd.submit(LETTER, f"{name} {next(numbers)}", pitch=KNOWN),
            lambda: crowd.ask("GET", f"/v1/jobs/{book.job}/segments"),
            lambda: crowd.ask("GET", "/v1/queue"),
        ]
        with crowd.asking(errands), FAULTS[name].during(rig):
            crowd.outlast(FAULT_S)
        back, reached = Stopwatch(), book.done
        until(
            lambda: crowd.submit(LETTER, f"{name} {next(numbers)}", pitch=KNOWN).status == 202, 60,
            "a long text to be accepted", every=0.05,
        )  # fmt: skip
        accepts_s = back.seconds
        until(lambda: book.done > reached or book.done == SEGMENTS, 60, "rendering to go on")
        works_s = back.seconds

        slowest = crowd.check_answers(ANSWER_S)
        told = {answer.detail for answer in crowd.answers if answer.status == 503}
        assert any(FAULTS[name].told in detail for detail in told), told
        crowd.check_nothing_half_accepted(lost_answers=False)
        crowd.check_retries()
    jobs = ledger.check()
    record(
        f"folder {name}, {FAULT_S:g} s", requests=len(crowd.answers), slowest_answer_s=slowest, answer_bound_s=ANSWER_S,
        refused=len(crowd.refused), accepts_s=accepts_s, renders_s=works_s, bound_s=RECOVERY_S,
    )  # fmt: skip
    assert rig.pid("render") == worker, "a worker ended because of its storage"
    assert all(set(attempts(ledger, job.id).values()) <= {0, 1} for job in jobs), "a segment paid with an attempt"
    assert max(accepts_s, works_s) <= patient(RECOVERY_S)

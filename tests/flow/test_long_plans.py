"""Long texts are planned in processes of their own: nobody waits for them, and they end when nobody wants them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from farm.errors import BadInput
from farm.job import Lane, Status
from farm.layout import plan_key
from farm.plan_order import PlanFiles, PlanOrder, make_plan
from farm.spec import Spec
from farm.store import jobs
from farm.text_document import write_text
from farm.wire import Chapter
from tests.flow.house import House
from tests.flow.test_desk import working
from tests.patience import patient
from tests.until import until
from worker.desk import plan_process as module
from worker.desk.desk import Desk
from worker.desk.long_plans import OF_ONE_OWNER, PlanProcesses
from worker.desk.plan import SHORT_CHARACTERS
from worker.desk.plan_process import PlanProcess
from worker.desk.task_lease import TaskLost
from worker.engines.espeak.engine import Espeak

BOOK = "The keeper counted the steps, and slept. " * 600
WORST = '"《' * 1_000_000


def always() -> None:
    """The text is still wanted."""


def order_of(text: str, espeak: Espeak, output: str = "{}") -> PlanOrder:
    spec = Spec.model_validate_json(f'{{"language":"en","voice":"en-us","output":{output}}}')
    document = write_text([Chapter.model_construct(title="", input=text)]).encode()
    return PlanOrder("default", spec.to_json(), espeak.card.model_dump_json(), document, len(text))


@pytest.fixture
def process() -> Iterator[PlanProcess]:
    process = PlanProcess()
    yield process
    process.kill()


def pid(process: PlanProcess) -> int:
    return process._child.pid


# --- the process ------------------------------------------------------------------------------------------------------


def test_a_process_plans_one_text_after_another_as_the_desk_would(process: PlanProcess, espeak: Espeak) -> None:
    for text in (BOOK, "One line.", "第一章。" * 9_000):
        order = order_of(text, espeak, '{"format":"flac"}')
        assert process.plan(order, always) == make_plan(order)
    process.stop()
    assert not process.alive


def test_a_text_that_is_refused_names_the_field_and_the_process_goes_on(process: PlanProcess, espeak: Espeak) -> None:
    silent = order_of("a\n\n" * 200, espeak, '{"pause_ms":{"paragraph":60000}}')
    with pytest.raises(
        BadInput, match=r"^output\.pause_ms: the pauses between the 200 segments are 3\.3 hours"
    ) as raised:
        process.plan(silent, always)
    assert raised.value.code == "pauses_too_long"
    assert process.plan(order_of("One line.", espeak), always).total == 1


def test_a_text_beyond_its_budget_ends_the_process_and_says_what_to_do(
    process: PlanProcess, espeak: Espeak, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BUDGET_S", 2.0)
    monkeypatch.setattr(module, "_BUDGET_PER_CHARACTER_S", 0.0)
    with pytest.raises(BadInput, match=r"more than 2 seconds of a processor.*split the job") as raised:
        process.plan(order_of(WORST * 2, espeak), always)
    assert raised.value.code == "plan_too_costly"
    assert not process.alive


def test_a_text_that_nobody_wants_any_more_ends_the_process(process: PlanProcess, espeak: Espeak) -> None:
    def lost() -> None:
        raise TaskLost

    with pytest.raises(TaskLost):
        process.plan(order_of(WORST, espeak), lost)
    assert not process.alive


def test_a_process_knows_none_of_the_farms_settings_and_gives_way(
    espeak: Espeak, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARM_WEBHOOK_SECRET", "whsec_secret")
    process = PlanProcess()
    try:
        process.plan(order_of("One line.", espeak), always)
        environment = Path(f"/proc/{pid(process)}/environ").read_bytes()
        assert b"PYTHONPATH" in environment
        assert b"secret" not in environment
        assert psutil.Process(pid(process)).nice() == os.nice(0) + 10
    finally:
        process.kill()


class Killing(PlanProcesses):
    """Kills each process once it has a text, as often as `times`."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._times = times

    def _one(self) -> PlanProcess:
        process = super()._one()
        if self._times:
            self._times -= 1
            os.kill(pid(process), signal.SIGKILL)
        return process


def test_a_process_that_was_killed_has_a_successor(espeak: Espeak) -> None:
    processes, order = Killing(1), order_of(BOOK, espeak)
    assert processes.plan(order, always) == make_plan(order)
    processes.close()


def test_a_text_that_ends_two_processes_is_refused(espeak: Espeak) -> None:
    with pytest.raises(BadInput, match=r"could not be cut into segments \(its process ended \(-9\), twice\)"):
        Killing(2).plan(order_of(BOOK, espeak), always)


# --- the desk ---------------------------------------------------------------------------------------------------------


class Held(PlanProcesses):
    """Holds each long text back until `open` is set, and asks all the while whether it is still wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.begun = threading.Semaphore(0)
        self.under_way: list[str] = []
        self.dropped = threading.Event()

    def plan(self, order: PlanOrder, check: Callable[[], None]) -> PlanFiles:
        self.under_way.append(order.tenant)
        self.begun.release()
        while not self.open.wait(0.01):
            try:
                check()
            except TaskLost:
                self.dropped.set()
                raise
        return super().plan(order, check)


def test_a_line_of_another_is_planned_while_books_of_one_are(house: House) -> None:
    held, stop = Held(), threading.Event()
    books = [house.submit(input=BOOK, tenant="b", priority=Lane.INTERACTIVE) for _ in range(OF_ONE_OWNER + 3)]
    assert len(BOOK) > SHORT_CHARACTERS
    with working(Desk(house.store, house.storage, house.waker, house.settings, held), stop):
        for _ in range(OF_ONE_OWNER):
            assert held.begun.acquire(timeout=patient(10))
        line = house.submit(input="Just a line.", tenant="a")
        until(lambda: house.record(line).total == 1)
        other = house.submit(input=BOOK, tenant="a")
        assert held.begun.acquire(timeout=patient(10))
        assert held.under_way == ["b"] * OF_ONE_OWNER + ["a"]
        assert {house.record(job).total for job in (*books, other)} == {0}
        held.open.set()
        until(lambda: house.desk.drain() is None and all(house.record(job).total for job in (*books, other)))


@pytest.mark.parametrize("end", ["canceled", "deleted"])
def test_a_book_that_is_not_wanted_any_more_is_not_planned_to_its_end(house: House, end: str) -> None:
    held, stop = Held(), threading.Event()
    book = house.submit(input=BOOK)
    with working(Desk(house.store, house.storage, house.waker, house.settings, held), stop):
        assert held.begun.acquire(timeout=patient(10))
        house.store.run(jobs.cancel(book, "default") if end == "canceled" else jobs.forget(book))
        assert held.dropped.wait(patient(10))
    assert plan_key(book) not in [found.key for found in house.storage.list("")]


def test_a_stop_puts_a_book_back_that_is_being_planned(house: House) -> None:
    held, stop = Held(), threading.Event()
    book = house.submit(input=BOOK)
    with working(Desk(house.store, house.storage, house.waker, house.settings, held), stop) as thread:
        assert held.begun.acquire(timeout=patient(10))
        stop.set()
        thread.join(patient(10))
        assert not thread.is_alive()
    assert house.record(book).status is Status.QUEUED
    house.desk.drain()
    assert house.record(book).total > 0


def test_a_text_with_too_many_lines_fails_and_names_its_field(house: House) -> None:
    job = house.submit(input="a\n" * 150_001)
    house.desk.drain()
    assert house.record(job).status is Status.FAILED
    error = house.outcome(job)
    assert error.code == "too_many_segments"
    assert error.message.startswith("input: the text has more than 150,000 segments")


def test_a_process_that_plans_and_breaks_quotes_nothing_of_the_text_in_the_log() -> None:
    head = {
        "tenant": "ann", "spec": '{"voice": 1, "language": "of herons in the reeds"}', "card": "{}", "characters": 1,
        "budget_s": 5, "bytes": 0, "lexicons": [],
    }  # fmt: skip
    broken = subprocess.run(
        [sys.executable, "-m", "worker.desk.plan_process"],
        input=json.dumps(head), env=os.environ | {"FARM_LOG_FORMAT": "json"}, capture_output=True, text=True,
        timeout=patient(60), check=False,
    )  # fmt: skip
    (event,) = [json.loads(line) for line in broken.stderr.splitlines()]
    assert "ValidationError: " in event["exception"]
    assert "heron" not in broken.stderr

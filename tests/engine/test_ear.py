"""The process that hears, as it fails: each way costs one clip its report and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.patience import patient
from worker.ear.ear import Deaf, Ear, Heard, Patience
from worker.ear.rules import Report

PROGRAM = str(Path(__file__).with_name("listener.py"))
SHORT = Patience(start=patient(10), processor=0.5, clock=60, per_second=0, look=0.05)


def clip(text: str) -> Heard:
    return Heard(np.zeros(100, np.float32), "en", text)


GOOD, POISON, AFTER = clip("The tide went out."), clip("poison"), clip("Nobody saw it go.")


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Callable[..., Ear]]:
    made: list[Ear] = []

    def make(habit: str, patience: Patience = SHORT, **options: int) -> Ear:
        made.append(Ear([sys.executable, "-S", PROGRAM, habit, str(tmp_path)], patience=patience, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def starts(folder: Path) -> int:
    return len((folder / "starts").read_text().splitlines())


def test_an_ear_answers_for_each_clip_in_its_order(ear: Callable[..., Ear], tmp_path: Path) -> None:
    one = ear("well")
    for _ in range(2):
        assert [report.heard for report in one.hear([GOOD, AFTER], 24_000) if isinstance(report, Report)] == [
            GOOD.text, AFTER.text
        ]  # fmt: skip
    assert starts(tmp_path) == 1


@pytest.mark.parametrize(
    ("habit", "why", "patience"),
    [
        ("crash", "crashed", SHORT),
        ("babble", "crashed", SHORT),
        ("loop", "found no end", SHORT),
        ("hang", "no answer in time", Patience(start=patient(10), clock=0.5, per_second=0, look=0.05)),
    ],
)
def test_the_clip_that_an_ear_does_not_survive_is_the_only_one_without_a_report(
    ear: Callable[..., Ear], habit: str, why: str, patience: Patience
) -> None:
    good, poisoned, after = ear(habit, patience).hear([GOOD, POISON, AFTER], 24_000)
    assert isinstance(good, Report)
    assert isinstance(after, Report)
    assert isinstance(poisoned, Deaf)
    assert why in str(poisoned)


def test_an_ear_that_dies_again_and_again_stays_off_and_says_so_once(
    ear: Callable[..., Ear], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = ear("crash", deaths=3)
    assert all(isinstance(answer, Deaf) for _ in range(3) for answer in one.hear([POISON, POISON], 24_000))
    assert starts(tmp_path) == 3
    assert caplog.text.count("no longer checked until this worker starts anew") == 1
    assert isinstance(one.hear([GOOD], 24_000)[0], Deaf)


def test_an_ear_that_heard_something_since_may_die_again(ear: Callable[..., Ear]) -> None:
    one = ear("crash", deaths=2)
    for _ in range(4):
        one.hear([POISON], 24_000)
        assert isinstance(one.hear([GOOD], 24_000)[0], Report)


@pytest.mark.parametrize(
    ("habit", "why"), [("broken", "ImportError: no ear"), ("gone", "ended"), ("mute", "did not start within")]
)
def test_an_ear_that_can_not_start_says_why(ear: Callable[..., Ear], habit: str, why: str) -> None:
    patience = Patience(start=0.5) if habit == "mute" else SHORT
    with pytest.raises(Deaf, match=why):
        ear(habit, patience).start()

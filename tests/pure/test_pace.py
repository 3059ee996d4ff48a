"""Whether a clip lasts as long as its text lets expect."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.render.pace import Pace, measured

ANN = ("job_1", "en", "ann")
PROSE = "The tide went out before the harbour woke, and nobody had seen it go"
LETTERS = sum(map(str.isalpha, PROSE))
SECONDS = 0.07 * LETTERS

wobbles = st.lists(st.floats(0.8, 1.25), min_size=20, max_size=60)


def heard(pace: Pace, lengths: list[float], text: str = PROSE, usual: float = SECONDS) -> Pace:
    for length in lengths:
        pace.remember(ANN, text, usual * length)
    return pace


@given(wobbles, st.floats(0.8, 1.25))
def test_a_clip_as_long_as_the_others_is_never_odd(lengths: list[float], length: float) -> None:
    assert heard(Pace(), lengths).judge(ANN, PROSE, SECONDS * length) is None


@given(st.lists(st.floats(0.95, 1.05), min_size=20, max_size=60), st.floats(0.05, 0.5))
def test_a_clip_of_which_half_is_missing_is_odd(lengths: list[float], left: float) -> None:
    oddity = heard(Pace(), lengths).judge(ANN, PROSE, SECONDS * left)
    assert oddity is not None
    assert oddity.usual == pytest.approx(0.07, rel=0.06)
    assert oddity.found == pytest.approx(0.07 * left, rel=0.01)


@given(st.lists(st.floats(0.95, 1.05), min_size=20, max_size=60), st.floats(3.5, 30))
def test_a_clip_that_goes_on_and_on_is_odd(lengths: list[float], times: float) -> None:
    assert heard(Pace(), lengths).judge(ANN, PROSE, SECONDS * times) is not None


@given(wobbles, st.floats(0.001, 1000))
def test_only_the_ratio_counts_and_not_how_fast_the_voice_is(lengths: list[float], factor: float) -> None:
    one, other = heard(Pace(), lengths), heard(Pace(), lengths, usual=SECONDS * factor)
    for length in (0.1, 1.0, 10.0):
        judged = (one.judge(ANN, PROSE, SECONDS * length), other.judge(ANN, PROSE, SECONDS * factor * length))
        assert (judged[0] is None) == (judged[1] is None)


@given(st.lists(st.floats(0.95, 1.05), min_size=30, max_size=60), st.lists(st.floats(0.01, 100), max_size=9))
def test_a_few_bad_clips_do_not_move_what_is_usual(good: list[float], bad: list[float]) -> None:
    pace = heard(heard(Pace(), good), bad)
    assert pace.judge(ANN, PROSE, SECONDS) is None
    assert pace.judge(ANN, PROSE, SECONDS * 0.4) is not None


def test_the_first_twenty_clips_are_not_judged() -> None:
    pace = heard(Pace(), [1.0] * 19)
    assert pace.judge(ANN, PROSE, 0.1) is None
    assert heard(pace, [1.0]).judge(ANN, PROSE, 0.1) is not None


@pytest.mark.parametrize("place", range(3))
def test_another_job_language_or_voice_is_another_pace(place: int) -> None:
    pace = heard(Pace(), [1.0] * 30)
    other = tuple("other" if number == place else part for number, part in enumerate(ANN))
    assert pace.judge(other, PROSE, 0.1) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("In 1984 and 1985 we sold 12,000 of them for 3.5 million euros", 9.0),  # a digit may be a word
        ("Call 0171 555 01 02 03, or write to them at home and wait", 9.0),
        ("In 1984 we sold a great many of them, and more in the year after", 2.9),  # or next to nothing
        ("Yes, sir.", 5.0),  # too short to say
        ("He read 道可道非常道名可名非常名 and closed the book", 12.0),  # two widths of letters
        ("* * *", 3.0),
    ],
)
def test_a_text_that_may_be_worth_it_is_not_odd(text: str, seconds: float) -> None:
    assert heard(Pace(), [1.0] * 30).judge(ANN, text, seconds) is None


def test_wide_letters_have_a_pace_of_their_own() -> None:
    chinese = "那是一个晴朗的早晨全村的人都来到港口没有人说话"
    pace = heard(Pace(), [1.0] * 30)
    assert pace.judge(ANN, chinese, 0.25 * len(chinese)) is None
    pace = heard(pace, [1.0] * 30, chinese, 0.25 * len(chinese))
    assert pace.judge(ANN, chinese, 0.1 * len(chinese)) is not None
    assert pace.judge(ANN, PROSE, SECONDS) is None


def test_voices_that_were_not_heard_for_the_longest_are_forgotten() -> None:
    pace = heard(Pace(), [1.0] * 20)
    for job in range(300):
        pace.remember((f"job_{job + 2}", "en", "ann"), PROSE, SECONDS)
    assert pace.judge(ANN, PROSE, 0.1) is None


@given(st.text(max_size=80), st.floats(0, 1e6))
def test_any_text_and_any_length_can_be_judged(text: str, seconds: float) -> None:
    pace = heard(Pace(), [random.Random(place).uniform(0.9, 1.1) for place in range(30)])
    pace.judge(ANN, text, seconds)
    pace.remember(ANN, text, seconds)
    size = measured(text)
    assert size is None or size.least <= size.most

"""A clip beside what its voice took for other texts."""

from __future__ import annotations

import random

import pytest

from worker.render.tempo import Tempo

VOICE = ("job_1", "en", "anna")
WORDS = [
    "the",
    "tide",
    "went",
    "out",
    "and",
    "nobody",
    "in",
    "that",
    "old",
    "harbour",
    "saw",
    "how",
    "far",
    "it",
    "had",
    "gone",
]


def text(number: int) -> str:
    return f"{' '.join(WORDS[: 4 + number % 11])}, {' '.join(WORDS[number % 7 :])}."


def seconds(said: str) -> float:
    return 0.2 + 0.06 * sum(sign.isalpha() for sign in said) + 0.2 * said.count(",")


def learned(spread: float = 0.03) -> Tempo:
    tempo, draw = Tempo(), random.Random(5)
    for number in range(60):
        tempo.remember(VOICE, text(number), seconds(text(number)) * draw.uniform(1 - spread, 1 + spread))
    return tempo


@pytest.mark.parametrize("share", [0.5, 0.75, 1.3, 2.0])
def test_a_clip_that_is_oddly_short_or_long_is_found_with_its_share(share: float) -> None:
    said = text(3)
    assert learned().odd(VOICE, said, share * seconds(said)) == pytest.approx(share, rel=0.1)


def test_ordinary_clips_are_not() -> None:
    tempo = learned()
    assert all(tempo.odd(VOICE, text(number), seconds(text(number)) * 1.1) is None for number in range(60))


def test_a_voice_that_draws_its_speech_may_stray_further() -> None:
    assert learned(spread=0.2).odd(VOICE, text(3), 1.3 * seconds(text(3))) is None


def test_nothing_is_judged_before_there_is_enough_to_compare() -> None:
    tempo = Tempo()
    for number in range(19):
        tempo.remember(VOICE, text(number), seconds(text(number)))
        assert tempo.odd(VOICE, text(number), 9.0) is None


def test_a_text_with_numbers_and_another_voice_are_not_judged() -> None:
    tempo = learned()
    assert tempo.odd(VOICE, "In 1998 the tide went out.", 30.0) is None
    assert tempo.odd(("job_2", "en", "anna"), text(3), 30.0) is None


def test_few_clips_that_were_odd_themselves_change_nothing() -> None:
    tempo = learned()
    for number in range(3):
        tempo.remember(VOICE, text(number), 3 * seconds(text(number)))
    assert tempo.odd(VOICE, text(9), 1.4 * seconds(text(9))) is not None

"""Faults that are heard without knowing the text: each is planted into a healthy sound, and found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from farm.speech import Manner
from worker.engine import Clip, Notice, Speech, Utterance
from worker.render.sound_checks import LIMITS, checked, findings, has_mark, measure

RATE = 24_000
DOCS = Path(__file__).parents[2] / "docs" / "speech.md"

Samples = npt.NDArray[np.float32]


def voice(seconds: float = 3.0) -> Samples:
    """A chord in syllables of a quarter of a second, which fade in and out."""
    moment = np.arange(round(seconds * RATE)) / RATE
    chord = sum(np.sin(2 * np.pi * 140 * harmonic * moment) / harmonic for harmonic in range(1, 20))
    return np.asarray(0.2 * chord * np.sin(2 * np.pi * 2 * moment) ** 2, np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


def hiss(seconds: float) -> Samples:
    return np.asarray(0.1 * np.random.default_rng(7).standard_normal(round(seconds * RATE)), np.float32)


def between(inside: Samples) -> Samples:
    return np.concatenate([voice(1.5), inside, voice(1.5)])


def with_broken(value: float) -> Samples:
    samples = voice()
    samples[1000:1010] = value
    return samples


def codes(samples: Samples, text: str = "No mark at all", **manner: object) -> list[str]:
    manner_ = Manner(**manner)  # type: ignore[arg-type]
    utterance = Utterance("only", text, Speech(language="en", voice="", manner=manner_))
    found = checked(Clip("only", samples, (), len(text)), utterance, RATE)
    assert np.isfinite(found.samples).all()
    return [notice.code for notice in found.warnings]


def test_a_healthy_sound_has_no_finding() -> None:
    assert codes(voice()) == []


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (lambda: between(silence(1.8)), "long_silence"),
        (lambda: between(hiss(1.0)), "noise"),
        (lambda: np.clip(20 * voice(), -1, 1), "clipped"),
        (lambda: voice() * 0.001, "too_quiet"),
        (lambda: silence(2), "too_quiet"),
        (lambda: np.concatenate([silence(2), voice()]), "edge_silence"),
        (lambda: np.concatenate([voice(), silence(2)]), "edge_silence"),
        (lambda: with_broken(np.nan), "not_finite"),
        (lambda: with_broken(np.inf), "not_finite"),
    ],
    ids=["hole", "noise", "clipped", "faint", "silent", "silent start", "silent end", "nan", "infinite"],
)
def test_a_planted_fault_is_found_and_nothing_else_is(fault: Callable[[], Samples], code: str) -> None:
    assert codes(fault()) == [code]


def test_a_voice_may_rest_at_a_mark_inside_its_text() -> None:
    rests = between(silence(1.6))
    assert codes(rests, "Before, and after") == []
    assert codes(rests, "Slower speech has longer silences", speed=0.5) == []
    assert codes(rests, "Only the last mark of all is at its end.") == ["long_silence"]
    assert codes(rests, "Nobody's well-known marks") == ["long_silence"]


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("One, two", True),
        ("One - two", True),
        ("一、二", True),
        ("One\ntwo", True),
        ("(One two!)", False),
        ("Don't re-enter", False),
        ("?!", False),
    ],
)
def test_a_mark_stands_between_words(text: str, marked: bool) -> None:
    assert has_mark(text) is marked


def test_a_job_without_checks_is_told_of_broken_samples_alone() -> None:
    assert codes(np.concatenate([with_broken(np.nan), silence(3)]), checks=False) == ["not_finite"]


def test_what_the_engine_has_said_is_not_said_again() -> None:
    utterance = Utterance("only", "?!", Speech(language="en", voice=""))
    silent = Clip("only", silence(2), (Notice("unspeakable", "it became a short silence"),), 0)
    assert checked(silent, utterance, RATE) is silent
    held = Clip("only", between(silence(3)), (Notice("long_silence", "as the engine measures it"),), 2)
    assert checked(held, utterance, RATE) is held
    broken = Clip("only", with_broken(np.nan), (Notice("not_finite", "as the engine counts it"),), 2)
    mended = checked(broken, utterance, RATE)
    assert mended.warnings == broken.warnings
    assert np.isfinite(mended.samples).all()


@given(
    arrays.arrays(np.float32, st.integers(0, 3000), elements=st.floats(width=32)),
    st.sampled_from([8000, 16_000, 22_050, 48_000]),
)
def test_no_samples_break_the_checks(samples: Samples, rate: int) -> None:
    """Of any length, none included."""
    list(findings(measure(samples, rate)))


@settings(max_examples=50)
@given(st.floats(0.05, 1.0), st.integers(2, 6))
def test_a_louder_or_longer_voice_is_as_healthy(gain: float, seconds: int) -> None:
    assert codes(np.asarray(voice(float(seconds)) * gain, np.float32)) == []


def test_the_document_shows_every_threshold() -> None:
    shown = DOCS.read_text("utf-8").partition("## Checks of the sound")[2].partition("\n## ")[0]
    rows = {row.split("|")[2].strip(): row for row in shown.splitlines() if row.startswith("|")}
    for field in fields(LIMITS):
        assert f"{getattr(LIMITS, field.name):g}" in rows[f"`{field.name}`"].split("|")[3], field.name

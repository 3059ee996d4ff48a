"""Nothing is silently unsaid: texts that fill eSpeak's buffers, kill it or keep it busy are spoken in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.engine.feeds import clip, render, utterance
from tests.engine.halves import Comparison
from tests.engine.patterns import PATTERNS
from tests.nightly import NIGHTLY
from worker.engine import Failure
from worker.engines.espeak import reading, speaker
from worker.engines.espeak.engine import Espeak
from worker.engines.espeak.proof import Clause
from worker.engines.espeak.reading import Died, Reader, Said

RATE = 22_050
KOREAN = "밤 낮 강 산 물 불 꽃 별 달 해 눈 비 " * 10
PI = "31415926535897932384626433832795028841971"
LANGUAGES = ("ar", "cmn", "de", "el", "en-us", "fi", "hi", "ja", "ko", "my", "pl", "ru", "th", "uk", "zh-yue")
SAMPLE = LANGUAGES * (2 if NIGHTLY else 1)


@pytest.fixture(scope="module")
def comparison(espeak: Espeak) -> Iterator[Comparison]:
    made = Comparison(espeak)
    yield made
    made.close()


def seconds(engine: Espeak, text: str, language: str) -> float:
    found = clip(engine, text, language=language)
    assert found.warnings == ()
    assert found.spoken_characters == len(text)
    return len(found.samples) / engine.card.sample_rate


# --- real texts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "text"),
    [
        pytest.param("ko", KOREAN.strip(), id="Korean without punctuation"),
        pytest.param("en-us", " ".join(map(str, range(7777, 7837))), id="a row of a table"),
        *(pytest.param(tag, " ".join(map(str, range(1900, 1980))), id=f"years in {tag}") for tag in ("de", "ru", "ar")),
        pytest.param("ja", "あかさたなはまやらわいきしちにひみりうくすつ" * 6, id="Japanese without punctuation"),
        pytest.param("en-us", "abcdefghij" * 30, id="one long word"),
        pytest.param("el", "αβγδεζηθικ" * 30, id="one long Greek word"),
        pytest.param("th", "กขคงจชซดตถทนบปผพฟมยรลวสหอ" * 12, id="Thai without a space"),
        pytest.param("en-us", PI, id="a long number"),
        pytest.param("de", "3," + PI[1:] * 2, id="a long decimal fraction"),
        pytest.param("en-shaw", "𐑐𐑑𐑒𐑓𐑔𐑕𐑖𐑗𐑘𐑙" * 20, id="letters of four bytes"),
    ],
)
def test_a_text_lasts_as_long_as_its_halves(comparison: Comparison, language: str, text: str) -> None:
    found = comparison.of_text(text, language)
    assert found.verdict == "whole", found
    assert found.requests > 1


def test_a_number_of_41_digits_lasts_longer_than_its_first_32(espeak: Espeak) -> None:
    assert seconds(espeak, PI, "en-us") > 1.2 * seconds(espeak, PI[:32], "en-us")


@pytest.mark.parametrize(
    ("language", "pattern"), [(tag, PATTERNS[place % len(PATTERNS)]) for place, tag in enumerate(SAMPLE)]
)
def test_languages_and_patterns_of_the_sweep(comparison: Comparison, language: str, pattern: str) -> None:
    """A sample: `python -m benchmarks.sweep` tries every language with every pattern."""
    found = comparison.of(language, pattern)
    assert found.verdict == "whole", found


@pytest.mark.parametrize(
    ("language", "text"), [("my", "ကောင်း " * 9), ("kl", "1000 1001 1002 1003 1004 1005 1006 1007 1009")]
)
def test_a_text_that_crashes_the_library_is_spoken_in_pieces(espeak: Espeak, language: str, text: str) -> None:
    text = text.strip()
    half = text[: len(text) // 2].rpartition(" ")[0]
    assert seconds(espeak, text, language) > 1.5 * seconds(espeak, half, language)


def test_a_character_that_crashes_the_library_is_left_out_with_a_warning(espeak: Espeak) -> None:
    found = clip(espeak, "1007 8", language="kl")
    assert [*map(str, found.warnings)] == ["cut_off: eSpeak NG crashed on this, and it is missing: 8"]
    assert found.spoken_characters == len("1007 8") - len("8")


def test_a_text_that_can_not_be_spoken_at_all_names_itself(espeak: Espeak) -> None:
    failure = render(espeak, [utterance(espeak, "8 0", language="kl")])["only"]
    assert isinstance(failure, Failure)
    assert str(failure) == "eSpeak NG crashed on this text (SIGSEGV): 8 0"
    assert "8" not in failure.error, "a log may have the error, and not the text"


def test_a_text_that_is_whole_at_once_is_spoken_once_and_as_it_comes(comparison: Comparison) -> None:
    text = "Nobody had seen the ship since Tuesday, and nobody spoke of it. " * 6
    assert comparison.of_text(text.strip(), "en-us").requests == 1


def test_a_divided_text_has_its_target_length(espeak: Espeak) -> None:
    text = " ".join(map(str, range(1900, 1980)))
    found = clip(espeak, text, language="de", target_duration_ms=100_000)
    assert len(found.samples) / espeak.card.sample_rate == pytest.approx(100, rel=0.03)
    assert found.spoken_characters == len(text)


HANGING = """
import signal, os
from worker.engines.espeak import speaker
speaker._CPU_LIMIT_S = 0.2
speak = speaker._speak
def hang(library, request):
    while "forever" in request["text"]:
        pass
    return speak(library, request)
speaker._speak = hang
speaker.main()
"""


def test_a_text_that_keeps_the_library_busy_is_divided_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "speaker.py"
    script.write_text(HANGING)
    monkeypatch.setattr(speaker, "__file__", str(script))
    engine = Espeak()
    try:
        found = clip(engine, "They lived forever.")
    finally:
        engine.close()
    assert found.spoken_characters == len("They lived forever.")


# --- reading, with a speaker of straw ---------------------------------------------------------------------------------


def tone(text: str, _asked: list[str]) -> Said:
    """A tenth of a second for each character."""
    samples = np.sin(np.arange(RATE // 10 * len(text)) / 20).astype(np.float32)
    return Said(samples, [Clause(len(text), len(text), 5, max(1, len(text) - 4))])


def reader(answer: Callable[[str, list[str]], Said]) -> tuple[Reader, list[str]]:
    asked: list[str] = []

    def speak(text: str) -> Said:
        asked.append(text)
        return answer(text, asked)

    return Reader(speak, "en", RATE, 1.0), asked


def test_a_text_is_cut_at_sentences_first_then_at_words_then_between_characters() -> None:
    def short(text: str, asked: list[str]) -> Said:
        said = tone(text, asked)
        return said if len(text) <= 5 else Said(said.samples, [])

    reading_, asked = reader(short)
    found = reading_.read("Go on. Never mind.")
    assert asked[:2] == ["Go on. Never mind.", "Go on."]
    assert {"Never", "mind."} < set(asked)
    assert found.unproven == ()


def test_pauses_stand_between_pieces_and_a_cut_word_has_none() -> None:
    def half(text: str, asked: list[str]) -> Said:
        return Said(np.ones(1000, np.float32), [Clause(len(text), 9, 9, 1)] if len(text) <= 4 else [])

    for text, pause in (("aaaabbbb", 0.0), ("aaa bbb", reading._WORD_S), ("aa, bb", reading._CLAUSE_S)):
        found = reader(half)[0].read(text)
        assert len(found.samples) == 2000 + round(pause * RATE), text


def test_what_is_never_proven_is_spoken_and_named() -> None:
    reading_, _ = reader(lambda text, asked: Said(tone(text, asked).samples, []))
    found = reading_.read("ab")
    assert found.unproven == ("a", "b")
    assert len(found.samples) > 0


def test_a_library_that_dies_of_everything_is_not_asked_for_every_character() -> None:
    def die(text: str, asked: list[str]) -> Said:
        raise Died("crashed")

    reading_, asked = reader(die)
    with pytest.raises(Died):
        reading_.read("The quick brown fox jumps over the lazy dog. " * 8)
    assert len(asked) < 60


def test_a_hang_is_met_once_on_each_level_and_then_is_a_failure() -> None:
    def hang(text: str, asked: list[str]) -> Said:
        raise Died("did not finish", hung=True)

    reading_, asked = reader(hang)
    with pytest.raises(Died) as raised:
        reading_.read("x" * 400)
    assert len(asked) < 12
    assert raised.value.text == "x"

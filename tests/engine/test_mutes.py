"""Characters for which a language has no word: each is spoken, or named by a warning and not counted as spoken."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engine.feeds import clip
from worker.engine import Clip
from worker.engines.espeak.engine import Espeak


def unspoken(found: Clip) -> list[str]:
    return [warning.message for warning in found.warnings if warning.code == "unspoken"]


def test_signs_without_a_word_are_named_with_the_place_of_the_first(espeak: Espeak) -> None:
    text = "Die Lösung hat 5 ‰ Salz, © 2024, und 7 ‰ Zucker."
    found = clip(espeak, text, language="de")
    assert [*map(str, found.warnings)] == [
        "unspoken: eSpeak NG has no word in de for these, and leaves them out: ‰ ©, "
        "first in “…ösung hat 5 ‰ Salz, © 202…”"
    ]
    assert found.spoken_characters == len(text) - 3


@pytest.mark.parametrize("language", ["cv", "sjn"])
def test_digits_of_a_language_without_numbers_are_named(espeak: Espeak, language: str) -> None:
    found = clip(espeak, "mama 1 2 mama 12", language=language)
    assert ": 1 2, first in “mama 1 2 mama 12”" in unspoken(found)[0]
    assert found.spoken_characters == len("mama 1 2 mama 12") - 4


def test_digits_of_another_script_are_read_as_numbers(espeak: Espeak) -> None:
    for text, plain, language in (("In ١٩٣٧ or १२.", "In 1937 or 12.", "en"), ("Год ۱۹۳۷", "Год 1937", "ru")):
        found = clip(espeak, text, language=language)
        assert np.array_equal(found.samples, clip(espeak, plain, language=language).samples)
        assert (found.warnings, found.spoken_characters) == ((), len(text))


@pytest.mark.parametrize("language", ["en", "de", "fr", "ru", "cmn", "ar", "cv", "chr-us-qaaa-x-west"])
def test_a_character_is_heard_or_named(espeak: Espeak, language: str) -> None:
    without = clip(espeak, "mama mama", language=language).samples
    for sign in (*"‰×°€≤₽★𝄞😀中жé7½Ꭰ\ue001", "🇩🇪"):
        found = clip(espeak, f"mama {sign} mama", language=language)
        longer = len(found.samples) > len(without) + espeak.card.sample_rate // 20
        assert longer or sign in unspoken(found)[0], sign
        assert (found.spoken_characters == len(f"mama {sign} mama")) is not bool(unspoken(found))


@pytest.mark.parametrize(
    "text",
    ["“Well”, he said — (so be it)…", "• one / two | three*†", "a_b ■ [c] {d} 'e'", "¿Qué? «Sí»", "第一章、「海」。"],
)  # fmt: skip
def test_marks_that_nobody_says_are_not_missed(espeak: Espeak, text: str) -> None:
    found = clip(espeak, text, language="cmn" if "海" in text else "en")
    assert (found.warnings, found.spoken_characters) == ((), len(text))


@pytest.mark.parametrize(
    ("language", "text"), [("he", "אבא אמר שלום עולם"), ("lb", "Café an Idée é"), ("ar", "سماء عين"), ("ky", "ж жаз")]
)
def test_letters_that_are_silent_by_the_rules_of_their_language_are_not_missed(
    espeak: Espeak, language: str, text: str
) -> None:
    found = clip(espeak, text, language=language)
    assert (found.warnings, found.spoken_characters) == ((), len(text))


def test_words_of_a_foreign_script_and_emoji_are_spoken(espeak: Espeak) -> None:
    text = "He wrote 你好, Привет, שלום and 👩‍🚀 🇩🇪 👍🏽 on it."
    assert clip(espeak, text).warnings == ()


def test_a_voice_is_asked_once_for_each_character(espeak: Espeak, monkeypatch: pytest.MonkeyPatch) -> None:
    clip(espeak, "Ten ‰ of 中国.")
    asked: list[str] = []
    speak = espeak._speaker.speak

    def listening(request: dict[str, str]) -> object:
        asked.append(request["text"])
        return speak(request)

    monkeypatch.setattr(espeak._speaker, "speak", listening)
    clip(espeak, "Ten ‰ of 中国.")
    assert asked == ["Ten ‰ of 中国."]
    clip(espeak, "¶ Ten ‰ of 中国 §.")
    assert asked[1:] == ["§", "¶ Ten ‰ of 中国 §."]

"""Kokoro without its weights: its card, its readers, its limits and its messages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from farm.errors import Misconfigured
from farm.settings import Settings
from tests.engine.feeds import clip, render, utterance
from tests.engine.kokoro_standin import Tones
from worker.engine import Entry, Failure
from worker.engines import find, load
from worker.engines.__main__ import workers
from worker.engines.kokoro import alphabet, english
from worker.engines.kokoro.engine import Kokoro
from worker.engines.kokoro.files import MODEL, VOICES
from worker.engines.kokoro.numbers import in_words
from worker.engines.kokoro.voices import VOICES as VOICE_TABLE
from worker.weights.file import File

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def kokoro() -> Iterator[Kokoro]:
    made = Kokoro(Tones())
    yield made
    made.close()


def signs(engine: Kokoro, text: str, **speech: object) -> str:
    """What the network is given for a text."""
    assert isinstance(engine._sayer, Tones)
    engine._sayer.said.clear()
    clip(engine, text, **speech)
    return " ".join(engine._sayer.said)


# --- a worker ---------------------------------------------------------------------------------------------------------


def test_a_worker_multiplies_matrices_on_one_thread() -> None:
    """Threads of several workers wait for each other: a long unknown word took 30 s on a busy machine."""
    count = "import os, worker, numpy; print(len(os.listdir('/proc/self/task')))"
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "4"}
    ended = subprocess.run((sys.executable, "-c", count), capture_output=True, text=True, cwd=ROOT, env=environment)
    assert ended.stdout == "1\n", ended.stderr


# --- the card ---------------------------------------------------------------------------------------------------------


def test_the_card_has_seven_languages_and_a_voice_for_each(kokoro: Kokoro) -> None:
    assert set(kokoro.card.languages) == {"en", "en-us", "en-gb", "es", "fr", "hi", "it", "pt", "pt-br"}
    assert kokoro.card.languages["en"].voice == "af_heart"
    assert len(kokoro.card.voices) == 41


def test_the_revision_names_all_that_changes_the_sound(kokoro: Kokoro) -> None:
    for part in ("tones", "espeak0", "sanotts0"):
        assert part in kokoro.card.revision


def test_the_table_of_voices_in_the_docs_is_that_of_the_engine() -> None:
    page = (ROOT / "docs" / "voices.md").read_text("utf-8")
    for name, voice in VOICE_TABLE.items():
        assert f"| `{name}` | {voice.tongue.tag} | {voice.sex} | {voice.grade or '-'} |" in page


@pytest.mark.parametrize(("language", "name"), [("ja", "Japanese"), ("zh", "Chinese"), ("zh-cn", "Chinese")])
def test_a_language_without_a_reader_is_refused_by_name(kokoro: Kokoro, language: str, name: str) -> None:
    asked = utterance(kokoro, "text", language=language, voice="af_heart")
    failure = render(kokoro, [asked])["only"]
    assert isinstance(failure, Failure)
    assert failure.error == f"kokoro has no reader for {name} ({language}); GET /v1/models lists its languages"


def test_as_many_workers_as_cores_are_started_within_the_free_memory() -> None:
    entry = find("kokoro")
    assert entry.memory_mb is not None
    assert workers(entry, 8, 100 * entry.memory_mb) == 8
    assert workers(entry, 8, 3 * entry.memory_mb) == 3
    assert workers(entry, 8, 0) == 1
    assert workers(Entry(entry.load), 8, 100_000) == 1


# --- texts ------------------------------------------------------------------------------------------------------------


def test_every_language_has_its_sounds(kokoro: Kokoro) -> None:
    expected = {
        "en-us": ("The harbor was empty.", "ðə hˈɑɹbəɹ"),
        "en-gb": ("The harbour was empty.", "ðə hˈɑːbə"),
        "es": ("Hola, ¿qué tal?", "ˈola, kˈe tˈal?"),
        "fr": ("Bonjour à tous.", "bɔ̃ʒˈuʁ a tˈus."),
    }
    for language, (text, sounds) in expected.items():
        assert signs(kokoro, text, language=language).startswith(sounds)
    for language in ("hi", "it", "pt-br"):
        assert alphabet.is_sound(signs(kokoro, "नमस्ते दुनिया" if language == "hi" else "Buona sera", language=language))


def test_punctuation_is_kept_in_every_language(kokoro: Kokoro) -> None:
    for language in ("en", "en-gb", "it"):
        said = signs(kokoro, "Va; no: si, (ma) no! E? E… No — si.", language=language)
        assert [sign for sign in said if sign in ";:,()!?…—."] == list(";:,()!?…—.")


def test_what_can_not_be_said_is_named_and_counted(kokoro: Kokoro) -> None:
    found = clip(kokoro, "One 你好 two 😀.", language="en-us")
    assert found.spoken_characters == len("One 你好 two 😀.") - 3
    (warning,) = found.warnings
    assert warning.code == "unspoken"
    assert "你" in warning.message


@pytest.mark.parametrize("text", ["😀🎉", "…", "你好"])
def test_a_text_without_a_word_becomes_a_short_silence(kokoro: Kokoro, text: str) -> None:
    found = clip(kokoro, text)
    assert [warning.code for warning in found.warnings] == ["unspeakable"]
    assert found.spoken_characters == 0
    assert not found.samples.any()


@pytest.mark.parametrize("phones", ["き", "XING2", "Q", "M AY N"])
def test_what_is_no_phone_is_never_given_to_the_model(phones: str) -> None:
    with pytest.raises(KeyError):
        alphabet.from_phones(phones)


@pytest.mark.parametrize("language", ["en", "en-gb", "es"])
@pytest.mark.parametrize(("unit", "count"), [("7", 250), ("la", 80)])  # a network reads the latter, slowly
def test_twice_the_digits_or_letters_are_twice_the_signs(kokoro: Kokoro, language: str, unit: str, count: int) -> None:
    once, twice = (len(signs(kokoro, unit * many, language=language)) for many in (count, 2 * count))
    assert twice > 1.8 * once


def test_a_long_text_is_said_in_pieces_that_end_with_sentences(kokoro: Kokoro) -> None:
    assert isinstance(kokoro._sayer, Tones)
    kokoro._sayer.said.clear()
    clip(kokoro, "And then the rain came back again. " * 30)
    pieces = kokoro._sayer.said
    assert len(pieces) > 1
    assert all(len(piece) <= alphabet.LONGEST and piece.endswith(".") for piece in pieces)


@given(st.lists(st.sampled_from(["ab", "kˈæt", ".", ",", " ", "x" * 90]), max_size=200).map("".join))
@example("abcdefg" * 200)
def test_pieces_lose_nothing_and_fit(text: str) -> None:
    pieces = list(alphabet.pieces(text))
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(1 <= len(piece) <= alphabet.LONGEST for piece in pieces)


def test_a_clip_is_trimmed_to_its_speech(kokoro: Kokoro) -> None:
    samples = np.abs(clip(kokoro, "Yes.").samples)
    loud = np.flatnonzero(samples > 0.01)
    assert loud[0] < 0.03 * 24_000
    assert len(samples) - loud[-1] < 0.03 * 24_000


def test_a_target_length_is_met_or_its_limit_is_named(kokoro: Kokoro) -> None:
    usual = len(clip(kokoro, "The tide went out.").samples)
    met = clip(kokoro, "The tide went out.", target_duration_ms=round(1.3 * usual / 24))
    assert len(met.samples) == pytest.approx(1.3 * usual, rel=0.05)
    assert met.warnings == ()
    missed = clip(kokoro, "The tide went out.", target_duration_ms=60_000)
    assert [warning.code for warning in missed.warnings] == ["duration_limit"]


def test_a_mark_is_said_by_its_phones_in_any_language(kokoro: Kokoro) -> None:
    for language in ("en", "en-gb", "es"):
        assert "mInˈut" in signs(kokoro, "A <minute|M AY0 . N UW1 T> crack.", language=language)


def test_a_mark_without_phones_is_said_as_written_with_a_warning(kokoro: Kokoro) -> None:
    found = clip(kokoro, "The <今日|きょう> word.")
    assert any(warning.code == "unknown_text" for warning in found.warnings)


def test_a_reader_that_was_killed_is_started_again(kokoro: Kokoro) -> None:
    before = signs(kokoro, "Hola.", language="es")
    os.kill(kokoro._reader._espeak._child.pid, signal.SIGKILL)
    assert signs(kokoro, "Hola.", language="es") == before


# --- English, word by word --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "word", "sound"),
    [
        ("I have read it.", "read", "ɹˈɛd"), ("I will read it.", "read", "ɹˈid"),
        ("A live show.", "live", "lˈIv"), ("I live here.", "live", "lˈɪv"),
        ("We went live.", "live", "lˈIv"), ("People live there.", "live", "lˈɪv"),
        ("They wind the clock.", "wind", "wˈInd"), ("The wind blew.", "wind", "wˈɪnd"),
        ("Tear it up.", "tear", "tˈɛɹ"), ("A tear fell.", "tear", "tˈɪɹ"),
        ("A lead pipe.", "lead", "lˈɛd"), ("Lead the way.", "lead", "lˈid"),
        ("They refuse.", "refuse", "ɹəfjˈuz"), ("I object.", "object", "əbʤˈɛkt"),
        ("They record it.", "record", "ɹəkˈɔɹd"), ("A record.", "record", "ɹˈɛkəɹd"),
        ("She stood close to him.", "close", "klˈOs"), ("Close the door.", "close", "klˈOz"),
    ],
)  # fmt: skip
def test_a_word_with_two_pronunciations_gets_that_of_its_neighbours(text: str, word: str, sound: str) -> None:
    assert sound in english.read(text), f"{word}: {english.read(text)}"


@pytest.mark.parametrize(
    ("written", "spoken"),
    [("Dr. Bell", "Doctor Bell"), ("café", "cafe"), ("5G & A4", "five G and A four"), ("I’m", "I'm")],
)
def test_what_is_written_sounds_like_what_is_spoken(written: str, spoken: str) -> None:
    assert english.read(written) == english.read(spoken)


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("US$5, A$20 and $5–10", "five U S dollars, twenty Australian dollars and five to ten dollars"),
        ("-$5, 5,50 €, U.S.$3", "minus five dollars, five euros and fifty cents, three U S dollars"),
        ("1 000 000, 1.000.000, 12,34,567", "one million, one million, one million two hundred thirty four "
         "thousand five hundred sixty seven"),
        ("1,000th in 1066", "one thousandth in ten sixty six"),
        ("31.12.1999 or 14/3/1998", "December thirty first, nineteen ninety nine or March fourteenth, nineteen ninety "
         "eight"),
        ("at 9.30 p.m. on 9/11, 24/7", "at nine thirty P M on nine eleven, twenty four seven"),
        ("555-0134, +44 20 7946 0958", "five five five, zero one three four, plus four four, two zero, seven nine "
         "four six, zero nine five eight"),
        ("1-800-555-0199", "one, eight zero zero, five five five, zero one nine nine"),
        ("a 747-400, pp. 100-120, won 3-2", "a seven hundred forty seven four hundred, pages one hundred to one "
         "hundred twenty, won three to two"),
        ("1 1/2 or 2½ cups", "one and one half or two and one half cups"),
        ("Louis XIV, Charles V ruled", "Louis the fourteenth, Charles the fifth ruled"),
        ("Chapter IV, World War II, the XIX century", "Chapter four, World War two, the nineteenth century"),
        ("John V. Smith. Part I liked. Elizabeth I know.", "John V. Smith. Part I liked. Elizabeth I know."),
        ("x², 10⁶, 10^6, 5 km²", "x squared, ten to the power of six, ten to the power of six, five square kilometers"),
        ("5'10\" tall, 1 hr, 5 kWh, 1 m²", "five feet ten inches tall, one hour, five kilowatt hours, one square "
         "meter"),
        ("5*6, ~7, x ≠ α", "five times six, about seven, x is not equal to alpha"),
        ("on 5th St. She left Main St. alone", "on fifth Street She left Main Street alone"),
        ("See farm.org or a@b.org.", "See farm dot org or a at b dot org."),
    ],
)  # fmt: skip
def test_numbers_sums_and_signs_are_in_words(written: str, spoken: str) -> None:
    assert " ".join(in_words(written).split()) == spoken


@given(st.text("0123456789.,-/$€ ½²³×:'\"()IVXabSt%", max_size=20))
def test_no_digit_is_left(text: str) -> None:
    assert not any(map(str.isdigit, in_words(text)))


def test_english_is_read_without_espeak() -> None:
    program = (
        "import sys; from worker.engines.kokoro import english; english.read('Qwyjibo paid $5.');"
        "print(sorted(name for name in sys.modules if 'espeak' in name))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"


# --- bad files and libraries ------------------------------------------------------------------------------------------


def test_without_onnx_runtime_the_way_to_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "worker.engines.kokoro.model", raising=False)
    monkeypatch.delitem(sys.modules, "worker.engines.kokoro.engine", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(Misconfigured, match=r"needs onnxruntime: pip install 'tts-farm\[kokoro\]'"):
        load(Settings.read(model="kokoro"))


@pytest.mark.parametrize("file", [MODEL, VOICES])
def test_a_missing_file_is_named_with_the_way_to_it(tmp_path: Path, file: File) -> None:
    with pytest.raises(Misconfigured, match=f"{file.name} is missing; run: python -m worker fetch kokoro"):
        file.check(tmp_path)


def test_a_cut_file_says_how_much_is_there(tmp_path: Path) -> None:
    (tmp_path / VOICES.name).write_bytes(b"PK")
    with pytest.raises(Misconfigured, match=f"is cut short, at 2 of {VOICES.size} bytes; delete it and run"):
        VOICES.check(tmp_path)


def test_the_file_of_another_release_is_refused(tmp_path: Path) -> None:
    small = File("model.onnx", 3, "0" * 64, "kokoro")
    (tmp_path / "model.onnx").write_bytes(b"abc")
    with pytest.raises(Misconfigured, match=r"is not model\.onnx of this release"):
        small.check(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"abcd")
    with pytest.raises(Misconfigured, match="4 bytes"):
        small.check(tmp_path)

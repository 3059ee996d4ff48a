"""Texts on which other readers stumble: foreign letters in every language, long rows of signs, spellings that mean the
same. Each is spoken, and so is the sentence after it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engine.feeds import clip, render, utterance
from tests.nightly import NIGHTLY
from worker.engine import Clip
from worker.engines.espeak.engine import Espeak

STRIDE = 1 if NIGHTLY else 9  # from one voice to the next; `make nightly` has all 138
SENTENCES = {"en": "The tide went out.", "de": "Das Meer ging.", "ru": "Вода ушла.", "ar": "ذهب البحر."}
ROWS = {sign: sign * 200 for sign in "=-_*#.!?,│😀~\u200b\ue000"} | {"marks on one letter": "T" + "\u0335\u0301" * 40}

SAME = [
    ("fr", "10 000 francs", "10\u00a0000 francs"),
    ("fr", "10 000 francs", "10\u202f000 francs"),
    ("de", "Straße", "STRAẞE"),
    ("ro", "știință, țară", "ştiinţă, ţară"),
    ("tr", "ISPARTA, İzmir", "ısparta, izmir"),
    ("ar", "1937", "١٩٣٧"),
    ("hi", "1937", "१९३७"),
    ("th", "1937", "๑๙๓๗"),
    ("zh", "二零二四", "二〇二四"),
    ("en", "the tide went out", "THE TIDE WENT OUT"),
    ("en", "it's left, soft", "it’s \u2066left\u2069, \u200eso\u00adft\u200f"),
    *(("en", "One. Two.", f"One.{end}Two.") for end in ("\r", "\r\n", "\n", "\v", "\x85", "\u2028")),
    ("en", "One tide.", "\ufeffOne tide."),
]  # fmt: skip


def test_every_voice_speaks_a_text_with_the_letters_of_others(espeak: Espeak) -> None:
    """Greek variants, Latin words and emoji have crashed eSpeak in some languages."""
    text = "ϖ ϑ, Chapter Two, ქართული 🎉, שלום, سلام, Привіт, 你好, नमस्ते."
    voices = list(espeak.card.voices.items())[::STRIDE]
    spoken = render(espeak, [utterance(espeak, text, key=name, voice=name, language=tag) for name, tag in voices])
    assert len(spoken) > 130 / STRIDE
    assert [name for name, one in spoken.items() if not isinstance(one, Clip) or "cut_off" in str(one.warnings)] == []


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("row", ROWS, ids=ascii)
def test_the_sentence_after_a_long_row_of_signs_is_spoken(espeak: Espeak, row: str, language: str) -> None:
    sentence, before = SENTENCES[language], ROWS[row]
    both, alone, only = (
        len(clip(espeak, text, language=language).samples) for text in (f"{before} {sentence}", before, sentence)
    )
    assert both - alone > 0.7 * only


@pytest.mark.parametrize(("language", "plain", "other"), SAME, ids=ascii)
def test_what_is_written_in_another_way_sounds_the_same(espeak: Espeak, language: str, plain: str, other: str) -> None:
    expected, found = (clip(espeak, text, language=language) for text in (plain, other))
    assert np.array_equal(found.samples, expected.samples)
    assert found.warnings == ()

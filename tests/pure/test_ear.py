"""What was written against what was heard: spelling, comparison, and the rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.ear.comparison import compare
from worker.ear.rules import LIMITS, OTHERS, Report, Verdict, limits_of, revision, verdict
from worker.ear.spelling import folded

LANGUAGES = st.sampled_from(["en", "es", "fr", "it", "pt", "de", "zh", "ja", "hi", "ru", "ar"])


@pytest.mark.parametrize(
    ("language", "written", "heard"),
    [
        ("en", "Doctor Harris paid forty-two dollars.", "Dr. Harris paid $42."),
        ("en", "The colour of the harbour", "the color of the harbor"),
        ("en", "I can't, said Mr. Bell.", "I can not said Mister Bell"),
        ("en", "A <minute|M AY0 N UW1 T> crack.", "A minute crack"),
        ("es", "Hace cuarenta años, ¿no?", "hace 40 anos no"),
        ("fr", "Vingt-deux élèves", "22 eleves"),
        ("zh", "他說：「頭髮長了。」", "他说头发长了"),
        ("ja", "カメラ、です。", "かめらです"),
        ("de", "Die Tür, sagte er.", "die tur sagte er"),
        ("ru", "Ёлка!", "елка"),
    ],
)
def test_what_sounds_alike_is_spelt_alike(language: str, written: str, heard: str) -> None:
    assert folded(written, language) == folded(heard, language)


def test_vowel_signs_of_indic_scripts_are_kept() -> None:
    assert folded("की", "hi") != folded("का", "hi")


@given(LANGUAGES, st.text(max_size=80))
def test_spelling_ends_for_any_text_and_finds_nothing_wrong_with_the_same(language: str, text: str) -> None:
    spelt = folded(text, language)
    report = compare(spelt, spelt, text)
    assert (report.wrong, report.run, report.gap) == (0, 0, 0)
    assert verdict(report, language) is Verdict.GOOD


@given(st.text("ab ", max_size=30), st.text("ab ", max_size=30))
def test_a_comparison_is_bounded_and_sees_every_difference(written: str, heard: str) -> None:
    report = compare(written, heard, heard)
    ours, theirs = ("".join(text.split()) for text in (written, heard))
    assert (report.wrong == 0) == (ours == theirs)
    assert report.wrong <= max(len(ours), len(theirs), 1)
    assert 0 <= report.gap <= max(len(ours), len(theirs))


def test_a_missing_passage_is_a_run_of_words_and_a_gap_of_letters() -> None:
    report = compare("the boats went out with the tide", "the boats with the tide", "")
    assert (report.words, report.run, report.gap) == (7, 2, 7)
    assert report.wrong == pytest.approx(7 / 26)


def report(wrong: float, *, words: int = 12, run: int = 0) -> Report:
    return Report("", words, wrong, run, 0)


def test_more_wrong_letters_are_never_a_better_verdict() -> None:
    order = [Verdict.GOOD, Verdict.TOLD, Verdict.BAD]
    for language in ("en", "hi"):
        for words in (1, 5, 12):
            found = [order.index(verdict(report(share / 100, words=words), language)) for share in range(101)]
            assert found == sorted(found)


def test_a_text_of_five_words_must_be_heard_grossly_otherwise() -> None:
    assert verdict(report(0.3, words=5, run=3), "en") is Verdict.GOOD
    assert verdict(report(0.6, words=5, run=3), "en") is Verdict.BAD


def test_a_run_of_wrong_words_is_bad_whatever_its_letters() -> None:
    limits = LIMITS["en"]
    assert verdict(report(limits.tell + 0.01, run=limits.run), "en") is Verdict.BAD
    assert verdict(report(limits.tell + 0.01, run=limits.run - 1), "en") is Verdict.TOLD


def test_a_language_outside_the_table_has_a_weak_ear() -> None:
    assert limits_of("en-GB") == LIMITS["en"]
    assert limits_of("hi") == OTHERS
    assert OTHERS.weak


def test_the_revision_follows_the_weights_and_the_libraries() -> None:
    assert len({revision("w", "l"), revision("v", "l"), revision("w", "k")}) == 3

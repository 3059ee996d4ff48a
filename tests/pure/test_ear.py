"""What was written against what was heard: spelling, comparison, places of words, and the rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.ear.comparison import compare
from worker.ear.places import FRAME_S, Place, held, lost, places
from worker.ear.rules import LIMITS, OTHERS, Report, Verdict, finding, is_loop, limits_of, revision, verdict
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
    assert report.extra == 0
    assert compare("the tide", "the tide the tide", "").extra == 1


def test_an_ear_that_repeats_itself_is_told_from_a_voice_that_says_a_phrase_twice() -> None:
    text = "the boats went out with the tide and nobody saw them go"
    assert is_loop(compare(text, " ".join([text] * 3), ""))
    assert not is_loop(compare(text, text.replace("with the tide", "with the tide with the tide"), ""))


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


def test_what_is_heard_is_a_finding_only_where_the_ear_believes_in_it_more_than_in_the_text() -> None:
    for words in (4, 12):
        otherwise = report(0.6, words=words, run=4)
        found = {likelier: verdict(replace(otherwise, likelier=likelier), "en") for likelier in (None, 0.1, 0.0, -1.0)}
        assert list(found.values()) == [Verdict.BAD, Verdict.BAD, Verdict.GOOD, Verdict.GOOD]


def test_an_end_that_nobody_hears_is_told_of_however_few_its_letters_are() -> None:
    written = "the library opens at 10 and closes at 6"
    assert compare(written, "the library opens at 10 and closes", "").end == "at 6"
    assert compare(written, "the library opens at 10 and closes at 7", "").end == "", "it is heard otherwise"
    assert compare(written, "the library opens at 10 closes at 6", "").end == ""
    heard = compare(written, written.removesuffix(" 6"), "")
    assert heard.wrong < LIMITS["en"].tell
    assert verdict(heard, "en") is Verdict.TOLD
    assert "'6'" in finding(heard, "en")


@pytest.mark.parametrize("found", [{"lost": "tide"}, {"held": "tide", "held_s": LIMITS["en"].held_s + 0.01}])
def test_a_word_without_a_place_and_one_that_lasts_too_long_are_told_of_and_not_made_again(
    found: dict[str, Any],
) -> None:
    heard_well = report(0.0)
    assert verdict(replace(heard_well, **found), "en") is Verdict.TOLD
    assert "'tide'" in finding(replace(heard_well, **found), "en")
    assert verdict(replace(heard_well, words=5, **found), "en") is Verdict.GOOD, "of a short text it says nothing"
    assert verdict(replace(heard_well, **found), "hi") is Verdict.GOOD, "nor by a weak ear"


def test_a_language_outside_the_table_has_a_weak_ear() -> None:
    assert limits_of("en-GB") == LIMITS["en"]
    assert limits_of("hi") == OTHERS
    assert OTHERS.weak


# --- places -----------------------------------------------------------------------------------------------------------


def seconds(**words: float) -> list[Place]:
    return [Place(word, length) for word, length in words.items()]


def test_a_word_lasts_until_the_next_one_begins() -> None:
    tokens = [" The", " har", "bour", ",", " said", "."]
    path = [(0, 0), (0, 5), (1, 6), (2, 20), (3, 30), (4, 41), (4, 60), (5, 70), (6, 75)]
    found = places(tokens, path)
    assert [place.word for place in found] == ["The", "harbour,", "said."]
    assert [round(place.seconds / FRAME_S) for place in found] == [6, 35, 34]


@given(st.lists(st.sampled_from([" a", "b", " the", ".", " "]), max_size=12), st.data())
def test_places_take_all_of_the_path_and_no_time_is_negative(tokens: list[str], data: st.DataObject) -> None:
    frames = sorted(data.draw(st.lists(st.integers(0, 400), min_size=len(tokens), max_size=len(tokens))))
    found = places(tokens, list(enumerate(frames)))
    assert all(place.seconds >= 0 for place in found)
    assert sum(place.seconds for place in found) == pytest.approx(FRAME_S * (frames[-1] - frames[0] if frames else 0))


def test_a_word_without_any_time_is_lost_and_a_mark_is_not() -> None:
    assert lost([Place("The", 0.1), Place("—", 0.0), Place("tide", 0.0), Place("out.", 0.3)]) == "tide"
    assert lost([Place("The", 0.1), Place("—", 0.0)]) == ""


def test_what_is_said_twice_is_held_in_one_word() -> None:
    word, over = held(seconds(The=0.1, boats=0.35, came=1.4, home=0.3))
    assert word == "came"
    assert over > LIMITS["en"].held_s


def test_slow_speech_is_not_held() -> None:
    usual = seconds(The=0.2, boats=0.4, came=0.3, home=0.3)
    slow = [replace(place, seconds=4 * place.seconds) for place in usual]
    assert held(slow)[1] < LIMITS["en"].held_s


@pytest.mark.parametrize("word", ["1984", "$42.50", "BBC", "&", "—"])
def test_what_has_no_letters_to_count_by_may_last(word: str) -> None:
    assert held([Place("The", 0.1), Place(word, 3.0), Place("station", 0.5)])[1] == 0


# ----------------------------------------------------------------------------------------------------------------------


def test_the_revision_follows_the_weights_and_the_libraries() -> None:
    assert len({revision("w", "l"), revision("v", "l"), revision("w", "k")}) == 3

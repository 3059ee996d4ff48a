"""Whether eSpeak NG spoke all of a text: what is proven, and what is not, at each of its limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.espeak.proof import Clause, is_whole

PROSE = "The tide went out before the harbour woke, "
ENDS = (len(PROSE), 2 * len(PROSE))


def clause(text: str, phonemes: int = 100, longest_word: int = 12, last_word: int | None = None) -> Clause:
    return Clause(len(text), phonemes, longest_word, text.rstrip().rfind(" ") + 2 if last_word is None else last_word)


def test_prose_in_clauses_of_ordinary_size_is_whole() -> None:
    assert is_whole(PROSE * 2, [Clause(end, 32, 8, end - 5) for end in ENDS])


def test_a_text_of_which_a_clause_is_missing_is_not() -> None:
    assert not is_whole(PROSE * 2, [Clause(ENDS[0], 32, 8, ENDS[0] - 5)])
    assert not is_whole(PROSE, [])


@pytest.mark.parametrize("rest", ["", " ", " …", ")"])
def test_signs_behind_the_last_clause_may_stay_unspoken(rest: str) -> None:
    assert is_whole("Yes." + rest, [Clause(4, 3, 3, 1)])


@pytest.mark.parametrize(("phonemes", "whole"), [(600, True), (601, False), (990, False)])
def test_a_clause_with_phonemes_near_to_a_thousand_is_not_proven(phonemes: int, whole: bool) -> None:
    assert is_whole(PROSE, [clause(PROSE, phonemes)]) is whole


@pytest.mark.parametrize(("longest", "whole"), [(110, True), (111, False), (170, False)])
def test_a_word_with_phonemes_near_to_its_buffer_is_not_proven(longest: int, whole: bool) -> None:
    assert is_whole(PROSE, [clause(PROSE, 200, longest)]) is whole


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("밤 낮 " * 39, True),  # 39 times 20 bytes: three letters of three bytes for a syllable
        ("밤 낮 " * 40, False),
        ("ночь день " * 40, True),
        ("ночь день " * 44, False),
        ("漢" * 150, True),  # 5 bytes each, with its blanks
        ("漢" * 157, False),
        ("a-" * 110, True),
        ("a-" * 160, False),  # a blank before and after every sign
    ],
)
def test_a_clause_has_to_fit_into_800_bytes_as_espeak_writes_it(text: str, whole: bool) -> None:
    assert is_whole(text, [clause(text, last_word=len(text) - 3)]) is whole


def test_a_clause_of_300_words_is_not_proven() -> None:
    assert is_whole("a " * 290, [clause("a " * 290)])
    assert not is_whole("a " * 291, [clause("a " * 291)])


@pytest.mark.parametrize("digits", ["0123456789", "٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९"])
def test_a_number_of_more_than_32_digits_is_not_proven(digits: str) -> None:
    longest = (digits * 4)[:32]
    assert is_whole(longest, [clause(longest)])
    assert not is_whole(longest + digits[0], [clause(longest)])


def test_a_clause_whose_last_words_espeak_did_not_name_is_not_proven() -> None:
    assert not is_whole(PROSE * 2, [clause(PROSE * 2, last_word=5)])
    assert is_whole(PROSE * 2, [clause(PROSE * 2, last_word=len(PROSE) + 20)])


@given(st.text(max_size=60), st.lists(st.tuples(*[st.integers(0, 1200)] * 4), max_size=4))
def test_any_text_and_any_account_have_an_answer(text: str, account: list[tuple[int, int, int, int]]) -> None:
    assert is_whole(text, [Clause(*each) for each in account]) in (True, False)

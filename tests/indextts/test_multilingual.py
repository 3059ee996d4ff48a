"""The text front end of version 2.5 without the package: what it takes out, keeps whole, and where it cuts."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.engines.indextts.text.multilingual import MAX_TOKENS, MultilingualSegmenter
from worker.engines.indextts.text.wording import Tongue


class Bytes:
    """An Encoding of a token for each byte, from 2 up; special tokens have the ids from 1000 up."""

    SPECIAL = (*(f"<|{language}|>" for language in MAX_TOKENS), "<|SPECIAL_TOKEN_1|>", "<|SPECIAL_TOKEN_2|>")

    def encode(self, text: str, *, allowed_special: set[str], disallowed_special: Any) -> list[int]:
        assert disallowed_special == ()
        ids: list[int] = []
        for part in re.split("(" + "|".join(map(re.escape, allowed_special)) + ")", text):
            if part in allowed_special:
                ids.append(1000 + self.SPECIAL.index(part))
            else:
                # "!" and '"' are 0 and 1, as in the released vocabulary.
                ids += [byte - 0x21 if byte in b'!"' else byte + 2 for byte in part.encode()]
        return ids

    def read(self, ids: list[int]) -> str:
        text = b"".join(self.SPECIAL[token - 1000].encode() if token >= 1000 else bytes([token - 2]) for token in ids)
        return text.decode(errors="replace")


class Words:
    """Remembers what it was asked, puts 3 into words and full-width signs into plain ones."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Tongue]] = []

    def normalize(self, text: str, tongue: Tongue) -> str:
        self.asked.append((text, tongue))
        return text.replace("3", "three").translate({0xFF1C: "<", 0xFF5C: "|", 0xFF1E: ">"})

    def close(self) -> None:
        pass


class Reader:
    def __init__(self) -> None:
        self.words = Words()
        self.front = MultilingualSegmenter(
            Bytes(),
            self.words,
            punctuation=lambda text: text.replace("，", ","),
            japanese=lambda text: text.replace("は", " は "),
            unread={0, 1},
        )

    def __call__(self, text: str, language: str = "en", *, normalize: bool = True) -> list[str]:
        found = self.front.segments(text, language, normalize=normalize)
        assert found.unknown == []
        return [Bytes().read(part) for part in found.ids]


@pytest.fixture
def read() -> Reader:
    return Reader()


# --- language, case, words -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "<|en|> one, two"),
        ("zh", "<|zh|> one, two"),
        ("ja", "<|ja|> one, two"),
        ("es", "<|es|> ONE, TWO"),
        ("ar", "<|ar|> One, Two"),
    ],
)
def test_each_segment_begins_with_its_language_in_the_case_that_it_was_trained_in(
    read: Reader, language: str, said: str
) -> None:
    assert read("One， Two", language) == [said]


def test_numbers_become_words_where_there_is_a_grammar_and_it_is_wanted(read: Reader) -> None:
    assert read("3 men") == ["<|en|> three men"]
    assert read("3 men", normalize=False) == ["<|en|> 3 men"]
    assert read("3人", "ja") == ["<|ja|> 3人"]
    assert read("3 hombres", "es") == ["<|es|> THREE HOMBRES"]
    assert read("عندي 3", "ar") == ["<|ar|> عندي 3"]


def test_english_without_chinese_always_takes_the_english_grammar(read: Reader) -> None:
    read("1984.")
    read("In 1984, 你好.")
    read("1984.", "zh")
    assert [tongue for _, tongue in read.words.asked] == ["en", "zh or en", "zh or en"]


def test_japanese_gets_spaces_between_its_words(read: Reader) -> None:
    assert read("私はいい", "ja") == ["<|ja|> 私 は いい"]


def test_two_signs_that_mean_start_and_stop_to_the_model_are_left_out(read: Reader) -> None:
    assert read('Hi! "Yes!"') == ["<|en|> hi yes"]


# --- special tokens ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "one <|TTS/SP01|>two",
        "one <|tts/sp01|>two",
        "one <|<|TTS/SP01|>TTS/SP01|>two",
        "one ＜｜TTS/SP01｜＞two",
        "one <|\u200bTTS/SP01|>two",
        "one <|en|>two",
        "one <|SPECIAL_TOKEN_1|>two",
    ],
)
@pytest.mark.parametrize("normalize", [True, False])
def test_a_special_token_in_a_text_is_taken_out(read: Reader, text: str, normalize: bool) -> None:
    assert read(text, normalize=normalize) == ["<|en|> one two"]


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(st.sampled_from("<|>a一あTS/P01 ,.3ア"), max_size=60)
    | st.lists(st.sampled_from(["<|", "|>", "<", "|", ">", "TTS/SP01", "en", "行", "きょう", " ", "."])).map("".join),
    language=st.sampled_from(sorted(MAX_TOKENS)),
)
def test_no_text_raises_or_makes_a_special_token_but_for_its_marks(text: str, language: str) -> None:
    found = Reader().front.segments(text, language)
    language_token = 1000 + Bytes.SPECIAL.index(f"<|{language}|>")
    for first, *rest in found.ids:
        assert first == language_token
        assert len(rest) < MAX_TOKENS[language]
        assert {token for token in rest if token >= 1000} <= {1005, 1006}
        assert not {0, 1} & set(rest)


# --- pronunciation marks ----------------------------------------------------------------------------------------------

PHONES, PINYIN = "<|SPECIAL_TOKEN_1|>", "<|SPECIAL_TOKEN_2|>"


def test_a_mark_becomes_the_tokens_that_the_model_reads_it_by(read: Reader) -> None:
    assert read("A <minute|m ih1 . n ah0 t> ago") == [f"<|en|> a {PHONES}M IH1 . N AH0 T{PHONES} ago"]
    assert read("银<行|xing2>在", "zh") == [f"<|zh|> 银{PINYIN}XING2{PINYIN}在"]
    assert read("<今日|きょう>は", "ja") == ["<|ja|>  きょう  は "]
    assert read("＜今日｜きょう＞は", "ja") == ["<|ja|>  きょう  は "]


@pytest.mark.parametrize("language", sorted({"es", "ar", "ja"}))
def test_the_inside_of_a_mark_keeps_its_digits_spaces_and_case(read: Reader, language: str) -> None:
    assert read("<aは|HH3>", language) == [f"<|{language}|> {PHONES}HH3{PHONES}"]


def test_numbers_beside_a_mark_become_words(read: Reader) -> None:
    assert read("3 <casa|K AA1> 3", "es") == [f"<|es|> THREE {PHONES}K AA1{PHONES} THREE"]
    assert [text for text, _ in read.words.asked] == ["3 ", " 3"]


def test_a_mark_longer_than_a_segment_is_read_as_it_is_written(read: Reader) -> None:
    assert read(f"A <minute|{'IH1 ' * 30}> ago") == ["<|en|> a minute ago"]


def test_a_mark_is_never_cut(read: Reader) -> None:
    mark = "<word|W ER1 D>"
    parts = read(f"seven letters {mark} " * 9)
    assert len(parts) > 2
    for part in parts:
        assert part.count(PHONES) == 2 * part.count("W ER1 D")
    assert sum(part.count("W ER1 D") for part in parts) == 9


# --- segments ---------------------------------------------------------------------------------------------------------


def test_english_is_cut_at_60_tokens_and_others_at_120(read: Reader) -> None:
    for language, most in MAX_TOKENS.items():
        lengths = [len(part) for part in read.front.segments("one two. " * 60, language, normalize=False).ids]
        assert most - 9 < max(lengths) <= most
    assert MAX_TOKENS["en"] == 60


def test_it_is_cut_behind_a_clause_where_one_fits(read: Reader) -> None:
    assert read("The first clause ends here, then. The second one is as long as that.") == [
        "<|en|> the first clause ends here, then.",
        "<|en|>  the second one is as long as that.",
    ]


def test_a_clause_that_is_too_long_is_cut_between_words_and_a_word_between_letters(read: Reader) -> None:
    words = ["alpha", "beta", "gamma", "delta"] * 6
    parts = read(" ".join(words))
    assert [word for part in parts for word in part.removeprefix("<|en|>").split()] == words
    parts = read("x" * 150)
    assert "".join(part.removeprefix("<|en|> ") for part in parts) == "x" * 150


def test_a_number_is_not_cut_at_its_point(read: Reader) -> None:
    parts = read("a" * 44 + " is 2.718281828459", normalize=False)
    assert parts == ["<|en|> " + "a" * 44 + " is", "<|en|>  2.718281828459"]


def test_all_of_a_long_text_is_read_and_in_its_order(read: Reader) -> None:
    text = "".join(f"word{number}, " for number in range(200))
    joined = "".join(part.removeprefix("<|en|> ") for part in read(text, normalize=False))
    assert joined == text.strip()


@pytest.mark.parametrize("text", ["", " \n", "!", "!!!", "* * *", "…", "<|TTS/SP01|>", "😀", "\ud800"])
@pytest.mark.parametrize("language", sorted(MAX_TOKENS))
def test_unpronounceable_text_has_no_ids(read: Reader, text: str, language: str) -> None:
    assert read(text, language) == []

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.pronunciation import faults, marks, plain
from tests.patience import patient

CHINESE = "他在银<行|XING2>里<行|HANG2>走了半天，发现这笔业务办不<行|HANG2>。"
ENGLISH = "He had a <minute|M IH1 . N AH0 T> to examine the <minute|M AY0 . N UW1 T> details."
JAPANESE = "彼は料理が<上手|じょうず>だが、囲碁では<上手|ウワテ>に負けた。"


def only_fault(text: str) -> str:
    assert marks(text) == []
    (fault,) = faults(text)
    assert text[fault.position] in "<＜"
    assert f"at character {fault.position}" in fault.message
    return fault.message


# --- what is a mark ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (CHINESE, "他在银行里行走了半天，发现这笔业务办不行。"),
        (ENGLISH, "He had a minute to examine the minute details."),
        (JAPANESE, "彼は料理が上手だが、囲碁では上手に負けた。"),
        ("<银|YIN2><行|HANG2>", "银行"),
        ("<绿|lv4>", "绿"),
        ("<New York|n uw1 . y ao1 r k>", "New York"),
        ("<'tis|T IH1 Z>", "'tis"),
        (
            "<internationalization|IH2 N . T ER0 . N AE2 SH . AH0 . N AH0 L . AH0 . Z EY1 . SH AH0 N>",
            "internationalization",
        ),
        ("<ه|HH>", "ه"),
        ("＜银｜YIN2＞＜行|HANG2>", "银行"),
    ],
)
def test_a_mark_is_read_as_what_is_written(text: str, read: str) -> None:
    assert list(faults(text)) == []
    assert plain(text) == read
    assert re.findall("[<＜].*?[>＞]", text) == [text[mark.start : mark.end] for mark in marks(text)]


@pytest.mark.parametrize(
    "text",
    [
        "a < b",
        "a < b | c",
        "<b>bold</b>",
        "3 > 2 < 4 || x",
        "<- | ->"[:4],
        "<|TTS/SP01|> hm",
        "a < b\n\nc | d > e",
        "!!!",
    ],
)
def test_brackets_without_the_form_of_a_mark_are_text(text: str) -> None:
    assert (list(faults(text)), marks(text), plain(text)) == ([], [], text)


@pytest.mark.parametrize(
    "syllable", ["A1", "ER2", "ZHUANG4", "XIONG5", "LV3", "NVE4", "JVAN1", "YUE4", "WENG1", "RUA2"]
)
def test_syllables_of_mandarin_are_known(syllable: str) -> None:
    assert len(marks(f"<行|{syllable}>")) == 1


def test_phones_of_the_dictionary_are_known() -> None:
    vowels = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
    consonants = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"
    phones = [vowel + stress for vowel in vowels.split() for stress in "012"] + consonants.split()
    assert len(phones) == 15 * 3 + 24
    assert [phone for phone in phones if not marks(f"<word|{phone}>")] == []


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("<行|XING>", "with its tone 1 to 5"),
        ("<行|XING0>", "with its tone 1 to 5"),
        ("<行|XING6>", "with its tone 1 to 5"),
        ("<行|HNAG2>", "one syllable of pinyin"),
        ("＜行｜HNAG2＞", "one syllable of pinyin"),
        ("<行|BONG1>", "one syllable of pinyin"),
        ("<居|JU1>", "V for ü (LV4, JV1)"),
        ("<绿|LÜ4>", "V for ü (LV4, JV1)"),
        ("<行|M IH1>", "one syllable of pinyin"),
        ("<银行|YIN2 HANG2>", "one character and one syllable"),
        ("<minute|M IH . N AH0 T>", "the vowel 'IH' without its stress; expected IH0, IH1 or IH2"),
        ("<minute|M IH3 . N AH0 T>", "'IH3' where a phone is expected"),
        ("<minute|M1 IH1>", "'M1' where a phone is expected"),
        ("<minute|M IX1 N>", "'IX1' where a phone is expected"),
        ("<minute|XING2>", "'XING2' where a phone is expected"),
        ("<minute|M IH1. N AH0 T>", "'IH1.' where a phone is expected"),
        ("<minute|M IH1 . . N AH0 T>", "'.' where a phone is expected"),
        ("<minute|M  IH1>", "'' where a phone is expected"),
        ("<今日|きょu>", "hiragana alone, or katakana"),
        ("<今日|きょウ>", "hiragana alone, or katakana"),
        ("<今日|きょ う>", "hiragana alone, or katakana"),
        ("<今日|きょー>", "to which ー belongs"),
        ("<|XING2>", "an empty side"),
        ("< |XING2>", "an empty side"),
        ("<…|XING2>", "an empty side"),
        ("<行|>", "an empty side"),
        ("<行| >", "an empty side"),
        ("< 行|XING2>", "a space at the edge"),
        ("<行|XING2 >", "a space at the edge"),
        ("<行|XING2", "is not closed"),
        ("<minute|M IH1 . N AH0 T\nHe", "is not closed"),
        ("<行|XING2<行|HANG2>", "another `<` in its pronunciation"),
        ("<minute|M IH1 .\nN AH0 T>", "over the end of a line"),
        ("<New\r\nYork|N UW1>", "over the end of a line"),
        ("<行<|TTS/B|>|XING2>", "a command"),
        ("<行|XING2<|TTS/B|>>", "a command"),
        ("<" + "very " * 9 + "long|L AO1 NG>", "at most 40 characters"),
        ("<ah|" + " . ".join(["AA0"] * 13) + ">", "at most 72"),
    ],
)
def test_an_unpronounceable_mark_is_found_with_the_expected_form(mark: str, said: str) -> None:
    assert said in only_fault(f"银 {mark}")


def test_an_open_bracket_before_a_mark_is_found_at_its_place() -> None:
    assert only_fault("If a < b, say <行|XING2>.").startswith("the mark '< b, say <行|XING2>' at character 5 begins at")


def test_a_sign_directly_before_a_bar_swallows_nothing() -> None:
    """With nothing written before the bar it begins no mark, and the model looks on."""
    assert plain("F# has <| and 银<行|HANG2> too") == "F# has <| and 银行 too"


def test_every_fault_is_found_and_correct_marks_between_them_stay() -> None:
    text = "<行|XIN> <行|HANG2> <minute|M IH>"
    assert [fault.position for fault in faults(text)] == [0, 18]
    assert [mark.shown for mark in marks(text)] == ["行"]


# --- any text ---------------------------------------------------------------------------------------------------------

PIECES = ["<", ">", "|", "\n", "\r\n", " ", "行", "word", "XING2", "M IH1", "きょう", ".", "<行|XING2>", "<|TTS/B|>"]


@settings(max_examples=500)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_marks_rise_within_one_line_and_have_three_signs(text: str) -> None:
    position = 0
    for mark in marks(text):
        assert position <= mark.start < mark.end
        whole = text[mark.start : mark.end]
        assert (whole[0], whole[-1], whole.count("<"), whole.count(">"), whole.count("|")) == ("<", ">", 1, 1, 1)
        assert whole.splitlines() == [whole]
        position = mark.end


@settings(max_examples=500)
@given(st.lists(st.sampled_from([piece for piece in PIECES if not piece.isspace()]), max_size=30).map("".join))
def test_a_text_without_faults_has_nothing_else_that_a_model_takes_for_a_mark(text: str) -> None:
    if not list(faults(text)):
        without_commands = re.sub(r"<\|[^|]*\|>", "", text)
        taken = re.findall(r"<[^|>]+\|[^>]+>", without_commands)
        assert taken == [text[mark.start : mark.end] for mark in marks(text)]


@pytest.mark.parametrize("piece", ["<", "<|", "<a|", "<a\n", "<|a", "<a<b|", "<行|XING2>", "<a|\n"])
def test_time_is_linear_in_the_text(piece: str) -> None:
    """A million characters take a second at the very most; the square of that would be hours."""
    text = piece * (1_000_000 // len(piece))
    started = time.perf_counter()
    sum(1 for _ in faults(text))
    marks(text)
    assert time.perf_counter() - started < patient(10)

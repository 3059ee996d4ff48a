"""Segments as cues: what fits a screen, cut where prose is cut, with times that add up."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.desk.subtitles import Cue, Subtitles

PARAGRAPH = (
    "The tide went out at noon, and nobody in the village saw it go; the boats lay on their sides in the mud, and the "
    'children ran between them, shouting. "It will be back by evening," said the keeper, who had said so every day for '
    "forty years. He turned to the door, wiped his hands, and listened: there was no wind at all. Then, far away, "
    "beyond the second bar, something began to move."
)
CHINESE = (
    "河边的小茶馆里坐满了人，大家都在谈论昨天夜里的那场大雨。老板说：“水还会再涨。”没有人回答他，只有孩子们跑到门口，"
    "望着灰色的天空，数着远处的船。"
)

_TIMES = re.compile(r"(\d+):(\d+):(\d+)\.(\d+) --> (\d+):(\d+):(\d+)\.(\d+)")


def shown(*segments: Cue, language: str = "en") -> list[tuple[int, int, list[str]]]:
    """The cues of a file: milliseconds and lines."""
    cues = []
    for block in Subtitles(segments, language).file("vtt").removeprefix("WEBVTT\n\n").rstrip("\n").split("\n\n"):
        times, *lines = block.split("\n")
        found = _TIMES.fullmatch(times)
        assert found is not None
        numbers = [int(number) for number in found.groups()]
        start, end = (
            ((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds
            for hours, minutes, seconds, milliseconds in (numbers[:4], numbers[4:])
        )
        cues.append(
            (start, end, [line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") for line in lines])
        )
    return cues


def test_a_paragraph_is_shown_in_cues_of_two_lines_and_seven_seconds() -> None:
    cues = shown(Cue(1000, 21_148, PARAGRAPH))
    assert all(len(lines) <= 2 and max(map(len, lines)) <= 42 for _, _, lines in cues)
    assert all(0 < end - start <= 7000 for start, end, _ in cues)
    assert [start for start, _, _ in cues] == [1000, *(end for _, end, _ in cues[:-1])]
    assert cues[-1][1] == 21_148
    assert " ".join(line for _, _, lines in cues for line in lines) == PARAGRAPH


def test_lines_of_chinese_have_sixteen_characters_and_keep_their_closing_marks() -> None:
    cues = shown(Cue(0, 18_000, CHINESE), language="zh")
    lines = [line for _, _, lines in cues for line in lines]
    assert max(map(len, lines)) <= 16
    assert "".join(lines) == CHINESE
    assert all(end - start <= 7000 and len(lines) <= 2 for start, end, lines in cues)
    assert not [line for line in lines if line[0] in "，。！？；：”』」）"]


def test_cues_end_at_sentences_and_clauses_where_there_are_some() -> None:
    text = "He stood up and went to the door of the old house. Nobody had opened it since the winter, he thought then."
    cues = shown(Cue(0, 6_000, text))
    assert [" ".join(lines) for _, _, lines in cues] == text.replace(". N", ".|N").split("|")


def test_each_sentence_of_a_segment_has_a_cue_of_its_own_and_the_segment_keeps_its_times() -> None:
    assert shown(Cue(500, 2500, "It rained. She left. Mr. Po slept.")) == [
        (500, 1147, ["It rained."]),
        (1147, 1735, ["She left."]),
        (1735, 2500, ["Mr. Po slept."]),
    ]
    chinese = shown(Cue(0, 2000, "下雨了。她走了。"), language="zh")
    assert [lines for _, _, lines in chinese] == [["下雨了。"], ["她走了。"]]


def test_json_tells_of_each_cue_whose_it_is_and_whether_somebody_measured_it() -> None:
    segments = [Cue(0, 900, "Short.", 3, 1), Cue(1000, 2000, "It rained. She left.", 4, 2)]
    told = json.loads(Subtitles(segments, "en").file("json"))
    assert (told["language"], told["times"]) == ("en", "estimated")
    assert told["cues"][0] == {
        "start_ms": 0, "end_ms": 900, "text": "Short.", "lines": ["Short."], "segment": 3, "chapter": 1,
        "times": "exact",
    }  # fmt: skip
    assert [(cue["text"], cue["segment"], cue["chapter"], cue["times"]) for cue in told["cues"][1:]] == [
        ("It rained.", 4, 2, "estimated"),
        ("She left.", 4, 2, "estimated"),
    ]


def test_lrc_has_one_line_for_a_cue_in_minutes_and_hundredths() -> None:
    hour = 3_600_000
    text = Subtitles([Cue(5, 900, "Short."), Cue(hour + 61_994, hour + 65_000, PARAGRAPH[:25])]).file("lrc")
    assert text == f"[00:00.01]Short.\n[61:01.99]{PARAGRAPH[:25]}\n"
    assert Subtitles([Cue(59_996, 61_000, "Next.")]).file("lrc") == "[01:00.00]Next.\n"


def test_a_slow_segment_is_cut_by_its_seconds_but_never_within_a_word() -> None:
    slow = shown(Cue(0, 20_000, "It was the year of the flood."))
    assert all(end - start <= 7000 for start, end, _ in slow)
    assert " ".join(line for _, _, lines in slow for line in lines) == "It was the year of the flood."
    assert shown(Cue(0, 20_000, "Slowly.")) == [(0, 20_000, ["Slowly."])]


def test_lines_of_a_wrapped_text_are_joined_as_they_are_spoken() -> None:
    ((_, _, lines),) = shown(Cue(0, 3000, "She came to\nthe river and\r\n sat down."))
    assert " ".join(lines) == "She came to the river and sat down."
    ((_, _, lines),) = shown(Cue(0, 3000, "河边\n的小茶馆 里"), language="zh")
    assert lines == ["河边的小茶馆 里"]


def test_times_are_exact_only_where_every_segment_is_one_cue() -> None:
    assert not Subtitles([Cue(0, 900, "Short."), Cue(1000, 2000, "Shorter.")]).estimated
    assert Subtitles([Cue(0, 900, "Short."), Cue(1000, 21_000, PARAGRAPH)]).estimated
    assert not Subtitles([]).estimated


def test_a_short_silence_for_a_long_row_of_signs_is_one_cue() -> None:
    ((start, end, _),) = shown(Cue(0, 3, "#" * 400))
    assert (start, end) == (0, 3)


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/" + "a" * 120,
        "Donau" * 30,
        "ไม่มีช่องว่าง" * 12,
        "👩‍🚀" * 60,
        "—" * 100,
        "He said " + "* " * 100,
    ],
)
def test_a_word_longer_than_two_lines_is_divided(text: str) -> None:
    cues = shown(Cue(0, 9000, text))
    assert "".join("".join(lines) for _, _, lines in cues).replace(" ", "") == text.replace(" ", "")
    assert all(len(lines) <= 2 and max(map(len, lines)) <= 42 for _, _, lines in cues)


WORDS = st.text(st.sampled_from("abcdeé,.!?;:“”—- \n#<&>*天空，。！”か한ไท123"), min_size=1, max_size=400)


@settings(max_examples=200)
@given(st.lists(st.tuples(WORDS.filter(str.strip), st.integers(0, 3000), st.integers(400, 40_000)), max_size=3))
def test_the_cues_of_any_segments(segments: list[tuple[str, int, int]]) -> None:
    at, given_ = 0, []
    for text, pause, duration in segments:
        given_.append(Cue(at + pause, at + pause + duration, text))
        at += pause + duration
    cues = shown(*given_) if given_ else []
    spoken = "".join("".join(lines) for _, _, lines in cues)
    assert "".join(spoken.split()) == "".join("".join(text.split()) for text, _, _ in segments)
    assert all(lines and all(map(str.strip, lines)) for _, _, lines in cues)
    assert all(len(lines) <= 2 and max(map(len, lines)) <= 42 for _, _, lines in cues)
    bounds = [bound for start, end, _ in cues for bound in (start, end)]
    assert bounds == sorted(bounds)
    assert all(start < end for start, end, _ in cues)
    assert {cue.start_ms for cue in given_} <= {start for start, _, _ in cues}
    assert {cue.end_ms for cue in given_} <= {end for _, end, _ in cues}
    assert all(end - start <= 7000 or len("".join(lines).split()) == 1 for start, end, lines in cues)

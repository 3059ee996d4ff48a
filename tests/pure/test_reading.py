"""What the page has put into a text is not read out: divided words, and line ends in scripts without spaces."""

from __future__ import annotations

import textwrap
import time
from random import Random

import pytest

from farm.cutting import Part
from farm.planning import segments
from farm.prose.reading import Reading
from farm.segment import Recipe
from farm.wire import Pauses
from tests.pure.test_prose import novel


def read(span: str, *others: str, language: str = "en") -> str:
    return Reading([span, *others], language).of(span)


@pytest.mark.parametrize(("span", "said", "language"), [
    ("a great and unneces-\nsary fire", "a great and unnecessary fire", "en"),
    ("a great and unneces-\r\n    sary fire", "a great and unnecessary fire", "en"),
    ("a great and unneces-\n\fsary fire", "a great and unnecessary fire", "en"),
    ("UNNECES-\nSARY", "UNNECESSARY", "en"),
    ("unneces\u2010\nsary", "unnecessary", "en"),
    ("unneces\u00ad\nsary", "unnecessary", "en"),
    ("unneces¬\nsary", "unnecessary", "en"),
    ("unnöti⸗\nge Worte", "unnötige Worte", "de"),
    ("ne\u0301-\ncessaire", "ne\u0301cessaire", "fr"),
    ("die Donaudampf-\nschifffahrt", "die Donaudampfschifffahrt", "de"),
    ("Vor-\nund Nachteile", "Vor- und Nachteile", "de"),
    ("pre-\nand post-war", "pre- and post-war", "en"),
    ("the Anglo-\nSaxon king", "the Anglo-Saxon king", "en"),
    ("a well-\nknown man", "a well-known man", "en"),
    ("twenty-\nthree men", "twenty-three men", "en"),
    ("a 20-\nyear-old", "a 20-year-old", "en"),
    ("his mother-\nin-law", "his mother-in-law", "en"),
    ("his mother-in-\nlaw", "his mother-in-law", "en"),
    ("peut-\nêtre", "peut-être", "fr"),
    ("il dit. Oui, dit-\nil", "il dit. Oui, dit-il", "fr"),
    ("extraordi-\nnaire", "extraordinaire", "fr"),
    ("кто там? кто-\nто", "кто там? кто-то", "ru"),
    ("кто-\nто пришёл", "кто-то пришёл", "ru"),
    ("как-\nнибудь, по-\nмоему", "как-нибудь, по-моему", "ru"),
    ("всё-\nтаки из-\nза него", "всё-таки из-за него", "ru"),
    ("боло-\nто, ата-\nки, из-\nвестно, по-\nэтому", "болото, атаки, известно, поэтому", "ru"),
    ("хто-\nто по-\nукраїнськи", "хто-то по-українськи", "uk"),
    ("disait-\nil, dit-\nelle, cré-\nons", "disait-il, dit-elle, créons", "fr"),
    ("c'est-à-\ndire, aujour-\nd'hui", "c'est-à-dire, aujourd'hui", "fr"),
    ("an x-\nray, e-\nmail and self-\nmade", "an x-ray, e-mail and self-made", "en"),
    ("self-\nish and self-\nless", "selfish and selfless", "en"),
    ("необык-\nновенный", "необыкновенный", "ru"),
    ("orang-\norang", "orang-orang", "id"),
    ("wait -\nno", "wait -\nno", "en"),
    ("wait—\nno", "wait—\nno", "en"),
    ("one line\nand another", "one line\nand another", "en"),
    ("pages 10-\n12", "pages 10-\n12", "en"),
])  # fmt: skip
def test_a_word_that_was_divided_at_a_line_end_is_read_whole(span: str, said: str, language: str) -> None:
    assert read(span, language=language) == said


def test_the_text_itself_says_whether_a_word_is_a_compound() -> None:
    assert read("the lamp-\nlight fell", "by lamplight") == "the lamplight fell"
    assert read("the lamp-\nlight fell", "by lamp-light") == "the lamp-light fell"
    assert read("the lamp-\nlight fell", "by Lamp\u2010light") == "the lamp-light fell"
    assert read("well-\nfare", "the wellfare") == "wellfare"


@pytest.mark.parametrize(("span", "said", "language"), [
    ("守塔人慢慢地\n走下台階", "守塔人慢慢地走下台階", "zh"),
    ("守塔人慢慢地，\r\n　　走下台階", "守塔人慢慢地，走下台階", "zh"),
    ("灯台の明かりが\nまた消えました", "灯台の明かりがまた消えました", "ja"),
    ("カタ\nカナ", "カタカナ", "ja"),
    ("กาลครั้ง\nหนึ่ง", "กาลครั้งหนึ่ง", "th"),
    ("ກາລະ\nຄັ້ງ", "ກາລະຄັ້ງ", "lo"),
    ("មាន\nព្រះ", "មានព្រះ", "km"),
    ("ရှေး\nရှေး", "ရှေးရှေး", "my"),
    ("守塔人 Hale\n走下", "守塔人 Hale\n走下", "zh"),
    ("그는 갔다\n그리고", "그는 갔다\n그리고", "ko"),
    ("守塔人　慢慢地", "守塔人　慢慢地", "zh"),
])  # fmt: skip
def test_no_space_is_read_into_joined_lines_of_a_script_without_spaces(span: str, said: str, language: str) -> None:
    assert read(span, language=language) == said


def rows(text: str, limit: int = 290, language: str = "en") -> list[tuple[str, int, int]]:
    recipe = Recipe("default", "espeak", "1", language)
    return [(row.text, row.start, row.end) for row in segments([Part("", text, "v")], recipe, limit, Pauses())]


def test_a_plan_reads_divided_words_whole_and_keeps_the_writers_offsets() -> None:
    paragraphs = novel(Random(4), 40)
    wrapped = "\n\n".join(textwrap.fill(paragraph.replace("remembered", "remem-bered"), 66) for paragraph in paragraphs)
    assert "remem-\nbered" in wrapped
    divided = wrapped.replace("remem-bered", "remembered")
    found = rows(divided)
    assert not any("remem-" in text for text, _, _ in found)
    for text, start, end in found:
        assert text == divided[start:end].replace("remem-\nbered", "remembered")


@pytest.mark.parametrize("limit", [20, 40, 80])
def test_a_divided_word_is_never_parted_by_a_cut(limit: int) -> None:
    text = "\n".join(
        ["the keeper went down to the great and unneces-", "sary fire upon the sea that night, in a great"] * 6
    )
    assert "unneces" not in {word for text, _, _ in rows(text, limit) for word in text.split()} or limit < 30


@pytest.mark.parametrize("mark", ["* * *", "***", "---", "⁂", "＊＊＊"])
def test_a_text_of_scene_breaks_alone_is_a_silence(mark: str) -> None:
    assert rows(f"{mark}\n\n{mark}\n") == [("…", 0, len(mark))]


def test_more_than_a_hundred_thousand_words_are_read_in_linear_time() -> None:
    text = "unneces-\nsary fires of the keeper who went down to the sea at night and\n" * 10_000
    begun = time.process_time()
    rows(text)
    assert time.process_time() - begun < 3  # 0.8 s

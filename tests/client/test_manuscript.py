"""How a text file becomes chapters."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from farm.cli.manuscript import Part, chapters, read
from farm.errors import BadInput


def test_a_books_own_title_is_not_a_chapter() -> None:
    assert chapters("# Book\n\nIntro.\n\n## One\n\nText.\n\n## Two ##\nMore.\n") == [
        Part("", "Book\n\nIntro."),
        Part("One", "One\n\nText."),
        Part("Two", "Two\nMore."),
    ]


def test_lines_that_number_chapters_are_headings_where_markdown_has_none() -> None:
    text = "Chapter 1\n\nHello.\n\nChapter II: Out\n\nOn.\nChapter 3 is not one.\n\nChapter and verse of it.\n"
    assert [part.title for part in chapters(text)] == ["Chapter 1", "Chapter II: Out"]


def test_chapters_are_found_in_other_languages() -> None:
    assert [part.title for part in chapters("Kapitel 1\n\nA.\n\nKapitel zwei\n\nB.")] == ["Kapitel 1", "Kapitel zwei"]
    assert [part.title for part in chapters("第一章 雨\n\n下雨了。\n\n第二章 晴\n\n天晴了。")] == [
        "第一章 雨",
        "第二章 晴",
    ]


def test_a_heading_in_code_is_none() -> None:
    assert [part.title for part in chapters("# A\n\n```\n# not\n```\n\n# B\n\nx")] == ["A", "B"]


def test_a_text_without_headings_is_refused() -> None:
    with pytest.raises(BadInput, match="no chapters"):
        chapters("Just a text.")


@given(some.lists(some.sampled_from(["# A", "# B", "## C", "text", "more text", "", "Chapter 1", "```"]), max_size=12))
def test_no_word_is_lost_or_said_twice(lines: list[str]) -> None:
    text = "\n".join(lines)
    try:
        parts = chapters(text)
    except BadInput:
        return
    spoken = [word for part in parts for word in part.text.split() if word not in ("#", "##")]
    assert spoken == [word for word in text.split() if word not in ("#", "##")]


def test_a_file_that_is_not_utf8_is_refused_with_the_way_to_convert_it(tmp_path: Path) -> None:
    file = tmp_path / "old.txt"
    file.write_bytes("Größe".encode("latin-1"))
    with pytest.raises(BadInput, match="iconv"):
        read(str(file))


def test_a_byte_order_mark_is_not_spoken(tmp_path: Path) -> None:
    file = tmp_path / "bom.txt"
    file.write_text("Hello.", encoding="utf-8-sig")
    assert read(str(file)) == "Hello."


def test_a_blank_file_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "blank.txt"
    file.write_text(" \n")
    with pytest.raises(BadInput, match=r"blank\.txt is blank"):
        read(str(file))

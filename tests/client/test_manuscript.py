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


FENCES = {
    "backticks": ("```\n# not\n```", True),
    "tildes": ("~~~\n# not\n~~~", True),
    "a longer closing fence": ("```\n# not\n`````", True),
    "a shorter fence inside": ("`````\n# not\n```\n# not\n`````", True),
    "tildes do not close backticks": ("```\n# not\n~~~\n# not\n```", True),
    "an info string": ("```python\n# not\n```", True),
    "three blanks before it": ("   ```\n# not\n   ```", True),
    "inline code at the start of a line": ("```x``` marks the spot.", False),
    "a backtick in the info string": ("``` a`b", False),
    "a scene break of tildes": ("~~~", False),
    "two opened and one closed": ("```\nx\n```\n\n~~~", False),
    "an indented line of code": ("text\n\n    # not", True),
}


@pytest.mark.parametrize(("fence", "hides"), FENCES.values(), ids=FENCES)
def test_headings_in_code_are_found_by_the_rules_of_common_mark(fence: str, hides: bool) -> None:
    assert hides == ("# not" in fence)
    assert [part.title for part in chapters(f"# A\n\n{fence}\n\n# B\n\nx")] == ["A", "B"]


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("  # One\n\na\n\n   # Two #\n\nb", ["One", "Two"]),
        ("One\n===\n\na\n\nTwo\n===\n\nb", ["One", "Two"]),
        ("# *The* `Storm`\n\na\n\n# [B](https://b.test)\n\nb", ["The Storm", "B"]),
        ("#One\n\na\n\n# Two\n\nb", ["", "Two"]),
        ("> # quoted\n\n# One\n\na\n\n# Two\n\nb", ["", "One", "Two"]),
        ("# One\r\n\r\na\r\n\r\n# Two\r\n\r\nb", ["One", "Two"]),
        ("# One\n\na\n\f# Two\n\nb", ["One", "Two"]),
    ],
)
def test_markdown_headings_are_those_of_common_mark(text: str, titles: list[str]) -> None:
    assert [part.title for part in chapters(text)] == titles


@pytest.mark.parametrize(
    "line",
    [
        "Chapter 1", "CHAPTER IV", "Chapter One", "Chapter Twenty-One", "Part Two", "Chapter 2 The Storm",
        "Chapter 3: the storm", "Chapter 3. The Storm", "Chapter 4 — Home", "Chapter 5 Who Goes There?",
        "Kapitel zwei", "Kapitel 12 Der Sturm", "Teil II", "Capítulo 3", "Capítulo primero",
        "Chapitre premier", "Chapitre 2 : La mer", "Capitolo VII", "Hoofdstuk 3", "Rozdział 5", "Глава 7",
        "Глава первая", "Часть II Возвращение", "Bölüm 3", "第一章", "第1章 海", "第１章　海",
        "第十二回 宴桃園", "第一百二十三章海", "第壹佰貳拾章", "第3話", "第 5 章", "제3장", "제 1 부 바다",
        "CHAPTER THE FIRST", "Book the Second: The Golden Thread", "STAVE ONE", "Letter 4", "ACT II",
        "Prologue", "EPILOGUE.", "Epilogue: Home at Last", "Vorwort", "Épilogue", "Пролог", "楔子", "エピローグ",
        "3. fejezet", "Ｃｈａｐｔｅｒ　１", "Chapter Ⅱ",
        "Erstes Kapitel", "ERSTER TEIL", "1. Kapitel", "Kapitel einundzwanzig", "Zweites Buch: Der Sturm",
        "PREMIÈRE PARTIE", "Deuxième partie", "Chapitre vingt et un", "Primera parte", "Capítulo veintiuno",
        "PARTE SECONDA", "Första kapitlet", "Første kapittel", "Eerste hoofdstuk", "Hoofdstuk twaalf", "Toinen osa",
        "Rozdział pierwszy", "První kapitola", "Első fejezet", "BİRİNCİ BÖLÜM", "Capitolul întâi", "PARTEA A DOUA",
        "Глава четвёртая", "Глава двадцать первая", "Розділ перший",
        "ΚΕΦΑΛΑΙΟ ΠΡΩΤΟ", "الفصل الأول", "فصل دوم", "פרק א",
        "अध्याय १", "บทที่ ๑", "Chương 2", "Bab Dua",
        "1장", "卷一", "その一", "Chapter One Hundred and Two", "CAPITULO IV",
        "Chapter #1", "Chapter No. 5", "Chapter Zero", "The Final Chapter", "Vol. 2", "Cap. 3", "Гл. 3", "Appendix B",
        "Das dritte Kapitel", "Chapitre Ier", "Kapitel tjugoett", "Kapitel enogtyve", "Hoofdstuk eenentwintig",
        "Rozdział dwudziesty pierwszy", "ΚΕΦΑΛΑΙΟ Α΄", "الفصل الحادي عشر", "अध्याय एक", "भाग 1", "บทที่หนึ่ง",
        "Hồi 5",
        "제십이장", "正文 第一章 海", "第二部", "序", "番外一", "はじめに",
        "От автора", "Cuvânt înainte", "Mở đầu", "Giriş",
        "Acknowledgments", "Author’s Note", "Conclusion",
    ],
)  # fmt: skip
def test_a_line_that_numbers_a_chapter_is_a_heading(line: str) -> None:
    assert [part.title for part in chapters(f"{line}\n\nText.")] == [line]


@pytest.mark.parametrize(
    "line",
    [
        "Part company.", "Chapter and verse of it.", "Chapter 3 is not one.", "Part 2 Was hard.",
        "Part one of the deal,", "Parts 1 and 2", "Book me a table", "Part of it", "Chapter civil",
        "Teil des Ganzen", "Part mixing it", "第一章说的是海。", "Section nothing", "Глава семьи",
        "Prologue to a farce", "Letter from home", "Introduction: we begin here.", "Act now!",
        "Letter the first of them,", "Letter to Anna", "First thing I saw", "The first act was over", "Erste Hilfe",
        "La primera vez", "Non parte.", "Первая часть дела была проста.", "2. Book Review", "5장 샀다", "Book Fire",
        "第一回合结束", "第五集团军", "第三节车厢", "第二部电影", "Del en kake",
        "Appendix and all", "The final act was over",
    ],
)  # fmt: skip
def test_a_sentence_that_begins_like_a_heading_is_none(line: str) -> None:
    with pytest.raises(BadInput, match="no chapters"):
        chapters(f"{line}\n\nText.")


@pytest.mark.parametrize("markdown", [False, True])
@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("A Book\n\nI\n\na.\n\nII\n\nb.\n\nIII\n\nc.", ["", "I", "II", "III"]),
        ("I.\n\na.\n\nII.\n\nb.", ["I.", "II."]),
        ("— I —\n\na.\n\n— II —\n\nb.", ["— I —", "— II —"]),
        ("Ⅰ\n\na.\n\nⅡ\n\nb.", ["Ⅰ", "Ⅱ"]),
        ("一\n\n天黑了。\n\n二\n\n天亮了。", ["一", "二"]),
        ("一、海边\n\n天黑了。\n\n二、山\n\n天亮了。", ["一、海边", "二、山"]),
        ("1\n\na.\n\n2\n\nb.\n\n3\n\nc.", ["1", "2", "3"]),
        ("I. The Lamp\n\na.\n\nII. The Sea\n\nb.", ["I. The Lamp", "II. The Sea"]),
        ("I. A\n\nII. B\n\nI. A\n\na.\n\nII. B\n\nb.", ["", "I. A", "II. B"]),
        ("Prologue\n\na.\n\nI\n\nb.\n\nII\n\nc.\n\nEpilogue\n\nd.", ["Prologue", "I", "II", "Epilogue"]),
        ("Part One\n\nI\n\na.\n\nII\n\nb.\n\nPart Two\n\nI\n\nc.\n\nII\n\nd.", ["I", "II", "I", "II"]),
    ],
)  # fmt: skip
def test_numbers_alone_are_headings_where_they_make_a_row(text: str, titles: list[str], markdown: bool) -> None:
    assert [part.title for part in chapters(text, markdown=markdown)] == titles


def test_numbers_alone_are_sections_where_lines_number_chapters() -> None:
    text = "Chapter 1\n\nI\n\na.\n\nII\n\nb.\n\nChapter 2\n\nI\n\nc.\n\nII\n\nd."
    assert [part.title for part in chapters(text)] == ["Chapter 1", "Chapter 2"]


@pytest.mark.parametrize(
    "text",
    [
        "I\n\nam here.\n\nI\n\nsaid so.", "I\n\na.\n\nIII\n\nb.",
        "V\n\nfor victory.\n\nX\n\nb.", "I\n\nII\n\nIII", "I\n\na.",
        "He said\n\nI.\n\nAnd she\n\nII.", "I Came\n\na.\n\nII saw it.\n\nb.", "I\na.\n\nII\nb.",
        "and they\n\n1\n\nwent on until\n\n2\n\nit was over.", "1. Milk\n\na.\n\n2. Bread\n\nb.",
        f"{'He came. ' * 40}\n\n1\n\n{'She left. ' * 40}\n\n2\n\nEnd.", "一天\n\n天黑了。\n\n二天\n\n天亮了。",
    ],
)  # fmt: skip
def test_words_and_page_numbers_make_no_row_of_headings(text: str) -> None:
    with pytest.raises(BadInput, match="no chapters"):
        chapters(text)


def test_a_line_of_hash_signs_alone_is_a_scene_break_and_hides_no_chapters() -> None:
    found = chapters("Chapter 1\n\nA.\n\n#\n\nB.\n\nChapter 2\n\nC.")
    assert [(part.title, part.text) for part in found] == [
        ("Chapter 1", "Chapter 1\n\nA.\n\n#\n\nB."), ("Chapter 2", "Chapter 2\n\nC."),
    ]  # fmt: skip


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


@pytest.mark.parametrize("encoding", ["windows-1252", "windows-1251", "gb18030", "shift_jis", "koi8-r", "euc-kr"])
def test_a_file_in_an_old_encoding_is_refused_with_a_reading_of_each_and_read_when_named(
    tmp_path: Path, encoding: str
) -> None:
    words = {"windows-1252": "Größe", "gb18030": "北京的茶馆", "shift_jis": "東京の茶屋", "euc-kr": "서울의 찻집"}
    text = f"On the first line.\n{words.get(encoding, 'Старый дом')} and more.\n"
    file = tmp_path / "old.txt"
    file.write_bytes(text.encode(encoding))
    with pytest.raises(BadInput, match="is not UTF-8") as refusal:
        read(str(file))
    said = [line.split(maxsplit=2) for line in refusal.value.message.splitlines()[1:]]
    assert ["--encoding", encoding, text.splitlines()[1]] in said
    assert read(str(file), encoding) == text


def test_a_named_encoding_that_does_not_fit_or_does_not_exist_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "old.txt"
    file.write_bytes("Größe".encode("latin-1"))
    with pytest.raises(BadInput, match="is not ascii \\(byte 2\\); name another"):
        read(str(file), "ascii")
    with pytest.raises(BadInput, match="--encoding klingon: there is no such encoding"):
        read(str(file), "klingon")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_names_the_encoding_and_is_not_spoken(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "bom.txt"
    file.write_text("Grüße, 海.", encoding=encoding)
    assert read(str(file)) == "Grüße, 海."
    assert read(str(file), "windows-1252") == "Grüße, 海."


@pytest.mark.parametrize(("encoding", "text"), [("utf-16-le", "Старый дом.\n"), ("iso2022_jp", "東京の茶屋。\n")])
def test_bytes_that_show_their_encoding_need_no_name(tmp_path: Path, encoding: str, text: str) -> None:
    file = tmp_path / "old.txt"
    file.write_bytes(text.encode(encoding))
    assert read(str(file)) == text


def test_an_encoding_may_have_the_name_that_browsers_know(tmp_path: Path) -> None:
    file = tmp_path / "old.txt"
    file.write_bytes("東京の茶屋".encode("cp932"))
    assert read(str(file), "x-sjis") == "東京の茶屋"


def test_a_blank_file_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "blank.txt"
    file.write_text(" \n")
    with pytest.raises(BadInput, match=r"blank\.txt is blank"):
        read(str(file))

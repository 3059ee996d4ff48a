"""Bytes of other times and programs: they are read as the letters that they were written as."""

from __future__ import annotations

import pytest

from farm.documents.charset import codec, is_charset
from farm.documents.reader import read_document
from tests.pure.book import epub, page

RUSSIAN = "Это русская книга. Сегодня хорошая погода.\n"
JAPANESE = "これは日本語の本です。今日はいい天気です。\n"


def text_of(data: bytes, name: str = "a.txt") -> str:
    return "\n".join(block.text for one in read_document(data, name).chapters for block in one.blocks)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (RUSSIAN, "koi8-r"), (RUSSIAN, "utf-16-le"), (RUSSIAN, "utf-16-be"), ("One line.\n", "utf-16-le"),
        ("One line.\n", "utf-32-be"), ("第一章 海\n", "utf-16-be"), (JAPANESE, "iso2022_jp"), (JAPANESE, "cp932"),
        ("你好世界，今天天气很好。\n", "hz"), ("Zażółć gęślą jaźń. Byłem tam wczoraj.\n", "iso8859_2"),
        ("Le café où l’été s’achève, déjà.\n", "mac_roman"), (JAPANESE, "euc_jp"), (JAPANESE * 40, "euc_jp"),
        ("הוא הלך אל הנהר. לא היה שם איש. מתי תבוא?\n", "cp1255"), (RUSSIAN.lower(), "cp1251"),
        ("今天天气很好，我们去河边走走。\n", "gb18030"),
        ("Bugün hava çok güzeldi, ama yarın yağmur yağacakmış. Işıklar söndü.\n", "cp1254"),
        ("Hann fór út í skóginn og þar sá hann mann. Það var kalt þann vetur, og ýmsir dóu.\n", "cp1252"),
        ("Þat was þe tyme, and þei þoughte þat þis þyng were þo.\n", "cp1252"),
        ("Příliš žluťoučký kůň úpěl ďábelské ódy. Šťastný nový rok, přátelé, ať žije král.\n", "cp1250"),
    ],
)  # fmt: skip
def test_an_encoding_without_a_mark_is_found(text: str, encoding: str) -> None:
    assert text_of(text.encode(encoding)) == text.strip()


def test_files_of_two_encodings_that_were_put_together_are_read_line_by_line() -> None:
    joined = "Grüße aus der Stadt.\n".encode() + "Schöne Grüße.\n".encode("cp1252")
    assert text_of(joined) == "Grüße aus der Stadt.\nSchöne Grüße."
    assert text_of("Grüße.\nSchöne Grüße.\nNoch schönere Grüße.\n".encode("cp1252")).startswith("Grüße.")


@pytest.mark.parametrize(
    ("label", "encoding", "text"),
    [
        ("x-sjis", "cp932", JAPANESE),
        ("iso-8859-1", "cp1252", "“It’s” — he"),
        ("gb2312", "gb18030", "朱镕基来了"),
        ("windows-1251", "utf-8", RUSSIAN),  # converted by somebody who left the declaration
        ("utf-16", "utf-8", RUSSIAN),
        ("tis-620", "cp874", "สวัสดี “ครับ”"),
    ],
)
def test_a_declaration_means_what_browsers_take_it_for(label: str, encoding: str, text: str) -> None:
    source = f"<html><head><meta charset={label}></head><body><p>{text}</p></body></html>"
    assert text_of(source.encode(encoding), "a.html") == text.strip()


def test_a_few_foreign_bytes_do_not_change_the_reading_of_all_others() -> None:
    assert text_of("Größe, Müll, Tür ".encode() + "“Café”".encode("cp1252")) == "Größe, Müll, Tür “Café”"


def test_pairs_of_surrogates_written_apart_are_one_character() -> None:
    assert text_of(b"a\xed\xa0\xbd\xed\xb8\x80b") == "a😀b"


def test_a_page_of_a_book_may_be_in_another_encoding_than_it_says() -> None:
    western = page("<p>café “quoted”</p>").encode("cp1252")
    converted = page(f"<p>{RUSSIAN}</p>").replace("utf-8", "windows-1251").encode()
    assert text_of(epub({"a.xhtml": ""}, more={"OEBPS/a.xhtml": western}), "a.epub").endswith("café “quoted”")
    assert text_of(epub({"a.xhtml": ""}, more={"OEBPS/a.xhtml": converted}), "a.epub") == RUSSIAN.strip()


def test_names_of_codecs_that_are_none_of_files_are_refused() -> None:
    assert not any(map(is_charset, ("idna", "punycode", "hex", "undefined", "rot13", "klingon", "")))
    assert codec("X-SJIS") == "cp932"

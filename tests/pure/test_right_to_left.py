"""PDFs in Hebrew and Arabic: a page tells where its letters stand, and not in which order they are read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.documents.reader import read_document
from farm.documents.right_to_left import Letter, in_order
from tests.pure.book import pdf_of_glyphs

SIZE = 12.0

# as it stands on the page from left to right, and as it is read
LINES = [
    ("םולש ,םיה", "הים, שלום"),
    (".םיה 10:30 העשב הדרי", "ירדה בשעה 10:30 הים."),
    ('.ח"ש 45.50-ב םירפס 3 הנק', 'קנה 3 ספרים ב-45.50 ש"ח.'),
    ("םימי 10-12 ,$20 וא 50%", "50% או $20, 10-12 ימים"),
    (".20 ,10 ףד", "דף 10, 20."),
    (".ןאכ the tide went out הלימה", "המילה the tide went out כאן."),
    ("בוט Windows 10", "Windows 10 טוב"),
    ("ןאכ English .28/11/2026 ךיראתב", "בתאריך 28/11/2026. English כאן"),
    (".(12 ןב) דוד", "דוד (בן 12)."),
    (".)12 ןב( דוד", "דוד (בן 12)."),  # by the shapes of the brackets
    ("(ןאכ English (word)) ,ןכ", "כן, (English (word) כאן)"),
    ("«؟اذامل» :لاق", "قال: «لماذا؟»"),
    ("»؟اذامل« :لاق", "قال: «لماذا؟»"),
    ("٪٥٠ وأ ٢٫٥ رعسب", "بسعر ٢٫٥ أو ٥٠٪"),
    ("28-11-2026 يف", "في 2026-11-28"),  # of Arabic numbers, a hyphen does not join them
    ("ﺐﺘﻛ", "كتب"),
]


def letters(glyphs: list[str], start: float = 0.0) -> list[Letter]:
    """Each as wide as half its height; those of one glyph share its place."""
    half = SIZE / 2
    return [
        Letter(character, start + place * half, start + place * half, start + (place + 1) * half)
        for place, glyph in enumerate(glyphs)
        for character in glyph
    ]


@pytest.mark.parametrize(("shown", "read"), LINES)
def test_a_line_is_read_as_it_was_written(shown: str, read: str) -> None:
    assert in_order(letters(list(shown)), SIZE) == read


@pytest.mark.parametrize("apart", [False, True], ids=["drawn from the left", "drawn letter by letter from the right"])
@pytest.mark.parametrize(("shown", "read"), LINES)
def test_a_pdf_is_read_as_it_was_written(shown: str, read: str, apart: bool) -> None:
    lines = [(300, 700, SIZE, list(shown)), (100, 684, SIZE, list("תרחא הרוש ךכ רחאו תוירבע תויתוא הברה הב שיש"))]
    (chapter,) = read_document(pdf_of_glyphs(lines, apart=apart), "a.pdf").chapters
    said = "\n".join(block.text for block in chapter.blocks).splitlines()
    assert said == [read, "שיש בה הרבה אותיות עבריות ואחר כך שורה אחרת"]


def test_letters_keep_their_points_and_ligatures_their_order() -> None:
    assert in_order(letters(["תי", "שִׁ", "א", "רֵ", "בְּ"]), SIZE) == "בְּרֵאשִׁ" + "תי"
    assert in_order(letters(["ه", "ل", "إ", " ", "لا"]), SIZE) == "لا إله"
    assert in_order(letters(["ه", "ل", "إ", " ", "ال"]), SIZE) == "لا إله"  # as pdfium turns some of them round
    assert in_order(letters(["ן", "ב", " ", "o", "ffi", "ce"]), SIZE) == "office בן"


def test_a_gap_is_a_space() -> None:
    apart = letters(list("םלוע"), 0) + letters(list("םולש"), 4 * SIZE / 2 + 0.3 * SIZE)
    close = letters(list("םלוע"), 0) + letters(list("םולש"), 4 * SIZE / 2 + 0.1 * SIZE)
    assert in_order(apart, SIZE) == "שלום עולם"
    assert in_order(close, SIZE) == "שלוםעולם"


@given(st.text(st.sampled_from("אבגאבשתم لا12 .,()-abcֵِ"), max_size=40))
def test_no_letter_is_lost_or_said_twice(shown: str) -> None:
    read = in_order(letters(list(shown)), SIZE)
    kept = sorted(character for character in shown if character.isalnum())
    assert sorted(character for character in read if character.isalnum()) == kept


def test_paragraphs_begin_with_their_first_line_further_left_or_after_a_short_list() -> None:
    end = 500.0  # where lines begin
    said = [
        "םיבר םימי ךשמב התלעו הדרי תואגה",
        "רבד ןיא הב",
        ".אב אל שיאו",
        "השדח הקספ הליחתמ ןאכו תורושה",
        "ףוסה",
    ]
    indents = [0, 0, 0, 2 * SIZE, 0]
    lines = [
        (end - indent - len(text) * SIZE / 2, 700 - 16 * number, SIZE, list(text))
        for number, (text, indent) in enumerate(zip(said, indents, strict=True))
    ]
    (chapter,) = read_document(pdf_of_glyphs(lines), "a.pdf").chapters
    assert [block.text.count("\n") for block in chapter.blocks] == [2, 1]


def test_columns_are_read_from_the_right() -> None:
    right = [(320, 700 - 16 * number, SIZE, list("ןימימש רוטהמ הרוש")) for number in range(3)]
    left = [(60, 700 - 16 * number, SIZE, list("לאמשמש רוטהמ הרוש")) for number in range(3)]
    (chapter,) = read_document(pdf_of_glyphs([*right, *left]), "a.pdf").chapters
    text = " ".join(block.text for block in chapter.blocks)
    assert text.rindex("שמימין") < text.index("שמשמאל")

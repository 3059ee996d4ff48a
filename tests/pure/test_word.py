"""What Word writes beside plain runs: nothing of a text is lost, and nothing hidden is said."""

from __future__ import annotations

import pytest

from farm.documents.reader import read_document
from farm.documents.rules import Reading
from farm.wire import DocumentRules
from tests.pure.book import docx, p, zipped

MATH = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
CHOICES = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
BOX = "<w:drawing><w:txbxContent><w:p><w:r><w:t>in a box</w:t></w:r></w:p></w:txbxContent></w:drawing>"


def run(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def told(paragraph: str) -> str:
    document = read_document(docx(f"<w:p>{paragraph}</w:p>"), "a.docx")
    assert document.warnings == ()
    return Reading(document, DocumentRules()).spoken(document.chapters[0]).text


@pytest.mark.parametrize(
    ("paragraph", "said"),
    [
        (
            run("前")
            + f"<w:r><w:ruby><w:rt>{run('かん')}</w:rt><w:rubyBase>{run('漢字')}</w:rubyBase></w:ruby></w:r>"
            + run("後"),
            "前漢字後",
        ),
        (f'<w:bdo w:val="rtl">{run("שלום ")}</w:bdo><w:dir w:val="rtl">{run("עולם")}</w:dir>', "שלום עולם"),
        (run("On ") + f'<w:fldSimple w:instr="DATE">{run("3 May")}</w:fldSimple>', "On 3 May"),
        (run("Let") + f"<m:oMath {MATH}><m:r><m:t>x=1</m:t></m:r></m:oMath>" + run("be."), "Let x=1 be."),
        (
            f"<m:oMath {MATH}><m:sSup><m:e><m:r><m:t>x</m:t></m:r></m:e>"
            "<m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup></m:oMath>",
            "x²",
        ),
        ("<w:r><w:t>one</w:t><w:cr/><w:t>two</w:t><w:ptab/><w:t>three</w:t></w:r>", "one\ntwo three"),
        (run("one") + '<w:r><w:br w:type="page"/></w:r>' + run("two"), "one two"),
        (run("one") + "<w:r><w:br/></w:r>" + run("two"), "one\ntwo"),
        (run("seen") + run(" hidden", "<w:vanish/>") + run(" too", '<w:vanish w:val="0"/>'), "seen too"),
        (run("10") + run("6", '<w:vertAlign w:val="superscript"/>'), "10⁶"),
        (run("A") + f"<w:r>{BOX}</w:r>", "A\n\nin a box"),
        (
            run("A") + f"<w:r><mc:AlternateContent {CHOICES}><mc:Choice>{BOX}</mc:Choice></mc:AlternateContent></w:r>",
            "A\n\nin a box",
        ),
    ],
    ids=[
        "ruby",
        "direction",
        "field",
        "formula",
        "power",
        "line end",
        "page",
        "line",
        "hidden",
        "raised",
        "box",
        "choice",
    ],
)
def test_nothing_of_a_paragraph_is_lost(paragraph: str, said: str) -> None:
    assert told(paragraph) == said


def test_a_document_of_word_online_is_known_by_the_name_of_its_part() -> None:
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    kinds = "http://schemas.openxmlformats.org"
    data = zipped(
        {
            "[Content_Types].xml": f'<Types xmlns="{kinds}/package/2006/content-types"/>',
            "_rels/.rels": f'<Relationships xmlns="{kinds}/package/2006/relationships"><Relationship Id="r" '
            f'Type="{kinds}/officeDocument/2006/relationships/officeDocument" Target="word/document2.xml"/>'
            "</Relationships>",
            "word/document2.xml": f"<w:document {space}><w:body><w:p>{run('Text.')}</w:p></w:body></w:document>",
        }
    )
    assert read_document(data, "a.docx").chapters[0].blocks[0].text == "Text."


# --- what is said by styles -------------------------------------------------------------------------------------------

PARAGRAPH = '<w:style w:type="paragraph" w:styleId='
OWN_STYLES = f"""
    {PARAGRAPH}"Mine"><w:name w:val="My Chapter"/><w:basedOn w:val="Big"/></w:style>
    {PARAGRAPH}"Big"><w:name w:val="Big"/><w:basedOn w:val="Heading1"/></w:style>
    {PARAGRAPH}"Level"><w:name w:val="Level"/><w:pPr><w:outlineLvl w:val="0"/></w:pPr></w:style>
    {PARAGRAPH}"Body"><w:name w:val="Body"/><w:pPr><w:outlineLvl w:val="9"/></w:pPr></w:style>
    {PARAGRAPH}"Round"><w:name w:val="Round"/><w:basedOn w:val="Round"/></w:style>
    {PARAGRAPH}"TOC1"><w:name w:val="toc 1"/></w:style>
    {PARAGRAPH}"TOCHeading"><w:name w:val="TOC Heading"/></w:style>
"""


@pytest.mark.parametrize(
    ("headed", "is_heading"),
    [
        (p("One", "Mine"), True), (p("One", "Big"), True), (p("One", "Level"), True), (p("One", "Heading1"), True),
        (f'<w:p><w:pPr><w:outlineLvl w:val="0"/></w:pPr>{run("One")}</w:p>', True),
        (f'<w:p><w:pPr><w:outlineLvl w:val="9"/></w:pPr>{run("One")}</w:p>', False),
        (p("One", "Body"), False), (p("One", "Round"), False),
    ],
)  # fmt: skip
def test_a_writers_own_style_is_a_heading_where_its_base_or_its_level_says_so(headed: str, is_heading: bool) -> None:
    document = read_document(docx(headed + p("Text.", "Body"), styles=OWN_STYLES), "a.docx")
    assert [chapter.title for chapter in document.chapters] == (["One"] if is_heading else [""])


def test_a_table_of_contents_of_word_is_not_spoken() -> None:
    body = p("Contents", "TOCHeading") + p("One 3", "TOC1") + p("Two 9", "TOC1") + p("One", "Heading1") + p("Text.")
    document = read_document(docx(body, styles=OWN_STYLES), "a.docx")
    said = [Reading(document, DocumentRules()).spoken(chapter).text for chapter in document.chapters]
    assert [text for text in said if text] == ["One\n\nText."]


def test_a_dropped_capital_is_the_first_letter_of_its_word() -> None:
    frame = '<w:pPr><w:framePr w:dropCap="drop" w:lines="3"/></w:pPr>'
    document = read_document(docx(f"<w:p>{frame}{run('O')}</w:p>" + p("nce upon a time.")), "a.docx")
    assert Reading(document, DocumentRules()).spoken(document.chapters[0]).text == "Once upon a time."


# --- documents that Word puts in --------------------------------------------------------------------------------------

SPACE = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
MAIL = (
    "MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=x\r\n\r\n--x\r\n"
    "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    "<html><body><p>Mer=C3=A9 =\r\ntide</p></body></html>\r\n--x\r\nContent-Type: image/png\r\n\r\nx\r\n--x--\r\n"
)


def chunk(name: str) -> str:
    return f'<w:altChunk {SPACE} r:id="{name}"/>'


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.htm", "<html><head><style>p {}</style></head><body><p>One</p><p>two</p></body></html>", "One\n\ntwo"),
        ("a.xhtml", '<?xml version="1.0" encoding="utf-8"?><html><body><p>Été</p></body></html>', "Été"),
        ("a.html", "<p>Ночь</p>".encode("utf-16"), "Ночь"),
        ("a.html", "a <b>bold</b> word", "a bold word"),
        ("a.mht", MAIL, "Meré tide"),
        ("a.txt", "5 < 6 & so\r\non", "5 < 6 & so\n\non"),
        ("a.docx", docx(p("inner one") + p("inner two")), "inner one\n\ninner two"),
        ("a.docx", docx(p("before") + chunk("b.htm"), chunks={"b.htm": "<p>deep</p>"}), "before\n\ndeep"),
    ],
    ids=["page", "XHTML", "UTF-16", "fragment", "MHT", "text", "Word", "Word in Word"],
)
def test_a_document_inside_a_document_is_read_in_its_place(name: str, content: str | bytes, said: str) -> None:
    document = read_document(docx(p("Here.") + chunk(name) + p("There."), chunks={name: content}), "a.docx")
    assert document.warnings == ()
    assert Reading(document, DocumentRules()).spoken(document.chapters[0]).text == f"Here.\n\n{said}\n\nThere."


def test_headings_and_notes_of_an_inserted_document_are_its_own() -> None:
    inner = docx(
        p("Two", "Heading1") + p("second", note="2"),
        notes='<w:footnote w:id="2"><w:p><w:r><w:t>inner note</w:t></w:r></w:p></w:footnote>',
    )
    outer = docx(
        p("One", "Heading1") + p("first", note="2") + chunk("a.docx"),
        notes='<w:footnote w:id="2"><w:p><w:r><w:t>outer note</w:t></w:r></w:p></w:footnote>',
        chunks={"a.docx": inner},
    )
    document = read_document(outer, "a.docx")
    reading = Reading(document, DocumentRules(notes="inline"))
    assert [chapter.title for chapter in document.chapters] == ["One", "Two"]
    assert [" ".join(reading.spoken(one).text.split()) for one in document.chapters] == [
        "One first (outer note)", "Two second (inner note)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.rtf", "{\\rtf1 x}"), ("a.bin", b"\0\1\2\0"), ("a.htm", None), ("a.mht", "MIME-Version: 1.0\n")],
)
def test_an_inserted_document_that_cannot_be_read_is_warned_of_by_its_name(name: str, content: str | None) -> None:
    chunks = {} if content is None else {name: content}
    document = read_document(docx(p("Here.") + chunk(name) + p("There."), chunks=chunks), "a.docx")
    assert [name in warning or "missing" in warning for warning in document.warnings] == [True]
    assert Reading(document, DocumentRules()).spoken(document.chapters[0]).text == "Here.\n\nThere."

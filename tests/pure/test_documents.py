"""Documents of every kind become chapters of blocks, as their readers see them."""

from __future__ import annotations

import base64
import codecs

import pytest

from farm.documents.reader import read_document
from farm.documents.rules import Reading, left_out
from farm.documents.tree import Document, Kind
from farm.documents.view import view_of
from farm.wire import DocumentRules
from tests.pure.book import PNG, broken_page, docx, epub, nav, ncx, p, page, pdf

RULES = DocumentRules()
MATHML = 'xmlns="http://www.w3.org/1998/Math/MathML"'


def spoken(document: Document, rules: DocumentRules = RULES) -> list[tuple[str, str]]:
    """(title, text) of the chapters that the rules include."""
    out, reading = left_out(document, rules), Reading(document, rules)
    return [(one.title, reading.spoken(one).text) for one in document.chapters if one.id not in out]


def told(body: str, **rules: str) -> str:
    """What is spoken of an EPUB with one page."""
    document = read_document(epub({"a.xhtml": page(body)}), "a.epub")
    return "\n\n".join(text for _, text in spoken(document, DocumentRules.model_validate(rules)))


@pytest.mark.parametrize("filename", ["a.epub", "a.html"])
def test_what_a_document_says_of_itself_is_shortened(filename: str) -> None:
    """It is in every look at the document, and in the tags of every recording."""
    author, about = "A. Keeper " * 200_000, "About the sea. " * 200_000
    said = f"<dc:creator>{author}</dc:creator><dc:description>{about}</dc:description>"
    meta = f'<meta name="author" content="{author}"/><meta name="description" content="{about}"/>'
    data = {
        "a.epub": lambda: epub({"a.xhtml": page("<p>Night.</p>")}, metadata=f"<dc:title>Sea</dc:title>{said}"),
        "a.html": lambda: f"<html><head><title>Sea</title>{meta}</head><body><p>Night.</p></body></html>".encode(),
    }[filename]()
    metadata = read_document(data, filename).metadata
    assert metadata.title == "Sea"
    assert metadata.author == ("A. Keeper " * 100).strip() + " …"
    assert 9_900 < len(metadata.description) <= 10_002


# --- EPUB: chapters ---------------------------------------------------------------------------------------------------


def test_several_chapters_of_one_file_are_cut_at_the_anchors_of_the_contents() -> None:
    one = page(
        '<h2 id="a">One</h2><p>First.</p><div><p><span id="b"/>Second.</p></div><section id="c"><p>Third.</p></section>'
    )
    contents = nav(("One", "x.xhtml#a"), ("Two", "x.xhtml#b"), ("Three", "x.xhtml#c"))
    document = read_document(epub({"x.xhtml": one}, contents=contents), "a.epub")
    assert spoken(document) == [("One", "One\n\nFirst."), ("Two", "Second."), ("Three", "Third.")]


def test_one_chapter_goes_over_the_files_that_the_contents_do_not_name() -> None:
    pages = {"a.xhtml": page("<p>a</p>"), "b.xhtml": page("<p>b</p>"), "c.xhtml": page("<p>c</p>")}
    document = read_document(epub(pages, contents=nav(("One", "a.xhtml"), ("Two", "c.xhtml"))), "a.epub")
    assert spoken(document) == [("One", "a\n\nb"), ("Two", "c")]


def test_text_before_the_first_entry_of_the_contents_is_a_chapter() -> None:
    pages = {"a.xhtml": page("<h1>Before</h1><p>a</p>"), "b.xhtml": page("<p>b</p>")}
    assert spoken(read_document(epub(pages, contents=nav(("One", "b.xhtml"))), "a.epub"))[0] == (
        "Before",
        "Before\n\na",
    )


@pytest.mark.parametrize("picture", ['<svg xmlns="http://www.w3.org/2000/svg"><image/></svg>', "<img src='x'/>", ""])
def test_a_page_without_text_is_a_chapter_of_its_own_and_empty(picture: str) -> None:
    pages = {"a.xhtml": page(f"<div>{picture}</div>"), "b.xhtml": page("<p>b</p>")}
    document = read_document(epub(pages, contents=nav(("Plate", "a.xhtml"), ("One", "b.xhtml"))), "a.epub")
    assert [one.title for one in document.chapters] == ["Plate", "One"]
    assert left_out(document, RULES) == {"c1": "empty"}


def test_entries_of_one_place_make_one_chapter_with_both_titles() -> None:
    contents = nav(("Part I", "a.xhtml", [("One", "a.xhtml#x")]), ("Two", "a.xhtml#y"))
    body = '<h1 id="x">One</h1><p>a</p><h1 id="y">Two</h1><p>b</p>'
    document = read_document(epub({"a.xhtml": page(body)}, contents=contents), "a.epub")
    assert [(one.title, one.depth) for one in document.chapters] == [("Part I: One", 2), ("Two", 1)]


def test_an_epub_2_has_its_contents_in_the_ncx() -> None:
    pages = {"a b.xhtml": page("<p>a</p>"), "c.xhtml": page("<p>c</p>")}
    document = read_document(epub(pages, toc_ncx=ncx(("One", "a%20b.xhtml"), ("Two", "c.xhtml"))), "a.epub")
    assert spoken(document) == [("One", "a"), ("Two", "c")]


@pytest.mark.parametrize(
    ("bodies", "titles"),
    [
        (["<h1>One</h1><p>a</p><h1>Two</h1><p>b</p>"], ["One", "Two"]),
        (["<p>a</p>", "<p>b</p>", "<p>c</p>"], ["", "", ""]),
    ],
    ids=["headings", "files"],
)
def test_without_contents_the_chapters_begin_at(bodies: list[str], titles: list[str]) -> None:
    pages = {f"{n}.xhtml": page(body) for n, body in enumerate(bodies)}
    assert [one.title for one in read_document(epub(pages), "a.epub").chapters] == titles


def test_contents_that_point_nowhere_are_named_and_the_headings_count() -> None:
    book = epub({"a.xhtml": page("<h1>One</h1><p>a</p>")}, contents=nav(("Gone", "b.xhtml#x")))
    document = read_document(book, "a.epub")
    assert [one.title for one in document.chapters] == ["One"]
    assert document.warnings == ("the contents point at 'OEBPS/b.xhtml#x' (Gone), which is not in the document",)


def test_a_file_beside_the_line_of_reading_is_read_only_where_the_contents_point_at_it() -> None:
    pages = {"a.xhtml": page("<p>a</p>"), "b.xhtml": page("<p>b</p>"), "c.xhtml": page("<p>c</p>")}
    book = epub(pages, contents=nav(("One", "a.xhtml"), ("Three", "c.xhtml")), unlinear=["b.xhtml", "c.xhtml"])
    document = read_document(book, "a.epub")
    assert spoken(document) == [("One", "a"), ("Three", "c")]
    assert document.warnings == ("OEBPS/b.xhtml stands beside the line of reading, and is left out",)


@pytest.mark.parametrize("href", ["../../../one.xhtml", "/one.xhtml", "x/../../OEBPS/../one.xhtml"])
def test_a_path_that_climbs_stays_inside_the_archive(href: str) -> None:
    book = epub({href: page("")}, more={"OEBPS/a.xhtml": page("<p>a</p>"), "one.xhtml": page("<p>inside</p>")})
    assert [text for _, text in spoken(read_document(book, "a.epub"))] == ["inside"]


# --- EPUB: what is broken ---------------------------------------------------------------------------------------------


def test_broken_xhtml_is_read_as_far_as_it_goes_with_a_warning_that_names_the_file() -> None:
    document = read_document(epub({"a.xhtml": page("<p>one <b>two</p><p>three</p>")}), "a.epub")
    assert spoken(document)[0][1].split() == ["one", "two", "three"]
    assert document.warnings == ("OEBPS/a.xhtml is broken XML, and was read as far as it goes",)


def test_missing_and_foreign_files_of_the_spine_are_left_out_with_a_warning() -> None:
    pages = {"a.xhtml": page("<p>a</p>"), "b.svg": "<svg/>", "c.json": "{}"}
    book = epub(
        pages, spine=["a.xhtml", "b.svg", "c.json", "nobody"], types={"b.svg": "image/svg+xml", "c.json": "text/json"}
    )
    document = read_document(book, "a.epub")
    assert spoken(document) == [("", "a")]
    assert [each for name in ("b.svg", "c.json", "nobody") for each in document.warnings if name in each] == list(
        document.warnings
    )
    assert len(document.warnings) == 3


def test_a_page_that_is_a_drawing_is_read_by_its_words() -> None:
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg"><text x="1">Here <tspan>be</tspan></text><text>dragons.</text></svg>'
    )
    book = epub({"a.svg": drawing}, types={"a.svg": "image/svg+xml"})
    assert spoken(read_document(book, "a.epub")) == [("", "Here be\n\ndragons.")]


def test_names_of_characters_are_read_without_their_dtd() -> None:
    assert told("<p>a&nbsp;b &mdash; &eacute; &amp; &lt;</p>") == "a\xa0b — é & <"


def test_obfuscated_fonts_lock_nothing() -> None:
    listed = (
        '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><EncryptedData '
        'xmlns="http://www.w3.org/2001/04/xmlenc#"><EncryptionMethod Algorithm="http://www.idpf.org/2008/embedding"/>'
        '<CipherData><CipherReference URI="OEBPS/font.otf"/></CipherData></EncryptedData></encryption>'
    )
    book = epub({"a.xhtml": page("<p>a</p>")}, more={"META-INF/encryption.xml": listed, "OEBPS/font.otf": b"x"})
    assert spoken(read_document(book, "a.epub")) == [("", "a")]


# --- blocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<p>one\n   two<br/>three</p>", "one two\nthree"),
        ("<p>a<script>no</script><style>no</style>b</p>", "ab"),
        ("<p><ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>字</p>", "漢字"),
        ('<p>before<span epub:type="pagebreak" title="12">12</span>after</p>', "beforeafter"),
        ("<p>10<sup>th</sup></p>", "10th"),
        ("<p>a</p><table><tr><td>b</td></tr></table>", "a\n\nTable."),
        ("<p>a</p><hr/><p>b</p>", "a\n\n* * *\n\nb"),
        ("<p>a</p><p>* * *</p><p>***</p><p>b</p><p>⁂</p>", "a\n\n* * *\n\nb"),
        ('<ol start="4"><li>a</li><li value="9">b</li></ol><ul><li>c</li></ul>', "4. a\n\n9. b\n\nc"),
        ("<blockquote><p>a</p><p>b</p></blockquote>", "a\n\nb"),
        ("<div>a<div>b</div>c</div>", "a\n\nb\n\nc"),
        ("<h1>One<br/>Two</h1><p>a</p>", "One\n\nTwo\n\na"),
        ("<h1><div>One</div></h1><p>a</p>", "One\n\na"),
        (f"<p><math {MATHML}><mfrac><mi>a</mi><mn>2</mn></mfrac><msup><mi>x</mi><mn>10</mn></msup></math></p>",
         "a/2 x¹⁰"),
        (f"<p><math {MATHML}><msqrt><mi>a</mi><mo>+</mo><mn>1</mn></msqrt><msup><mi>x</mi><mi>n</mi></msup></math></p>",
         "√a + 1 x n"),
        (f"<p>x<math {MATHML}><semantics><mi>a</mi><annotation>TeX</annotation></semantics></math></p>", "x a"),
        ('<p role="doc-pagebreak">7</p><p>a</p>', "a"),
        ("<p hidden='hidden'>a</p><p>b</p>", "b"),
        ("<p>word<img src='x' alt='a boat'/> on</p>", "word on"),
        ("<p>soft\x07bell</p>".replace("\x07", "&#9;"), "soft bell"),
    ],
)  # fmt: skip
def test_a_page_is_spoken_as_its_reader_sees_it(body: str, said: str) -> None:
    assert told(body) == said


def test_a_heading_has_its_place_in_the_text_of_its_chapter() -> None:
    document = read_document(epub({"a.xhtml": page("<h1>One</h1><p>text</p><h2>Two</h2><p>more</p>")}), "a.epub")
    said = Reading(document, RULES).spoken(document.chapters[0])
    assert [said.text[at:].split("\n")[0] for at in said.headings] == ["One", "Two"]


def test_an_unmarked_reference_in_raised_letters_is_not_spoken() -> None:
    assert told('<p>a<sup><a href="#n1">12</a></sup> and <a href="#x"><sup>[3]</sup></a>b</p>') == "a and b"


# --- metadata ---------------------------------------------------------------------------------------------------------


def test_title_authors_language_series_and_cover_are_the_books_own() -> None:
    said = (
        "<dc:title>A &amp; B</dc:title><dc:creator id='a'>Ann</dc:creator><dc:creator id='b'>Bob</dc:creator>"
        "<dc:creator id='t'>Tom</dc:creator><meta refines='#t' property='role'>trl</meta>"
        "<dc:language>de</dc:language>"
        "<meta name='calibre:series' content='Sea'/><meta name='calibre:series_index' content='2'/>"
        "<dc:date>1999</dc:date>"
    )
    found = read_document(epub({"a.xhtml": page("<p>a</p>")}, metadata=said, cover=PNG), "a.epub").metadata
    assert (found.title, found.author, found.language, found.date) == ("A & B", "Ann, Bob", "de", "1999")
    assert (found.series, found.series_index) == ("Sea", "2")
    assert found.cover is not None
    assert (found.cover.data, found.cover.media_type) == (PNG, "image/png")


def test_the_view_of_a_document_has_first_words_and_says_what_is_left_out() -> None:
    pages = {
        "a.xhtml": page('<section epub:type="copyright-page"><p>All rights reserved.</p></section>'),
        "b.xhtml": page("<p>Yes.</p>"),
    }
    said = view_of(read_document(epub(pages, contents=nav(("Legal", "a.xhtml"), ("One", "b.xhtml"))), "a.epub"))
    assert '"left_out":"copyright"' in said
    assert '"first_words":"All rights reserved."' in said


# --- the other kinds --------------------------------------------------------------------------------------------------


def test_a_word_document_has_chapters_by_its_headings_and_notes() -> None:
    notes = f'<w:footnote w:id="2">{p("By hand.")}</w:footnote>'
    data = docx(
        p("One", "Heading1") + p("Lamp lit.", note="2") + p("Two", "Heading1") + p("Out."), notes=notes, title="Sea"
    )
    document = read_document(data, "a.docx")
    assert (document.kind, document.metadata.title) == ("docx", "Sea")
    assert spoken(document) == [("One", "One\n\nLamp lit."), ("Two", "Two\n\nOut.")]
    assert spoken(document, DocumentRules(notes="inline"))[0][1] == "One\n\nLamp lit. (By hand.)"


def _pdf_page(number: int) -> list[tuple[float, float, float, str]]:
    lines = [
        f"Page {number} tells of a storm that blew over the har-",
        "bour and of the lamp that nobody had lit for a long",
        "time.",
    ]
    return [
        (250, 800, 9, "The Lighthouse"),
        *([(72.0, 740.0, 20.0, f"Chapter {number}")] if number in (1, 3) else []),
        *((72, 700 - 14 * place, 11, line) for place, line in enumerate(lines)),
        (90, 644, 11, f"Another paragraph {number}."),
        (290, 40, 9, str(number)),
    ]  # fmt: skip


def test_a_pdf_loses_its_divided_words_running_heads_and_page_numbers() -> None:
    document = read_document(pdf([_pdf_page(n) for n in range(1, 5)], title="Sea"), "a.pdf")
    assert document.metadata.title == "Sea"
    first, second = spoken(document)
    assert first == (
        "Chapter 1",
        "Chapter 1\n\nPage 1 tells of a storm that blew over the harbour and of the lamp that nobody had lit for a "
        "long time.\n\nAnother paragraph 1.\n\nPage 2 tells of a storm that blew over the harbour and of the lamp that "
        "nobody had lit for a long time.\n\nAnother paragraph 2.",
    )
    assert second[0] == "Chapter 3"
    kept = spoken(document, DocumentRules(hyphens="keep", running_heads="read"))
    assert "har-bour" in kept[0][1]
    assert "The Lighthouse" in kept[0][1]


def test_a_pdf_is_read_without_the_pages_that_are_broken() -> None:
    data = pdf([[(72, 700, 11, f"The lamp of page {number} is lit.")] for number in range(1, 4)])
    document = read_document(broken_page(data, 1), "a.pdf")
    assert [text for _, text in spoken(document)] == ["The lamp of page 1 is lit.\n\nThe lamp of page 3 is lit."]
    assert document.warnings == ("page 2 of 3 can't be opened: the text there is left out",)


FB2 = f"""<?xml version="1.0" encoding="windows-1251"?>
<FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0" xmlns:l="http://www.w3.org/1999/xlink"><description>
<title-info><author><first-name>Анна</first-name><last-name>К</last-name></author><book-title>Маяк</book-title>
<lang>ru</lang><coverpage><image l:href="#c"/></coverpage></title-info></description>
<body><section><title><p>Один</p></title><p>Лампа <em>горит</em><a l:href="#n1" type="note">[1]</a>.</p></section>
<section><title><p>Два</p></title><section><title><p>Два А</p></title><p>Темно.</p></section></section></body>
<body name="notes"><section id="n1"><title><p>1</p></title><p>Вручную.</p></section></body>
<binary id="c" content-type="image/png">{base64.b64encode(PNG).decode()}</binary></FictionBook>"""


def test_a_fictionbook_has_sections_notes_and_a_cover() -> None:
    document = read_document(FB2.encode("windows-1251"), "a.fb2")
    assert (document.metadata.title, document.metadata.author, document.metadata.language) == ("Маяк", "Анна К", "ru")
    assert document.metadata.cover is not None
    assert spoken(document) == [("Один", "Один\n\nЛампа горит."), ("Два", "Два"), ("Два А", "Два А\n\nТемно.")]
    assert spoken(document, DocumentRules(notes="end"))[0][1] == "Один\n\nЛампа горит.\n\nВручную."


def test_markdown_is_read_with_its_properties_lists_and_tables() -> None:
    text = "---\ntitle: Sea\nauthor: Ann\n---\n# One\n\nLamp *lit*.\n\n- a\n- b\n\n"
    text += "# Two\n\n| x | y |\n|---|---|\n| 1 | 2 |\n"
    document = read_document(text.encode(), "a.md")
    assert (document.metadata.title, document.metadata.author) == ("Sea", "Ann")
    assert spoken(document) == [("One", "One\n\nLamp lit.\n\na\n\nb"), ("Two", "Two\n\nTable.")]
    assert spoken(document, DocumentRules(tables="read"))[1][1] == "Two\n\nx, y\n\n1, 2"


def test_a_text_keeps_its_lines_and_begins_chapters_at_numbered_headings() -> None:
    document = read_document(
        b"Before.\r\n\r\nChapter 1\r\n\r\nOne line\r\nand two.\r\n\r\nChapter 2\r\n\r\nEnd.", "a.txt"
    )
    assert spoken(document) == [
        ("", "Before."),
        ("Chapter 1", "Chapter 1\n\nOne line\nand two."),
        ("Chapter 2", "Chapter 2\n\nEnd."),
    ]


def test_a_web_page_loses_its_menu_and_has_chapters_by_headings() -> None:
    text = (
        "<!doctype html><html lang=en><title>Sea</title><nav><a href=/>Home</a></nav><h2>One<h2>Two</h2><p>a<p>b</html>"
    )
    document = read_document(text.encode(), "a.html")
    assert (document.kind, document.metadata.title) == ("html", "Sea")
    assert spoken(document) == [("One: Two", "One\n\nTwo\n\na\n\nb")]


# --- characters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "encoding", "origin"),
    [
        (codecs.BOM_UTF16_LE + "Grüße".encode("utf-16-le"), "utf-16-le", "mark"),
        (codecs.BOM_UTF8 + "Grüße".encode(), "utf-8", "mark"),
        ("Grüße".encode(), "utf-8", "utf-8"),
        ("Grüße und „schöne“ Tage an der See, die wir nie mehr vergessen.".encode("cp1252"), "cp1252", "guess"),
    ],
)
def test_the_encoding_of_a_text_is_shown_with_where_it_is_from(data: bytes, encoding: str, origin: str) -> None:
    document = read_document(data, "a.txt")
    assert (document.encoding, document.encoding_from) == (encoding, origin)
    assert "Grüße" in spoken(document)[0][1]


def test_a_declared_encoding_counts_before_a_guess_and_a_given_one_before_both() -> None:
    data = "<html><meta charset=windows-1251><p>Маяк</p></html>".encode("cp1251")
    assert spoken(read_document(data, "a.html"))[0][1] == "Маяк"
    assert read_document(data, "a.html").encoding_from == "declared"
    given = read_document(data, "a.html", encoding="koi8-r")
    assert (given.encoding, given.encoding_from) == ("koi8-r", "given")


def test_every_block_kind_is_found_in_a_page() -> None:
    body = (
        '<h1>h</h1><p>p</p><blockquote>q</blockquote><ul><li>i</li></ul><aside epub:type="footnote" id="n">n</aside>'
        "<table><tr><td>t</td></tr></table><pre>c</pre><p><img src='x' alt='m'/></p><hr/>"
    )
    document = read_document(epub({"a.xhtml": page(body)}), "a.epub")
    assert [block.kind for block in document.chapters[0].blocks] == list(Kind)


def test_a_foreign_page_is_read_by_the_one_that_stands_in_for_it() -> None:
    kind = 'text/json" fallback="i1'
    book = epub({"a.json": "{}", "b.xhtml": page("<p>b</p>")}, types={"a.json": kind}, spine=["a.json"])
    assert spoken(read_document(book, "a.epub")) == [("", "b")]


def test_pronunciations_that_a_book_brings_are_not_read_and_said_so() -> None:
    spoken = '<p>A <b xmlns:ssml="http://www.w3.org/2001/10/synthesis" ssml:ph="x">word</b>.</p>'
    pages = {"a.xhtml": page(spoken), "words.pls": "<lexicon/>"}
    book = epub(pages, types={"words.pls": "application/pls+xml"}, spine=["a.xhtml"])
    assert read_document(book, "book.epub").warnings == (
        "OEBPS/a.xhtml says how 1 words are pronounced (ssml:ph), which is not read",
        "OEBPS/words.pls is a lexicon, which is not read; put it to /v1/lexicons",
    )


def test_chapters_that_no_style_marks_are_known_by_their_lines() -> None:
    body = p("The Sea") + p("Chapter 1") + p("Chapter 2 was to be short.") + p("Chapter 2: Home") + p("b")
    page = "<p>I</p><p>a</p><p>II</p><p>b</p>"
    assert [one.title for one in read_document(docx(body), "a.docx").chapters] == ["", "Chapter 1", "Chapter 2: Home"]
    assert [one.title for one in read_document(page.encode(), "a.html").chapters] == ["I", "II"]
    assert [one.title for one in read_document(b"# A\n\nChapter 1\n\na", "a.md").chapters] == ["A"]


def test_a_picture_of_the_first_letter_of_a_word_is_read_as_that_letter() -> None:
    page = "<p><img src=a alt=W>hen it <img src=b alt=X> was <img src=c alt='A cat'>late.</p>"
    assert spoken(read_document(page.encode(), "a.html")) == [("", "When it was late.")]


# --- footnotes of Markdown --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        ("skip", "A *lamp* & a tide."), ("inline", "A *lamp* (Lit. Twice.) & a tide."),
        ("end", "A *lamp* & a tide.\n\nLit.\n\nTwice."),
    ],
)  # fmt: skip
def test_footnotes_of_markdown_are_notes_to_which_the_rule_applies(notes: str, said: str) -> None:
    text = "A \\*lamp\\*[^1<] & a tide.\n\n[^1<]: Lit.\n\n    Twice.\n"
    document = read_document(text.encode(), "a.md")
    rules = DocumentRules.model_validate({"notes": notes})
    assert Reading(document, rules).spoken(document.chapters[0]).text == said

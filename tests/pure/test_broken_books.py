"""Books as careless programs write them: what a reader would see of them is spoken."""

from __future__ import annotations

import pytest

from farm.documents.reader import read_document
from farm.documents.rules import Reading, left_out
from farm.wire import DocumentRules
from tests.pure.book import epub, page


def told(data: bytes, name: str, **rules: str) -> str:
    document = read_document(data, name)
    asked = DocumentRules.model_validate(rules)
    out, reading = left_out(document, asked), Reading(document, asked)
    return "\n\n".join(reading.spoken(one).text for one in document.chapters if one.id not in out)


def fb2(body: str, more: str = "") -> bytes:
    return (
        '<?xml version="1.0" encoding="utf-8"?><FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0" '
        f'xmlns:l="http://www.w3.org/1999/xlink"><description/><body>{body}</body>{more}</FictionBook>'
    ).encode()


# --- EPUB -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<p>one<br>two</p><p>three</p>", "one\ntwo\n\nthree"),
        ("<p>one<p>two<img src=x>three<hr>four", "one\n\ntwothree\n\n* * *\n\nfour"),
        ("<p>Tom & Jerry</p><p>1 < 2</p><p>end</p>", "Tom & Jerry\n\n1 < 2\n\nend"),
        ("<p><a id='x'/>one & <b/>two</p>", "one & two"),
    ],
)
def test_a_page_that_is_no_xml_is_read_as_a_browser_shows_it(body: str, said: str) -> None:
    assert told(epub({"a.xhtml": page(body)}), "a.epub") == said


def test_all_bodies_of_a_page_are_read() -> None:
    two = '<html xmlns="http://www.w3.org/1999/xhtml"><body><p>one</p></body><body><p>two</p></body></html>'
    assert told(epub({"a.xhtml": two}), "a.epub") == "one\n\ntwo"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('<p>be<span epub:type="pagebreak" title="2"/>fore</p>', "before"),
        ('<p>one <span class="pagenum">[Pg 12]</span>two</p>', "one two"),
        ('<p>a <span class="pagenum">word</span></p>', "a word"),
        ('<p>seen <span style="color:red;display: none">unseen</span></p>', "seen"),
        ("<p>10<sup>6</sup>, x<sup>2</sup>, m<sup>−1</sup>, H<sub>2</sub>O, 1<sup>st</sup></p>",
         "10⁶, x², m⁻¹, H2O, 1st"),
        ("<table><tr><td><h2>One</h2><p>The text.</p></td></tr></table>", "One\n\nThe text."),
        ("<table role='presentation'><tr><td>a</td><td>b</td></tr></table>", "a\n\nb"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "Table."),
        ('<ol type="a"><li>one</li><li>two</li></ol>', "a. one\n\nb. two"),
        ("<epub:switch><epub:case><p>a</p></epub:case><epub:default><p>b</p></epub:default></epub:switch>", "b"),
    ],
)  # fmt: skip
def test_a_page_is_spoken_as_it_is_shown(body: str, said: str) -> None:
    assert told(epub({"a.xhtml": page(body)}), "a.epub") == said


def test_a_text_that_a_browser_has_saved_is_no_code() -> None:
    assert told(b"<html><body><pre>One line\nand two.\n\nThree.</pre></body></html>", "a.html") == (
        "One line\nand two.\n\nThree."
    )


@pytest.mark.parametrize(("name", "href"), [("e\u0301.xhtml", "%C3%A9.xhtml"), ("a:b", "a:b")])
def test_a_page_is_found_by_a_name_that_is_written_otherwise(name: str, href: str) -> None:
    assert told(epub({href: ""}, more={f"OEBPS/{name}": page("<p>Found.</p>")}), "a.epub") == "Found."


def test_a_book_without_an_order_of_reading_is_read_as_it_is_listed() -> None:
    pages = {"a.xhtml": page("<p>one</p>"), "b.xhtml": page("<p>two</p>")}
    assert told(epub(pages, spine=[]), "a.epub") == "one\n\ntwo"
    assert told(epub(pages, unlinear=["a.xhtml", "b.xhtml"]), "a.epub") == "one\n\ntwo"


# --- FB2 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<section>loose<p>one</p>words</section>", "loose\n\none\n\nwords"),
        ("<section><strong>bold</strong><ul><li>item</li></ul><div><p>held</p></div></section>",
         "bold\n\nitem\n\nheld"),
        ("<section><poem><stanza><title><p>Song</p></title><v>line</v></stanza></poem></section>", "Song\n\nline"),
        ("<section><p>one<br/>two 10<sup>6</sup></p></section>", "one\ntwo 10⁶"),
    ],
)  # fmt: skip
def test_no_word_of_a_fictionbook_is_lost(body: str, said: str) -> None:
    assert told(fb2(body), "a.fb2") == said


def test_notes_of_a_fictionbook_are_known_without_a_type_and_by_any_name_of_their_body() -> None:
    notes = '<body name="footnotes"><section id="n"><title><p>1</p></title><p>By hand.</p></section></body>'
    book = fb2('<section><p>Lamp<a l:href="#n">[1]</a> lit.</p></section>', notes)
    assert told(book, "a.fb2") == "Lamp lit."
    assert told(book, "a.fb2", notes="inline") == "Lamp (By hand.) lit."

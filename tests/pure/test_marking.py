"""Marking sentences in the pages of a document and of a plain book: nothing is lost, doubled or moved."""

from __future__ import annotations

import tempfile
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from farm.cutting import Part
from farm.documents.xml import parse_xml
from farm.planning import segments
from farm.segment import Recipe
from farm.text_document import StoredChapter
from farm.wire import Pauses
from worker.readalong.marking import MarkedPage
from worker.readalong.overlay import Heard
from worker.readalong.placing import letters_of, places_of
from worker.readalong.plain_book import About, Page, Shown, write_plain_book

XHTML = "{http://www.w3.org/1999/xhtml}"
WORDS = st.lists(st.sampled_from(["it", "rained", "A1", "&amp;", "Ä", "雨", " ", "\n", "\u00ad", "x."]), max_size=6)
LEAVES = WORDS.map(" ".join) | st.sampled_from(
    [
        "<br/>",
        "<!-- it -->",
        '<img alt="it" src="a.png"/>',
        '<sup><a href="#n1">1</a></sup>',
        "<?it rained?>",
        "<i></i>",
    ]
)


def within(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    names = st.sampled_from(["p", "div", "em", "a", "li", "ul", "span", "ruby", "rt", "section", "td", "code"])
    several = st.lists(inner, max_size=4).map("".join)
    return st.builds(lambda name, text: f"<{name}>{text}</{name}>", names, several)


BODIES = st.recursive(LEAVES, within, max_leaves=25)


def page(body: str) -> MarkedPage:
    said = f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title>t</title></head><body>{body}</body></html>'
    return MarkedPage(parse_xml(said.encode(), "page")[0])


def text(root: Any) -> str:
    return "".join(root.itertext())


def without_marks(root: Any, prefix: str) -> bytes:
    """The page once the spans are taken away again."""
    for span in [node for node in root.iter(f"{XHTML}span") if (node.get("id") or "").startswith(prefix)]:
        parent, place = span.getparent(), span.getparent().index(span)
        before = parent[place - 1] if place else None
        if before is None:
            parent.text = (parent.text or "") + (span.text or "")
        else:
            before.tail = (before.tail or "") + (span.text or "")
        tail, span.tail = span.tail, None
        for child in list(span):
            parent.insert(parent.index(span), child)
        last = span.getprevious()
        parent.remove(span)
        if last is None:
            parent.text = (parent.text or "") + (tail or "")
        else:
            last.tail = (last.tail or "") + (tail or "")
    return bytes(etree.tostring(root, method="c14n"))


@given(BODIES, st.lists(st.integers(0, 200)))
def test_marking_loses_doubles_and_moves_nothing(body: str, cuts: list[int]) -> None:
    before, marked = page(body), page(body)
    length = len(marked.letters)
    places = sorted({0, length, *(cut % (length + 1) for cut in cuts)})
    stretches = list(pairwise(places))
    pieces = {}
    for number, (start, end) in reversed(list(enumerate(stretches))):
        pieces[number] = marked.mark(start, end, f"mark-{number}-")
    assert text(marked.root) == text(before.root)
    assert page(body).letters == before.letters
    written = etree.fromstring(marked.written())
    assert text(written) == text(before.root)
    for number, (start, end) in enumerate(stretches):
        elements = [written.xpath("//*[@id=$id]", id=piece.id) for piece in pieces[number]]
        assert all(len(found) == 1 for found in elements)
        said = "".join(MarkedPage(found[0]).letters for found in elements)
        assert said == before.letters[start:end] or "<ul>" in body
        assert len(said) == sum(piece.letters for piece in pieces[number])
    assert without_marks(marked.root, "mark-") == etree.tostring(before.root, method="c14n")


def marks(body: str, *sentences: str) -> str:
    """The body of a page in which these are marked."""
    found = page(body)
    places = places_of(sentences, found.letters, found.is_joint)
    for number, place in reversed(list(enumerate(places))):
        if place is not None:
            found.mark(*place, f"s{number}")
    return found.written().decode().partition("<body>")[2].partition("</body>")[0]


@pytest.mark.parametrize(
    ("body", "sentences", "marked"),
    [
        ("<p>One. Two.</p>", ["One.", "Two."], '<p><span id="s0">One.</span> <span id="s1">Two.</span></p>'),
        (
            '<p>It <em>rained</em> <a href="x">a lot</a>. Yes.</p>', ["It rained a lot.", "Yes."],
            '<p><span id="s0">It <em>rained</em> <a href="x">a lot</a>.</span> <span id="s1">Yes.</span></p>',
        ),
        (
            "<p>He <em>left. She</em> stayed.</p>", ["He left.", "She stayed."],
            '<p><span id="s0">He</span> <em><span id="s0_1">left.</span> <span id="s1">She</span></em>'
            ' <span id="s1_1">stayed.</span></p>',
        ),
        (
            '<p>It rained.<sup><a href="#n1">1</a></sup> Then<sup><a href="#n2">2</a></sup> it was dry.</p>',
            ["It rained.", "Then it was dry."],
            '<p><span id="s0">It rained.</span><sup><a href="#n1">1</a></sup> '
            '<span id="s1">Then<sup><a href="#n2">2</a></sup> it was dry.</span></p>',
        ),
        (
            "<p>One</p><p>and two.</p>", ["One and two."],
            '<p><span id="s0">One</span></p><p><span id="s0_1">and two.</span></p>',
        ),
        (
            "<ol><li>Go.</li><li>Stay.</li></ol>", ["1. Go.", "2. Stay."],
            '<ol><li><span id="s0">Go.</span></li><li><span id="s1">Stay.</span></li></ol>',
        ),
        (
            "<p><ruby>雨<rt>あめ</rt></ruby>だ。</p>", ["雨だ。"],
            '<p><span id="s0"><ruby>雨<rt>あめ</rt></ruby>だ。</span></p>',
        ),
        ("<p>Ones. One</p>", ["One"], '<p>Ones. <span id="s0">One</span></p>'),
        ("<p>Two.</p><p>One.</p>", ["One.", "Two."], '<p>Two.</p><p><span id="s0">One.</span></p>'),
    ],
)  # fmt: skip
def test_a_sentence_is_one_element_where_none_has_to_be_cut(body: str, sentences: list[str], marked: str) -> None:
    assert marks(body, *sentences) == marked


def test_the_title_in_the_contents_is_not_taken_for_the_chapter() -> None:
    letters = "Contents The Lamp The Storm Foreword Thanks . The Lamp It burned . The Storm It broke .".replace(" ", "")
    places = places_of(["The Lamp", "It burned.", "The Storm", "It broke."], letters)
    assert [letters[place[0] : place[1]] for place in places if place] == [
        "TheLamp",
        "Itburned.",
        "TheStorm",
        "Itbroke.",
    ]
    assert places[0] == (letters.rindex("TheLamp"), letters.rindex("TheLamp") + 7)


@given(st.lists(st.sampled_from(["Yes.", "No.", "It rained.", "雨だ。"])), st.data())
def test_sentences_are_found_in_their_order_where_some_are_left_out(said: list[str], data: st.DataObject) -> None:
    kept = data.draw(st.lists(st.booleans(), min_size=len(said), max_size=len(said)))
    spoken = [sentence for sentence, is_kept in zip(said, kept, strict=True) if is_kept]
    letters = "".join("".join(said).split())
    places = places_of(spoken, letters)
    found = [place for place in places if place is not None]
    assert all(first[1] <= second[0] for first, second in pairwise(found))
    for sentence, place in zip(spoken, places, strict=True):
        assert place is None or letters[place[0] : place[1]] == "".join(sentence.split())


# --- a plain book -----------------------------------------------------------------------------------------------------

SAID = ["It rained.", "it", "<b> & c", "雨だ。", "Yes!", "\n", "\n\n", "* * *\n\n", "\f", "A. B. Cee", "1. Go"]


TEXTS = st.lists(st.sampled_from(SAID), min_size=1).map(" ".join)


@given(TEXTS.filter(lambda text: any(map(str.isalpha, text))), st.sets(st.integers(0, 30)), st.text("It raned"))
def test_a_plain_book_shows_all_of_a_text_once_and_in_its_order(text: str, lost: set[int], title: str) -> None:
    rows = list(segments([Part(title, text, "voice")], Recipe("t", "m", "1", "en"), 60, Pauses()))
    shown = [
        Shown(row.start, row.end, row.text, () if row.index in lost else (Heard(row.index, 0, 0, "", row.text, 0, 9),))
        for row in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        target, audio = Path(folder) / "book.epub", Path(folder) / "audio"
        audio.touch()
        pages = [Page(StoredChapter.model_construct(title=title, input=text, headings=[]), shown, audio)]
        about = About("id", "en", "N. N.", "2026-11-29T00:00:00Z", {})
        write_plain_book(target, about, pages, (".mp3", "audio/mpeg"), lambda: None, markup=False)
        with zipfile.ZipFile(target) as book:
            body = etree.fromstring(book.read("EPUB/chapter-0001.xhtml")).find(f"{XHTML}body")
    said = letters_of("".join(body.itertext()))
    assert said in (letters_of(text), letters_of(title) + letters_of(text))
    marked = [letters_of("".join(span.itertext())) for span in body.iter(f"{XHTML}span")]
    assert marked == [letters_of(row.text) for row in rows if row.index not in lost]

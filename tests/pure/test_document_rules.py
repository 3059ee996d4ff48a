"""The rules take whole blocks away and put notes and descriptions in; they never lose, double or reorder what is
spoken."""

from __future__ import annotations

import os
from collections import Counter
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.documents.metadata import Cover, Metadata
from farm.documents.reader import read_document
from farm.documents.rules import Reading, left_out
from farm.documents.tree import Block, Document, Kind, Mark, number
from farm.documents.vocabulary import RULES
from farm.wire import DocumentRules
from tests.pure.book import epub, nav, page

EVERYTHING = DocumentRules.model_validate(
    dict.fromkeys(RULES, "read") | {"tables": "read", "code": "read", "image_alt": "read", "running_heads": "read"}
)

EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "20"))  # more every night

# --- documents of ours: each word occurs once, so that it can be followed ---------------------------------------------

_types = st.lists(st.sampled_from(sorted(word for words in RULES.values() for word in words)), max_size=2, unique=True)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    numbers = count()
    notes: list[str] = []

    def words(least: int = 1) -> str:
        return " ".join(f"w{next(numbers)}" for _ in range(draw(st.integers(least, 3))))

    def block(deep: int) -> Block:
        kind = draw(st.sampled_from(list(Kind) if deep else [kind for kind in Kind if kind is not Kind.NOTE]))
        types = tuple(draw(_types)) if draw(st.integers(0, 4)) == 0 else ()
        if kind is Kind.BREAK:
            return Block(kind, types=types)
        if kind is Kind.TABLE:
            rows = tuple((words(), words()) for _ in range(draw(st.integers(1, 2))))
            return Block(kind, draw(st.sampled_from(["", words()])), types=types, rows=rows)
        if kind is Kind.NOTE:
            notes.append(f"n{len(notes)}")
            return Block(kind, words(), name=notes[-1], types=types)
        if kind in (Kind.QUOTE, Kind.ITEM) and deep and draw(st.booleans()):
            children = tuple(block(deep - 1) for _ in range(draw(st.integers(1, 3))))
            return Block(kind, types=types, children=children)
        text = words()
        marks = []
        for at in sorted(draw(st.lists(st.integers(0, text.count(" ")), max_size=2))):
            place = len(" ".join(text.split(" ")[: at + 1]))
            if draw(st.booleans()):
                marks.append(Mark(place, "image", words()))
            else:
                marks.append(Mark(place, "note", f"n{draw(st.integers(0, 5))}"))
        level = draw(st.integers(1, 6)) if kind is Kind.HEADING else 0
        return Block(kind, text, level, types=types, marks=tuple(marks) if kind not in (Kind.CODE, Kind.IMAGE) else ())

    chapters = [
        (words(), draw(st.integers(1, 3)), [block(2) for _ in range(draw(st.integers(1, 5)))]) for _ in range(3)
    ]
    return Document(
        draw(st.sampled_from(["epub", "html"])), number(chapters), Metadata(title=words(), language="en"),
        tuple(draw(st.lists(st.text(max_size=9), max_size=2))),
    )  # fmt: skip


def choices(name: str) -> st.SearchStrategy[str]:
    return st.sampled_from(DocumentRules.model_fields[name].annotation.__args__)  # type: ignore[union-attr]


rules = st.fixed_dictionaries({name: choices(name) for name in DocumentRules.model_fields}).map(
    DocumentRules.model_validate
)


def words_of(document: Document, rules: DocumentRules, *, chosen: bool) -> list[str]:
    reading = Reading(document, rules)
    said = " ".join(reading.spoken(chapter, chosen=chosen).text for chapter in document.chapters)
    return [word.strip("().,:") for word in said.split() if word.strip("(").startswith("w")]


def written(document: Document) -> list[str]:
    """All that could be spoken, in the order of the document; notes and descriptions where they stand."""
    found: list[str] = []
    for chapter in document.chapters:
        for top in chapter.blocks:
            for block in top.within():
                text, at = block.text.split(" "), 0
                for place, word in enumerate(text):
                    found.append(word)
                    at += len(word) + (place > 0)
                    found += [w for m in block.marks if m.kind == "image" and m.at == at for w in m.value.split()]
                found += [word for row in block.rows for cell in row for word in cell.split()]
    return [word for word in found if word]


@settings(max_examples=EXAMPLES)
@given(documents(), rules, st.booleans())
def test_nothing_is_spoken_twice_and_nothing_that_is_not_in_the_document(
    document: Document, rules: DocumentRules, chosen: bool
) -> None:
    said = words_of(document, rules, chosen=chosen)
    assert max(Counter(said).values(), default=1) == 1
    assert set(said) <= set(written(document))


@settings(max_examples=EXAMPLES)
@given(documents(), rules, st.booleans())
def test_what_is_spoken_keeps_the_order_of_the_document(document: Document, rules: DocumentRules, chosen: bool) -> None:
    """But for the notes, which a rule may speak where they are referred to."""
    notes = {word for block in _blocks(document) if block.kind is Kind.NOTE for word in block.text.split()}
    order = {word: place for place, word in enumerate(written(document))}
    places = [order[word] for word in words_of(document, rules, chosen=chosen) if word not in notes]
    assert places == sorted(places)


@settings(max_examples=EXAMPLES)
@given(documents(), st.sampled_from(["inline", "end"]))
def test_with_every_rule_at_read_every_word_is_spoken(document: Document, notes: str) -> None:
    every = EVERYTHING.model_copy(update={"notes": notes})
    # What a note that is held by nothing but another note's text says is spoken with that note.
    assert sorted(words_of(document, every, chosen=False)) == sorted(written(document))


@settings(max_examples=EXAMPLES)
@given(documents(), rules)
def test_a_rule_about_notes_changes_nothing_else(document: Document, rules: DocumentRules) -> None:
    notes = {word for block in _blocks(document) if block.kind is Kind.NOTE for word in block.text.split()}
    kept = [
        [
            word
            for word in words_of(document, rules.model_copy(update={"notes": way}), chosen=False)
            if word not in notes
        ]
        for way in ("skip", "inline", "end")
    ]
    assert kept[0] == kept[1] == kept[2]


@settings(max_examples=EXAMPLES)
@given(documents())
def test_the_tree_of_any_document_of_ours_comes_back_as_it_was(document: Document) -> None:
    assert Document.unpack(document.pack()) == document


@settings(max_examples=EXAMPLES)
@given(documents())
def test_headings_stand_where_they_are_said_to(document: Document) -> None:
    reading = Reading(document, EVERYTHING)
    texts = {block.text.split()[0] for block in _blocks(document) if block.kind is Kind.HEADING}
    for chapter in document.chapters:
        said = reading.spoken(chapter)
        for place in said.headings:
            assert place == 0 or said.text[place - 2 : place] == "\n\n"
            assert said.text[place:].split()[0] in texts


def test_a_tree_with_a_cover_comes_back_with_the_bytes_that_were_kept_beside_it() -> None:
    document = Document(
        "epub", number([("One", 1, [Block(Kind.PARAGRAPH, "a")])]), Metadata("T", cover=Cover(b"x", "image/png"))
    )
    assert Document.unpack(document.pack(), b"x") == document
    assert Document.unpack(document.pack()).metadata.cover is None


def _blocks(document: Document) -> list[Block]:
    return [block for chapter in document.chapters for top in chapter.blocks for block in top.within()]


# --- each rule --------------------------------------------------------------------------------------------------------

PARTS = [
    ("front_matter", '<section epub:type="dedication"><p>gone</p></section>'),
    ("front_matter", '<section epub:type="frontmatter"><p>gone</p></section>'),
    ("back_matter", '<section role="doc-appendix"><p>gone</p></section>'),
    ("contents", "<nav><p>gone</p></nav>"),
    ("contents", '<div role="doc-toc"><p>gone</p></div>'),
    ("index", '<section epub:type="index"><p>gone</p></section>'),
    ("bibliography", '<section role="doc-bibliography"><p>gone</p></section>'),
    ("copyright", '<section epub:type="copyright-page frontmatter"><p>gone</p></section>'),
    ("headings", "<h2>gone</h2>"),
]


@pytest.mark.parametrize(("rule", "part"), PARTS)
def test_a_part_is_left_out_by_its_rule_and_read_where_the_job_says_so(rule: str, part: str) -> None:
    document = read_document(epub({"a.xhtml": page(f"<p>before</p>{part}<p>after</p>")}), "a.epub")
    said = {way: _said(document, DocumentRules.model_validate({rule: way})) for way in ("skip", "read")}
    assert said == {"skip": ["before", "after"], "read": ["before", "gone", "after"]}


@pytest.mark.parametrize(
    ("title", "rule"),
    [
        ("Contents", "contents"), ("TABLE OF CONTENTS", "contents"), ("Inhaltsverzeichnis", "contents"),
        ("目录", "contents"), ("Index", "index"), ("Bibliography", "bibliography"), ("Copyright", "copyright"),
        ("— Impressum —", "copyright"),
        ("Also by A. Keeper", "back_matter"), ("Title Page", "front_matter"),
    ],
)  # fmt: skip
def test_a_chapter_that_says_nothing_of_itself_is_known_by_its_title(title: str, rule: str) -> None:
    pages = {"a.xhtml": page("<p>a</p>"), "b.xhtml": page("<p>b</p>")}
    document = read_document(epub(pages, contents=nav((title, "a.xhtml"), ("The Index of Love", "b.xhtml"))), "a.epub")
    assert left_out(document, DocumentRules()) == {"c1": rule}
    assert left_out(document, DocumentRules.model_validate({rule: "read"})) == {}


def test_a_chapter_that_the_job_names_is_spoken_whatever_it_is() -> None:
    body = '<section epub:type="titlepage"><h1>Sea</h1><p>By Ann</p></section>'
    document = read_document(epub({"a.xhtml": page(body)}), "a.epub")
    assert left_out(document, DocumentRules()) == {"c1": "front_matter"}
    assert Reading(document, DocumentRules()).spoken(document.chapters[0], chosen=True).text == "Sea\n\nBy Ann"


NOTED = page(
    '<p>One<a epub:type="noteref" href="#n1">1</a>, two<a epub:type="noteref" href="#n2">2</a>.</p><p>Three.</p>'
    '<aside epub:type="footnote" id="n1"><p>First. <a role="doc-backlink" href="#x">back</a></p></aside>'
    '<aside epub:type="footnote" id="n2"><p>Second.</p></aside>'
)


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("skip", "One, two.|Three."),
        ("inline", "One (First.), two (Second.).|Three."),
        ("end", "One, two.|Three.|First.|Second."),
    ],
)
def test_notes_are_left_out_or_spoken_inline_or_at_the_end(way: str, said: str) -> None:
    document = read_document(epub({"a.xhtml": NOTED}), "a.epub")
    assert _said(document, DocumentRules.model_validate({"notes": way})) == said.split("|")


def test_a_chapter_of_notes_is_left_out_and_can_be_named() -> None:
    notes = page('<section epub:type="endnotes"><h1>Notes</h1><ol><li id="n1"><p>First.</p></li></ol></section>')
    pages = {"a.xhtml": page('<p>One<a epub:type="noteref" href="n.xhtml#n1">1</a>.</p>'), "n.xhtml": notes}
    document = read_document(epub(pages, contents=nav(("One", "a.xhtml"), ("Notes", "n.xhtml"))), "a.epub")
    assert left_out(document, DocumentRules()) == {"c2": "notes"}
    assert Reading(document, DocumentRules()).spoken(document.chapters[1], chosen=True).text == "Notes\n\nFirst."
    ended = DocumentRules(notes="end")
    assert left_out(document, ended) == {"c2": "notes"}
    assert _said(document, ended)[:2] == ["One.", "First."]


@pytest.mark.parametrize(
    ("language", "way", "said"),
    [
        ("en", "word", ["Table: Ships", "Code."]),
        ("de-AT", "word", ["Tabelle: Ships", "Programmtext."]),
        ("en", "skip", []),
        ("en", "read", ["Ships", "a, b", "c", "x = 1"]),
    ],
)
def test_tables_and_code_are_named_skipped_or_read(language: str, way: str, said: list[str]) -> None:
    body = (
        "<table><caption>Ships</caption><tr><th>a</th><td>b</td></tr><tr><td>c</td><td/></tr></table><pre>x = 1</pre>"
    )
    book = epub({"a.xhtml": page(f"<p>p</p>{body}")}, metadata=f"<dc:language>{language}</dc:language>")
    rules = DocumentRules.model_validate({"tables": way, "code": way})
    assert _said(read_document(book, "a.epub"), rules) == ["p", *said]


def test_descriptions_of_images_are_spoken_where_the_images_stand() -> None:
    document = read_document(
        epub({"a.xhtml": page("<p>At<img src='x' alt='a boat'/>sea</p><img src='y' alt='Waves'/>")}), "a"
    )
    assert _said(document, DocumentRules()) == ["Atsea"]
    assert _said(document, DocumentRules(image_alt="read")) == ["At a boat sea", "Waves"]


def _said(document: Document, rules: DocumentRules) -> list[str]:
    out, reading = left_out(document, rules), Reading(document, rules)
    texts = [reading.spoken(chapter).text for chapter in document.chapters if chapter.id not in out]
    return [paragraph for text in texts for paragraph in text.split("\n\n")]


@pytest.mark.parametrize(
    "note",
    [
        '<p id="n1">1. First.</p>',
        '<p><a id="n1" href="#r1">[1]</a> First.</p>',
        '<p id="n1"><sup><a href="#r1">1</a></sup> First.</p>',
        '<ol><li id="n1">First. <a href="#r1">↩</a></li></ol>',
    ],
)
def test_a_note_that_says_nothing_of_itself_is_known_by_its_reference(note: str) -> None:
    body = f'<p id="x">One<sup><a id="r1" href="#n1">1</a></sup>, two.</p><p>3. Three.</p>{note}'
    document = read_document(epub({"a.xhtml": page(body)}), "a.epub")
    assert _said(document, DocumentRules()) == ["One, two.", "3. Three."]
    assert _said(document, DocumentRules(notes="inline")) == ["One (First.), two.", "3. Three."]


def test_a_chapter_that_is_called_notes_is_left_out_with_them() -> None:
    pages = {"a.xhtml": page("<p>a</p>"), "b.xhtml": page("<p>See page 9.</p>")}
    document = read_document(epub(pages, contents=nav(("One", "a.xhtml"), ("NOTES", "b.xhtml"))), "a.epub")
    assert left_out(document, DocumentRules()) == {"c2": "notes"}
    assert left_out(document, DocumentRules(notes="end")) == {}

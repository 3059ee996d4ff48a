"""The rules: what of a document is spoken, and what is left out.

    which blocks      by what they are: front matter, contents, index, … and the notes, headings, tables, code, images
    which chapters    by what all of their blocks are, else by their titles
    how               notes at their references or behind the chapter; a table by a word, or row by row; divided words

A rule takes whole blocks away or puts what a mark means in its place. So what is spoken keeps its order, and nothing is
spoken twice: a note that is spoken where it is referred to is not spoken again where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from farm.documents.markdown import SCENE_BREAK
from farm.documents.tree import Block, Chapter, Document, Kind, Mark
from farm.documents.vocabulary import BY_TITLE, OF_PAGES, RULES, SHOWN
from farm.wire import DocumentRules

_DIVIDED = re.compile(r"(?<=[^\W\d_])[-\u2010\u00ad]\n(?=[^\W\d_])(?=\w)(?![A-ZÀ-ÖØ-ÞΑ-ΩА-Я])")
_ORNAMENT = re.compile(r"^[\W_]+|[\W_]+$")
_HYPHEN = re.compile(r"(?<=[^\W\d_])[-\u2010]\n")
_WIDE_LINE_END = re.compile(r"(?<=[\u2e80-\ua4cf\uff00-\uffef])\n(?=[\u2e80-\ua4cf\uff00-\uffef])")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A chapter as a job takes it. `headings` are the places in the text where one begins."""

    text: str
    headings: tuple[int, ...] = ()


Line = tuple[str, bool]  # a paragraph, and whether it is a heading


def left_out(document: Document, rules: DocumentRules) -> dict[str, str]:
    """id -> the rule that leaves a chapter out, or `empty` where nothing of it is spoken. The others are spoken."""
    found = {}
    reading = Reading(document, rules)
    for chapter in document.chapters:
        rule = _rule_of(chapter.types) or _rule_of_title(chapter.title)
        if rule is not None and getattr(rules, rule) == "skip":
            found[chapter.id] = rule
            continue
        spoken = reading.spoken(chapter)
        if _holds_notes(chapter) and spoken.text.count("\n\n") + 1 <= len(spoken.headings):
            found[chapter.id] = "notes"  # of which nothing but their heading is left
        elif not spoken.text:
            found[chapter.id] = "empty"
    return found


class Reading:
    """A document under rules, read chapter by chapter in its order. A note is said once, however often it is referred
    to."""

    def __init__(self, document: Document, rules: DocumentRules) -> None:
        self._rules = rules
        language = document.metadata.language.partition("-")[0].lower()
        self._table_word, self._code_word = SHOWN.get(language, SHOWN["en"])
        every = [block for chapter in document.chapters for top in chapter.blocks for block in top.within()]
        self._notes = {block.name: block for block in every if block.kind is Kind.NOTE and block.name}
        self._referred = {mark.value for block in every for mark in block.marks if mark.kind == "note"}
        self._said: set[str] = set()  # notes
        self._ends: list[str] = []  # notes that are said at the end of this chapter
        self._pardoned: frozenset[str] = frozenset()

    def spoken(self, chapter: Chapter, *, chosen: bool = False) -> Spoken:
        """`chosen`: the job names the chapter, so that no rule about what it is counts, nor its being one of notes."""
        of_notes = {"notes"} if _holds_notes(chapter) else set()
        self._pardoned = frozenset((*chapter.types, *of_notes)) if chosen else frozenset()
        pieces: list[str] = []
        headings: list[int] = []
        length = 0
        for text, is_heading in _without_idle_breaks(self._chapter(chapter)):
            if is_heading:
                headings.append(length)
            pieces.append(text)
            length += len(text) + 2
        return Spoken("\n\n".join(pieces), tuple(headings))

    def _chapter(self, chapter: Chapter) -> Iterator[Line]:
        for block in chapter.blocks:
            yield from self._block(block)
        while self._ends:
            yield from self._held(self._notes[self._ends.pop(0)])

    def _block(self, block: Block) -> Iterator[Line]:
        if self._is_left_out(block):
            return
        if block.kind is Kind.HEADING:
            if self._rules.headings == "read":
                yield from ((line, True) for line in self._text(block).split("\n") if line.strip())
        elif block.kind is Kind.BREAK:
            yield SCENE_BREAK, False
        elif block.kind is Kind.TABLE:
            yield from self._table(block)
        elif block.kind is Kind.CODE:
            if self._rules.code != "skip":
                yield (block.text if self._rules.code == "read" else f"{self._code_word}."), False
        elif block.kind is Kind.IMAGE:
            if self._rules.image_alt == "read" and block.text:
                yield block.text, False
        elif block.kind is not Kind.NOTE or self._stands_for_itself(block):
            yield from self._held(block)

    def _held(self, block: Block) -> Iterator[Line]:
        """A paragraph, or what a quote, an item or a note holds. The number of an item stands before its first
        words."""
        number = block.name if block.kind is Kind.ITEM else ""
        if text := self._text(block):
            yield f"{number} {text}".strip(), False
            number = ""
        for child in block.children:
            for said, is_heading in self._block(child):
                yield f"{number} {said}".strip(), is_heading
                number = ""
        if number:
            yield number, False

    def _table(self, block: Block) -> Iterator[Line]:
        if self._rules.tables == "word":
            yield (f"{self._table_word}: {block.text}" if block.text else f"{self._table_word}."), False
        elif self._rules.tables == "read":
            rows = (", ".join(filter(None, row)) for row in block.rows)
            yield from ((line, False) for line in (block.text, *rows) if line)

    def _text(self, block: Block) -> str:
        """With what its marks mean, where the rules ask for it."""
        pieces, at = [], 0
        for mark in block.marks:
            if said := self._meant(mark):
                after = block.text[mark.at : mark.at + 1]
                pieces += [block.text[at : mark.at], f" {said}", " " if after.isalnum() else ""]
                at = mark.at
        text = "".join((*pieces, block.text[at:])).strip()
        return _unwrapped(text, join=self._rules.hyphens == "join") if "wrapped" in block.types else text

    def _meant(self, mark: Mark) -> str:
        if mark.kind == "image":
            return mark.value if self._rules.image_alt == "read" else ""
        note = self._notes.get(mark.value)
        if note is None or self._rules.notes == "skip" or mark.value in self._said:
            return ""
        self._said.add(mark.value)
        if self._rules.notes == "end":
            self._ends.append(mark.value)
            return ""
        said = " ".join(text.replace("\n", " ") for text, _ in self._held(note))
        return f"({said})" if said else ""

    # --- what is left out -------------------------------------------------------------------------------------------

    def _is_left_out(self, block: Block) -> bool:
        if not OF_PAGES.isdisjoint(block.types):
            return self._rules.running_heads == "skip"
        rule = _rule_of(one for one in block.types if one not in self._pardoned)
        return rule is not None and getattr(self._rules, rule) == "skip"

    def _stands_for_itself(self, note: Block) -> bool:
        """Whether a note is spoken where it stands: in a chapter of notes that the job names, or because nothing refers
        to it and notes are spoken."""
        if "notes" in self._pardoned:
            is_new = note.name not in self._said
            self._said.add(note.name)
            return is_new or not note.name
        return self._rules.notes != "skip" and note.name not in self._referred


def _rule_of(types: Iterable[str]) -> str | None:
    every = set(types)
    return next((rule for rule, words in RULES.items() if not words.isdisjoint(every)), None)


def _rule_of_title(title: str) -> str | None:
    plain = _ORNAMENT.sub("", " ".join(title.split()))
    return next((rule for rule, titles in BY_TITLE.items() if titles.fullmatch(plain)), None)


def _holds_notes(chapter: Chapter) -> bool:
    """Whether it has notes, and beside them at most headings."""
    kinds = {block.kind for block in chapter.blocks} - {Kind.HEADING, Kind.BREAK}
    return kinds == {Kind.NOTE}


def _without_idle_breaks(lines: Iterable[Line]) -> Iterator[Line]:
    """No scene break at an end, and never two after each other."""
    begun = owed = False
    for line in lines:
        if not line[0].strip():
            continue
        if line[0] == SCENE_BREAK:
            owed = begun
            continue
        if owed:
            yield SCENE_BREAK, False
        begun, owed = True, False
        yield line


def _unwrapped(text: str, *, join: bool) -> str:
    """The lines of a page as one. A hyphen at a line end goes where the next line goes on in lower case."""
    if join:
        text = _DIVIDED.sub("", text)
    text = _HYPHEN.sub("-", text)
    return _WIDE_LINE_END.sub("", text).replace("\n", " ")

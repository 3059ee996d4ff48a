"""The Pronunciation Lexicon Specification 1.0 (W3C, 14 October 2008), in and out.

A lexeme has graphemes, and an alias or a phoneme; each grapheme becomes an entry. The alphabets are ours, with the
prefix that the standard asks of them: x-cmu, x-pinyin, x-kana. What the standard has no words for (match, case, and the
language of a single entry) stands in attributes of a namespace of ours, so that a lexicon comes back as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from farm.errors import BadInput
from farm.lexicon.entries import ALPHABETS, Entry

MEDIA_TYPES = ("application/pls+xml", "application/xml", "text/xml")
NAMESPACE = "http://www.w3.org/2005/01/pronunciation-lexicon"
_OURS = "urn:tts-farm:lexicon"
_OWN = ("match", "case", "language")  # attributes of a lexeme, in our namespace
_TEXTS = ("grapheme", "phoneme", "alias", "example")


@dataclass(slots=True)
class _Lexeme:
    line: int
    own: dict[str, str]
    graphemes: list[str] = field(default_factory=list)
    said: list[tuple[str, str, bool]] = field(default_factory=list)  # kind, text, whether it is preferred


def read_pls(document: bytes) -> tuple[list[dict[str, Any]], list[int], list[str]]:
    """Fields of entries, the line of each, and notes on what is not kept. Raises BadInput with line and column."""
    return _Reader(document).read()


class _Reader:
    def __init__(self, document: bytes) -> None:
        self._document = document
        self._rows: list[dict[str, Any]] = []
        self._lines: list[int] = []
        self._spared = 0
        self._path: list[str] = []
        self._text: list[str] = []
        self._attributes: dict[str, str] = {}
        self._alphabet = self._language = ""
        self._lexeme = _Lexeme(0, {})

    def read(self) -> tuple[list[dict[str, Any]], list[int], list[str]]:
        parser = self._parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        try:
            parser.Parse(self._document, True)
        except expat.ExpatError as error:
            raise self._refusal(f"this is not well-formed XML ({expat.ErrorString(error.code)})") from None
        notes = [f"{self._spared} further pronunciations of words are not kept"] if self._spared else []
        return self._rows, self._lines, notes

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        kind = name.rpartition(" ")[2]
        if not self._path:
            if kind != "lexicon":
                raise self._refusal(f"<{kind}> is no lexicon; expected <lexicon> of PLS 1.0")
            self._alphabet = attributes.get("alphabet", "ipa")
            language = attributes.get("http://www.w3.org/XML/1998/namespace lang", "")
            self._language = "" if language == "und" else language
        elif self._path[-1] == "lexicon" and kind == "lexeme":
            own = {one: attributes[f"{_OURS} {one}"] for one in _OWN if f"{_OURS} {one}" in attributes}
            self._lexeme = _Lexeme(self._parser.CurrentLineNumber, own)
        elif not self._may_stand(kind):
            raise self._refusal(f"<{kind}> can't stand here; there are lexeme, and in it {', '.join(_TEXTS)}")
        self._path.append(kind)
        self._attributes = attributes
        self._text.clear()

    def _may_stand(self, kind: str) -> bool:
        is_about_it = kind in ("meta", "metadata") or "metadata" in self._path
        return is_about_it or (self._path[-1] == "lexeme" and kind in _TEXTS)

    def _end(self, _: str) -> None:
        kind = self._path.pop()
        text = " ".join("".join(self._text).split())
        if kind == "grapheme" and self._path[-1:] == ["lexeme"]:
            self._lexeme.graphemes.append(text)
        elif kind in ("alias", "phoneme") and self._path[-1:] == ["lexeme"]:
            is_preferred = self._attributes.get("prefer") == "true"
            self._lexeme.said.append((self._kind(kind), text, is_preferred))
        elif kind == "lexeme":
            self._keep(self._lexeme)
        self._text.clear()

    def _kind(self, kind: str) -> str:
        if kind == "alias":
            return kind
        alphabet = self._attributes.get("alphabet", self._alphabet).removeprefix("x-")
        if alphabet not in ALPHABETS:
            known = ", ".join(f"x-{each}" for each in ALPHABETS)
            raise self._refusal(f"no model here reads the alphabet {alphabet[:40]!r}; there are {known}, and <alias>")
        return alphabet

    def _keep(self, lexeme: _Lexeme) -> None:
        if not lexeme.graphemes or not lexeme.said:
            raise self._refusal("a lexeme needs a <grapheme>, and an <alias> or a <phoneme>")
        kind, text, _ = next((each for each in lexeme.said if each[2]), lexeme.said[0])
        self._spared += len(lexeme.said) - 1
        language = {"language": self._language} if self._language else {}
        for grapheme in lexeme.graphemes:
            self._rows.append({"written": grapheme, kind: text, **language, **lexeme.own})
            self._lines.append(lexeme.line)

    def _doctype(self, *_: object) -> None:
        raise self._refusal("a DOCTYPE is not read, because it could define entities; remove it")

    def _refusal(self, message: str) -> BadInput:
        line, column = self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber + 1
        return BadInput(f"line {line}, column {column}: {message}", code="bad_lexicon", pointer="")


def write_pls(entries: Iterable[Entry]) -> str:
    """A document of PLS 1.0."""
    every = list(entries)
    languages = {entry.language for entry in every}
    language = next(iter(languages)) if len(languages) == 1 else None
    said = "\n".join(line for entry in every for line in _lexeme(entry, language))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<lexicon version="1.0" xmlns="{NAMESPACE}" xmlns:farm="{_OURS}" alphabet="x-cmu"'
        f" xml:lang={quoteattr(language or 'und')}>\n{said}\n</lexicon>\n"
    )


def _lexeme(entry: Entry, language: str | None) -> Iterator[str]:
    own = {
        "match": entry.match,
        "case": entry.case if entry.case == "any" else None,
        "language": entry.language if entry.language != language else None,
    }
    attributes = "".join(f" farm:{name}={quoteattr(value)}" for name, value in own.items() if value)
    yield f"  <lexeme{attributes}>\n    <grapheme>{escape(entry.written)}</grapheme>"
    if entry.alias is not None:
        yield f"    <alias>{escape(entry.alias)}</alias>\n  </lexeme>"
    else:
        said = entry.pinyin or entry.cmu or entry.kana or ""
        yield f'    <phoneme alphabet="x-{entry.alphabet}">{escape(said)}</phoneme>\n  </lexeme>'

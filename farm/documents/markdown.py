"""Markdown as it is read aloud: what its marks are for is seen, and its text is said.

emphasis, links, code, HTML tags and comments    their text alone; of an image its description
bullets, quotes, table rules                     nothing; the number of a list item is said: "1984. It was cold."
a table                                          one line a row, commas between its cells
a thematic break                                 * * *, which prose takes for a scene break
footnotes                                        the note alone, where it stands; references to it are not said
formulas                                         their signs, without dollars and commands: $x^2$ is x²
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from markdown_it import MarkdownIt
from markdown_it.token import Token

from farm.characters import RAISED_DIGITS
from farm.documents.footnotes import footnotes
from farm.documents.formula import formulas
from farm.documents.vocabulary import APART

SUFFIXES = (".md", ".markdown", ".mdown", ".mkd")
SCENE_BREAK = "* * *"


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a heading, an item, a row: what stands alone. `first` is its line in the file, counted from 0."""

    first: int
    text: str
    heading: int = 0  # its level


def is_markdown(name: str) -> bool:
    return PurePath(name).suffix.lower() in SUFFIXES


def blocks(lines: Sequence[str]) -> list[Block]:
    return [block for block in _blocks(parsed(lines)) if block.text.strip()]


def spoken(blocks: Sequence[Block]) -> str:
    return "\n\n".join(block.text for block in blocks)


# --- Markdown into tokens ---------------------------------------------------------------------------------------------

_MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"]).use(footnotes).use(formulas)
_WIDE = "\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff"
# CommonMark sees no emphasis whose edge has a mark inside and a letter outside, as in Chinese: 这是**重点。**后面
_EMPHASES = (
    re.compile(rf"(\*\*?)(?=[^\s*])([^*]*[^\w\s*])\1(?=[{_WIDE}])"),
    re.compile(rf"(?<=[{_WIDE}])(\*\*?)(?=[^\w\s*])([^*]*[^\s*])\1"),
)
_PROPERTY = re.compile(r"""(?:[\w -]+|"[^"]+"|'[^']+')\s*[:=](?:\s|$)""")
_ENDS_OF_PROPERTIES = {"---": ("---", "..."), "+++": ("+++",)}  # of YAML and TOML


def parsed(lines: Sequence[str]) -> list[Token]:
    """By CommonMark, with tables. A fence that nothing closes is taken for a scene break, because all that follows
    would be code; properties between two `---` at the beginning are no text."""
    lines = [line.replace("\f", " ") for line in lines]
    for number in range(_front_matter(lines)):
        lines[number] = ""
    for emphasis in _EMPHASES:
        lines = [emphasis.sub(r"\2", line) if "*" in line else line for line in lines]
    while True:
        tokens = _MARKDOWN.parse("\n".join(lines))
        unclosed = [token for token in tokens if _is_unclosed(token, lines)]
        if not unclosed:
            return [_settled(token) for token in tokens]
        for token in unclosed:
            assert token.map is not None
            lines[token.map[0]] = SCENE_BREAK


def rendered(lines: Sequence[str]) -> str:
    """As HTML."""
    return str(_MARKDOWN.renderer.render(parsed(lines), _MARKDOWN.options, {}))


def front_matter(lines: Sequence[str]) -> dict[str, str]:
    """The properties at the beginning that stand on one line each."""
    said = {}
    sign = "=" if lines and lines[0].startswith("+") else ":"
    for line in lines[1 : max(0, _front_matter(lines) - 1)]:
        name, parts, value = line.partition(sign)
        if parts and value.strip():
            said[name.strip(" \"'").lower()] = value.strip().strip("\"'")
    return said


def _front_matter(lines: Sequence[str]) -> int:
    """How many lines it has. Its first that is neither blank nor a comment is a property."""
    closing = _ENDS_OF_PROPERTIES.get(lines[0].rstrip()) if lines else None
    first = next((line for line in lines[1:] if line.strip() and not line.startswith("#")), "")
    if closing is None or not _PROPERTY.match(first):
        return 0
    ends = (number for number, line in enumerate(lines[1:], 2) if line.rstrip() in closing)
    return next(ends, 0)


# --- marks of other kinds of Markdown ---------------------------------------------------------------------------------

_MARKS = (
    # embedded files, short codes
    (re.compile(r"!\[\[[^\[\]\n]*\]\]|\{\{[<%][^{}]*[>%]\}\}|\{%[^{}]*%\}|^:::+.*"), ""),
    (re.compile(r"\[\[(?:[^\[\]|\n]*\|)?([^\[\]|\n]*)\]\]"), r"\1"),  # a link of a wiki: [[Page|shown]]
    (re.compile(r"^\[!\w{1,20}\][+-]?\s*|^\[[ xX]\]\s+"), ""),  # of a callout, and of a task
    (re.compile(r"==(?=\S)([^=\n]+)(?<=\S)=="), r"\1"),
    (re.compile(r"(?:\s+#+)?\s?\{[#.][^{}\n]*\}"), ""),  # attributes: # One {#one .special}
    (re.compile(r"\+\+(?=\S)([^+\n]+)(?<=\S)\+\+"), r"\1"),
    (re.compile(r"(?<=\w)~(\w{1,12})~|(?<=\w)\^([^\W\d]{1,12})\^"), r"\1\2"),  # H~2~O, 1^st^
    (re.compile(r"(?<=\w)\^([0-9]{1,12})\^"), lambda found: found[1].translate(RAISED_DIGITS)),
    (re.compile(r"^:\s+"), ""),  # what a term is said to be
    (re.compile(r"\s?\[-?@[\w:.-]+(?:[,;] [^\[\]\n]*)?\]"), ""),  # of a source: [@smith2020, p. 5]
)
# A paragraph that no reader is shown: the place of a table of contents, a page break, what abbreviations stand for.
_NOT_SHOWN = re.compile(
    r"\[TOC\]|\[\[_?TOC_?\]\]|\{\{TOC\}\}|\\(?:newpage|pagebreak|clearpage)|(?:\*\[[^\]\n]+\]:[^\n]*\n?)+",
    re.IGNORECASE,
)


def _settled(token: Token) -> Token:
    """Without the marks of other kinds of Markdown. An indented paragraph is code to CommonMark; where its words are
    those of prose, it is a paragraph."""
    if token.type == "code_block" and _PROSE.fullmatch(token.content):
        paragraphs = re.split(r"\n\s*\n", html.escape(token.content.strip()))
        return Token("html_block", "", 0, content="".join(f"<p>{one}</p>\n\n" for one in paragraphs), map=token.map)
    if token.type == "inline" and _NOT_SHOWN.fullmatch(token.content):
        token.children, token.content = [], ""
    for child in token.children or ():
        if child.type == "text":
            for mark, left in _MARKS:
                child.content = mark.sub(left, child.content)
    return token


# Of letters, in words with spaces between, and no mark that code is made of.
_PROSE = re.compile(
    r"""\s*["'“”‘’«»„—–-]?\s?(?:[^\W\d_a-z]|[0-9]+ )(?:[^\W_]|[\s.,;:!?'"“”‘’«»„…—–()、。，！？「」-])*"""
)


def _is_unclosed(token: Token, lines: Sequence[str]) -> bool:
    if token.type != "fence" or token.level or token.map is None:
        return False
    first, end = token.map
    closing = lines[end - 1].strip()
    return end - 1 == first or set(closing) != {token.markup[0]} or len(closing) < len(token.markup)


# --- tokens into what is said -----------------------------------------------------------------------------------------


def _blocks(tokens: Sequence[Token]) -> Iterator[Block]:
    numbers, heading, first = "", 0, 0  # the numbers of the list items that begin here
    row: list[str] | None = None
    for token in tokens:
        first = token.map[0] if token.map else first
        if token.type == "list_item_open":
            numbers += f"{token.info}{token.markup} " if token.info else ""
        elif token.type == "list_item_close" and numbers:  # the year "1984." alone in its line is an empty item
            yield Block(first, numbers.strip())
            numbers = ""
        elif token.type == "heading_open":
            heading = int(token.tag[1:]) if token.level == 0 else 0
        elif token.type == "tr_open":
            row = []
        elif token.type == "tr_close" and row is not None:
            yield Block(first, numbers + ", ".join(filter(None, row)))
            row, numbers = None, ""
        elif token.type == "inline" and row is not None:
            row.append(" ".join(shown(token).split()))
        elif token.content or token.type == "hr":
            yield Block(first, numbers + _said(token), heading)
            numbers, heading = "", 0


def _said(token: Token) -> str:
    if token.type == "hr":
        return SCENE_BREAK
    if token.type == "inline":
        return shown(token).strip()
    return _without_tags(token.content).strip() if token.type == "html_block" else token.content.strip("\n")


def shown(inline: Token) -> str:
    """The text of a paragraph or heading."""
    said, is_raised = [], False
    for child in inline.children or ():
        if child.type == "html_inline" and (tag := _RAISED.fullmatch(child.content)):
            is_raised = not tag[1]
        word = _shown(child)
        said.append(word.translate(RAISED_DIGITS) if is_raised and word.isdecimal() else word)
    return "".join(said)


def _shown(token: Token) -> str:
    if token.type == "image":
        return shown(token)
    if token.type.endswith("break") or (token.type == "html_inline" and _LINE_BREAK.match(token.content)):
        return "\n"
    return token.content if token.type in ("text", "code_inline") else ""


_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_RAISED = re.compile(r"<(/?)sup(?:\s[^<>]*)?>", re.IGNORECASE)
_DESCRIBED = re.compile(r"""<img\s[^<>]*?alt=(?:"([^"<>]*)"|'([^'<>]*)')[^<>]*>""", re.IGNORECASE)
_APART = re.compile(rf"</?(?:{'|'.join(sorted(APART))})\b[^<>]*>", re.IGNORECASE)
_UNSAID = re.compile(r"<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?=</\1|\Z)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")


def _without_tags(source: str) -> str:
    text = _DESCRIBED.sub(r"\1\2", _LINE_BREAK.sub("\n", _UNSAID.sub("", source)))
    text = html.unescape(_TAG.sub("", _APART.sub("\n\n", text)))
    return re.sub(r"\n[ \t]*\n\s*", "\n\n", text)

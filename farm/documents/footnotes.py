"""Footnotes of Markdown, which CommonMark does not have, as rules of its parser.

A note.[^1]            the reference, where the note is defined; elsewhere it is text
[^1]: Its text,        the note, with what is indented below it
    and more of it.
A note^[its text].     a note where it is referred to: it is text, in brackets
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping, Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererProtocol
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

_DEFINED = re.compile(r"\[\^([^\[\]\s]{1,200})\]:[ \t]*")
_REFERRED = re.compile(r"\[\^([^\[\]\s]{1,200})\]")
_INDENT = 4  # of what belongs to a note
_KNOWN = "footnotes"


def footnotes(markdown: MarkdownIt) -> None:
    """A plugin."""
    markdown.block.ruler.before("reference", "footnote", _definition, {"alt": ["paragraph", "reference"]})
    markdown.inline.ruler.before("link", "footnote_reference", _reference)
    markdown.inline.ruler.before("link", "footnote_inline", _inline)
    for rule in (_open, _close, _refer):
        markdown.add_render_rule(f"footnote{rule.__name__}", rule)


def _definition(state: StateBlock, first: int, end: int, silent: bool) -> bool:
    found = _DEFINED.match(state.src, state.bMarks[first] + state.tShift[first], state.eMarks[first])
    if found is None or state.is_code_block(first):
        return False
    if silent:
        return True
    state.env.setdefault(_KNOWN, set()).add(found[1].lower())
    state.push("footnote_open", "", 1).meta = {"label": found[1].lower()}
    kept = state.bMarks[first], state.tShift[first], state.sCount[first], state.parentType
    state.blkIndent += _INDENT
    state.bMarks[first], state.tShift[first], state.sCount[first] = found.end(), 0, state.blkIndent
    state.md.block.tokenize(state, first, end)
    state.blkIndent -= _INDENT
    state.bMarks[first], state.tShift[first], state.sCount[first], state.parentType = kept
    state.push("footnote_close", "", -1)
    return True


def _reference(state: StateInline, silent: bool) -> bool:
    found = _REFERRED.match(state.src, state.pos, state.posMax)
    if found is None or found[1].lower() not in state.env.get(_KNOWN, ()):
        return False
    if not silent:
        following = state.src[found.end() : found.end() + 1]
        if not following.isalnum():
            state.pending = state.pending.rstrip(" ")  # "a word [^1]." has its space before the reference
        state.push("footnote_refer", "", 0).meta = {"label": found[1].lower()}
    state.pos = found.end()
    return True


def _inline(state: StateInline, silent: bool) -> bool:
    if not state.src.startswith("^[", state.pos, state.posMax):
        return False
    begin, end = state.pos + 2, state.md.helpers.parseLinkLabel(state, state.pos + 1)
    if end < begin:
        return False
    if not silent:
        most, state.pos, state.posMax = state.posMax, begin, end
        state.pending = state.pending.rstrip(" ") + " ("
        state.md.inline.tokenize(state)
        state.pending += ")"
        state.posMax = most
    state.pos = end + 1
    return True


# --- as HTML, in the way of EPUB --------------------------------------------------------------------------------------


def _open(_: RendererProtocol, tokens: Sequence[Token], at: int, *__: Any) -> str:
    return f'<aside role="doc-footnote" id="{_id(tokens[at].meta)}">\n'


def _close(*_: Any) -> str:
    return "</aside>\n"


def _refer(_: RendererProtocol, tokens: Sequence[Token], at: int, *__: Any) -> str:
    return f'<a role="doc-noteref" href="#{_id(tokens[at].meta)}">*</a>'


def _id(meta: MutableMapping[str, Any]) -> str:
    return escape(f"footnote-{meta['label']}")

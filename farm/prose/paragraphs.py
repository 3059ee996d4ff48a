"""Where paragraphs begin and end, and which of them are scene breaks.

A scene break is a line of marks alone: `* * *`, `***`, `---`, `⁂`, `＊＊＊`; `<hr>` and `[scene break]` are some too.
Nobody reads it out; it is a pause. A page break is no end of a paragraph by itself: where the sentence goes on after
it, so does the paragraph.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

_LINE_END = re.compile(r"(\r\n|[\n\v\f\r\x1c-\x1e\x85\u2028\u2029])(\s*)")
_INDENT = " \t\x1f\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_FIRST_WORD = re.compile(r"[\u2e80-\ua4cf\uf900-\ufaff\uff00-\uffef]|\S{1,40}")  # a line of Chinese breaks anywhere
_CLOSERS = "\"'”’»)]」』）】》"
_MARKS = frozenset("，、。；：！？…,;:!?")  # of wide characters
_STOPS = frozenset(".!?:;…。！？：；؟۔।")
_SAMPLE = 4_000  # lines that show how a text is wrapped
_NARROW_LINES = 4  # that show it where they are narrow
_WIDTHS = range(30, 121)  # nobody wraps narrower or wider,
_WIDE_WIDTHS = range(16, 121)  # but for scripts of wide characters
_NARROW_WIDTHS = range(8, 16)  # of these, columns and captions of wide characters; but verse is as narrow
_WIDE = re.compile(r"[\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff]")
_HEADING = re.compile(r"第.{1,9}[章回节節卷部篇話话幕]|[序跋]|目[录錄次]|[上中下][卷部篇]")
_OF_NAMES = re.compile(  # what a name goes on after, in spite of its full stop
    r"(?:Mr|Mrs|Ms|Messrs|Dr|Prof|St|Rev|Gen|Col|Capt|Lt|Sgt|Mme|Mlle|M|Mgr|Hr|Frl|Sr|Sra|Srta|Dra|Sig|Dott|Mevr|Dhr|Ks"
    r"|[^\W\d_])\."
)
_LOOK = 80  # characters at the end of a page
DIVIDERS = frozenset("-\u00ad\u2010\u00ac\u2e17")  # a hyphen, as typewriters, OCR and Fraktur write it
_ACCENTS = frozenset(map(chr, range(0x300, 0x370)))

# Marks that are printed between scenes. Full stops, commas, exclamation and question marks are none: a line "…" or "?!"
# may be what somebody says, and an emoji is read out. Invisible characters and Markdown's backslashes may stand between
# them.
_ORNAMENTS = (
    r"*#~\-_=+<>|/^§¶†‡•·∙◦‣⁃∗⋆°¤"
    r"\u066d\u06de\u06e9\u0f3a-\u0f3d\u0fd0-\u0fd4\u1bfc-\u1bff\u2010-\u2015\u2027\u2042\u204e\u2051\u2055\u205c\u203b\u203f\u2053\u2190-\u2193\u2212\u2217\u2218\u221e\u2234-\u2237\u223c\u2248\u22b0-\u22b3\u22b9\u22c6\u22ee\u22ef"
    r"\u2500-\u257f\u25a0-\u25ff"
    r"\u2605\u2606\u2619\u2626-\u2629\u263d\u263e\u2660-\u2667\u2669-\u266f\u2670\u2671\u2698\u269c\u2719-\u2727\u2729-\u274b\u2756\u2758-\u2763\u2765-\u2767\u2794\u2798-\u27a0\u27a2-\u27af\u27b1-\u27be\u27d0-\u27ff\u2b12-\u2b1a\u2b1d-\u2b4f\u2b51-\u2b54\u2e3a\u2e3b\u301c\u3030\u30fb"
    r"\ufe4d-\ufe4f\ufe61\uff03\uff0a\uff0b\uff0d\uff1d\uff3f\uff5e\uff65"
)
_SCENE_BREAK = re.compile(
    rf"([%@&$:;'`×])(?:[^\S\n]*\1){{2,}}|[\[({{（【「『]?(?:[{_ORNAMENTS}\\\ufe0e\ufe0f\u200b-\u200d\u2060\ufeff]|[^\S\n])+[\])}}）】」』]?"
    r"|<hr ?/?>|[\[(<](?:scene|section) ?break[\])>]",
    re.IGNORECASE,
)
_VISIBLE = re.compile(rf"[{_ORNAMENTS}]|<hr|break", re.IGNORECASE)
# Letters drawn as an ornament: oOo, o0o, -o O o-, xXx, x x x, ~o~, -@-@-. A cry such as "Ooo" has none between two
# small ones.
_DRAWN = re.compile(
    rf"(?:[{_ORNAMENTS}]|[^\S\n])*(?:(?:o+ ?[O0]+ ?)+o+|0o0|(?:x+ ?X+ ?)+x+|x(?: x){{2,}}|o(?: o){{2,}})"
    rf"(?:[{_ORNAMENTS}]|[^\S\n])*|(?:[{_ORNAMENTS}]+[oOxX@&$%:])+[{_ORNAMENTS}]+"
)
_LONGEST_DRAWN = 60  # characters


class Paragraph(NamedTuple):
    """text[start:end], without white space at its ends."""

    start: int
    end: int
    is_scene_break: bool


def paragraphs(text: str) -> Iterator[Paragraph]:
    width = _wrap_width(text)
    start: int | None = None
    for line, following in _with_next(_lines(text)):
        start = line.start if start is None else start
        is_break = start == line.start and is_scene_break(text, line.start, line.end)
        next_breaks = following is not None and is_scene_break(text, following.start, following.end)
        if is_break or next_breaks or following is None or not _goes_on(text, line, following, width):
            yield Paragraph(start, line.end, is_break)
            start = None


class _Line(NamedTuple):
    start: int
    end: int
    next: int  # where the next line with text starts
    last: bool  # a blank line or the end of the text follows
    deeper: bool  # the next line is indented more than this one
    page: bool  # a page break follows


def _lines(text: str) -> Iterator[_Line]:
    """The lines that are not blank, without white space at their ends."""
    start, indent = len(text) - len(text.lstrip()), 0
    for found in _LINE_END.finditer(text, start):
        gap = found[0]
        lead = len(found[2]) - len(found[2].rstrip(_INDENT))
        page = "\f" in gap
        last = _blank_lines(gap) if page else lead < len(found[2])
        last = last or found[1] == "\u2029" or found.end() == len(text)
        end = start + len(text[start : found.start()].rstrip())
        yield _Line(start, end, found.end(), last, lead > indent, page and found.end() < len(text))
        start, indent = found.end(), lead
    if start < len(text):
        yield _Line(start, start + len(text[start:].rstrip()), len(text), True, False, False)


def _blank_lines(gap: str) -> bool:
    """Whether there are blank lines beside a page break: one line end on either side of it is its own."""
    return any(len(side.replace("\r\n", "\n").strip(_INDENT)) > 1 for side in gap.split("\f"))


def _with_next(lines: Iterator[_Line]) -> Iterator[tuple[_Line, _Line | None]]:
    held: _Line | None = None
    for line in lines:
        if held is not None:
            yield held, line
        held = line
    if held is not None:
        yield held, None


def _goes_on(text: str, line: _Line, following: _Line, width: int) -> bool:
    """Whether the next line belongs to the same paragraph."""
    if _divides(text, line) or (line.page and _sentence_goes_on(text, line, following)):
        return True
    if line.last or not width or line.deeper:
        return False
    if text[line.end - 1] in DIVIDERS and text[line.end - 2 : line.end - 1].isalnum():  # die US- / Botschaft
        return True
    return _full(text, line, width) or text[line.next].islower()


def _divides(text: str, line: _Line) -> bool:
    """Whether a word is divided at the end of the line."""
    if line.last or line.end - line.start < 2 or text[line.end - 1] not in DIVIDERS:
        return False
    before = text[line.end - 2]
    return (before.isalpha() or before in _ACCENTS) and text[line.next].islower()


def _sentence_goes_on(text: str, line: _Line, following: _Line) -> bool:
    """Whether a sentence runs over the end of a page: it has not ended, and what follows is no beginning."""
    words = text[max(line.start, line.end - _LOOK) : line.end].split()
    if _stops(text, line):
        return _OF_NAMES.fullmatch(words[-1]) is not None
    first, last = text[line.next], words[-1]
    if first.isupper() and following.last and not _stops(text, following):
        return False  # a heading
    if len(words) >= 6 and 2 * sum(word[0].islower() for word in words) >= len(words):
        return True  # prose, though what follows has a capital
    if first.islower() or last[0].islower() or last[-1] in ",-‐–—，、،":
        return True
    return first.isalpha() and not first.isupper() and _HEADING.match(text, line.start, line.end) is None


def is_scene_break(text: str, start: int, end: int) -> bool:
    if start == end:
        return False
    if end - start <= _LONGEST_DRAWN and _DRAWN.fullmatch(text, start, end):
        return True
    if text[start].isalnum():
        return False
    found = _SCENE_BREAK.fullmatch(text, start, end)
    return found is not None and (found[1] is not None or _VISIBLE.search(text, start, end) is not None)


def _wrap_width(text: str) -> int:
    """The width at which a text is hard-wrapped, 0 when it is not. It is when at least a quarter of its single line
    breaks come after a full line, amid a sentence, and before a word without a capital: of wrapped English prose 55 to
    65 % do and of German 45 %, of verse, dialogue and one paragraph per line next to none."""
    broken = [line for line in islice(_lines(text), _SAMPLE) if not line.last]
    if not broken:
        return 0
    lengths = sorted(line.end - line.start for line in broken)
    width = lengths[len(lengths) * 19 // 20]  # the longest may be a heading or a table
    wide = sum(_WIDE.match(text, line.start) is not None for line in broken)
    is_wide = wide * 2 > len(broken)
    is_narrow = is_wide and width in _NARROW_WIDTHS
    if width not in (_WIDE_WIDTHS if is_wide else _WIDTHS) and not is_narrow:
        return 0
    if is_narrow and not _runs_through(text, broken):
        return 0
    tight = sum(
        _full(text, line, width) and not _stops(text, line) and not text[line.next].isupper() for line in broken
    )
    return width if tight * 4 >= len(broken) else 0


def _runs_through(text: str, broken: Sequence[_Line]) -> bool:
    """Whether sentences and clauses run through the line ends. Verse, dialogue and lists end their lines where the
    sense does: half of their marks or more stand at line ends, and of those of prose in columns about an eighth."""
    marks = ends = 0
    for line in broken:
        read = text[line.start : line.end].rstrip(_CLOSERS)
        marks += sum(character in _MARKS for character in read)
        ends += read[-1:] in _MARKS
    return len(broken) >= _NARROW_LINES and marks * 4 >= len(broken) and 2 * marks >= 5 * ends


def _full(text: str, line: _Line, width: int) -> bool:
    """Whether the next line's first word would not have fitted; a tenth of the width is left to ragged wrapping."""
    word = _FIRST_WORD.match(text, line.next)
    return word is not None and line.end - line.start + 1 + len(word[0]) + width // 10 > width


def _stops(text: str, line: _Line) -> bool:
    return text[max(line.start, line.end - 8) : line.end].rstrip(_CLOSERS)[-1:] in _STOPS

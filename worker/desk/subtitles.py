"""Subtitles of a recording: WebVTT, SubRip, LRC, and JSON.

Each sentence has a cue of its own, of at most two lines of 42 characters, or 16 of a script as wide as Chinese, for at
most 7 s. Longer ones are cut where prose is cut: at clauses, words (farm/prose). A cue that is a whole segment has its
times; parts of a segment share them by their characters, which is an estimate, and the manifest says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import pairwise
from unicodedata import east_asian_width

from farm.audio_formats import SubtitleFormat
from farm.prose import spans
from farm.prose.sentences import sentence_ends
from worker.desk.clock import clock


@dataclass(frozen=True, slots=True)
class Cue:
    """A segment as it is heard: its text, and when."""

    start_ms: int
    end_ms: int
    text: str
    segment: int = 0
    chapter: int = 0


@dataclass(frozen=True, slots=True)
class _Shown:
    start_ms: int
    end_ms: int
    lines: Sequence[str]
    of: Cue
    estimated: bool


class Subtitles:
    def __init__(self, segments: Iterable[Cue], language: str = "") -> None:
        self._language = language
        self._shown = [shown for segment in segments for shown in _divided(segment, language)]

    @property
    def estimated(self) -> bool:
        """Whether there are times that nobody measured."""
        return any(cue.estimated for cue in self._shown)

    def of_chapters(self, starts_ms: Mapping[int, int]) -> dict[int, Subtitles]:
        """Those of each chapter by themselves, from its beginning on."""
        chapters: dict[int, list[_Shown]] = {number: [] for number in starts_ms}
        for cue in self._shown:
            if (start_ms := starts_ms.get(cue.of.chapter)) is not None:
                moved = replace(cue, start_ms=cue.start_ms - start_ms, end_ms=cue.end_ms - start_ms)
                chapters[cue.of.chapter].append(moved)
        return {number: self._like(cues) for number, cues in chapters.items()}

    def _like(self, cues: list[_Shown]) -> Subtitles:
        other = Subtitles((), self._language)
        other._shown = cues
        return other

    def file(self, kind: SubtitleFormat) -> str:
        if kind == "json":
            return self._json()
        if kind == "lrc":
            return "".join(f"[{_lrc_clock(cue.start_ms)}]{' '.join(cue.lines)}\n" for cue in self._shown)
        blocks = []
        for number, cue in enumerate(self._shown, 1):
            text = "\n".join(cue.lines)
            if kind == "vtt":
                times = f"{clock(cue.start_ms)} --> {clock(cue.end_ms)}"
                blocks.append(f"{times}\n{escape(text, quote=False)}\n")
            else:
                # SubRip has no escapes, and its readers take an arrow for the times of a cue.
                times = f"{clock(cue.start_ms, ',')} --> {clock(cue.end_ms, ',')}"
                blocks.append(f"{number}\n{times}\n{text.replace('-->', '->')}\n")
        return "\n".join(["WEBVTT\n", *blocks] if kind == "vtt" else blocks)

    def _json(self) -> str:
        cues = [
            {
                "start_ms": cue.start_ms, "end_ms": cue.end_ms, "text": " ".join(cue.lines), "lines": list(cue.lines),
                "segment": cue.of.segment, "chapter": cue.of.chapter, "times": _times(cue.estimated),
            }
            for cue in self._shown
        ]  # fmt: skip
        said = {"language": self._language, "times": _times(self.estimated), "cues": cues}
        return json.dumps(said, ensure_ascii=False, indent=1)


def _times(estimated: bool) -> str:
    return "estimated" if estimated else "exact"


def _lrc_clock(milliseconds: int) -> str:
    """Its readers know minutes, seconds and hundredths."""
    minutes, hundredths = divmod((milliseconds + 5) // 10, 6000)
    return f"{minutes:02}:{hundredths // 100:02}.{hundredths % 100:02}"


# --- a segment into cues ----------------------------------------------------------------------------------------------

_LINES, _LINE, _WIDE_LINE = 2, 42, 16  # as most broadcasters have them
_LONGEST_MS = 7_000


def _divided(segment: Cue, language: str) -> list[_Shown]:
    layout = _Layout(on_one_line(segment.text), segment.end_ms - segment.start_ms, language)
    pieces = [piece for sentence in layout.sentences() for piece in layout.pieces(*sentence)]
    if len(pieces) > max(1, layout.duration_ms):  # a short silence for a long row of signs
        pieces = [(0, len(layout.text))]
    # The blank after a piece is part of its time, so that the next one begins where it ends.
    places = [0, *(start for start, _ in pieces[1:]), len(layout.text)]
    times = [segment.start_ms + layout.duration_ms * place // max(1, len(layout.text)) for place in places]
    return [
        _Shown(begin, end, layout.lines(*piece), segment, estimated=len(pieces) > 1)
        for piece, (begin, end) in zip(pieces, pairwise(times), strict=True)
    ]


def sentences_in(text: str, language: str) -> Iterator[tuple[int, int]]:
    """Their places, without blanks at their ends."""
    ends = sentence_ends(text, 0, len(text), language=language)
    for start, end in pairwise((0, *ends, len(text))):
        sentence = text[start:end]
        if sentence.strip() or not text:
            yield start + len(sentence) - len(sentence.lstrip()), start + len(sentence.rstrip())


class _Layout:
    """The text of one segment. Pieces and lines are offsets, without blanks at their ends."""

    def __init__(self, text: str, duration_ms: int, language: str) -> None:
        self.text, self.duration_ms, self._language = text, duration_ms, language
        letters = [letter for letter in text if letter.isalnum()]
        self._is_wide = 4 * sum(east_asian_width(letter) in "WF" for letter in letters) > len(letters)
        self._line = _WIDE_LINE if self._is_wide else _LINE

    def sentences(self) -> Iterator[tuple[int, int]]:
        return sentences_in(self.text, self._language)

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """What is shown at once."""
        size = end - start
        cuts = [] if self._fits(start, end) else self._cut(start, end, min(_LINES * self._line, -(-size * 2 // 3)))
        if len(cuts) < 2:
            yield start, end
            return
        for first, last in cuts:
            yield from self.pieces(first, last)

    def lines(self, start: int, end: int) -> list[str]:
        cuts = [] if end - start <= self._line else self._cut(start, end, self._line)
        return [self.text[first:last] for first, last in cuts or [(start, end)]]

    def _fits(self, start: int, end: int) -> bool:
        milliseconds = self.duration_ms * (end - start + 1) / max(1, len(self.text))
        is_word = not self._is_wide and " " not in self.text[start:end]  # it is not cut because it is long to say
        is_short = milliseconds <= _LONGEST_MS or is_word or end - start == 1
        return end - start < 1 or (is_short and len(self.lines(start, end)) <= _LINES)

    def _cut(self, start: int, end: int, limit: int) -> list[tuple[int, int]]:
        piece = self.text[start:end]
        cuts = [(span.start, span.end) for span in spans(piece, self._language, limit)]
        if sum(len(piece[first:last].replace(" ", "")) for first, last in cuts) < len(piece.replace(" ", "")):
            cuts = list(_evenly(piece, limit))  # marks alone, which prose takes for a scene break
        return [(start + first, start + last) for first, last in cuts]


def _evenly(text: str, limit: int) -> Iterator[tuple[int, int]]:
    for first in range(0, len(text), limit):
        piece = text[first : first + limit]
        if piece.strip():
            yield first + len(piece) - len(piece.lstrip()), first + len(piece.rstrip())


# --- the text of a segment on one line --------------------------------------------------------------------------------

# Scripts that have no blanks between words, so that none stands for the end of a line.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
)
_LINE_END = re.compile(rf"(?<=[{_UNSPACED}])[^\S\n]*\n\s*(?=[{_UNSPACED}])")


def on_one_line(text: str) -> str:
    return " ".join(_LINE_END.sub("", "\n".join(text.splitlines())).split())

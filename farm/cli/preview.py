"""What a text would be spoken as: its segments, who speaks them, and what would be refused."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from farm.cli.narrate import request_of
from farm.cli.screen import FAILED, OK, connected, line, remark, show
from farm.settings import Settings
from farm.wire import Preview, PreviewMatch, PreviewSegment


def preview(given: argparse.Namespace) -> int:
    with connected(Settings.read()) as farm:
        shown = farm.preview(request_of(farm, given))
    show(given, shown, lambda: line("\n".join(_said(shown))))
    for refusal in () if given.json else shown.refusals:
        remark(f"{refusal.pointer}: {refusal.message}")
    return FAILED if shown.refusals else OK


def _said(shown: Preview) -> Iterator[str]:
    chapter = None
    for row in shown.segments:
        if row.chapter != chapter and shown.chapters[row.chapter].title:
            yield f"# {shown.chapters[row.chapter].title}"
        chapter = row.chapter
        yield f"{row.index:>5}  {_how(row)}: {' '.join(row.text.split())}"
        if row.spoken is not None:
            yield f"       said: {' '.join(row.spoken.split())}"
    yield from (f"{each.lexicon}: {each.written} is said {each.spoken}" for each in _once(shown))
    yield f"{len(shown.segments)} segments"


def _once(shown: Preview) -> Iterator[PreviewMatch]:
    """What the lexicons had, each word once."""
    return iter({(each.lexicon, each.written): each for each in shown.matches}.values())


def _how(row: PreviewSegment) -> str:
    """Who speaks, how, and the pause after it."""
    who = row.voice if row.character in (None, row.voice) else f"{row.character} ({row.voice})"
    own = [who, row.language, row.speed and f"speed {row.speed:g}", row.emotion, f"then {row.pause_ms} ms"]
    return ", ".join(each for each in own if each)

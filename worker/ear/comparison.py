"""What was written against what was heard, in letters and in words.

Words alone are the wrong unit: a good clip that Whisper hears as "pears" where "pairs" stands has one word of eight
wrong, and 2 % of its letters. So letters decide, joined without blanks, and the longest run of wrong words tells a
passage that is missing from a sound that was heard otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

from worker.ear.rules import Report


def compare(written: str, heard: str, said: str) -> Report:
    """Of two texts as spelling.folded() gives them; `said` is the second one as the ear wrote it."""
    ours, theirs = written.split(), heard.split()
    one, other = "".join(ours), "".join(theirs)
    gaps = (steps for kind, steps in _edits(one, other) if kind in ("delete", "insert"))
    return Report(
        heard=said,
        words=len(ours),
        wrong=Levenshtein.distance(one, other) / max(1, len(one)),
        run=_longest_run(ours, theirs),
        gap=max(gaps, default=0),
        extra=max(0, len(other) - len(one)) / max(1, len(one)),
        end=_missing_end(ours, theirs),
    )


def _longest_run(ours: Sequence[str], theirs: Sequence[str]) -> int:
    longest = run = 0
    for kind, steps in _edits(ours, theirs):
        run = 0 if kind == "equal" else run + steps
        longest = max(longest, run)
    return longest


def _missing_end(ours: Sequence[str], theirs: Sequence[str]) -> str:
    """The last words that were written, where nothing was heard in their place."""
    edits = Levenshtein.opcodes(ours, theirs)
    last = edits[-1] if len(edits) else None
    return " ".join(ours[last.src_start :]) if last is not None and last.tag == "delete" else ""


def _edits(ours: Sequence[str], theirs: Sequence[str]) -> list[tuple[str, int]]:
    """The kinds of edit from one to the other, in order, and over how many places each goes."""
    return [
        (edit.tag, max(edit.src_end - edit.src_start, edit.dest_end - edit.dest_start))
        for edit in Levenshtein.opcodes(ours, theirs)
    ]

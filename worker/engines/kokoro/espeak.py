"""Texts of any language but American English, read by eSpeak NG.

eSpeak drops punctuation, on which the model's melody depends. So a text is read run by run, and the marks between the
runs are kept. It has buffers that overflow in silence: no run is longer than they hold, and long rows of letters or
digits are divided before.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from worker.child_process import ChildProcess
from worker.engines.kokoro import alphabet, phonemizer

_MARK = re.compile(
    r"""\s*([;:,.!?—…"()“”«»¿¡।–]+)(?=[\s;:,.!?—…"()“”«»¿¡।–]|$)\s*|\s*["(“«¿¡]+(?=\S)|\s+-+\s+|\s*—\s*"""
)
_SAID_AS = str.maketrans({"«": "“", "»": "”", "¿": "", "¡": "", "–": "—", "।": ".", "-": "—"})
_RUN = 200  # characters of words without a mark between them
_WORD = 40  # letters of a word
_DIGITS = 12
_LONG_DIGITS = re.compile(rf"\d{{{_DIGITS + 1},}}")
_LONG_WORD = re.compile(rf"[^\W\d_]{{{_WORD}}}(?=[^\W\d_])")
_TRIES = 2  # of a request, where the process was killed from outside


class Refused(Exception):
    """eSpeak can't read this text."""


class Espeak:
    """Reads with one voice of eSpeak after another."""

    def __init__(self) -> None:
        self._child = self._start()

    @staticmethod
    def _start() -> ChildProcess:
        return ChildProcess([sys.executable, "-P", phonemizer.__file__])

    def read(self, text: str, voice: str) -> str:
        """The signs of a text, "" where nothing of it is spoken. Raises Refused."""
        text = text.replace("’", "'").replace("‘", "'")
        text = _LONG_DIGITS.sub(lambda found: " ".join(found[0]), text)
        text = _LONG_WORD.sub(r"\g<0> ", text)
        runs: list[str] = []
        marks: list[str] = []
        place = 0
        for mark in _MARK.finditer(text):
            runs += (parts := _runs(text[place : mark.start()]))
            marks += [" "] * (len(parts) - 1) + [_mark(mark[0])]
            place = mark.end()
        runs += (parts := _runs(text[place:]))
        marks += [" "] * len(parts)
        read = self._ipa(voice, runs)
        british = voice == "en"
        signs = "".join(
            alphabet.from_espeak(run, british=british) + mark for run, mark in zip(read, marks, strict=True)
        )
        return " ".join(signs.split())

    def _ipa(self, voice: str, texts: Sequence[str]) -> list[str]:
        for _ in range(_TRIES):
            try:
                self._child.ask({"voice": voice, "texts": texts})
                answer = self._child.answer()
            except (OSError, EOFError):
                self._child.stop()
                self._child = self._start()
                continue
            if "error" in answer:
                raise Refused(answer["error"])
            return list(answer["ipa"])
        raise Refused("the eSpeak NG process ended while it read this text; it was started again")

    def stop(self) -> None:
        self._child.stop()


def _runs(text: str) -> list[str]:
    """At least one, of whole words."""
    runs = [""]
    for word in text.split():
        if len(runs[-1]) + len(word) >= _RUN:
            runs.append("")
        runs[-1] = f"{runs[-1]} {word}".strip()
    return runs


def _mark(found: str) -> str:
    """With its spaces: an opening mark belongs to the word behind it."""
    said = found.strip().translate(_SAID_AS)
    is_opening = bool(said) and all(sign in "(“" for sign in said)
    before = " " if found[0].isspace() and (is_opening or said == "—") else ""
    return before + said + ("" if is_opening else " ") if said else " "

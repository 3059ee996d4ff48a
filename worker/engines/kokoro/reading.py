"""A text into signs of the model, and what of it can't be said.

text ─ marks of pronunciation ─┬─ <written|PHONES>  their phones
                               └─ what is between    the language's reader
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from farm import pronunciation
from worker.engines.espeak.mutes import Mutes, described
from worker.engines.kokoro import alphabet, english
from worker.engines.kokoro.espeak import Espeak
from worker.engines.kokoro.voices import Tongue


@dataclass(frozen=True, slots=True)
class Reading:
    signs: str
    lost: int = 0  # characters of the text that are not in the signs
    lost_where: str = ""  # which, and where the first one stands
    unsaid_marks: tuple[str, ...] = ()  # marks that have no phones; they are read as they are written


class Reader:
    def __init__(self) -> None:
        self._espeak = Espeak()
        self._mutes = Mutes()

    def read(self, text: str, tongue: Tongue) -> Reading:
        """Raises Refused where eSpeak does not survive the text."""
        read = self._reader(tongue)
        plain = pronunciation.plain(text)

        def is_heard(sign: str) -> bool:
            return alphabet.is_sound(read(sign))

        plain_text = self._mutes.respelled(text, tongue.tag, is_heard)
        left_out = self._mutes.places(plain, tongue.tag, is_heard)
        pieces: list[str] = []
        unsaid: list[str] = []
        place = 0
        for mark in pronunciation.marks(text):
            pieces.append(read(plain_text[place : mark.start]))
            said = text[mark.start : mark.end].translate(_BARS).rpartition("|")[2][:-1]
            try:
                pieces.append(alphabet.from_phones(said))
            except KeyError:
                pieces.append(read(mark.shown))
                unsaid.append(text[mark.start : mark.end])
            place = mark.end
        pieces.append(read(plain_text[place:]))
        return Reading(
            _joined(pieces),
            sum(len(found.sign) for found in left_out),
            described(plain, left_out) if left_out else "",
            tuple(unsaid),
        )

    def stop(self) -> None:
        self._espeak.stop()

    def _reader(self, tongue: Tongue) -> Callable[[str], str]:
        if tongue.espeak is None:
            return english.read
        return partial(self._espeak.read, voice=tongue.espeak)


_BARS = str.maketrans("｜﹥＞", "|>>")


def _joined(pieces: list[str]) -> str:
    """With a space between two words, and none before a mark of punctuation."""
    joined = ""
    for piece in filter(None, pieces):
        joined += ("" if piece[0] in ";:,.!?…)”" or not joined else " ") + piece
    return joined

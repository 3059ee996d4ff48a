"""Composes the script of a chapter while its markup is read, and refuses what the model can't do.

Each kind of markup says what it found where; the rules that all of them share stand here. A fault does not end the
work: the reader goes on, so that one answer names several.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from farm.markup.means import FASTEST, MAX_PAUSE_MS, SLOWEST, Fault, Means
from farm.script import Delivery, Script, Stop, Words
from farm.speech import Parameter, emotion_json

MOST_FAULTS = 12  # that one chapter names
MAX_SPOKEN = 200  # characters of what is said in place of something


class Composer:
    def __init__(self, means: Means) -> None:
        self.means = means
        self.faults: list[Fault] = []
        self._items: list[Words | Stop] = []

    def refuse(self, position: int, message: str) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(Fault(position, message))

    # --- what is heard ----------------------------------------------------------------------------------------------

    def words(self, start: int, end: int, written: str, delivery: Delivery, spoken: str | None = None) -> None:
        """Text as it is written, or with what is said in its place."""
        if written or spoken:
            self._items.append(Words(start, end, written, spoken, delivery))

    def instead(self, start: int, end: int, written: str, spoken: str, delivery: Delivery, what: str) -> None:
        """`spoken` in place of `written`."""
        spoken = " ".join(spoken.split())
        if not written.strip():
            self.refuse(start, f"{what} has no text, so there is nothing that it is said for; write the word into it")
        elif not any(map(str.isalnum, spoken)):
            self.refuse(start, f"{what} has nothing to say: expected a letter or a digit")
        elif len(spoken) > (most := min(MAX_SPOKEN, self._limit(delivery))):
            self.refuse(start, f"{what} is said in {len(spoken)} characters, more than {most}; make it shorter")
        else:
            self.words(start, end, written, delivery, spoken)

    def pause(self, at: int, pause_ms: int, what: str) -> None:
        if pause_ms > MAX_PAUSE_MS:
            self.refuse(at, f"{what} is longer than {MAX_PAUSE_MS // 1000} s; make it shorter")
        else:
            self._items.append(Stop(at, pause_ms))

    def stop(self, at: int) -> None:
        """A segment ends here."""
        self._items.append(Stop(at))

    # --- how it is heard --------------------------------------------------------------------------------------------

    def spoken_by(self, at: int, name: str, delivery: Delivery) -> Delivery:
        found = self.means.speaker(name)
        if isinstance(found, str):
            self.refuse(at, found)
            return delivery
        return replace(delivery, speaker=found)

    def at_rate(self, at: int, rate: float, delivery: Delivery, what: str) -> Delivery:
        means = self.means
        speed = means.speed * rate
        if rate == 1.0:
            return replace(delivery, rate=rate)
        if not means.honours(Parameter.SPEED):
            self.refuse(at, means.refusal(what, Parameter.SPEED))
        elif means.timed:
            self.refuse(
                at, f"{what}: target_duration_ms decides the speed by itself; leave out the rate, or the target"
            )
        elif not SLOWEST <= round(speed, 4) <= FASTEST:
            self.refuse(at, f"{what} makes a speed of {speed:g}, with the job's speed in it; expected {SLOWEST:g} to "
                        f"{FASTEST:g}")  # fmt: skip
        else:
            return replace(delivery, rate=rate)
        return delivery

    def in_mood(self, at: int, text: str, strength: float, delivery: Delivery, what: str) -> Delivery:
        if not self.means.honours(Parameter.EMOTION):
            self.refuse(at, self.means.refusal(what, Parameter.EMOTION))
            return delivery
        return replace(delivery, emotion=emotion_json({"text": text, "strength": strength}))

    def in_language(self, at: int, tag: str, delivery: Delivery, what: str) -> Delivery:
        card = self.means.card
        language = card.language_for(tag)
        if language is None:
            self.refuse(at, f"{what}: model {card.name!r} does not speak {tag!r}; it speaks {_some(card.languages)}")
            return delivery
        if language == (delivery.language or self.means.language):
            return delivery
        speaker = delivery.speaker or self.means.voice
        found = self.means.voice_for(language, speaker)
        if isinstance(found, str):
            self.refuse(at, f"{what}: {found}")
            return delivery
        own = None if language == self.means.language else language
        return replace(delivery, language=own, speaker=delivery.speaker if found == speaker else found)

    def language_of(self, delivery: Delivery) -> str:
        return delivery.language or self.means.language

    # --- the whole --------------------------------------------------------------------------------------------------

    def script(self) -> Script:
        """Refuses a chapter without text, and pauses at its edges, which the output's own pauses decide."""
        heard = [place for place, item in enumerate(self._items) if isinstance(item, Words) and item.said.strip()]
        if not heard and not self.faults:
            self.refuse(0, "there is nothing to speak in this text; write words into it")
        for place, item in enumerate(self._items):
            if heard and isinstance(item, Stop) and item.pause_ms and not heard[0] < place < heard[-1]:
                self.refuse(item.at, "a pause stands between words; at the edges of a chapter output.pause_ms says how "
                            "long it is silent")  # fmt: skip
        return Script(tuple(self._items))

    def _limit(self, delivery: Delivery) -> int:
        return self.means.card.languages[self.language_of(delivery)].max_characters


def _some(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:MOST_FAULTS]) + (", …" if len(every) > MOST_FAULTS else "")

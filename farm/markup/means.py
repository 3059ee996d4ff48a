"""What markup may ask for: the abilities of the chosen model, by its card, and what the job has settled already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from farm.script import Speaker
from farm.speech import Parameter
from farm.wire import Model

SLOWEST, FASTEST = 0.5, 2.0  # as a request's speed has them
MAX_PAUSE_MS = 60_000


class Fault(NamedTuple):
    """What is refused, and where it stands in the input of its chapter."""

    position: int  # in characters, within the input
    message: str


@dataclass(frozen=True, slots=True)
class Means:
    card: Model
    language: str  # of the job, as the card writes it
    voice: Speaker  # of the chapter
    speaker: Callable[[str], Speaker | str]  # by its name in the text; a sentence, where there is none
    speed: float = 1.0  # of the job
    timed: bool = False  # a target duration decides the speed

    def honours(self, parameter: Parameter) -> bool:
        return parameter in self.card.parameters

    def refusal(self, what: str, parameter: Parameter) -> str:
        honours = ", ".join(self.card.parameters) or "no parameter"
        return f"{what}: model {self.card.name!r} does not honour {parameter}; it honours {honours}"

    def voice_for(self, language: str, speaker: Speaker) -> Speaker | str:
        """Who speaks a language in place of `speaker`: the same, unless it is built in and speaks another; then the
        model's own voice for the language. A sentence, where there is none."""
        spoken = self.card.voices.get(speaker.voice)
        if speaker.uploaded or spoken is None or _primary(spoken) == _primary(language):
            return speaker
        own = self.card.languages[language].voice
        if own is None:
            return f"voice {speaker.name!r} does not speak {language!r}; name one that does"
        return Speaker(own, own)


def alphabets(card: Model) -> tuple[str, ...]:
    """In which a model can be told how a word is pronounced (farm/pronunciation.py)."""
    if Parameter.PRONUNCIATION not in card.parameters:
        return ()
    spoken = set(map(_primary, card.languages))
    return ("cmu", *(("pinyin",) if spoken & {"zh", "cmn"} else ()), *(("kana",) if "ja" in spoken else ()))


def _primary(tag: str) -> str:
    return tag.lower().partition("-")[0]

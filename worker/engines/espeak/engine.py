"""The espeak engine: real speech on any CPU by eSpeak NG, at hundreds of times real time.

The same utterance gives the same samples on any machine, and earlier utterances change nothing; speaker.py says how.
Nothing of a text is lost without a warning: it is read in as many pieces as it needs; reading.py says how. Clips are
trimmed to the speech and 10 ms around it, because the assembly adds the pauses. A clip with a target length is spoken
up to three times, each time at a speed that follows from the length before.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np

from farm.errors import Misconfigured
from farm.speech import Parameter
from farm.wire import Language, Model
from worker.child_process import ChildProcess
from worker.engine import Clip, Failure, Feed, Notice, NoticeCode, Utterance
from worker.engines.espeak import speaker
from worker.engines.espeak.mutes import Mutes, described
from worker.engines.espeak.proof import Clause
from worker.engines.espeak.reading import Died, Reader, Reading, Refused, Said, is_audible, shortened
from worker.engines.target_length import fitted

_RENDERING = 3  # raise it when this folder makes the same input sound different

_WORDS_PER_MINUTE = 175  # eSpeak's own speed
_SLOWEST, _FASTEST = 80, 450  # the limits of eSpeak
_AT_HALF, _AT_TWICE = 88, 350  # as far as a target may take it: half of its own speed, and twice
_PITCH = 50  # its neutral pitch of 0..99, and its steps per semitone: measured on en-us, F0 moves by
_STEPS = 6  # -2.8, 2.9 and 5.8 semitones for -3, 3 and 6; it ends at about -7 and 9
_SILENCE_MS = 100  # the clip of a text in which nothing can be spoken

# Where several of its voices speak a language, the one that most listeners expect.
_PREFERRED = {"en": "en-us", "fr": "fr-fr", "pt": "pt-br", "zh": "cmn"}
_MUTE = frozenset({"fo", "kaa", "xex"})  # listed by the package, which lacks their dictionaries
_DENSE = frozenset({"cmn", "hak", "ja", "ko", "yue", "zh"})  # a character is a syllable or more
_MAX_CHARACTERS, _MAX_DENSE = 400, 150  # about 25 s of speech
_UNSPEAKABLE = Notice(NoticeCode.UNSPEAKABLE, "nothing in this text can be spoken; it became a short silence")


class Espeak:
    """One utterance at a time through a process of its own."""

    def __init__(self, capacity: int = 8) -> None:
        self.capacity = capacity
        self.device = "cpu"
        self._speaker = _Speaker()
        self._mutes = Mutes()
        introduction = self._speaker.introduction
        voices = _name_voices(introduction["voices"])
        self._identifiers = {name: voice.identifier for name, voice in voices.items()}
        self.card = Model(
            name="espeak",
            revision=f"{introduction['version']}-{version('espeakng-loader')}-{_RENDERING}",
            sample_rate=introduction["sample_rate"],
            languages=_languages(voices),
            voices={name: voice.tags[0] for name, voice in voices.items()},
            uploaded_voices=False,
            parameters=[Parameter.SPEED, Parameter.PITCH, Parameter.DURATION, Parameter.CHECKS],
        )

    def render(self, feed: Feed) -> Iterator[Clip | Failure]:
        while utterances := feed.take(self.capacity, wait=True):
            for utterance in utterances:
                yield self._render(utterance)

    def facts(self) -> Mapping[str, str]:
        return {}

    def close(self) -> None:
        self._speaker.stop()

    def _render(self, utterance: Utterance) -> Clip | Failure:
        speech, manner = utterance.speech, utterance.speech.manner
        if speech.voice not in self._identifiers:
            return Failure(utterance.key, f"espeak has no voice {speech.voice!r}; GET /v1/models lists its voices")
        if speech.language not in self.card.languages:
            return Failure(utterance.key, f"espeak has no language {speech.language!r}; GET /v1/models lists them")
        pitch = _PITCH + round(_STEPS * manner.pitch)
        voice = {"voice": self._identifiers[speech.voice], "pitch": min(99, max(0, pitch))}
        warnings: list[Notice] = []
        try:
            is_heard = partial(self._is_heard, self._identifiers[speech.voice])
            text = self._mutes.respelled(_plain(utterance.text), speech.voice, is_heard)
            left_out = self._mutes.places(text, speech.voice, is_heard)
            speak = partial(self._speak, voice, text, speech.language)
            if speech.target_duration_ms is None:
                reading = speak(round(_WORDS_PER_MINUTE * manner.speed))
            else:
                reading, is_limited = self._speak_for(speak, self._frames(speech.target_duration_ms))
                if is_limited:
                    reached_ms = round(len(reading.samples) * 1000 / self.card.sample_rate)
                    missed = f"target {speech.target_duration_ms} ms, result {reached_ms} ms"
                    warnings.append(Notice(NoticeCode.DURATION_LIMIT, missed))
        except Refused as refused:
            return Failure(utterance.key, str(refused), refused.text if isinstance(refused, Died) else "")
        except (OSError, EOFError):
            # The speaker itself has ended: it was killed from outside, or ran out of memory.
            self._speaker.stop()
            self._speaker = _Speaker()
            return Failure(utterance.key, "the eSpeak NG process ended while it spoke this text; it was started again")
        if not 0 <= pitch <= 99:
            beyond = f"pitch {manner.pitch:g} is beyond what eSpeak NG reaches; its limit was used"
            warnings.append(Notice(NoticeCode.PITCH_LIMIT, beyond))
        samples = reading.samples
        lost = sum(map(len, (*reading.unproven, *reading.missing, *(place.sign for place in left_out))))
        spoken = max(0, len(utterance.text) - lost)
        warnings += _losses(reading)
        if left_out and len(samples):
            wordless = f"eSpeak NG has no word in {speech.language} for these, and leaves them out"
            warnings.append(Notice(NoticeCode.UNSPOKEN, f"{wordless}: {described(text, left_out)}"))
        if not len(samples):
            spoken = 0
            samples = np.zeros(self._frames(speech.target_duration_ms or _SILENCE_MS), np.float32)
            warnings.append(_UNSPEAKABLE)
        return Clip(utterance.key, samples, tuple(warnings), spoken)

    def _is_heard(self, identifier: str, text: str) -> bool:
        """Whether a voice makes any sound of a text. A text that kills eSpeak is for the reader to deal with."""
        neutral = {"voice": identifier, "pitch": _PITCH, "words_per_minute": _WORDS_PER_MINUTE}
        try:
            return is_audible(self._speaker.speak({**neutral, "text": text}).samples)
        except Died:
            return True

    def _speak(self, voice: Mapping[str, Any], text: str, language: str, words_per_minute: int) -> Reading:
        speed = min(_FASTEST, max(_SLOWEST, words_per_minute))

        def speak(piece: str) -> Said:
            return self._speaker.speak({**voice, "words_per_minute": speed, "text": piece})

        return Reader(speak, language, self.card.sample_rate, speed / _WORDS_PER_MINUTE).read(text)

    def _speak_for(self, speak: Callable[[int], Reading], target: int) -> tuple[Reading, bool]:
        """Speech of about `target` samples, and whether only a speed beyond the limits would come nearer."""
        fit = fitted(
            speak, lambda reading: len(reading.samples), target, self.card.sample_rate,
            ordinary=_WORDS_PER_MINUTE, slowest=_AT_HALF, fastest=_AT_TWICE, rounded=round,
        )  # fmt: skip
        reading = fit.said
        if fit.pad and len(reading.samples):
            reading = replace(reading, samples=np.pad(reading.samples, (0, fit.pad)))
        return reading, fit.is_limited

    def _frames(self, milliseconds: int) -> int:
        return round(milliseconds * self.card.sample_rate / 1000)


class _Speaker:
    """The parent's end of the process in speaker.py."""

    def __init__(self) -> None:
        self._child = ChildProcess([sys.executable, "-P", speaker.__file__])
        try:
            self.introduction, _ = self._receive()
        except (Refused, EOFError) as error:
            self.stop()
            raise Misconfigured(f"eSpeak NG does not start ({error}); reinstall the package espeakng-loader") from error

    def speak(self, request: Mapping[str, Any]) -> Said:
        self._child.ask(request)
        head, body = self._receive()
        samples = np.frombuffer(body, np.dtype("<i2")).astype(np.float32) / np.float32(32768)
        return Said(samples, [Clause(*clause) for clause in head["clauses"]])

    def stop(self) -> None:
        self._child.stop()

    def _receive(self) -> tuple[dict[str, Any], bytes]:
        head = self._child.answer()
        if "error" in head:
            raise Died(head["error"], hung=head["hung"]) if "hung" in head else Refused(head["error"])
        return head, self._child.read(head.get("bytes", 0))


@dataclass(frozen=True, slots=True)
class _Voice:
    identifier: str
    tags: Sequence[str]  # languages that it speaks, its own first
    priorities: Sequence[int]  # how well each fits, lowest best


def _name_voices(listed: Sequence[Mapping[str, Any]]) -> dict[str, _Voice]:
    """Names each voice by its language tag, or by its file where another voice has the tag already."""
    voices: dict[str, _Voice] = {}
    for entry in listed:
        priorities, tags = zip(*entry["tags"], strict=True)
        tags = tuple(tag.lower() for tag in tags)
        if tags[0] in _MUTE:
            continue
        name = tags[0] if tags[0] not in voices else entry["identifier"].rpartition("/")[2].lower()
        voices[name] = _Voice(entry["identifier"], tags, priorities)
    return voices


def _languages(voices: Mapping[str, _Voice]) -> dict[str, Language]:
    best: dict[str, tuple[int, str]] = {}
    for name, voice in voices.items():
        for tag, priority in zip(voice.tags, voice.priorities, strict=True):
            best[tag] = min(best.get(tag, (256, "")), (priority, name))
    chosen = {tag: name for tag, (_, name) in best.items()} | _PREFERRED
    return {
        tag: Language(
            max_characters=_MAX_DENSE if tag.partition("-")[0] in _DENSE else _MAX_CHARACTERS, voice=chosen[tag]
        )
        for tag in sorted(chosen)
    }


def _losses(reading: Reading) -> Iterator[Notice]:
    if reading.unproven:
        ends = shortened(" … ".join(reading.unproven))
        yield Notice(NoticeCode.CUT_OFF, f"the end of this may be missing: {ends}")
    if reading.missing:
        lost = shortened(" ".join(reading.missing))
        yield Notice(NoticeCode.CUT_OFF, f"eSpeak NG crashed on this, and it is missing: {lost}")


def _plain(text: str) -> str:
    """The text on one line, without control characters: eSpeak reads Ctrl-A as the start of a command, and NUL as the
    end of the text."""
    kept = (character if unicodedata.category(character) not in ("Cc", "Cs") else " " for character in text)
    return " ".join("".join(kept).split())

"""An engine in one file: it plays a text as a melody, one tone for each letter.

Nobody will narrate a book with it, but it does all that an engine has to do: a card, built-in voices, speed, pitch, a
length to keep, warnings, failures and a setting of its own. Copy it to begin an engine of yours.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from farm.speech import Parameter
from farm.wire import Language, Model
from worker.engine import Clip, EngineSettings, Entry, Failure, Feed, Notice, NoticeCode, Utterance

_RENDERING = 1  # raise it when a change of this file makes the same input sound different
_SAMPLE_RATE = 24_000  # Hz
_VOICES = {"low": 110.0, "high": 440.0}  # the pitch of the lowest tone, in Hz
_LANGUAGES = ("en", "de", "es", "fr")
_SCALE = (0, 2, 4, 7, 9)  # semitones of a major pentatonic, in which any two tones sound well together
_OCTAVES = 2
_SLOWEST, _FASTEST = 0.5, 2.0  # as far as a length to keep may take it
_LOUDNESS = 0.3
_EDGE_S = 0.005  # each tone fades in and out
_SILENCE_MS = 100  # the clip of a text without a letter


class TonesSettings(EngineSettings):
    model_config = SettingsConfigDict(env_prefix="FARM_TONES_")

    letter_ms: int = Field(70, ge=20, le=500, description="milliseconds for each letter at a speed of 1")


class Tones:
    def __init__(self, settings: TonesSettings) -> None:
        self.device = "cpu"
        self.capacity = 16
        self._letter = settings.letter_ms * _SAMPLE_RATE / 1000  # samples
        self.card = Model(
            name="tones",
            # Clips are kept by revision. It names everything that makes the same text sound different, settings too.
            revision=f"{_RENDERING}-{settings.letter_ms}",
            sample_rate=_SAMPLE_RATE,
            languages={language: Language(max_characters=300, voice="low") for language in _LANGUAGES},
            voices=dict.fromkeys(_VOICES, _LANGUAGES[0]),
            uploaded_voices=False,
            # A job that asks for anything else is refused before it reaches the engine.
            parameters=[Parameter.SPEED, Parameter.PITCH, Parameter.DURATION],
        )

    def render(self, feed: Feed) -> Iterator[Clip | Failure]:
        while utterances := feed.take(self.capacity, wait=True):
            for utterance in utterances:
                yield self._render(utterance)

    def facts(self) -> Mapping[str, str]:
        return {"letter": f"{self._letter / _SAMPLE_RATE * 1000:.0f} ms"}

    def close(self) -> None:
        """Nothing is open here: a model would give its memory back."""

    def _render(self, utterance: Utterance) -> Clip | Failure:
        """One bad utterance becomes a Failure. An exception would end the worker and give all of its work back."""
        speech = utterance.speech
        if speech.voice not in _VOICES:
            return Failure(utterance.key, f"tones has no voice {speech.voice!r}; it has {', '.join(_VOICES)}")
        if speech.language not in _LANGUAGES:
            return Failure(utterance.key, f"tones has no language {speech.language!r}; it has {', '.join(_LANGUAGES)}")
        steps = _steps(utterance.text)
        if not steps:
            silence = np.zeros(_samples(speech.target_duration_ms or _SILENCE_MS), np.float32)
            unspeakable = Notice(NoticeCode.UNSPEAKABLE, "there is no letter in this text")
            return Clip(utterance.key, silence, (unspeakable,), spoken_characters=0)
        warnings: list[Notice] = []
        letter = self._letter / speech.manner.speed
        if speech.target_duration_ms is not None:
            wanted = _samples(speech.target_duration_ms) / len(steps)
            letter = min(max(wanted, self._letter / _FASTEST), self._letter / _SLOWEST)
            if letter != wanted:
                reached_ms = round(letter * len(steps) / _SAMPLE_RATE * 1000)
                missed = f"target {speech.target_duration_ms} ms, result {reached_ms} ms"
                warnings.append(Notice(NoticeCode.DURATION_LIMIT, missed))
        base = _VOICES[speech.voice] * 2 ** (speech.manner.pitch / 12)
        # Every letter and digit has its tone; a passage that may be missing would be taken off here, and warned of.
        return Clip(utterance.key, _melody(steps, base, letter), tuple(warnings), spoken_characters=len(utterance.text))


def _steps(text: str) -> list[int | None]:
    """For each letter or digit its step of the scale, None for a pause. Pauses at both ends are the assembly's."""
    characters = unicodedata.normalize("NFC", " ".join(text.split())).casefold()
    steps = [ord(one) % (_OCTAVES * len(_SCALE)) if one.isalnum() else None for one in characters]
    played = [place for place, step in enumerate(steps) if step is not None]
    return steps[played[0] : played[-1] + 1] if played else []


def _melody(steps: Sequence[int | None], base: float, letter: float) -> npt.NDArray[np.float32]:
    """Float32 (samples,) for steps of `letter` samples each, over a lowest tone of `base` Hz."""
    bounds = np.rint(np.arange(len(steps) + 1) * letter).astype(int)
    lengths = np.diff(bounds)
    tones = [0.0 if step is None else base * 2 ** (_semitones(step) / 12) for step in steps]
    phase = np.cumsum(np.repeat(tones, lengths)) * (2 * np.pi / _SAMPLE_RATE)
    place = np.arange(bounds[-1]) - np.repeat(bounds[:-1], lengths)
    edge = np.minimum(place, np.repeat(lengths, lengths) - 1 - place) / (_EDGE_S * _SAMPLE_RATE)
    loudness = np.repeat([0.0 if step is None else _LOUDNESS for step in steps], lengths)
    melody: npt.NDArray[np.float32] = (loudness * np.minimum(edge, 1) * np.sin(phase)).astype(np.float32)
    return melody


def _semitones(step: int) -> int:
    octave, place = divmod(step, len(_SCALE))
    return 12 * octave + _SCALE[place]


def _samples(milliseconds: int) -> int:
    return round(milliseconds * _SAMPLE_RATE / 1000)


ENGINE = Entry(load=Tones, settings=TonesSettings)

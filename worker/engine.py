"""The protocol of engines: an engine turns utterances into clips.

An engine pulls utterances from a feed and yields clips and failures in any order. So an engine that renders batch after
batch and one that admits utterances into a running decode look the same from outside.

A model's name is bound to its engine by an Entry in the table of engines (worker/engines).
docs/recipes/add-an-engine.md says what a new engine needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from farm.settings import Variables
from farm.speech import NEUTRAL, Manner
from farm.spelling import plain_spelling
from farm.wire import Model


@dataclass(frozen=True, slots=True)
class Speech:
    """How an utterance is to sound."""

    language: str
    voice: str  # a built-in voice's name, or an uploaded voice's content digest
    reference: Path | None = None  # the uploaded voice's audio, FLAC mono; None for a built-in voice
    manner: Manner = NEUTRAL
    emotion_reference: Path | None = None  # the audio of the voice that the manner's emotion is copied from
    target_duration_ms: int | None = None  # how long the clip is to be; None: as long as it comes out at its speed


@dataclass(frozen=True, slots=True)
class Utterance:
    """One segment as an engine sees it. `key` is opaque and comes back on the clip or failure.

    The text is given as the user wrote it, and is kept in its plain spelling: no engine gets another."""

    key: str
    text: str
    speech: Speech

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", plain_spelling(self.text, self.speech.language))


class NoticeCode(StrEnum):
    """The warnings of clips; docs/speech.md explains each. `pace` and those after it are the render worker's, behind
    every engine."""

    DURATION_LIMIT = "duration_limit"
    PITCH_LIMIT = "pitch_limit"
    CODE_LIMIT = "code_limit"
    UNKNOWN_TEXT = "unknown_text"
    UNSPEAKABLE = "unspeakable"
    UNSPOKEN = "unspoken"
    CUT_OFF = "cut_off"
    SUSPECT_LENGTH = "suspect_length"
    LONG_SILENCE = "long_silence"
    PACE = "pace"
    NOT_FINITE = "not_finite"
    TOO_QUIET = "too_quiet"
    EDGE_SILENCE = "edge_silence"
    NOISE = "noise"
    CLIPPED = "clipped"
    MISREAD = "misread"
    DOUBTED = "doubted"
    UNCHECKED = "unchecked"


# Somebody should listen to a clip with one of these. The others say what was not to be had, or that nobody looked.
TO_REVIEW = frozenset(
    {
        NoticeCode.CODE_LIMIT, NoticeCode.CUT_OFF, NoticeCode.SUSPECT_LENGTH, NoticeCode.LONG_SILENCE, NoticeCode.PACE,
        NoticeCode.NOT_FINITE, NoticeCode.TOO_QUIET, NoticeCode.EDGE_SILENCE, NoticeCode.NOISE, NoticeCode.CLIPPED,
        NoticeCode.MISREAD,
    }
)  # fmt: skip


def needs_review(codes: Iterable[str]) -> bool:
    """Whether somebody should listen to a clip with warnings of these codes."""
    return not TO_REVIEW.isdisjoint(codes)


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning about a clip that was rendered, but not quite as its text or its job asks.

    str() is the form in which a warning is stored with the clip and stands in the manifest.
    """

    code: str  # a NoticeCode; an engine of another distribution may have codes of its own, in snake_case
    message: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(frozen=True, slots=True)
class Clip:
    """Mono audio of one utterance: float32, shape (samples,), within [-1, 1], at the engine's sample rate.

    `spoken_characters` says how much of the utterance's text the engine answers for, in characters of that text with
    its white space and punctuation: all that it handed to its voice and has no reason to believe unspoken. It is the
    length of the text where nothing was lost; 0 where nothing could be spoken; less than the length by the characters
    for which the model has no token or no word, and by those of a passage that may have been cut off. A warning says
    why it is less.
    """

    key: str
    samples: npt.NDArray[np.float32]
    warnings: tuple[Notice, ...] = ()
    spoken_characters: int | None = None  # None: the engine does not say, which the suite of engines refuses


@dataclass(frozen=True, slots=True)
class Failure:
    """One utterance that could not be rendered. Its neighbours in the batch are rendered all the same.

    str() is what its owner is told. `error` alone may stand in a log; the text is the owner's and may not.
    """

    key: str
    error: str
    text: str = ""  # the passage at which it failed, shortened, where the engine knows

    def __str__(self) -> str:
        return f"{self.error}: {self.text}" if self.text else self.error


class DeviceFault(RuntimeError):
    """Raised by an engine's render: the device or one of its libraries failed, and this process can't go on.

    The worker ends, as after any exception of an engine, and each segment that had begun has lost an attempt: a text
    may have brought the device down. `certain` says that no text can have done so, because the device itself, its
    driver or the build is broken: then the segments go back and have lost nothing. A worker that ends so again and
    again waits before its next start (worker/process/relapse.py).
    """

    def __init__(self, message: str, *, certain: bool = False) -> None:
        super().__init__(message)
        self.certain = certain


class Feed(Protocol):
    def take(self, count: int, *, wait: bool) -> Sequence[Utterance]:
        """Up to `count` utterances, in the order in which they should start. With `wait`, blocks until there is at
        least one or the feed is over; without, returns at once. An empty answer to a waiting take means: finish and
        return. What comes next may depend on what was taken before: so an engine waits only with empty hands, when it
        has yielded an outcome for every utterance, or yields them from another thread meanwhile."""
        ...


class Engine(Protocol):
    card: Model  # name, revision, languages with their character limits, voices, the parameters that it honours
    device: str  # the device that it runs on, for people: "cpu", "NVIDIA H100"
    capacity: int  # utterances worth holding at once

    def render(self, feed: Feed) -> Iterator[Clip | Failure]:
        """Pulls from the feed until it is over and yields one Clip or Failure for every utterance taken."""
        ...

    def facts(self) -> Mapping[str, str]:
        """Facts for the operator beside the card, in words: precision, memory in use. Called every two seconds, from
        another thread."""
        ...

    def close(self) -> None: ...


class EngineSettings(Variables):
    """Base of an engine's own settings. A subclass sets `model_config = SettingsConfigDict(env_prefix=…)`, with FARM_
    and the first word of the model's name: FARM_TONES_ for the model `tones`. Every field has a default and a
    description."""


@dataclass(frozen=True, slots=True)
class Entry:
    """How the table of engines makes a model ready.

    `load` and `fetch` get `settings`, read from the environment, and raise Misconfigured with the way to mend it.
    """

    load: Callable[[Any], Engine]
    settings: type[EngineSettings] = EngineSettings
    fetch: Callable[[Any], None] | None = None  # gets the model's files ahead of the first start
    memory_mb: int | None = None  # of a worker that uses one core alone; the embedded farm starts as many as fit
    start_s: float = 120.0  # seconds that a start may take, with a fetch of the files where there is one

"""What an engine is: something that turns utterances into clips.

The protocol is made so that an engine that renders batch after batch and one that admits utterances into a running
decode look the same from outside: both pull from a feed and yield clips or failures, in any order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from farm.speech import NEUTRAL, Manner
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
    """One segment as an engine sees it. `key` is opaque and comes back on the clip or failure."""

    key: str
    text: str
    speech: Speech


@dataclass(frozen=True, slots=True)
class Clip:
    """Mono audio of one utterance: float32, shape (samples,), within [-1, 1], at the engine's sample rate."""

    key: str
    samples: npt.NDArray[np.float32]
    warnings: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Failure:
    """One utterance that could not be rendered; its neighbours are not concerned."""

    key: str
    error: str


class Feed(Protocol):
    def take(self, count: int, *, wait: bool) -> Sequence[Utterance]:
        """Up to `count` utterances, in the order they should start. With `wait`, blocks until there is at least one or
        the feed is over; without, returns at once. An empty answer to a waiting take means: finish and return."""
        ...


class Engine(Protocol):
    card: Model  # name, revision, languages with their character limits, voices, what parameters it honours
    device: str  # what it runs on, for people: "cpu", "NVIDIA H100"
    capacity: int  # utterances worth holding at once

    def render(self, feed: Feed) -> Iterator[Clip | Failure]:
        """Pulls from the feed until it is over and yields one Clip or Failure for every utterance taken."""
        ...

    def facts(self) -> Mapping[str, str]:
        """What an operator wants to know of it beside the card, in words: precision, memory in use. Called every two
        seconds, from another thread."""
        ...

    def close(self) -> None: ...

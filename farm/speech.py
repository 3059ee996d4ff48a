"""How a text is to be spoken: the values that a request may ask for, and the table that says where it asks.

    Parameter     what a model honours, in the words of its card
    PARAMETERS    parameter -> the field of the request, its neutral value, the option of the command line
    Manner        the values that all segments of a job share; they are part of every clip's name

The target duration has a row in the table and no field in the manner: a job, a chapter and a segment each have a target
of their own. It is called `target_duration_ms` in all code; plans and digests write it as `target_ms`.

docs/recipes/add-a-speech-parameter.md lists the files of a new parameter.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self


class Parameter(StrEnum):
    SPEED = "speed"
    PITCH = "pitch"
    SEED = "seed"
    EMOTION = "emotion"
    NORMALIZE = "normalize"
    DURATION = "duration"
    CHECKS = "checks"
    PRONUNCIATION = "pronunciation"  # asked for by marks in the text, not by a field


@dataclass(frozen=True, slots=True)
class Manner:
    """Every field is normalised: its default is the engine's own way to speak."""

    speed: float = 1.0
    pitch: float = 0.0  # semitones
    seed: int = 0
    emotion: str | None = None  # canonical JSON, in which a voice is a content digest; None for the voice's own
    normalize: bool = True  # put numbers and signs into words
    checks: bool = True  # make a clip once more that is odd for its text, and check its sound

    @classmethod
    def of(cls, request: object, *, emotion: str | None) -> Self:
        """What a request asks for, with its emotion resolved."""
        asked = {name: getattr(request, name) for name in MANNER_FIELDS}
        return cls(**{**asked, "emotion": emotion})

    def additions(self) -> Iterator[tuple[str, Any]]:
        """The fields after the first four, where they are not neutral. Plans and digests have the first four always and
        these by name, so that a new field changes no plan and no clip of a job that does not ask for it."""
        return ((name, value) for name, neutral in _ADDED.items() if (value := getattr(self, name)) != neutral)


def emotion_json(said: Mapping[str, Any]) -> str:
    """An emotion as a manner has it. Equal emotions become equal strings, so their clips are shared."""
    return json.dumps(said, sort_keys=True, separators=(",", ":"))


NEUTRAL = Manner()
MANNER_FIELDS = tuple(field.name for field in fields(Manner))
_FIRST = ("speed", "pitch", "seed", "emotion")
_ADDED = {field.name: field.default for field in fields(Manner) if field.name not in _FIRST}


@dataclass(frozen=True, slots=True)
class Option:
    """An option of the command line."""

    flag: str
    help: str
    type: Callable[[str], Any] | None = None  # None for a switch, which has no value of its own
    metavar: str | None = None
    value: Any = None  # of the request's field, where the switch is given
    convert: Callable[[Any], Any] | None = None  # into the unit of the field; raises ValueError

    @property
    def name(self) -> str:
        """Under which argparse keeps it."""
        return self.flag.removeprefix("--").replace("-", "_")


@dataclass(frozen=True, slots=True)
class RequestField:
    """Asks for a parameter, unless it is neutral."""

    name: str
    neutral: Any
    option: Option | None = None
    in_chapters: bool = False  # chapters have the field as well


def _milliseconds(seconds: float) -> int:
    if not math.isfinite(seconds):
        raise ValueError("give seconds, like 12.5")
    return round(seconds * 1000)


PARAMETERS: Mapping[Parameter, RequestField] = MappingProxyType(
    {
        Parameter.SPEED: RequestField("speed", 1.0, Option("--speed", "0.5 to 2.0 (1.0)", float)),
        Parameter.PITCH: RequestField("pitch", 0.0, Option("--pitch", "-12 to 12 (0)", float, "SEMITONES")),
        Parameter.SEED: RequestField("seed", 0, Option("--seed", "for models that draw random numbers (0)", int)),
        Parameter.EMOTION: RequestField("emotion", None),
        Parameter.NORMALIZE: RequestField(
            "normalize", True, Option("--no-normalize", "numbers and signs are in words already", value=False)
        ),
        Parameter.DURATION: RequestField(
            "target_duration_ms",
            None,
            Option(
                "--target-duration", "how long the audio is to be, all in all", float, "SECONDS", convert=_milliseconds
            ),
            in_chapters=True,
        ),
        Parameter.CHECKS: RequestField(
            "checks", True, Option("--no-checks", "keep the first take of every segment, however odd", value=False)
        ),
    }
)

"""A segment, the unit of rendering: what is said where, by whom and how, and the digest that names its clip."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from farm.script import PLAIN, Delivery
from farm.speech import NEUTRAL, Manner
from farm.spelling import plain_spelling


@dataclass(frozen=True, slots=True)
class Recipe:
    """What makes a clip sound as it does, beside its voice and text."""

    tenant: str
    model: str
    revision: str
    language: str
    manner: Manner = NEUTRAL


@dataclass(frozen=True, slots=True)
class Segment:
    """The unit of rendering. `start` and `end` are character offsets into its chapter's input, and `text` is what
    stands there, as the user wrote it and farm/prose/reading.py reads it across line ends, without markup. The digest
    is that of the plain spelling of what is said, which is what the engine gets. The fields behind the target are there
    where they differ from the text and from the recipe of the plan."""

    index: int  # in the job
    chapter: int
    start: int
    end: int
    text: str
    voice: str
    uploaded: bool
    pause_ms: int  # silence after it, unless it is the last of the job
    digest: str
    target_duration_ms: int | None = None  # of its clip
    spoken: str | None = None
    character: str | None = None  # who speaks: one of the cast, or a voice that the markup names
    speed: float | None = None
    emotion: str | None = None
    language: str | None = None
    seed: int | None = None

    @property
    def said(self) -> str:
        """The text as it is spoken."""
        return self.text if self.spoken is None else self.spoken


def line_of(recipe: Recipe, segment: Segment) -> str:
    """What is said by whom, as a short name. A seed that was chosen for a line stays with it, wherever an edit of the
    job puts it, and however fast or moved the line is spoken then."""
    language = segment.language or recipe.language
    return name_of_line(language, segment.voice, plain_spelling(segment.said, language))


def name_of_line(language: str, voice: str, read: str) -> str:
    """As line_of; `read` is the plain spelling of what is said."""
    return hashlib.sha256(json.dumps([language, voice, read]).encode()).hexdigest()[:16]


@lru_cache(64)
def delivered(recipe: Recipe, delivery: Delivery) -> Recipe:
    """The recipe, with what the markup says of a stretch."""
    if delivery == PLAIN:
        return recipe
    speed = round(recipe.manner.speed * delivery.rate, 4)
    emotion = recipe.manner.emotion if delivery.emotion is None else delivery.emotion
    manner = replace(recipe.manner, speed=speed, emotion=emotion)
    return replace(recipe, manner=manner, language=delivery.language or recipe.language)


def recipe_of(recipe: Recipe, segment: Segment) -> Recipe:
    """The recipe of the plan, with what the segment has of its own."""
    if segment.speed is None and segment.emotion is None and segment.language is None and segment.seed is None:
        return recipe
    manner = replace(
        recipe.manner,
        speed=recipe.manner.speed if segment.speed is None else segment.speed,
        emotion=recipe.manner.emotion if segment.emotion is None else segment.emotion,
        seed=recipe.manner.seed if segment.seed is None else segment.seed,
    )
    return replace(recipe, manner=manner, language=segment.language or recipe.language)


def of_its_own(segment: Segment) -> dict[str, Any]:
    """What a segment has that is not as in its text and in the recipe of its plan, as manifests and answers have it."""
    return {name: value for name in _OWN if (value := getattr(segment, name)) is not None}


_OWN = ("spoken", "character", "speed", "emotion", "language", "seed")


def firsts(rows: Iterable[Segment]) -> dict[int, int]:
    """chapter -> the place of its first row among these; in their order."""
    found: dict[int, int] = {}
    for place, row in enumerate(rows):
        found.setdefault(row.chapter, place)
    return found


def clip_digest(recipe: Recipe, voice: str, text: str, target_duration_ms: int | None = None) -> str:
    """SHA-256 over a JSON list, in which no two different clips read alike. Numbers are written as floats, so that a
    speed of 1 is one of 1.0, and a pitch of -0.0 is none. Younger parameters stand at its end by name, and only where
    they are asked for: the clips from before keep their names."""
    manner = recipe.manner
    sound: list[object] = [
        recipe.tenant, recipe.model, recipe.revision, recipe.language, float(manner.speed), float(manner.pitch) + 0.0,
        manner.seed, manner.emotion, voice, text,
    ]  # fmt: skip
    sound += ({name: value} for name, value in manner.additions())
    if target_duration_ms is not None:
        sound.append({"target_ms": target_duration_ms})
    return hashlib.sha256(json.dumps(sound, separators=(",", ":")).encode()).hexdigest()

"""What the parts of a farm say of themselves: models and their voices, workers, queues."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from farm.job import Lane, Status
from farm.speech import PARAMETERS
from farm.wire.fields import Answer

_NAMED_AS_THEIR_FIELD = [name for name, field in PARAMETERS.items() if name == field.name]


class Voice(Answer):
    name: str
    kind: Literal["builtin", "uploaded"]
    models: list[str]
    language: str | None = None
    digest: str | None = None
    seconds: float | None = None
    created_at: datetime | None = None
    notes: list[str] = []


class Language(Answer):
    """A language of a model: the segment limit that planning keeps to, and the voice of a job that names none."""

    max_characters: int
    voice: str | None = None


class Model(Answer):
    """A model card: what a render worker announces, and what requests are validated against."""

    name: str
    revision: str = Field(description="changes whenever the same input would sound different")
    sample_rate: int
    languages: dict[str, Language]
    voices: dict[str, str] = Field(description="built-in voice -> its language")
    uploaded_voices: bool = Field(description="whether it can speak with an uploaded voice")
    parameters: list[str] = Field(
        description=f"what it honours of a request: {', '.join(_NAMED_AS_THEIR_FIELD)}; duration is "
        "target_duration_ms, pronunciation the marks in a text that say how a word is pronounced"
    )

    def language_for(self, tag: str) -> str | None:
        """The language that a tag asks for, as the card writes it: itself, else its primary subtag, else the first of
        its regions."""
        by_lower = {name.lower(): name for name in self.languages}
        lower = tag.lower()
        primary = lower.partition("-")[0]
        if found := by_lower.get(lower) or by_lower.get(primary):
            return found
        if lower == primary:  # `en` where the card knows en-us and en-gb: the first it names
            return next((name for low, name in by_lower.items() if low.startswith(primary + "-")), None)
        return None


class Worker(Answer):
    """A worker's heartbeat."""

    id: str
    kind: Literal["render", "desk"]
    model: str | None = None
    device: str | None = None
    started_at: datetime
    seen_at: datetime
    segments: int = 0
    segments_per_second: float = 0.0
    real_time_factor: float | None = Field(None, description="seconds of work per second of audio; lower is faster")
    batch_mean: float | None = None
    capacity: int | None = None
    idle_share: float | None = Field(None, description="share of the time under backlog in which the engine waited")
    memory_bytes: int = 0
    storage_mark: str | None = Field(None, description="birth mark of the storage that it sees; absent if it sees none")
    facts: dict[str, str] = Field({}, description="what its engine tells of itself: precision, attention, memory")


class Queue(Answer):
    """GET /v1/queue."""

    class Depth(Answer):
        ready: dict[Lane, int]
        leased: int
        segments_per_second: float
        workers: int

    jobs: dict[Status, int]
    models: dict[str, Depth]
    due: dict[str, int]
    workers: list[Worker]

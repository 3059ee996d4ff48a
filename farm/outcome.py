"""How a job ended: with what it has, or with an error."""

from __future__ import annotations

import json
from typing import cast

from farm.audio_formats import AudioFormat
from farm.stored import Stored
from farm.wire import JobError

SEGMENT_FAILED = "segment_failed"  # the error of a job that fails because one of its segments is dead


class Rendered(Stored):
    """The result of a job, with storage keys where clients see URLs."""

    format: AudioFormat
    sample_rate: int
    duration_seconds: float
    bytes: int
    sha256: str
    audio_key: str
    manifest_key: str
    subtitles: dict[str, str] = {}  # kind -> key
    loudness_lufs: float | None = None
    target_duration_ms: int | None = None
    duration_error_ms: int | None = None
    needs_review: int = 0  # segments
    chapters: int = 0  # that have files of their own; 0 unless the job asked for them
    unheard: list[int] = []  # of these chapters, those without a file, because all of their segments failed
    also: dict[str, str] = {}  # kind -> key


def success(rendered: Rendered) -> str:
    return json.dumps({"result": rendered.model_dump(exclude_defaults=True)}, separators=(",", ":"))


def failure(error: JobError) -> str:
    """The outcome of a job that failed. For a dead segment the store writes the same form by itself, with the code
    SEGMENT_FAILED (farm/lua/shared/grants.lua)."""
    return error.model_dump_json(exclude_defaults=True)


def read_outcome(outcome: str) -> Rendered | JobError:
    stored = cast(dict[str, object], json.loads(outcome))
    if "result" in stored:
        return Rendered.model_validate(stored["result"])
    return JobError.model_validate(stored)

"""The manifest of a result: the recording as a whole, its chapters, and one row for each segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from farm.audio_formats import AUDIO_FORMATS
from farm.file_names import chapter_name
from farm.plan import Plan
from farm.segment import Segment, of_its_own, recipe_of
from farm.sound.timeline import Span
from farm.spelling import plain_spelling
from farm.store import jobs
from farm.wire import NARRATOR, Output
from worker.desk.checklist import checklist
from worker.desk.stitch import ChapterFile, Stitched
from worker.desk.subtitles import Subtitles
from worker.engine import needs_review

_NAME_BYTES = 100  # of the file of a chapter, without its suffix


@dataclass(frozen=True, slots=True)
class Said:
    """What the engine said of a clip."""

    warnings: tuple[str, ...] = ()
    spoken_characters: int | None = None  # of the plain spelling; None where a clip of an earlier version does not say

    @property
    def needs_review(self) -> bool:
        """Whether somebody should listen to the clip."""
        return needs_review(warning.partition(":")[0] for warning in self.warnings)


class Manifest:
    def __init__(
        self, job: jobs.JobRecord, plan: Plan, stitched: Stitched, spans: Mapping[int, Span],
        said: Mapping[int, Said], timing: Mapping[str, int], output: Output,
    ) -> None:  # fmt: skip
        self._job, self._plan, self._stitched, self._spans, self._said = job, plan, stitched, spans, said
        self._timing, self._output = timing, output
        self._files = {file.chapter: file for file in stitched.chapter_files} if output.per_chapter else {}

    def row(self, segment: Segment, *, lost: jobs.Lost, cached: bool) -> dict[str, Any]:
        """One segment: its place in the text, its place in the audio, and its history."""
        row: dict[str, Any] = {
            "index": segment.index, "chapter": segment.chapter, "start": segment.start, "end": segment.end,
            "text": segment.text, "voice": segment.voice, "digest": segment.digest, "cached": cached,
            **of_its_own(segment),
        }  # fmt: skip
        if segment.target_duration_ms is not None:
            row["target_ms"] = segment.target_duration_ms
        span = self._spans.get(segment.index)
        if span is None:
            return row | {"error": lost.error or ""}
        said = self._said.get(segment.index, Said())
        if said.warnings:
            row["warnings"] = list(said.warnings)
        if said.needs_review:
            row["needs_review"] = True
        if said.spoken_characters is not None:
            row["spoken_characters"] = self._of(segment, said.spoken_characters)
        start, end = (self._stitched.milliseconds(frames) for frames in (span.start, span.start + span.frames))
        return row | {
            "offset_ms": start, "duration_ms": end - start, "offset_frames": span.start, "frames": span.frames,
            "pause_ms": segment.pause_ms, "attempts": lost.count + (0 if cached else 1),
        }  # fmt: skip

    def _of(self, segment: Segment, spoken: int) -> int:
        """The characters of a text as its user wrote it, for those of its plain spelling, which the engine counts."""
        text, language = segment.text, recipe_of(self._plan.recipe, segment).language
        length = len(plain_spelling(segment.said, language))
        return len(text) if spoken >= length else len(text) * spoken // length

    def document(
        self, table: Sequence[Mapping[str, Any]], subtitles: Subtitles | None = None,
        also: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    ) -> dict[str, Any]:  # fmt: skip
        """`also`: what there is to say of the files of output.also, by their kinds."""
        stitched, recipe = self._stitched, self._plan.recipe
        return {
            "job": self._job.id, "job_revision": self._job.revision, **_shares(table),
            "model": recipe.model, "revision": recipe.revision, "language": recipe.language,
            "format": stitched.format, "sample_rate": stitched.sample_rate, "duration_seconds": stitched.seconds,
            **self._timing, "frames": stitched.frames, "bytes": stitched.bytes, "sha256": stitched.sha256,
            **asdict(stitched.figures), "source_loudness_lufs": stitched.source_loudness_lufs,
            "gain_db": stitched.gain_db, "waveform": stitched.waveform, "file": asdict(stitched.held),
            **({"preset": checks} if (checks := self._checks()) is not None else {}),
            **({"also": dict(also)} if also else {}),
            "warnings": sum(len(said.warnings) for said in self._said.values()),
            "needs_review": sum(said.needs_review for said in self._said.values()),
            "characters": sum(len(row["text"]) for row in table), "spoken_characters": _spoken(table),
            "chapters": [self._chapter(number, table) for number in range(len(self._plan.chapters))],
            **({"cast": cast} if (cast := _cast(table)) else {}),
            **({"subtitles": {"times": "estimated" if subtitles.estimated else "exact"}} if subtitles else {}),
            "segments": table,
        }  # fmt: skip

    def _checks(self) -> dict[str, Any] | None:
        heard = {
            number: [self._spans[index] for index in range(first, first + count) if index in self._spans]
            for number, (first, count) in enumerate((each.first, each.count) for each in self._plan.chapters)
        }
        return checklist(self._output, self._stitched, heard)

    def _chapter(self, number: int, table: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        chapter = self._plan.chapters[number]
        heard = [row for row in table[chapter.first : chapter.first + chapter.count] if "offset_ms" in row]
        start = heard[0]["offset_ms"] if heard else 0
        end = heard[-1]["offset_ms"] + heard[-1]["duration_ms"] if heard else start
        return {
            "title": chapter.title, "first_segment": chapter.first, "segments": chapter.count, "offset_ms": start,
            "duration_ms": end - start, **timing(end - start, chapter.target_duration_ms),
            **(asdict(self._stitched.chapters[number]) if number in self._stitched.chapters else {}),
            **({"gain_db": self._stitched.gains[number]} if number in self._stitched.gains else {}),
            **({"file": self._file(chapter.title, self._files[number])} if number in self._files else {}),
        }  # fmt: skip

    def _file(self, title: str, file: ChapterFile) -> dict[str, Any]:
        """`offset_frames` is where the file begins in the whole recording."""
        name = chapter_name(file.chapter + 1, len(self._plan.chapters), title, _NAME_BYTES)
        return {
            "name": name + AUDIO_FORMATS[self._stitched.format].suffix, "bytes": file.bytes, "sha256": file.sha256,
            "duration_seconds": file.frames / self._stitched.sample_rate, "offset_frames": file.start,
            "frames": file.frames,
        }  # fmt: skip


def _shares(table: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many segments were rendered for this result, and of how many the clip was there."""
    heard = [row for row in table if "offset_ms" in row]
    reused = sum(row["cached"] for row in heard)
    return {"rendered": len(heard) - reused, "reused": reused}


def _cast(table: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Who speaks how much, where more than the narrator speaks: name -> voices, segments, characters, milliseconds."""
    if not any("character" in row for row in table):
        return {}
    found: dict[str, dict[str, Any]] = {}
    for row in table:
        said = found.setdefault(
            row.get("character", NARRATOR), {"voices": [], "segments": 0, "characters": 0, "duration_ms": 0}
        )
        if row["voice"] not in said["voices"]:
            said["voices"].append(row["voice"])
        said["segments"] += 1
        said["characters"] += len(row["text"])
        said["duration_ms"] += row.get("duration_ms", 0)
    return found


def _spoken(table: Sequence[Mapping[str, Any]]) -> int | None:
    """Of all segments together, a failed one with none; None where a clip does not say."""
    spoken = [0 if "error" in row else row.get("spoken_characters") for row in table]
    known = [count for count in spoken if count is not None]
    return sum(known) if len(known) == len(spoken) else None


def timing(reached_ms: int, target_duration_ms: int | None) -> dict[str, int]:
    """The target, and by how much the audio is longer; empty without a target."""
    if target_duration_ms is None:
        return {}
    return {"target_duration_ms": target_duration_ms, "duration_error_ms": reached_ms - target_duration_ms}

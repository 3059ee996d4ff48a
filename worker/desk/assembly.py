"""From settled segments to a result: clips in order, fetched ahead, joined by stitch.py, with a manifest that accounts
for every segment, uploaded under a key of its own run, so that two desks never write to one object."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from farm.errors import ClipCorrupt, FarmError, ObjectMissing
from farm.plan import Plan, Segment, clip_key, decode_page, pages_key, plan_key
from farm.pronunciation import plain
from farm.scratch import Scratch
from farm.spec import Rendered, Spec
from farm.storage import Storage
from farm.store import Store, jobs
from farm.wire import AudioFormat
from worker.desk.stitch import Piece, Span, Stitched, stitch
from worker.desk.subtitles import Cue, subtitles
from worker.flac import Decoded, decode

_MEDIA: Mapping[AudioFormat, tuple[str, str]] = {
    "wav": ("wav", "audio/wav"),
    "flac": ("flac", "audio/flac"),
    "mp3": ("mp3", "audio/mpeg"),
    "opus": ("ogg", "audio/ogg"),
}
_SUBTITLES = {"vtt": "text/vtt", "srt": "application/x-subrip"}
_FETCHERS = 8
_AHEAD = 32  # clips in memory at once; a clip of 20 s is about 1 MB


class ClipsMissing(FarmError):
    """These segments have to be rendered again: their clips are gone, or are not what they should be."""

    def __init__(self, indices: Sequence[int]) -> None:
        super().__init__(f"{len(indices)} clips are missing or damaged")
        self.indices = indices


class Assembler:
    def __init__(self, store: Store, storage: Storage) -> None:
        self._store, self._storage = store, storage

    def assemble(self, job: jobs.JobRecord, spec: Spec, run: str, check: Callable[[], None]) -> Rendered:
        """`run` makes the result's keys unique; `check` is called now and then; an exception from it ends the work.

        Raises ClipsMissing; ObjectMissing when the plan itself is gone."""
        plan = Plan.from_json(self._storage.get(plan_key(job.id)))
        lost = self._store.run(jobs.attempts(job.id))
        rows = [row for row in self._rows(job.id, plan) if lost.get(row.index, jobs.Lost()).error is None]
        extension, media_type = _MEDIA[spec.output.format]
        folder = f"results/{job.id}/{run}"
        with Scratch("assembly") as scratch:
            target = scratch.path / f"audio.{extension}"
            stitched, warnings = self._stitch(rows, plan, spec, target, check)
            audio_key = f"{folder}/audio.{extension}"
            self._storage.put_file(audio_key, target, media_type)
        spans = dict(zip((row.index for row in rows), stitched.spans, strict=True))
        timing = _timing(stitched.milliseconds(stitched.frames), spec.target_duration_ms)
        manifest = _Manifest(job, plan, stitched, spans, warnings, timing)
        cached = self._store.run(jobs.cached_bits(job.id))
        table = [
            manifest.row(row, lost=lost.get(row.index, jobs.Lost()), cached=row.index in cached)
            for row in self._rows(job.id, plan)
        ]
        manifest_key = f"{folder}/manifest.json"
        document = json.dumps(manifest.document(table), ensure_ascii=False, indent=1)
        self._storage.put(manifest_key, document.encode(), "application/json")
        return Rendered(
            format=stitched.format, sample_rate=stitched.sample_rate, duration_seconds=stitched.seconds,
            bytes=stitched.bytes, sha256=stitched.sha256, loudness_lufs=stitched.loudness_lufs,
            audio_key=audio_key, manifest_key=manifest_key, **timing,
            subtitles=self._subtitle(folder, spec, table, plain if plan.has_marks else str),
        )  # fmt: skip

    def _rows(self, job: str, plan: Plan) -> Iterator[Segment]:
        index = 0
        while index < plan.total:
            page = decode_page(self._storage.get(pages_key(job), *plan.page_range(plan.page_of(index))))
            yield from page
            index += len(page)

    def _stitch(
        self, rows: Sequence[Segment], plan: Plan, spec: Spec, target: Path, check: Callable[[], None]
    ) -> tuple[Stitched, Mapping[int, Sequence[str]]]:
        """The recording, and what the engine had to say of which segment."""
        warnings: dict[int, Sequence[str]] = {}
        if not rows:
            raise ObjectMissing("every segment failed, so there is nothing to assemble", code="nothing_rendered")

        def pieces() -> Iterator[Piece]:
            for row, clip in self._fetched(rows, plan.sample_rate):
                decoded = clip.result()
                if decoded.warnings:
                    warnings[row.index] = decoded.warnings
                yield Piece(decoded.pcm, row.pause_ms if row is not rows[-1] else 0)

        try:
            stitched = stitch(pieces(), sample_rate=plan.sample_rate, output=spec.output, target=target, check=check)
        except (ObjectMissing, ClipCorrupt):
            raise ClipsMissing(self._missing(rows, plan.sample_rate)) from None
        return stitched, warnings

    def _fetched(self, rows: Sequence[Segment], sample_rate: int) -> Iterator[tuple[Segment, Future[Decoded]]]:
        """Clips in order, fetched and decoded some way ahead on other cores."""
        with ThreadPoolExecutor(_FETCHERS, "fetch") as pool:
            ahead: deque[tuple[Segment, Future[Decoded]]] = deque()
            try:
                for row in rows:
                    ahead.append((row, pool.submit(self._clip, row, sample_rate)))
                    if len(ahead) > _AHEAD:
                        yield ahead.popleft()
                yield from ahead
            finally:
                pool.shutdown(cancel_futures=True)

    def _clip(self, row: Segment, sample_rate: int) -> Decoded:
        return decode(self._storage.get(clip_key(row.digest)), sample_rate)

    def _missing(self, rows: Sequence[Segment], sample_rate: int) -> list[int]:
        """All of them at once: after a power cut there may be many."""

        def missing(row: Segment) -> bool:
            try:
                self._clip(row, sample_rate)
            except ObjectMissing:
                return True
            except ClipCorrupt:
                self._storage.delete(clip_key(row.digest))  # or it would be found, and settled as if it were good
                return True
            return False

        with ThreadPoolExecutor(_FETCHERS, "look") as pool:
            return [row.index for row, is_missing in zip(rows, pool.map(missing, rows), strict=True) if is_missing]

    def _subtitle(
        self, folder: str, spec: Spec, table: Sequence[Mapping[str, Any]], shown: Callable[[str], str]
    ) -> dict[str, str]:
        cues = [
            Cue(row["offset_ms"], row["offset_ms"] + row["duration_ms"], shown(row["text"]))
            for row in table
            if "offset_ms" in row
        ]
        keys: dict[str, str] = {}
        for kind in spec.output.subtitles:
            keys[kind] = f"{folder}/subtitles.{kind}"
            self._storage.put(keys[kind], subtitles(cues, kind).encode(), _SUBTITLES[kind])
        return keys


class _Manifest:
    def __init__(
        self, job: jobs.JobRecord, plan: Plan, stitched: Stitched, spans: Mapping[int, Span],
        warnings: Mapping[int, Sequence[str]], timing: Mapping[str, int],
    ) -> None:  # fmt: skip
        self._job, self._plan, self._stitched, self._spans, self._warnings = job, plan, stitched, spans, warnings
        self._timing = timing

    def row(self, segment: Segment, *, lost: jobs.Lost, cached: bool) -> dict[str, Any]:
        """One segment: where it is in the text, where in the audio, and how it came about."""
        row: dict[str, Any] = {
            "index": segment.index, "chapter": segment.chapter, "start": segment.start, "end": segment.end,
            "text": segment.text, "voice": segment.voice, "digest": segment.digest, "cached": cached,
        }  # fmt: skip
        if segment.target_duration_ms is not None:
            row["target_ms"] = segment.target_duration_ms
        span = self._spans.get(segment.index)
        if span is None:
            return row | {"error": lost.error or ""}
        if segment.index in self._warnings:
            row["warnings"] = list(self._warnings[segment.index])
        start, end = (self._stitched.milliseconds(frames) for frames in (span.start, span.start + span.frames))
        return row | {
            "offset_ms": start, "duration_ms": end - start, "offset_frames": span.start, "frames": span.frames,
            "pause_ms": segment.pause_ms, "attempts": lost.count + (0 if cached else 1),
        }  # fmt: skip

    def document(self, table: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        stitched, recipe = self._stitched, self._plan.recipe
        return {
            "job": self._job.id, "model": recipe.model, "revision": recipe.revision, "language": recipe.language,
            "format": stitched.format, "sample_rate": stitched.sample_rate, "duration_seconds": stitched.seconds,
            **self._timing, "frames": stitched.frames, "bytes": stitched.bytes, "sha256": stitched.sha256,
            "loudness_lufs": stitched.loudness_lufs, "source_loudness_lufs": stitched.source_loudness_lufs,
            "gain_db": stitched.gain_db, "peak_dbfs": stitched.peak_dbfs,
            "warnings": sum(len(warnings) for warnings in self._warnings.values()),
            "chapters": [self._chapter(number, table) for number in range(len(self._plan.chapters))],
            "segments": table,
        }  # fmt: skip

    def _chapter(self, number: int, table: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        chapter = self._plan.chapters[number]
        heard = [row for row in table[chapter.first : chapter.first + chapter.count] if "offset_ms" in row]
        start = heard[0]["offset_ms"] if heard else 0
        end = heard[-1]["offset_ms"] + heard[-1]["duration_ms"] if heard else start
        return {
            "title": chapter.title, "first_segment": chapter.first, "segments": chapter.count, "offset_ms": start,
            "duration_ms": end - start, **_timing(end - start, chapter.target_duration_ms),
        }  # fmt: skip


def _timing(reached_ms: int, target_duration_ms: int | None) -> dict[str, int]:
    """What was asked for, and by how much the audio is longer; nothing where nothing was."""
    if target_duration_ms is None:
        return {}
    return {"target_duration_ms": target_duration_ms, "duration_error_ms": reached_ms - target_duration_ms}

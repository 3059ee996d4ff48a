"""Assembles the result of a job: its clips in order, stitched into one file, with a manifest that accounts for every
segment. The result is uploaded under a key of its own run, so that two desks never write to one object.

    clips are missing or damaged        their segments are rendered again, at most five times a job
    plan gone, or every segment dead    the job fails: trying again would end the same
    a late token                        another desk was faster, or the job was canceled: the result is deleted
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from farm.audio_formats import ALSO_FORMATS, AUDIO_FORMATS, SUBTITLE_FORMATS, SubtitleFormat
from farm.documents.metadata import Cover, Metadata
from farm.encoders import holds_chapters
from farm.errors import BadInput, ClipCorrupt, FarmError, ObjectMissing
from farm.job import Status
from farm.layout import (
    also_key,
    audio_key,
    book_cover_key,
    book_key,
    chapter_key,
    manifest_key,
    passage_key,
    passages_prefix,
    register_key,
    result_prefix,
    run_prefix,
    subtitles_key,
)
from farm.outcome import Rendered, success
from farm.passages import is_long, passages
from farm.plan import Plan
from farm.plan_reader import PlanReader
from farm.pronunciation import plain
from farm.scratch import Scratch
from farm.segment import Segment, firsts
from farm.silences import silences
from farm.sound.timeline import Piece
from farm.spec import Spec
from farm.storage import Storage
from farm.store import Store, jobs, registry, revisions, tasks
from farm.tracing import OFF, Span, Tracing, step_of, unix_ns
from farm.wake import Waker, render_queue
from farm.wire import Output
from worker.desk.binding import Binder
from worker.desk.book import Book
from worker.desk.clips import Clips
from worker.desk.failure import fail_job
from worker.desk.manifest import Manifest, Said, timing
from worker.desk.passage import Pieces, gain_of, names_in_result
from worker.desk.passage_maker import PassageDamaged, passages_of, pieces_of
from worker.desk.read_along import ReadAlong
from worker.desk.recording_file import TooLong
from worker.desk.register import Register, RegisterDamaged, keeps_passages
from worker.desk.stitch import Stitched, stitch
from worker.desk.subtitles import Cue, Subtitles
from worker.desk.task_lease import TaskLost
from worker.desk.upload import Upload

log = logging.getLogger(__name__)

_REDOS = 5  # a bucket that loses clips as fast as they come must not keep a GPU busy for ever
_NAMED = 20  # segments in an error
_LOSING = "clips of this job keep disappearing from storage; see to the bucket or disk, then retry"


class ClipsMissing(FarmError):
    """The clips of these segments are gone or damaged: the segments have to be rendered again."""

    def __init__(self, indices: Sequence[int]) -> None:
        super().__init__(f"{len(indices)} clips are missing or damaged")
        self.indices = indices


@dataclass(frozen=True, slots=True)
class _Joined:
    stitched: Stitched
    said: Mapping[int, Said]  # of each segment that is heard, by the engine
    register: Path | None = None


class Assembler:
    def __init__(self, store: Store, storage: Storage, waker: Waker, lease_ms: int, tracing: Tracing = OFF) -> None:
        self._store, self._storage, self._waker, self._lease_ms = store, storage, waker, lease_ms
        self._tracing = tracing
        self._read_along = ReadAlong(storage)

    def assemble(self, task: tasks.Task, check: Callable[[], None]) -> None:
        """`check` is called now and then; an exception from it ends the work."""
        job = self._store.run(jobs.record(task.id))
        if job is None or job.status is not Status.ASSEMBLING:
            self._store.run(tasks.done(task))
            return
        rendering = self._rendering(job)
        with step_of(self._tracing, "assemble", job.id, job.trace, segments=job.total) as span:
            self._assemble(job, task, check, span, rendering)

    def _assemble(
        self, job: jobs.JobRecord, task: tasks.Task, check: Callable[[], None], span: Span, rendering: tuple[int, int]
    ) -> None:
        self._clear(task)
        upload = Upload(self._storage)
        try:
            with upload:
                rendered = self._rendered(job, Spec.model_validate_json(job.spec), task.token, upload, check)
        except ClipsMissing as missing:
            span.set(missing=len(missing.indices))
            self._render_again(job, task, missing.indices)
            return
        except (ObjectMissing, BadInput) as error:
            span.set(error=error.code)
            fail_job(self._store, task, error)
            return
        if not self._store.run(jobs.finish(job.id, task.token, success(rendered), upload.bytes)):
            log.info("assemble of %s is no longer ours; its result is dropped", job.id)
            upload.withdraw()
            return
        span.set(audio_seconds=rendered.duration_seconds, bytes=rendered.bytes)
        log.info("job %s succeeded: %d segments, %.1f s of audio", job.id, job.total, rendered.duration_seconds)
        if job.trace is not None:
            began, ended = rendering
            self._tracing.past(
                "render", parent=job.trace, began_ns=began, ended_ns=ended,
                job_id=job.id, segments=job.total, cached=job.cached, redos=job.redos,
            )  # fmt: skip
        self._storage.delete(*(found.key for found in self._storage.list(passages_prefix(job.id))))

    def _rendering(self, job: jobs.JobRecord) -> tuple[int, int]:
        """When the segments of the job became ready, and now: nanoseconds by the clock of this machine. No process saw
        all of it."""
        if not self._tracing.on or job.trace is None or job.running_ms is None:
            return time.time_ns(), time.time_ns()
        clock_ms = self._store.run(registry.clock()).timestamp() * 1000
        return unix_ns(job.running_ms, clock_ms), unix_ns(clock_ms, clock_ms)

    def _clear(self, task: tasks.Task) -> None:
        """Deletes the uploads of an earlier run, such as of a desk that was killed. They are listed while the task is
        ours, so the uploads of a later desk are not among them. The results of earlier revisions stay."""
        results = result_prefix(task.id)
        kept = {run_prefix(each.result.audio_key) for each in self._store.run(revisions.earlier(task.id)).values()}
        left = [found.key for found in self._storage.list(results) if run_prefix(found.key) not in kept]
        if not self._store.run(tasks.extend(task, self._lease_ms)):
            raise TaskLost
        self._storage.abandon(results)
        self._storage.delete(*left)

    def _render_again(self, job: jobs.JobRecord, task: tasks.Task, indices: Sequence[int]) -> None:
        if job.redos == _REDOS:
            fail_job(self._store, task, ObjectMissing(_LOSING, code="clips_keep_missing"))
            return
        log.warning("%d clips of %s are missing and are rendered again", len(indices), job.id)
        self._store.run(jobs.redo(job.id, task.token, indices))
        self._waker.wake(render_queue(job.model))

    # --- the result -------------------------------------------------------------------------------------------------

    def _rendered(
        self, job: jobs.JobRecord, spec: Spec, run: str, upload: Upload, check: Callable[[], None]
    ) -> Rendered:
        """Makes and uploads audio, manifest and subtitles, of the whole and of each chapter; `run` makes their keys
        unique. Raises ClipsMissing, or ObjectMissing when the plan itself is gone."""
        reader = PlanReader(self._storage, job.id, job.revision)
        plan = reader.plan
        lost = self._store.run(jobs.attempts(job.id))
        every = list(reader.rows())
        rows = [row for row in every if lost.get(row.index, jobs.Lost()).error is None]
        encoding = AUDIO_FORMATS[spec.output.format]
        with Scratch("assembly") as scratch:
            target = scratch.path / f"audio{encoding.suffix}"
            if passages(every, spec.output):
                failed = {index for index, each in lost.items() if each.error is not None}
                try:
                    joined = self._bind(job, pieces_of(every, failed, plan, spec.output), plan, spec, target, check)
                except TooLong:
                    if spec.output.gain_per_chapter or spec.output.per_chapter:
                        raise BadInput(
                            "output.format: the recording is too long for a flac with a gain or a file for each "
                            "chapter; ask for m4b or wav",
                            code="output_too_long", pointer="/output/format",
                        ) from None  # fmt: skip
                    joined = self._stitch(rows, plan, spec, target, check)
            else:
                joined = self._stitch(rows, plan, spec, target, check)
            stitched, said = joined.stitched, joined.said
            review = [row for row in rows if said[row.index].needs_review]
            if review and spec.on_review == "fail":
                raise _to_review(review, len(every))
            audio = audio_key(job.id, run, encoding.suffix)
            upload.put(audio, target, encoding.media_type)
            files = {each.chapter: each for each in stitched.chapter_files} if spec.output.per_chapter else {}
            if joined.register is not None:
                upload.put(register_key(audio), joined.register, "application/octet-stream")
            upload.put_all(
                ((chapter_key(audio, number), each.path, encoding.media_type) for number, each in files.items()), check
            )
            spans = dict(zip((row.index for row in rows), stitched.spans, strict=True))
            times = timing(stitched.milliseconds(stitched.frames), spec.target_duration_ms)
            manifest = Manifest(job, plan, stitched, spans, said, times, spec.output)
            cached = self._store.run(jobs.cached_bits(job.id))
            table = [
                manifest.row(row, lost=lost.get(row.index, jobs.Lost()), cached=row.index in cached) for row in every
            ]
            also, told = {}, {}
            if "epub" in spec.output.also:
                book = Book.of(job, spec, plan, rows, self._document(job.id, spec.output))
                made = self._read_along.make(scratch.path, job, spec, plan, stitched, table, book, check)
                also["epub"], told["epub"] = also_key(job.id, run, "epub"), made.facts
                upload.put(also["epub"], made.path, ALSO_FORMATS["epub"])
        subtitles = _subtitles(table, plan) if spec.output.subtitles else None
        document = json.dumps(manifest.document(table, subtitles, told), ensure_ascii=False, indent=1).encode()
        upload.put(manifest_key(job.id, run), document, "application/json")
        kinds = {kind: subtitles_key(job.id, run, kind) for kind in spec.output.subtitles}
        if subtitles:
            starts_ms = {number: stitched.milliseconds(each.start) for number, each in files.items()}
            upload.put_all(_subtitle_files(kinds, subtitles, starts_ms), check)
        return Rendered(
            format=stitched.format, sample_rate=stitched.sample_rate, duration_seconds=stitched.seconds,
            bytes=stitched.bytes, sha256=stitched.sha256, loudness_lufs=stitched.figures.loudness_lufs,
            audio_key=audio, manifest_key=manifest_key(job.id, run), **times,
            subtitles=kinds, needs_review=len(review), chapters=len(plan.chapters) if files else 0,
            unheard=[number for number in range(len(plan.chapters)) if number not in files] if files else [],
            also=also,
        )  # fmt: skip

    def _stitch(
        self, rows: Sequence[Segment], plan: Plan, spec: Spec, target: Path, check: Callable[[], None]
    ) -> _Joined:
        """The recording in `target`."""
        said: dict[int, Said] = {}
        if not rows:
            raise _nothing()
        clips = Clips(self._storage, plan.sample_rate)
        around = silences(rows, spec.output.pause_ms)

        def pieces() -> Iterator[Piece]:
            for (row, clip), silence in zip(clips.fetched(rows), around, strict=True):
                said[row.index] = Said(clip.warnings, clip.spoken_characters)
                yield Piece(clip.pcm, silence.after, silence.before)

        try:
            stitched = stitch(
                pieces(), sample_rate=plan.sample_rate, output=spec.output, target=target, check=check,
                chapters=firsts(rows),
            )  # fmt: skip
        except (ObjectMissing, ClipCorrupt):
            raise ClipsMissing(clips.missing(rows)) from None
        return _Joined(stitched, said)

    def _bind(
        self, job: jobs.JobRecord, every: Sequence[Pieces], plan: Plan, spec: Spec, target: Path,
        check: Callable[[], None],
    ) -> _Joined:  # fmt: skip
        """As _stitch, of the passages that the result before has, or that were made while the job was rendered."""
        if not every:
            raise _nothing()
        rows = [row for pieces in every for row in pieces.rows]
        book = Book.of(job, spec, plan, rows, self._document(job.id, spec.output))
        register = Register.before(self._store, self._storage, job.id, job.revision)
        while True:
            try:
                return self._bound(job.id, every, plan.sample_rate, spec.output, target, book, check, register)
            except RegisterDamaged:
                log.warning("the result before of %s is gone or damaged; all of its passages are made anew", job.id)
                register = Register(self._storage)
            except PassageDamaged as damaged:
                log.warning("a passage of %s is gone or damaged, and made anew: %s", job.id, damaged.key)
                self._storage.delete(damaged.key)
            except (ObjectMissing, ClipCorrupt):
                raise ClipsMissing(Clips(self._storage, plan.sample_rate).missing(rows)) from None

    def _bound(
        self, job: str, every: Sequence[Pieces], sample_rate: int, output: Output, target: Path, book: Book,
        check: Callable[[], None], register: Register,
    ) -> _Joined:  # fmt: skip
        names = names_in_result(every, sample_rate, output)
        named = list(zip(every, names, strict=True))
        stored = {found.key for found in self._storage.list(passages_prefix(job))}
        waiting = [each for each in named if not (each[0].knows_gain(output) or each[1] in register)]
        finished = {name for _, name in waiting if passage_key(job, name) in stored}
        gains = {gain_of(name) for _, name in waiting if name not in finished}
        unmeasured = [(pieces, name) for pieces, name in waiting if gain_of(name) in gains]
        of = register, finished, self._storage, sample_rate, output, check
        binder = Binder(target, output, sample_rate, names if keeps_passages(output) else ())
        stitched = binder.bind(passages_of(job, named, *of), book, check, measured=passages_of(job, unmeasured, *of))
        indices = (row.index for pieces in every for row in pieces.rows)
        kept = binder.register if is_long(stitched.milliseconds(stitched.frames)) else None
        return _Joined(stitched, dict(zip(indices, binder.said, strict=True)), kept)

    def _document(self, job: str, output: Output) -> Metadata:
        """What the document of a job says of itself; nothing where the job has none, or its format shows nothing."""
        if not holds_chapters(output.format):
            return Metadata()
        try:
            said = Metadata.from_json(self._storage.get(book_key(job)))
        except ObjectMissing:
            return Metadata()
        with suppress(ObjectMissing):
            return replace(said, cover=Cover(self._storage.get(book_cover_key(job)), ""))
        return said


def _to_review(rows: Sequence[Segment], total: int) -> BadInput:
    first = ", ".join(str(row.index) for row in rows[:_NAMED])
    more = ", …" if len(rows) > _NAMED else ""
    return BadInput(
        f"{len(rows)} of {total} segments need a review ({first}{more}), and on_review is fail; submit it with deliver "
        "to hear them, or with another seed or voice",
        code="needs_review", pointer="/on_review",
    )  # fmt: skip


def _nothing() -> ObjectMissing:
    return ObjectMissing("every segment failed, so there is nothing to assemble", code="nothing_rendered")


def _subtitles(table: Sequence[Mapping[str, Any]], plan: Plan) -> Subtitles:
    """Of the rows that are heard; a mark that says how a word is pronounced is shown as the word."""
    shown = plain if plan.has_marks else str
    cues = (
        Cue(row["offset_ms"], row["offset_ms"] + row["duration_ms"], shown(row["text"]), row["index"], row["chapter"])
        for row in table
        if "offset_ms" in row
    )
    return Subtitles(cues, plan.recipe.language)


def _subtitle_files(
    kinds: Mapping[SubtitleFormat, str], subtitles: Subtitles, starts_ms: Mapping[int, int]
) -> Iterator[tuple[str, bytes, str]]:
    """Of the whole, which has a key for each kind, and of the chapters that have files, which begin there: key,
    content, media type."""
    chapters = subtitles.of_chapters(starts_ms)
    for kind, key in kinds.items():
        media_type = SUBTITLE_FORMATS[kind]
        yield key, subtitles.file(kind).encode(), media_type
        for number, own in chapters.items():
            yield chapter_key(key, number), own.file(kind).encode(), media_type

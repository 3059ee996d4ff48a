"""What workers do to a job, without engines: planned, rendered and finished through the real store and storage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import redis

from farm.cutting import Part
from farm.job import Due
from farm.layout import audio_key, chapter_key, manifest_key, pages_key, plan_key, subtitles_key
from farm.outcome import Rendered, failure, success
from farm.plan import encode_plan
from farm.planning import segments as planned
from farm.segment import Recipe
from farm.settings import Settings
from farm.spec import Spec
from farm.storage import open_storage
from farm.store import Store, jobs, revisions, segments, tasks
from farm.text_document import read_text, stored_text_key
from farm.wire import JobError, Language, Model, Pauses

LEASE_MS = 60_000

ESPEAK = Model(
    name="espeak",
    revision="1",
    sample_rate=22050,
    languages={
        "en-us": Language(max_characters=300, voice="en-us"),
        "en-gb": Language(max_characters=300, voice="en-gb"),
        "de": Language(max_characters=300, voice="de"),
    },
    voices={"en-us": "en-us", "en-gb": "en-gb", "de": "de"},
    uploaded_voices=False,
    parameters=["speed", "pitch"],
)
INDEXTTS = Model(
    name="indextts-2",
    revision="1",
    sample_rate=22050,
    languages={"en": Language(max_characters=290), "zh": Language(max_characters=110)},
    voices={},
    uploaded_voices=True,
    parameters=["seed", "emotion", "duration", "checks"],
)
INDEXTTS_25 = Model(
    name="indextts-2.5",
    revision="1",
    sample_rate=22050,
    languages={
        name: Language(max_characters=limit)
        for name, limit in {"zh": 110, "en": 290, "ja": 70, "es": 240, "ar": 220}.items()
    },
    voices={},
    uploaded_voices=True,
    parameters=["speed", "seed", "emotion", "normalize", "duration", "checks", "pronunciation"],
)


class Backstage:
    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.redis_url = settings.redis_url
        self.storage = open_storage(settings)

    def spec(self, job: str) -> Spec:
        return Spec.model_validate_json(self._record(job).spec)

    def _record(self, job: str) -> jobs.JobRecord:
        record = self.store.run(jobs.record(job))
        assert record is not None
        return record

    def plan(self, job: str) -> int:
        """As the desk does it; the number of segments. Every sentence is one, and shorter than 40 characters."""
        task = self._take(Due.PLAN, job)
        spec, text = self.spec(job), self.store.run(jobs.text(job))
        document = self.storage.get(stored_text_key(job, spec)) if text is None else text
        chapters = read_text(document)
        parts = [
            Part(chapter.title, chapter.input, *spec.speaker(chapter.voice), chapter.target_duration_ms)
            for chapter in chapters
        ]
        recipe = Recipe("default", "espeak", "1", spec.language, spec.manner)
        rows = planned(parts, recipe, 40, Pauses(), target_duration_ms=spec.target_duration_ms, seeds=spec.seeds)
        header, pages = encode_plan(rows, parts, recipe, sample_rate=22050)
        revision = self._record(job).revision
        self.storage.put(stored_text_key(job, spec), document.encode() if isinstance(document, str) else document)
        self.storage.put(pages_key(job, revision), pages)
        self.storage.put(plan_key(job, revision), header.to_json().encode())
        assert self.store.run(jobs.plan(job, task.token, header.total))
        return header.total

    def render(self, job: str, count: int | None = None) -> None:
        """Segments of this job, each with a clip of 1.5 s; all that are left when `count` is None."""
        record = self._record(job)
        want = record.ready if count is None else count
        grant = self.store.run(segments.claim(record.model, want=want, worker="w", lease_ms=LEASE_MS))
        assert grant is not None
        assert set(grant.segments) == {job}, "the work of other jobs comes first"
        self.store.run(segments.begin(grant.token, grant.segments))
        self.store.run(
            segments.settle(grant.token, [segments.Settled(job, index, 1500) for index in grant.segments[job]])
        )

    def finish(self, job: str, audio: bytes = b"mp3 of it", *, chapters: Sequence[str] = (), **figures: Any) -> None:
        """`chapters`: titles of those that have files of their own."""
        task = self._take(Due.ASSEMBLE, job)
        key = audio_key(job, task.token, ".mp3")
        self.storage.put(key, audio)
        rows = [{"index": 0, "chapter": 0, "start": 0, "end": 3, "text": "One", "voice": "de", "digest": "aa",
                 "cached": True, "offset_ms": 0, "duration_ms": 1500, "attempts": 0}]  # fmt: skip
        manifest: dict[str, Any] = {
            "job": job, "model": "espeak", "language": "de", "format": "mp3", "sample_rate": 22050,
            "duration_seconds": 1.5, "chapters": [], "segments": rows,
        }  # fmt: skip
        vtt = subtitles_key(job, task.token, "vtt")
        for number, title in enumerate(chapters):
            sound = audio + b"%d" % number
            self.storage.put(chapter_key(key, number), sound)
            self.storage.put(chapter_key(vtt, number), b"WEBVTT\n\n%d" % number)
            file = {"name": f"{number + 1:02} {title}.mp3", "bytes": len(sound), "duration_seconds": 1.5,
                    "sha256": hashlib.sha256(sound).hexdigest(), "offset_frames": 0, "frames": 33075}  # fmt: skip
            manifest["chapters"].append({"title": title, "first_segment": 0, "segments": 1, "offset_ms": 0,
                                         "duration_ms": 1500, "loudness_lufs": -20.5, "file": file})  # fmt: skip
        self.storage.put(manifest_key(job, task.token), json.dumps(manifest, indent=1).encode())
        self.storage.put(vtt, b"WEBVTT\n")
        rendered = Rendered(
            format="mp3",
            sample_rate=22050,
            duration_seconds=1.5,
            bytes=len(audio),
            sha256=hashlib.sha256(audio).hexdigest(),
            audio_key=key,
            manifest_key=manifest_key(job, task.token),
            subtitles={"vtt": vtt},
            chapters=len(chapters),
            **figures,
        )
        assert self.store.run(jobs.finish(job, task.token, success(rendered), len(audio)))

    def succeed(self, job: str, audio: bytes = b"mp3 of it", **figures: Any) -> None:
        self.plan(job)
        self.render(job)
        self.finish(job, audio, **figures)

    def fail(self, job: str) -> None:
        task = self._take(Due.PLAN, job)
        error = JobError(code="unspeakable", message="nothing in it can be spoken")
        assert self.store.run(jobs.abort(job, Due.PLAN, task.token, failure(error)))

    def expire(self, job: str) -> None:
        self._let_come(Due.EXPIRE, job)
        assert self.store.run(jobs.expire(job, self._take(Due.EXPIRE, job).token, 60))

    def retire(self, job: str, revision: int) -> None:
        """The retention of an earlier result is over."""
        id = f"{job}.{revision}"
        self._let_come(Due.RETIRE, id)
        assert self.store.run(revisions.retire(self._take(Due.RETIRE, id)))

    def _let_come(self, kind: Due, id: str) -> None:
        with redis.Redis.from_url(self.redis_url) as client:
            client.zadd(f"f:due:{kind}:normal:default", {id: 1})
            client.zadd(f"f:desk:{kind}:normal", {"default": 1})

    def _take(self, kind: Due, job: str) -> tasks.Task:
        taken = self.store.run(tasks.take((kind,), want=100, lease_ms=LEASE_MS))
        for task in taken:
            if task.id != job:
                assert self.store.run(tasks.done(task, again_ms=0))
        return next(task for task in taken if task.id == job)

"""Records of the store in the shape that clients see, with absolute URLs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.requests import HTTPConnection

from api import estimate
from farm.job import Status
from farm.order import Order
from farm.outcome import Rendered, read_outcome
from farm.spec import BatchSpec, Spec
from farm.store import batches, jobs
from farm.wire import Batch, BatchStatus, Job, JobError, JobRevision, Progress, Result

_NO_PROGRESS = Progress(segments_total=0, segments_done=0, segments_failed=0, cached=0, audio_seconds=0, percent=0)


def base_url(request: HTTPConnection, public_url: str | None) -> str:
    """The base of absolute URLs: FARM_PUBLIC_URL, else the address by which the client reached this API."""
    return (public_url or str(request.base_url)).rstrip("/")


def job_view(job: jobs.JobRecord, base: str, per_second: float | None) -> Job:
    spec = Spec.model_validate_json(job.spec)
    outcome = read_outcome(job.outcome) if job.outcome else None
    url = f"{base}/v1/jobs/{job.id}"
    return Job(
        id=job.id,
        status=job.status,
        custom_id=spec.custom_id,
        batch_id=job.batch,
        model=job.model,
        voice=spec.voice,
        language=spec.language,
        priority=job.lane,
        metadata=spec.metadata,
        characters=job.characters,
        markup=spec.markup,
        lexicons=list(spec.lexicons),
        seed=spec.manner.seed,
        revision=job.revision,
        rendered=job.done - job.cached,
        reused=job.cached,
        streamed=job.streamed,
        progress=Progress(
            segments_total=job.total,
            segments_done=job.done,
            segments_failed=job.dead,
            cached=job.cached,
            needs_review=job.review,
            audio_seconds=job.milliseconds / 1000,
            percent=_percent(job),
        ),
        queue_position=estimate.position(job),
        eta_seconds=estimate.seconds_left(job, per_second),
        error=outcome if isinstance(outcome, JobError) and job.status is not Status.CANCELED else None,
        result=_result(outcome, job, url),
        status_url=url,
        created_at=moment(job.created_ms),
        started_at=_moment(job.running_ms),
        ended_at=_moment(job.ended_ms),
    )


def accepted_view(order: Order, base: str) -> Job:
    """The view of a job that was accepted just now; its record need not be read."""
    spec = order.spec
    return Job(
        id=order.id,
        status=Status.QUEUED,
        custom_id=spec.custom_id,
        model=order.model,
        voice=spec.voice,
        language=spec.language,
        priority=order.lane,
        metadata=spec.metadata,
        characters=order.characters,
        markup=spec.markup,
        lexicons=list(spec.lexicons),
        seed=spec.manner.seed,
        progress=_NO_PROGRESS,
        status_url=f"{base}/v1/jobs/{order.id}",
        created_at=datetime.now(UTC),
    )


def batch_status(batch: batches.BatchRecord) -> BatchStatus:
    if batch.ended_ms is None:
        return "running"
    return "canceled" if batch.canceled else "completed"


def counts_of(batch: batches.BatchRecord) -> dict[str, int]:
    """Its jobs by status; those that are not unfolded yet are queued."""
    counts = {status.value: count for status, count in batch.counts.items() if count}
    if batch.waiting:
        counts[Status.QUEUED] = counts.get(Status.QUEUED, 0) + batch.waiting
    return counts


def batch_view(batch: batches.BatchRecord, base: str, speeds: dict[str, float]) -> Batch:
    spec = BatchSpec.model_validate_json(batch.spec)
    url = f"{base}/v1/batches/{batch.id}"
    return Batch(
        id=batch.id,
        status=batch_status(batch),
        total=batch.total,
        counts=counts_of(batch),
        progress=Progress(
            segments_total=batch.segments,
            segments_done=batch.segments_done,
            segments_failed=batch.segments_dead,
            cached=batch.cached,
            needs_review=batch.review,
            audio_seconds=batch.milliseconds / 1000,
            percent=round(100 * estimate.batch_share(batch), 1),
        ),
        eta_seconds=estimate.batch_seconds_left(batch, sum(speeds.get(model, 0.0) for model in spec.models)),
        metadata=spec.metadata,
        status_url=url,
        jobs_url=f"{url}/jobs",
        created_at=moment(batch.created_ms),
        ended_at=_moment(batch.ended_ms),
    )


def moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else moment(ms)


def _percent(job: jobs.JobRecord) -> float:
    if job.status is Status.SUCCEEDED:
        return 100.0
    return round(100 * (job.done + job.dead) / job.total, 1) if job.total else 0.0


def revision_view(job: jobs.JobRecord, base: str, *, earlier: bool) -> JobRevision:
    """`job` is the record as it was at that revision."""
    outcome = read_outcome(job.outcome) if job.outcome else None
    return JobRevision(
        revision=job.revision,
        status=job.status,
        rendered=job.done - job.cached,
        reused=job.cached,
        result=_result(outcome, job, f"{base}/v1/jobs/{job.id}", f"?revision={job.revision}" if earlier else ""),
        ended_at=_moment(job.ended_ms),
    )


def _result(outcome: Rendered | JobError | None, job: jobs.JobRecord, url: str, which: str = "") -> Result | None:
    if not isinstance(outcome, Rendered) or job.status is not Status.SUCCEEDED or job.ended_ms is None:
        return None
    shown: dict[str, Any] = outcome.model_dump(include=set(Result.model_fields) - {"subtitles", "also"})
    return Result(
        **shown,
        audio_url=f"{url}/audio{which}",
        manifest_url=f"{url}/manifest{which}",
        subtitles={kind: f"{url}/subtitles.{kind}{which}" for kind in outcome.subtitles},
        chapters_url=f"{url}/chapters{which}" if outcome.chapters else None,
        also={kind: f"{url}/readalong.{kind}{which}" for kind in outcome.also},
        expires_at=moment(job.ended_ms + 1000 * job.retention_s),
    )

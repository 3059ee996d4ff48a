"""The place of the segment that failed a job: its chapter, its offsets in the text, and the text itself.

The store knows the number of the segment alone; the plan in storage has the rest. Whoever shows a failed job first
looks it up, and keeps it in the outcome (jobs.explain), where it outlives the plan.
"""

from __future__ import annotations

from farm.errors import FarmError
from farm.job import Status
from farm.outcome import failure, read_outcome
from farm.plan_reader import PlanReader
from farm.storage import Storage
from farm.store import jobs
from farm.wire import JobError


def lacks_place(job: jobs.JobRecord) -> bool:
    return job.status is Status.FAILED and _unplaced(job) is not None


def located(storage: Storage, job: jobs.JobRecord) -> str | None:
    """The outcome with the place in it; None when the plan can't be read now."""
    error = _unplaced(job)
    if error is None or error.segment is None:
        return None
    try:
        reader = PlanReader(storage, job.id, job.revision)
        row = reader.row(error.segment)
    except (FarmError, IndexError):  # the status of a job is shown while storage is away too
        return None
    place = {
        "chapter": row.chapter, "chapter_title": reader.plan.chapters[row.chapter].title or None,
        "start": row.start, "end": row.end, "text": row.text,
    }  # fmt: skip
    return failure(error.model_copy(update=place))


def _unplaced(job: jobs.JobRecord) -> JobError | None:
    error = read_outcome(job.outcome) if job.outcome else None
    if isinstance(error, JobError) and error.segment is not None and error.text is None:
        return error
    return None

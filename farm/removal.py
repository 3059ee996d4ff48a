"""Deleting a job: its record, and its objects in storage, which are its result, its text and plan, and the clips of its
segments."""

from __future__ import annotations

from collections.abc import Iterator

from farm.errors import ObjectMissing
from farm.layout import clip_key, job_prefix, result_prefix
from farm.plan_reader import PlanReader
from farm.storage import Storage
from farm.store import Store, jobs


def remove_job(store: Store, storage: Storage, job: str) -> None:
    """The record and everything in storage that was made for it. An open job is canceled first. Safe to do twice."""
    record = store.run(jobs.record(job))
    if record is not None:
        store.run(jobs.cancel(job, record.tenant))
    remove_objects(storage, job, clips=True)
    store.run(jobs.forget(job))
    remove_objects(storage, job)  # what a desk was writing until then


def remove_objects(storage: Storage, job: str, *, clips: bool = False) -> None:
    """Safe to do twice. `clips` takes the clips too: another job of the tenant that says the same has them rendered
    again when it is assembled."""
    if clips:
        storage.delete(*_clips(storage, job))
    storage.abandon(result_prefix(job))
    for prefix in (result_prefix(job), job_prefix(job)):  # the plan last, because it names the clips
        storage.delete(*(found.key for found in storage.list(prefix)))


def _clips(storage: Storage, job: str) -> Iterator[str]:
    try:
        reader = PlanReader(storage, job)
    except ObjectMissing:
        return  # never planned, or removed before
    for segment in reader.rows():
        yield clip_key(segment.digest)

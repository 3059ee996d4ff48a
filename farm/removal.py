"""Taking a job's objects out of storage: its result, its text and plan, and on request the clips of its segments."""

from __future__ import annotations

from collections.abc import Iterator

from farm.errors import ObjectMissing
from farm.layout import clip_key, job_prefix, pages_key, plan_key, result_prefix
from farm.plan import Plan, decode_page
from farm.storage import Storage


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
        plan = Plan.from_json(storage.get(plan_key(job)))
    except ObjectMissing:
        return  # never planned, or removed before
    index = 0
    while index < plan.total:
        page = decode_page(storage.get(pages_key(job), *plan.page_range(plan.page_of(index))))
        for segment in page:
            yield clip_key(segment.digest)
        index += len(page)

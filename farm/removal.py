"""Deleting a job: its record, and its objects in storage, which are its result, its text and plan, and the clips of its
segments. Deleting all that a tenant has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from farm.errors import ObjectMissing
from farm.layout import (
    batch_prefix,
    clip_key,
    documents_prefix,
    job_prefix,
    lexicons_prefix,
    result_prefix,
    revisions_prefix,
    tempos_prefix,
    voices_prefix,
)
from farm.plan_reader import PlanReader
from farm.storage import Storage
from farm.store import Store, batches, documents, jobs, lexicons, quotas, registry

_REMOVERS = 8  # jobs that are removed at the same time: a bucket answers slowly, and a batch has up to 50,000 jobs


def remove_job(store: Store, storage: Storage, job: str) -> None:
    """The record and everything in storage that was made for it. An open job is canceled first. Safe to do twice."""
    record = store.run(jobs.record(job))
    if record is not None:
        store.run(jobs.cancel(job, record.tenant))
    remove_objects(storage, job, clips=True)
    store.run(jobs.forget(job))
    remove_objects(storage, job)  # what a desk was writing until then


def remove_jobs(store: Store, storage: Storage, ids: Iterable[str]) -> None:
    with ThreadPoolExecutor(_REMOVERS, "remove") as pool:
        list(pool.map(partial(remove_job, store, storage), ids))


def remove_objects(storage: Storage, job: str, *, clips: bool = False) -> None:
    """Safe to do twice. `clips` takes the clips too: another job of the tenant that says the same has them rendered
    again when it is assembled."""
    if clips:
        storage.delete(*_clips(storage, job))
    storage.abandon(result_prefix(job))
    for prefix in (result_prefix(job), job_prefix(job)):  # the plan last, because it names the clips
        storage.delete(*(found.key for found in storage.list(prefix)))


def remove_lines(storage: Storage, batch: str) -> None:
    """The lines of a batch, and the covers beside them. Safe to do twice."""
    storage.delete(*(found.key for found in storage.list(batch_prefix(batch))))


@dataclass(frozen=True, slots=True)
class Possessions:
    """What a tenant has in the farm."""

    keys: list[str]  # names of API keys
    batches: list[str]
    voices: list[str]
    documents: list[str]
    lexicons: list[str]
    jobs: int

    @property
    def counts(self) -> Mapping[str, int]:
        return {
            "jobs": self.jobs, "batches": len(self.batches), "voices": len(self.voices),
            "API keys": len(self.keys), "documents": len(self.documents),
            "lexicons": len(self.lexicons),
        }  # fmt: skip


def possessions(store: Store, tenant: str) -> Possessions:
    keys = store.run(registry.keys())
    return Possessions(
        keys=[name for name, key in keys.items() if key.tenant == tenant],
        batches=list(_batches(store, tenant)),
        voices=list(store.run(registry.voices(tenant))),
        documents=store.run(documents.ids(tenant)),
        lexicons=list(store.run(lexicons.every(tenant))),
        jobs=store.run(jobs.count(tenant)),
    )


def purge_tenant(store: Store, storage: Storage, tenant: str) -> None:
    """Everything of a tenant: its keys first, so that nothing new comes, then its batches, jobs, voices,
    documents and lexicons, with all objects. Safe to do twice, and to go on with after it was interrupted."""
    found = possessions(store, tenant)
    for key in found.keys:
        store.run(registry.drop_key(key))
    for batch in found.batches:  # before the jobs, so that the desk makes no more of them
        store.run(batches.drop(batch, tenant))
    while ids := store.run(jobs.oldest(tenant, limit=100)):
        remove_jobs(store, storage, ids)
    for batch in found.batches:
        remove_lines(storage, batch)
        store.run(batches.forget(batch))
    for voice in found.voices:
        store.run(registry.drop_voice(tenant, voice))
    for prefix in (voices_prefix(tenant), tempos_prefix(tenant)):
        storage.delete(*(found.key for found in storage.list(prefix)))
    for document in found.documents:
        store.run(documents.drop(tenant, document))
    storage.delete(*(part.key for part in storage.list(documents_prefix(tenant))))
    for lexicon in found.lexicons:
        store.run(lexicons.drop(tenant, lexicon))
    storage.delete(*(version.key for version in storage.list(lexicons_prefix(tenant))))
    store.run(quotas.forget(tenant))


def _batches(store: Store, tenant: str) -> Iterator[str]:
    cursor: int | None = 0
    while cursor is not None:
        cursor, ids = store.run(batches.some(cursor))
        for id in ids:
            record = store.run(batches.record(id))
            if record is not None and record.tenant == tenant:
                yield id


def _clips(storage: Storage, job: str) -> Iterator[str]:
    """Of all revisions."""
    later = {found.key.removeprefix(revisions_prefix(job)) for found in storage.list(revisions_prefix(job))}
    for revision in sorted({1, *(int(key.partition("/")[0]) for key in later)}):
        try:
            reader = PlanReader(storage, job, revision)
        except ObjectMissing:
            continue  # never planned, or removed before
        for segment in reader.rows():
            yield clip_key(segment.digest)

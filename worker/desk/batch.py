"""Unfolds a batch: each of its lines becomes a job, and a canceled batch has its jobs canceled.

A long batch is unfolded in slices, so that other tasks have their turn between them. The count of accepted jobs is the
bookmark, so a desk that takes over goes on where the last one stopped.
"""

from __future__ import annotations

import json
import time

from farm.layout import lines_key, text_key
from farm.spec import Order, read_lines
from farm.storage import Storage
from farm.store import Store, batches, jobs, tasks

_SLICE_S = 2.0


class Unfolder:
    def __init__(self, store: Store, storage: Storage) -> None:
        self._store, self._storage = store, storage

    def unfold(self, task: tasks.Task) -> None:
        batch = self._store.run(batches.record(task.id))
        if batch is None:
            self._store.run(tasks.done(task))
            return
        if batch.accepted < batch.total and not self._accept_some(batch):
            self._store.run(tasks.done(task, again_ms=0))
            return
        batch = self._store.run(batches.record(task.id))
        if batch is not None and batch.canceled:
            self._cancel_jobs(batch.id, batch.tenant)
        self._store.run(tasks.done(task))

    def _accept_some(self, batch: batches.BatchRecord) -> bool:
        """Accepts jobs for the time of a slice. Returns whether all of the batch are accepted."""
        end = time.monotonic() + _SLICE_S
        shared = None if batch.shared is None else json.loads(batch.shared)
        with self._storage.open(lines_key(batch.id)) as file:
            for order in read_lines(file, skip=batch.accepted, shared=shared):
                self._accept(order, jobs.NewJob.of(order, batch.tenant, batch=batch.id, shared=shared))
                if time.monotonic() > end:
                    return False
        return True

    def _accept(self, order: Order, new: jobs.NewJob) -> None:
        if not order.inline:
            self._storage.put(text_key(order.id), order.text.encode(), "application/json")
        self._store.run(jobs.accept(new))

    def _cancel_jobs(self, batch: str, tenant: str) -> None:
        after: tuple[int, str] | None = None
        number = 0
        while page := self._store.run(jobs.page(tenant, batch=batch, after=after, limit=100)):
            for job in page:
                self._store.run(jobs.cancel(job.id, tenant))
            number += len(page)
            after = (number, page[-1].id)

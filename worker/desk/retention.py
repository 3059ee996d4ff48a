"""Deletes what has had its time: the audio of old jobs, later their records, batches that their owners deleted, and
drafts that were never accepted."""

from __future__ import annotations

import time

from farm.job import is_batch
from farm.layout import draft_keys, run_prefix
from farm.removal import remove_jobs, remove_lines, remove_objects
from farm.storage import Storage
from farm.store import Store, batches, jobs, revisions, tasks

_SLICE_S = 2.0  # of deleting a batch, so that other tasks have their turn
_JOBS_A_CALL = 64


class Retention:
    def __init__(self, store: Store, storage: Storage, record_days: float) -> None:
        self._store, self._storage = store, storage
        self._record_s = round(record_days * 86400)

    def expire(self, task: tasks.Task) -> None:
        """The audio of a job goes; its record stays for `record_days`. Of a streamed job nothing stays: nobody asks for
        the record of a request that was answered, and some farms have thousands of them a day."""
        job = self._store.run(jobs.record(task.id))
        remove_objects(self._storage, task.id, clips=True)
        stays_s = 0 if job is not None and job.streamed else self._record_s
        self._store.run(jobs.expire(task.id, task.token, purge_after_s=stays_s))

    def retire(self, task: tasks.Task) -> None:
        """The result of an earlier revision goes. Its clips and its plan go with the job."""
        job, number = revisions.owner_of(task)
        found = self._store.run(revisions.earlier(job)).get(number)
        if found is not None:
            of_run = run_prefix(found.result.audio_key)
            self._storage.delete(*(each.key for each in self._storage.list(of_run)))
        self._store.run(revisions.retire(task))

    def purge(self, task: tasks.Task) -> None:
        """The record of a job or batch goes."""
        if is_batch(task.id):
            self._forget_batch(task.id)
        else:
            self._store.run(jobs.forget(task.id))

    def delete(self, task: tasks.Task) -> None:
        """A slice of deleting a batch: its jobs go as if each were deleted by itself, and then the batch goes."""
        end = time.monotonic() + _SLICE_S
        line = 0
        while lines := self._store.run(batches.lines(task.id, after=line, limit=_JOBS_A_CALL)):
            remove_jobs(self._store, self._storage, (job for job, _ in lines))
            line = lines[-1][1]
            if time.monotonic() > end:
                self._store.run(tasks.done(task, again_ms=0))
                return
        self._forget_batch(task.id)

    def _forget_batch(self, batch: str) -> None:
        remove_lines(self._storage, batch)
        self._store.run(batches.forget(batch))

    def discard_draft(self, task: tasks.Task) -> None:
        """What lies in storage for a job or batch that was never accepted goes. Nobody can accept it while the task is
        ours."""
        if is_batch(task.id):
            remove_lines(self._storage, task.id)
        else:
            self._storage.delete(*draft_keys(task.id))
        self._store.run(tasks.done(task))

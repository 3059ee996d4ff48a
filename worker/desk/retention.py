"""Deletes what has had its time: the audio of old jobs, later their records, and drafts that were never accepted."""

from __future__ import annotations

from farm.job import is_batch
from farm.layout import lines_key, text_key
from farm.removal import remove_objects
from farm.storage import Storage
from farm.store import Store, batches, jobs, tasks


class Retention:
    def __init__(self, store: Store, storage: Storage, record_days: float) -> None:
        self._store, self._storage = store, storage
        self._record_s = round(record_days * 86400)

    def expire(self, task: tasks.Task) -> None:
        """The audio of a job goes; its record stays for `record_days`."""
        remove_objects(self._storage, task.id, clips=True)
        self._store.run(jobs.expire(task.id, task.token, purge_after_s=self._record_s))

    def purge(self, task: tasks.Task) -> None:
        """The record of a job or batch goes."""
        if is_batch(task.id):
            self._storage.delete(lines_key(task.id))
            self._store.run(batches.forget(task.id))
        else:
            self._store.run(jobs.forget(task.id))

    def discard_draft(self, task: tasks.Task) -> None:
        """The text of a job or batch that was never accepted goes. Nobody can accept it while the task is ours."""
        self._storage.delete(lines_key(task.id) if is_batch(task.id) else text_key(task.id))
        self._store.run(tasks.done(task))

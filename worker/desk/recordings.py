"""Deletes recordings of voices that nobody needs any more: a name has another recording by now, or is gone.

An open job keeps the recording that it was accepted with. Which others a tenant has is read from storage each time, so
a recording that somebody forgot is found by the next sweep of its tenant.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

from farm.layout import voices_prefix
from farm.storage import Object, Storage
from farm.store import Store, batches, jobs, quotas, registry, tasks
from farm.stored import StoredVoice

_YOUNG = timedelta(seconds=5)  # an upload is stored before its voice is
_YOUNG_MS = 6_000
_NEEDED_MS = 300_000  # until a recording is looked at again that an open job needs
_AT_ONCE = 50  # recordings of one look
_JOBS_A_CALL, _STEP = 1_000, 900  # they overlap, because jobs that are deleted meanwhile move the others up


class Recordings:
    def __init__(self, store: Store, storage: Storage) -> None:
        self._store, self._storage = store, storage

    def sweep(self, task: tasks.Task) -> None:
        """The id of the task is the tenant."""
        self._store.run(tasks.done(task, again_ms=self._sweep(task.id)))

    def _sweep(self, tenant: str) -> int | None:
        """The milliseconds until the next sweep, None when nothing is left to do."""
        superseded, size = self._superseded(tenant)
        young = [found for found in superseded if timedelta() <= datetime.now(UTC) - found.modified < _YOUNG]
        old = [_digest(found) for found in superseded if found not in young][:_AT_ONCE]
        needed = self._needed(tenant, old) if old else set()
        gone = [found for found in superseded if _digest(found) in old and _digest(found) not in needed]
        self._storage.delete(*(found.key for found in gone))
        self._store.run(quotas.weigh_voices(tenant, size - sum(found.size for found in gone)))
        if young:
            return _YOUNG_MS
        if needed:
            return _NEEDED_MS
        return 0 if len(superseded) > len(old) else None

    def _superseded(self, tenant: str) -> tuple[list[Object], int]:
        """The recordings that no voice names, and the bytes of all."""
        kept = list(self._storage.list(voices_prefix(tenant)))
        voices = self._store.run(registry.voices(tenant)).values()  # after the list: a new voice is in it
        named = {StoredVoice.model_validate_json(voice).digest for voice in voices}
        return [found for found in kept if _digest(found) not in named], sum(found.size for found in kept)

    def _needed(self, tenant: str, digests: Sequence[str]) -> set[str]:
        if self._store.run(batches.unfolding(tenant)):
            return set(digests)  # a line that is no job yet may need any of them
        found: set[str] = set()
        first, seen = 0, _JOBS_A_CALL
        while seen == _JOBS_A_CALL:
            seen, mentioned = self._store.run(jobs.mentions(tenant, digests, first=first, count=_JOBS_A_CALL))
            found |= mentioned
            first += _STEP
        return found


def _digest(recording: Object) -> str:
    return PurePosixPath(recording.key).stem

"""A grant of the store in, work for the engine out.

        grant ──> plan rows and voices ──> look for clips in storage ──> settle the segments that have one
                                                                    └──> Work for the others

A segment whose plan or voice is gone fails. In an outage of store or storage the whole grant is given back. The loader
has no lock: callers take turns.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

from farm.errors import ClipCorrupt, ObjectMissing
from farm.layout import clip_key
from farm.segment import Segment, recipe_of
from farm.sound.flac import HEADER, duration_ms, warnings_of
from farm.storage import Storage
from farm.store import Store, segments
from worker.engine import Speech, Utterance, needs_review
from worker.render.batch_spans import Traces
from worker.render.leases import Held, Leases
from worker.render.plan_cache import PlanCache
from worker.render.reference_cache import ReferenceCache
from worker.render.work import Work

log = logging.getLogger(__name__)

_LOOKS = 32  # parallel looks into storage: 10,000 HEADs one after another take minutes


@dataclass(frozen=True, slots=True)
class _Row:
    held: Held
    segment: Segment
    speech: Speech
    revision: str
    tenant: str


class Loader:
    """`cached` counts the segments whose clip was in storage."""

    def __init__(
        self, store: Store, storage: Storage, leases: Leases, plans: PlanCache, references: ReferenceCache,
        traces: Traces, wake_desk: Callable[[], object] = lambda: None,
    ) -> None:  # fmt: skip
        self._store, self._storage, self._leases = store, storage, leases
        self._wake_desk = wake_desk
        self._plans, self._references, self._traces = plans, references, traces
        self._looks = ThreadPoolExecutor(_LOOKS, "look")
        self.cached = 0

    def __enter__(self) -> Loader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._looks.shutdown()

    def load(self, grant: segments.Grant) -> list[Work]:
        """The segments of the grant that must be rendered, in its order, one piece of work each. Holds them under their
        lease. Raises StoreUnavailable or StorageUnavailable, and has given the grant back by then."""
        held = self._leases.hold(grant)
        self._traces.learn(grant.segments)
        try:
            rows = [row for each in held if (row := self._row(each, grant.revision(each.job))) is not None]
            found = list(self._looks.map(self._in_storage, rows))
            self._settle(grant.token, [clip for clip in found if clip is not None])
        except BaseException:
            self._leases.give_back(held)
            raise
        missing = [row for row, clip in zip(rows, found, strict=True) if clip is None]
        return [_work(row, quarantined=grant.quarantined) for row in missing]

    def _row(self, held: Held, revision: int) -> _Row | None:
        """None for a segment whose plan or voice is gone; it has failed by then."""
        try:
            plan = self._plans.plan(held.job, revision)
            segment = self._plans.segment(held.job, revision, held.index)
            recipe = recipe_of(plan.recipe, segment)
            reference = self._references.path(recipe.tenant, segment.voice) if segment.uploaded else None
            copied = _voice_of(recipe.manner.emotion)
            emotion_reference = self._references.path(recipe.tenant, copied) if copied else None
        except ObjectMissing as error:
            ids = self._traces.ids(held.job)
            log.warning("segment %d of %s can't be loaded: %s", held.index, held.job, error, extra=ids)
            self._store.run(segments.fail(held.token, held.job, held.index, error.message))
            self._leases.drop([held])
            self._wake_desk()
            return None
        speech = Speech(
            recipe.language, segment.voice, reference, recipe.manner, emotion_reference, segment.target_duration_ms
        )
        return _Row(held, segment, speech, recipe.revision, recipe.tenant)

    def _in_storage(self, row: _Row) -> tuple[Held, segments.Settled] | None:
        """None without a whole clip: a damaged one is rendered anew and overwritten."""
        held, key = row.held, clip_key(row.segment.digest)
        if self._storage.head(key) is None:
            return None
        try:
            start = self._storage.get(key, 0, HEADER)
            milliseconds = duration_ms(start)
        except (ObjectMissing, ClipCorrupt):
            return None
        review = needs_review(warning.partition(":")[0] for warning in warnings_of(start))
        return held, segments.Settled(held.job, held.index, milliseconds, cached=True, review=review)

    def _settle(self, token: str, found: Sequence[tuple[Held, segments.Settled]]) -> None:
        if not found:
            return
        settlement = self._store.run(segments.settle(token, [clip for _, clip in found]))
        self._leases.drop(held for held, _ in found)
        if settlement.became_due:
            self._wake_desk()
        self.cached += len(found)


def _work(row: _Row, *, quarantined: bool) -> Work:
    held, segment = row.held, row.segment
    utterance = Utterance(f"{held.token}/{held.job}/{held.index}", segment.said, row.speech)
    return Work(segment.digest, utterance, [held], quarantined, row.revision, row.tenant)


def _voice_of(emotion: str | None) -> str | None:
    """The digest of the uploaded voice that an emotion is copied from."""
    return json.loads(emotion).get("voice") if emotion else None

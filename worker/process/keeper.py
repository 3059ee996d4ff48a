"""The keeper makes lost messages and dead processes harmless. It is a thread in every worker, one active at a time.

Each second the keeper that holds the lock takes expired leases back and wakes every queue that has work. So a lost
wake-up, or a broker that was emptied, costs a second and nothing else.
"""

from __future__ import annotations

import logging
from functools import partial

from farm.job import Due
from farm.store import Store, registry, segments, tasks
from farm.wake import DESK_QUEUE, Waker, render_queue
from worker.process.ticker import Ticker

log = logging.getLogger(__name__)

# After a keeper's death the next one sweeps within a lock and a tick. Both together stay well below a lease, because a
# longer pause between two sweeps counts as an outage of Redis (farm/lua/rescue.lua).
_TICK_MS, _LOCK_MS = 1000, 3000


class Keeper:
    def __init__(self, store: Store, waker: Waker, *, worker: str, lease_ms: int) -> None:
        self._store, self._waker = store, waker
        self._worker, self._lease_ms = worker, lease_ms
        self.ticker = Ticker(
            "keeper", min(_TICK_MS, lease_ms / 8) / 1000, self._sweep_if_first,
            on_outage=partial(log.warning, "the keeper can't look: %s"), survives=True,
        )  # fmt: skip

    def _sweep_if_first(self) -> None:
        if self._store.run(registry.lock("keeper", self._worker, min(_LOCK_MS, self._lease_ms // 2))):
            self.sweep()

    def sweep(self) -> None:
        while (rescued := self._store.run(segments.rescue(self._lease_ms))).leases:
            log.warning("took %d segments back from %d expired leases", rescued.segments, rescued.leases)
        work = self._store.run(registry.backlog())
        for model, lanes in work.ready.items():
            if sum(lanes.values()) + work.quarantined.get(model, 0):
                self._waker.wake(render_queue(model))
        if 0 in self._store.run(tasks.next_due(tuple(Due))).values():
            self._waker.wake(DESK_QUEUE)

"""The segments that this worker has claimed, under leases that a thread renews.

The thread reports what was lost. Whatever a dead worker held is given to others when its lease has run out.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType

from farm.errors import StoreUnavailable
from farm.store import Store, segments

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """One segment under one lease."""

    token: str
    job: str
    index: int


def by_token(held: Iterable[Held]) -> dict[str, dict[str, list[int]]]:
    """token -> job -> indices, as the store's verbs want them."""
    grouped: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for one in held:
        grouped[one.token][one.job].append(one.index)
    return grouped


class Leases:
    """`on_lost` gets every segment that another worker may have by now, or that nobody wants any more."""

    def __init__(self, store: Store, lease_ms: int, on_lost: Callable[[set[Held]], None]) -> None:
        self._store = store
        self._lease_ms = lease_ms
        self._on_lost = on_lost
        self._held: dict[str, set[Held]] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renewing, name="leases", daemon=True)

    def __enter__(self) -> Leases:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()
        self._thread.join()

    def abandon(self) -> None:
        """No renewal from now on: the engine hangs, and others shall have the work."""
        self._over.set()

    def hold(self, grant: segments.Grant) -> list[Held]:
        held = [Held(grant.token, job, index) for job, indices in grant.segments.items() for index in indices]
        with self._lock:
            self._held[grant.token] = set(held)
        return held

    def drop(self, held: Iterable[Held]) -> None:
        """These are settled, failed or given back: the store has taken them off the lease."""
        with self._lock:
            for one in held:
                rest = self._held.get(one.token)
                if rest is not None:
                    rest.discard(one)
                    if not rest:
                        del self._held[one.token]

    def has(self, one: Held) -> bool:
        """Not settled, failed or given back yet."""
        with self._lock:
            return one in self._held.get(one.token, ())

    def give_back(self, held: Iterable[Held]) -> None:
        """Unburnt, as they were before the claim. In an outage of the store the lease runs out instead."""
        held = list(held)
        try:
            for token, by_job in by_token(held).items():
                self._store.run(segments.release(token, by_job))
        except StoreUnavailable as error:
            log.warning("leases run out instead of being given back: %s", error)
        self.drop(held)

    def _renewing(self) -> None:
        while not self._over.wait(self._lease_ms / 3000):
            with self._lock:
                tokens = list(self._held)
            try:
                for token in tokens:
                    self._renew(token)
            except StoreUnavailable as error:
                log.warning("leases not renewed: %s", error)

    def _renew(self, token: str) -> None:
        renewal = self._store.run(segments.renew(token, self._lease_ms))
        with self._lock:
            held = set(self._held.get(token, ()))
        lost = held if not renewal.held else {one for one in held if one.job in renewal.unwanted}
        if not lost:
            return
        log.info("%d segments of lease %s are no longer ours to render", len(lost), token)
        if renewal.held:
            self.give_back(lost)
        else:
            self.drop(lost)
        self._on_lost(lost)

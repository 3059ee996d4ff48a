"""The segments that this worker has claimed, under leases that a thread renews.

The leases report every segment that is lost or otherwise dropped. When a worker dies, its leases run out, and other
workers get the segments.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Protocol

from farm.errors import StoreUnavailable
from farm.store import Store, segments
from worker.process.ticker import Ticker

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """One segment under one lease."""

    token: str
    job: str
    index: int


def by_token(held: Iterable[Held]) -> dict[str, dict[str, list[int]]]:
    """token -> job -> indices: the arguments of the store's verbs begin and release."""
    grouped: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for one in held:
        grouped[one.token][one.job].append(one.index)
    return grouped


class Listener(Protocol):
    """Hears of changes in what is held. Its methods are called without a lock, from any thread."""

    def segments_lost(self, held: Collection[Held]) -> None:
        """Another worker may have these segments by now, or nobody wants them any more. They are dropped already."""
        ...

    def segments_dropped(self) -> None:
        """Some segments are settled, failed, given back or lost: `has` is False for them from now on."""
        ...


class Leases:
    """The segments that this worker holds, renewed by a thread until the store has taken each of them off its lease."""

    def __init__(self, store: Store, lease_ms: int) -> None:
        self._store = store
        self._lease_ms = lease_ms
        self._held: dict[str, set[Held]] = {}
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()
        self._ticker = Ticker(
            "leases", lease_ms / 3000, self._renew_all, on_outage=partial(log.warning, "leases not renewed: %s")
        )

    def __enter__(self) -> Leases:
        self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()
        self._ticker.join()

    def listen(self, listener: Listener) -> None:
        """Before the first segment is held."""
        self._listeners.append(listener)

    def abandon(self) -> None:
        """No renewal from now on: the engine hangs, and other workers shall have the segments."""
        self._ticker.stop()

    def hold(self, grant: segments.Grant) -> list[Held]:
        held = [Held(grant.token, job, index) for job, indices in grant.segments.items() for index in indices]
        with self._lock:
            self._held[grant.token] = set(held)
        return held

    def has(self, one: Held) -> bool:
        """False once the segment is settled, failed, given back or lost."""
        with self._lock:
            return one in self._held.get(one.token, ())

    def drop(self, held: Iterable[Held]) -> None:
        """The store has taken these segments off their lease: they are settled, failed, given back or lost."""
        with self._lock:
            for one in held:
                rest = self._held.get(one.token)
                if rest is not None:
                    rest.discard(one)
                    if not rest:
                        del self._held[one.token]
        for listener in self._listeners:
            listener.segments_dropped()

    def give_back(self, held: Iterable[Held]) -> None:
        """Releases segments: they lose no attempt. In an outage of the store their lease runs out instead."""
        held = list(held)
        try:
            for token, by_job in by_token(held).items():
                self._store.run(segments.release(token, by_job))
        except StoreUnavailable as error:
            log.warning("leases run out instead of being given back: %s", error)
        self.drop(held)

    def _renew_all(self) -> None:
        with self._lock:
            tokens = list(self._held)
        for token in tokens:
            self._renew(token)

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
        for listener in self._listeners:
            listener.segments_lost(lost)

"""Wakes requests that wait for a job or batch: one reader of the store's event stream per process.

A wake means "read the record again". After an outage of the store every waiting request is woken, because events may
have been missed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from farm.errors import StoreUnavailable
from farm.store import AsyncStore

T = TypeVar("T")

log = logging.getLogger(__name__)

LONGEST_WAIT = 60.0  # seconds

_BLOCK_MS = 5_000
_GATHER = 0.02  # seconds between two reads: every accept is an event, and reading each by itself costs a third of it
_PAUSE = 0.5  # seconds between two tries while the store is away
_CLOCK_SKEW_MS = 60_000  # stream ids are times of Redis's clock; reading from earlier on costs a few idle events
_GLANCE = 5.0  # seconds after which a waiting request reads anyway: the stream is trimmed, and clocks may differ


class Watch:
    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    async def run(self) -> None:
        """Reads events until it is cancelled."""
        after = f"{round(time.time() * 1000) - _CLOCK_SKEW_MS}-0"
        while True:
            try:
                for event in await self._store.events(after, _BLOCK_MS):
                    after = event.id
                    self._wake(event.owner)
                await asyncio.sleep(_GATHER)
            except StoreUnavailable as error:
                log.warning("not hearing from the store: %s", error)
                await asyncio.sleep(_PAUSE)
                for owner in list(self._waiting):
                    self._wake(owner)

    async def until(self, owner: str, read: Callable[[], Awaitable[T]], over: Callable[[T], bool], wait: float) -> T:
        """Reads at once, and again after each event of `owner`, until `over` is true or `wait` seconds have passed."""
        deadline = time.monotonic() + min(wait, LONGEST_WAIT)
        with self._listening(owner) as heard:
            while True:
                heard.clear()
                value = await read()
                left = deadline - time.monotonic()
                if left <= 0 or over(value):
                    return value
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left, _GLANCE)):
                        await heard.wait()

    @contextmanager
    def _listening(self, owner: str) -> Iterator[asyncio.Event]:
        heard = asyncio.Event()
        self._waiting[owner].add(heard)
        try:
            yield heard
        finally:
            self._waiting[owner].discard(heard)
            if not self._waiting[owner]:
                del self._waiting[owner]

    def _wake(self, owner: str) -> None:
        for heard in self._waiting.get(owner, ()):
            heard.set()

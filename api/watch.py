"""Wakes requests that wait for a job or batch, or for its clips: one reader of the store's streams per process.

A wake means "read again". After an outage of the store every waiting request is woken, because events may
have been missed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TypeVar

from fastapi import Request

from api.channels import Channels, newer
from api.leaving import client_left
from farm.errors import StoreUnavailable, TooOften
from farm.store import AsyncStore

T = TypeVar("T")

log = logging.getLogger(__name__)

LONGEST_WAIT = 60.0  # seconds
MOST_WAITS = 500  # of one tenant in one process: each of them reads again every five seconds

_BLOCK_MS = 5_000
_GATHER = 0.02  # seconds between two reads: every accept is an event, and reading each by itself costs a third of it
_PAUSE = 0.5  # seconds between two tries while the store is away
_CLOCK_SKEW_MS = 60_000  # stream ids are times of Redis's clock; reading from earlier on costs a few idle events
GLANCE = 5.0  # seconds after which a waiting request reads anyway: the stream is trimmed, and clocks may differ


class Watch:
    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._reading: defaultdict[str, set[asyncio.Event]] = defaultdict(set)  # clips
        self._waits: Counter[str] = Counter()  # of each tenant
        self.channels = Channels(store)  # for those who listen

    async def run(self) -> None:
        """Reads events until it is cancelled."""
        begin = f"{round(time.time() * 1000) - _CLOCK_SKEW_MS}-0"
        after, was_away, self.channels.latest = (begin, begin), False, begin
        while True:
            try:
                news = await self._store.news(after, _BLOCK_MS)
                if was_away and newer((await self._store.events_kept())[0], after[0]):
                    self.channels.lose()
                after, was_away = news.after, False
                self.channels.tell(news)
                for owner in {event.owner for event in news.events}:
                    _wake(self._waiting, owner)
                for job in {moved.owner for moved in news.settled}:
                    _wake(self._reading, job)
                await asyncio.sleep(_GATHER)
            except StoreUnavailable as error:
                log.warning("not hearing from the store: %s", error)
                was_away = True
                await asyncio.sleep(_PAUSE)
                for owner in list(self._waiting):
                    _wake(self._waiting, owner)

    async def until(
        self, request: Request, owner: str, read: Callable[[], Awaitable[T]], over: Callable[[T], bool], wait: float,
        *, clips: bool = False,
    ) -> T:  # fmt: skip
        """Reads at once, and again after each event of `owner`, until `over` is true, `wait` seconds have passed, or
        the client has left. `clips` is as `listening` has it. Raises TooOften where the tenant has MOST_WAITS requests
        that wait."""
        deadline = time.monotonic() + min(wait, LONGEST_WAIT)
        value = await read()
        if wait <= 0 or over(value):
            return value
        with self._one_more(request.scope["principal"].tenant), self.listening(owner, clips=clips) as heard:
            async with _noticed_leaving(request, heard) as has_left:
                while True:
                    heard.clear()
                    value = await read()
                    left = deadline - time.monotonic()
                    if left <= 0 or over(value) or has_left.is_set():
                        return value
                    with suppress(TimeoutError):
                        async with asyncio.timeout(min(left, GLANCE)):
                            await heard.wait()

    @contextmanager
    def _one_more(self, tenant: str) -> Iterator[None]:
        if self._waits[tenant] >= MOST_WAITS:
            raise TooOften(
                f"{MOST_WAITS} requests of yours wait here already; ask without `wait`, or wait for fewer at once",
                code="too_many_waits",
            )
        self._waits[tenant] += 1
        try:
            yield
        finally:
            self._waits[tenant] -= 1
            if not self._waits[tenant]:
                del self._waits[tenant]

    @contextmanager
    def listening(self, owner: str, *, clips: bool = False) -> Iterator[asyncio.Event]:
        """An event that is set after each change of the owner's state; with `clips`, also when clips of it were
        settled. Who listens clears it, and reads before waiting."""
        heard = asyncio.Event()
        listeners = (self._waiting, self._reading) if clips else (self._waiting,)
        for each in listeners:
            each[owner].add(heard)
        try:
            yield heard
        finally:
            for each in listeners:
                each[owner].discard(heard)
                if not each[owner]:
                    del each[owner]


def _wake(listeners: Mapping[str, set[asyncio.Event]], owner: str) -> None:
    for heard in listeners.get(owner, ()):
        heard.set()


@asynccontextmanager
async def _noticed_leaving(request: Request, heard: asyncio.Event) -> AsyncIterator[asyncio.Event]:
    """An event that is set once the client has closed its connection; `heard` is set with it."""
    has_left = asyncio.Event()

    async def listen() -> None:
        await client_left(request.receive)
        has_left.set()
        heard.set()

    listening = asyncio.create_task(listen())
    try:
        yield has_left
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening

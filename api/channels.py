"""Events of jobs and batches, handed to those who listen: one reader of the store for the whole process.

        the watch ──tell──> a channel for each job, batch or tenant that somebody listens to ──> its listeners

A change of state is kept under its id in the store's stream, so that a listener gets each once, in order, also after it
was away. Progress has no id: of each job and batch the latest counts, four times a second at most. What a slow listener
has not taken waits here for a while, then in the store alone; nobody waits for a slow listener.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from itertools import count

from farm.errors import FarmError, StoreUnavailable, TooOften
from farm.job import OPEN
from farm.store import AsyncStore, Event, Moved, News, batches, jobs

log = logging.getLogger(__name__)

MOST_LISTENERS = 2_000  # of one tenant in one process
PROGRESS_SECONDS = 0.25

_KEPT = 500  # events of a channel; older ones are read from the store
_PAGE = 1_000  # events of one read from the store


def newer(one: str, other: str) -> bool:
    """Whether the first of two stream ids comes after the second."""
    return _number(one) > _number(other)


def of_tenant(tenant: str) -> str:
    """The channel of all that a tenant has. Ids of jobs and batches have no colon."""
    return f"tenant:{tenant}"


Progress = jobs.JobRecord | batches.BatchRecord


class Lost(Exception):
    """Events are gone that this listener has not seen."""


@dataclass(slots=True)
class _Channel:
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=_KEPT))
    dropped: str = "0-0"  # the latest event that had to make room
    progress: dict[str, tuple[int, Progress]] = field(default_factory=dict)
    losses: int = 0
    listeners: set[Listener] = field(default_factory=set)

    def add(self, event: Event) -> None:
        if len(self.events) == _KEPT:
            self.dropped = self.events[0].id
        self.events.append(event)
        self.progress.pop(event.owner, None)  # what comes now is newer
        self.wake()

    def wake(self) -> None:
        for listener in self.listeners:
            listener.wake()


class Channels:
    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self._channels: dict[str, _Channel] = {}
        self._listening: Counter[str] = Counter()  # of each tenant
        self._moved: dict[str, Moved] = {}
        self._numbers = count(1)
        self.latest = "0-0"  # every event up to this id has been told

    @property
    def listeners(self) -> int:
        return self._listening.total()

    def tell(self, news: News) -> None:
        for event in news.events:
            for channel in self._of(event):
                channel.add(event)
        self.latest = news.after[0]
        self._moved |= {moved.owner: moved for moved in news.settled if any(self._of(moved))}

    def lose(self) -> None:
        """The store has dropped events that nobody was told."""
        log.warning("events were lost while the store was away: listeners are told to look again")
        for channel in self._channels.values():
            channel.losses += 1
            channel.wake()

    async def keep_telling_progress(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            moved, self._moved = self._moved, {}
            try:
                await self._tell_progress(moved)
            except FarmError as error:
                log.debug("no progress is told: %s", error)

    async def _tell_progress(self, moved: dict[str, Moved]) -> None:
        now = [one for one in moved.values() if any(self._of(one))]
        found = await asyncio.gather(*(self._store.run(jobs.record(one.owner)) for one in now))
        for one, job in zip(now, found, strict=True):
            if job is not None and job.status in OPEN:
                self._show(job, one.owner, of_tenant(one.tenant))
        of_batches = {one.batch: one for one in now if one.batch is not None}
        records = await asyncio.gather(*(self._store.run(batches.record(batch)) for batch in of_batches))
        for one, record in zip(of_batches.values(), records, strict=True):
            if record is not None and record.ended_ms is None:
                self._show(record, record.id, of_tenant(one.tenant))

    def _show(self, record: Progress, *names: str) -> None:
        for channel in self._named(*names):
            channel.progress[record.id] = (next(self._numbers), record)
            channel.wake()

    def _of(self, moved: Moved | Event) -> Iterator[_Channel]:
        """The channels that somebody listens to."""
        return self._named(moved.owner, of_tenant(moved.tenant), *([moved.batch] if moved.batch else []))

    def _named(self, *names: str) -> Iterator[_Channel]:
        return (channel for name in names if (channel := self._channels.get(name)) is not None)

    def listen(self, tenant: str, name: str) -> Listener:
        """Close it. Raises TooOften where the tenant has MOST_LISTENERS."""
        if self._listening[tenant] >= MOST_LISTENERS:
            raise TooOften(
                f"{MOST_LISTENERS} event streams of yours are open here already; close some, or follow many jobs by "
                "the one stream /v1/events",
                code="too_many_listeners",
            )
        channel = self._channels.setdefault(name, _Channel(dropped=self.latest))
        listener = Listener(self._store, self, channel, name, tenant)
        channel.listeners.add(listener)
        self._listening[tenant] += 1
        return listener

    def drop(self, listener: Listener) -> None:
        channel = listener.channel
        if listener not in channel.listeners:
            return
        channel.listeners.discard(listener)
        if not channel.listeners:
            del self._channels[listener.name]
        self._listening[listener.tenant] -= 1
        if not self._listening[listener.tenant]:
            del self._listening[listener.tenant]


class Listener:
    """One who listens to a channel. `after` is the id of the latest event that it has."""

    def __init__(self, store: AsyncStore, channels: Channels, channel: _Channel, name: str, tenant: str) -> None:
        self.channel, self.name, self.tenant = channel, name, tenant
        self._store, self._channels = store, channels
        self._heard = asyncio.Event()
        self._losses = channel.losses
        self._shown = 0
        self.after = channels.latest

    def wake(self) -> None:
        self._heard.set()

    def resume(self, after: str) -> None:
        """Goes on after this event, however long ago that was."""
        self.after = after
        self.wake()

    async def catch_up(self) -> None:
        """Leaves out every event until now, told or not: a state that is read after this has them. Raises
        StoreUnavailable."""
        _, latest = await self._store.events_kept()
        if newer(latest, self.after):
            self.after = latest

    def close(self) -> None:
        self._channels.drop(self)

    async def news(self, timeout: float) -> AsyncGenerator[Event | Progress]:
        """What has come since the last time: waits for the first for `timeout` seconds, and yields nothing if there is
        none. Raises Lost, after which it goes on with what is new, and StoreUnavailable."""
        if not self._heard.is_set():
            try:
                async with asyncio.timeout(timeout):
                    await self._heard.wait()
            except TimeoutError:
                return
        self._heard.clear()
        if self._losses != self.channel.losses:
            self._losses, self.after = self.channel.losses, self._channels.latest
            raise Lost
        while newer(self.channel.dropped, self.after):  # while a slow client reads these, more may be dropped
            async for event in self._missed():
                yield event
        for event in list(self.channel.events):
            if newer(event.id, self.after):
                self.after = event.id
                yield event
        fresh = [entry for entry in self.channel.progress.values() if entry[0] > self._shown]
        for number, record in sorted(fresh, key=lambda entry: entry[0]):
            self._shown = number
            yield record

    async def _missed(self) -> AsyncGenerator[Event]:
        """What the channel no longer has, from the store, as far as it has been told. Raises Lost when some is gone."""
        until = self._channels.latest
        while newer(until, self.after):
            try:
                page = await self._store.events_between(self.after, until, _PAGE)
                oldest, _ = await self._store.events_kept()  # asked last: trimming may overtake a slow client
            except StoreUnavailable:
                self.wake()  # the next look reads these again
                raise
            if newer(oldest, self.after):
                self.after = until
                raise Lost
            for event in page:
                self.after = event.id
                if self.name in (event.owner, event.batch, of_tenant(event.tenant)):
                    yield event
            if len(page) < _PAGE:
                self.after = until


def _number(id: str) -> tuple[int, int]:
    milliseconds, _, number = id.partition("-")
    return int(milliseconds), int(number or 0)

"""A listener gets each event once and in order, however slowly it reads and whatever the store does meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis

from api import channels
from farm.errors import StoreReplaced, StoreUnavailable
from farm.store import AsyncStore, Call, Event, Moved, News
from tests.patience import patient


class Told:
    """The channels of one API process, over the real store. `job_1` is ann's."""

    def __init__(self, store: AsyncStore, client: redis.Redis) -> None:
        self.store, self._client = store, client
        self.channels = channels.Channels(store)
        self._after = ("0-0", "0-0")

    async def happen(self, *statuses: str) -> None:
        """Changes of the job, as the watch tells them."""
        for status in statuses:
            self._client.xadd("f:ev", {"o": "job_1", "s": status, "t": "ann", "b": ""})
        news = await self.store.news(self._after, 0)
        self._after = news.after
        self.channels.tell(news)

    def listen(self) -> channels.Listener:
        return self.channels.listen("ann", "job_1")

    def forget_all_but_the_last(self) -> None:
        self._client.xtrim("f:ev", maxlen=1, approximate=False)


async def heard(listener: channels.Listener) -> AsyncIterator[str]:
    async for one in listener.news(0):
        assert isinstance(one, Event)
        yield one.status


def run(redis_url: str, scenario: Callable[[Told], Awaitable[None]]) -> None:
    @asynccontextmanager
    async def told() -> AsyncIterator[Told]:
        store = await AsyncStore.connect(redis_url)
        try:
            with redis.Redis.from_url(redis_url) as client:
                made = Told(store, client)
                await made.happen("queued")
                yield made
        finally:
            await store.close()

    async def limited() -> None:
        async with asyncio.timeout(patient(10)), told() as each:
            await scenario(each)

    asyncio.run(limited())


@pytest.fixture(autouse=True)
def _of_one_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each channel keeps one event, and a page of the store has one: what takes thousands of events takes three."""
    kept = channels.deque
    monkeypatch.setattr(channels, "_KEPT", 1)
    monkeypatch.setattr(channels, "_PAGE", 1)
    monkeypatch.setattr(channels, "deque", lambda maxlen: kept(maxlen=channels._KEPT))


def test_events_that_its_channel_drops_while_a_client_reads_slowly_are_not_left_out(redis_url: str) -> None:
    async def scenario(told: Told) -> None:
        listener, seen = told.listen(), []
        await told.happen("a", "b", "c")
        async for status in heard(listener):
            seen.append(status)
            if status == "a":
                await told.happen("d", "e", "f")
        seen += [status async for status in heard(listener)]
        assert seen == ["a", "b", "c", "d", "e", "f"]

    run(redis_url, scenario)


def test_who_goes_on_during_an_outage_is_told_what_was_missed_once_it_is_over(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(told: Told) -> None:
        async def away(after: str, until: str, count: int) -> list[Event]:
            raise StoreUnavailable("away")

        last = told.channels.latest
        await told.happen("a", "b")
        listener = told.listen()
        listener.resume(last)
        with monkeypatch.context() as outage:
            outage.setattr(told.store, "events_between", away)
            with pytest.raises(StoreUnavailable):
                _ = [status async for status in heard(listener)]
        assert [status async for status in heard(listener)] == ["a", "b"]

    run(redis_url, scenario)


def test_who_reads_so_slowly_that_the_store_forgets_hears_of_the_loss(redis_url: str) -> None:
    async def scenario(told: Told) -> None:
        listener, seen = told.listen(), []

        async def read() -> None:
            async for status in heard(listener):
                seen.append(status)
                told.forget_all_but_the_last()

        await told.happen("a", "b", "c")
        with pytest.raises(channels.Lost):
            await read()
        assert seen == ["a"]
        await told.happen("d")
        assert [status async for status in heard(listener)] == ["d"]

    run(redis_url, scenario)


def test_progress_is_told_again_after_redis_held_another_farm_for_a_while(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(told: Told) -> None:
        asked = asyncio.Semaphore(0)

        async def replaced(call: Call[Any]) -> Any:
            asked.release()
            raise StoreReplaced("the keyspace is not the one that was opened")

        monkeypatch.setattr(told.store, "run", replaced)
        monkeypatch.setattr(channels, "PROGRESS_SECONDS", 0)
        telling = asyncio.create_task(told.channels.keep_telling_progress())
        told.listen()
        for _ in range(2):
            told.channels.tell(News([], [Moved("job_1", "ann", None)], ("0-0", "0-0")))
            await asked.acquire()
        telling.cancel()

    run(redis_url, scenario)

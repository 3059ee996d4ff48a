"""Costly work of one tenant leaves a place for that of the others."""

from __future__ import annotations

import asyncio
import threading

from starlette.requests import ClientDisconnect
from starlette.types import Message

from api.leaving import unless_left
from api.places import Places


def test_who_asks_a_hundred_times_leaves_a_place_for_others() -> None:
    places, may_end = Places(2), threading.Event()

    async def both() -> None:
        many = [asyncio.create_task(places.run("bob", may_end.wait)) for _ in range(100)]
        await asyncio.sleep(0)
        assert await places.run("ann", lambda: "ann") == "ann"  # while each of the others would wait for ever
        may_end.set()
        assert all(await asyncio.gather(*many))

    asyncio.run(both())
    assert not places._rows


def test_whoever_leaves_takes_no_place() -> None:
    places, may_end, asked = Places(1), threading.Event(), []

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def one_that_leaves() -> None:
        holds = asyncio.create_task(places.run("ann", may_end.wait))
        await asyncio.sleep(0)
        try:
            await unless_left(gone, places.run("bob", lambda: asked.append("bob")))
        except ClientDisconnect:
            asked.append("nobody")
        may_end.set()
        await holds

    asyncio.run(one_that_leaves())
    assert asked == ["nobody"]

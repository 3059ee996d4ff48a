from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from api import state
from tests.patience import patient


def test_background_work_that_loses_a_cancellation_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "_ONCE_MORE_S", 0.01)

    async def deaf_at_first() -> None:
        for _ in range(2):
            with suppress(asyncio.CancelledError):
                await asyncio.Future()
        await asyncio.Future()

    async def scenario() -> None:
        tasks = [asyncio.create_task(deaf_at_first()) for _ in range(2)]
        await asyncio.sleep(0)  # they begin
        async with asyncio.timeout(patient(10)):
            await state.end(tasks)
        assert all(task.cancelled() for task in tasks)

    asyncio.run(scenario())

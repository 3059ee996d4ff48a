"""Fixtures of the store's tests: farms whose clock the test holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from farm.store import Store
from farm.store.call import render_scripts
from tests.store.clocked import Clock, Farm


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def clocked_scripts() -> Any:
    return render_scripts(Clock.lua)


@pytest.fixture
def farm_on(clocked_scripts: Any) -> Iterator[Callable[[str], Farm]]:
    farms: list[Farm] = []

    def connect(url: str) -> Farm:
        client = redis.Redis.from_url(url)
        farms.append(Farm(Store.connect(url, clocked_scripts), Clock(client), client))
        return farms[-1]

    yield connect
    for farm in farms:
        farm.store.close()
        farm.redis.close()


@pytest.fixture
def farm(redis_url: str, farm_on: Callable[[str], Farm]) -> Farm:
    return farm_on(redis_url)

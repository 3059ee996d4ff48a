"""Fixtures of the store's tests: farms whose clock is set by the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.store.clocked import Farm


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def farm_on() -> Iterator[Callable[[str], Farm]]:
    farms: list[Farm] = []

    def connect(url: str) -> Farm:
        farms.append(Farm(url))
        return farms[-1]

    yield connect
    for farm in farms:
        farm.close()


@pytest.fixture
def farm(redis_url: str, farm_on: Callable[[str], Farm]) -> Farm:
    return farm_on(redis_url)

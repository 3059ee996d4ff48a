from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import Served
from tests.flow.house import House
from tests.patience import patient
from worker.engines.espeak.engine import Espeak


@pytest.fixture(scope="session")
def espeak() -> Iterator[Espeak]:
    """One for the whole run: the library under it has one state per process."""
    engine = Espeak()
    yield engine
    engine.close()


@pytest.fixture
def house(redis_url: str, tmp_path: Path, espeak: Espeak) -> Iterator[House]:
    house = House(redis_url, tmp_path / "storage", espeak, lease_seconds=patient(0.6))
    yield house
    house.close()


@pytest.fixture
def api(house: House) -> Iterator[httpx.Client]:
    """A client of the API of the house."""
    served = Served(house.settings)
    with served.client() as client:
        yield client
    served.stop()

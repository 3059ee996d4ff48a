"""Kokoro with its real weights, which `make test-voice` fetches; FARM_KOKORO_DIR names their folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from farm.settings import Settings
from worker.engine import Engine
from worker.engines import load


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    made = load(Settings.read(model="kokoro"))
    yield made
    made.close()

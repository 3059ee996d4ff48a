"""The suite of every engine, on Kokoro with a stand-in for its network. tests/kokoro has the real weights."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.kokoro_standin import Tones
from tests.engine.test_engine_suite import *  # noqa: F403
from worker.engines.kokoro.engine import Kokoro


@pytest.fixture(scope="module")
def engine() -> Iterator[Kokoro]:
    made = Kokoro(Tones())
    yield made
    made.close()

"""The suite of every engine, on an IndexTTS that cuts its utterances short, because most of the time is decode. It has
twelve slots, because a step takes as long for one row as for twelve."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.feeds import Habits
from tests.engine.test_engine_suite import *  # noqa: F403
from worker.engines.indextts.engine import IndexTTS
from worker.engines.indextts.load.factory import Options, assemble
from worker.engines.indextts.shapes import Network, Sampling


@pytest.fixture(scope="module")
def engine(network: Network) -> Iterator[IndexTTS]:
    made = assemble(network, "tiny", Options(slots=12, steps=3, sampling=Sampling(limit=10)))
    yield made
    made.close()


@pytest.fixture(scope="module")
def habits() -> Habits:
    """Random weights do not keep time with the text."""
    return Habits(tolerance=1e-5, pace=(0.0001, 1.0))

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.engine.feeds import Habits
from worker.engine import Engine
from worker.engines.espeak.engine import Espeak

ENGINES: dict[str, Callable[[], Engine]] = {"espeak": Espeak}


@pytest.fixture(params=ENGINES.values(), ids=ENGINES.keys(), scope="module")
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    made: Engine = request.param()
    yield made
    made.close()


@pytest.fixture(scope="session")
def habits() -> Habits:
    return Habits()


@pytest.fixture(scope="module")
def espeak() -> Iterator[Espeak]:
    made = Espeak()
    yield made
    made.close()

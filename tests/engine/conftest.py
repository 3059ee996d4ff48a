from __future__ import annotations

from collections.abc import Iterator

import pytest

from farm.errors import Misconfigured
from farm.settings import Settings
from tests.engine.feeds import Habits
from worker.engine import Engine
from worker.engines import find, load, names
from worker.engines.espeak.engine import Espeak


def needs_no_files(name: str) -> bool:
    try:
        return find(name).fetch is None
    except Misconfigured:
        return True  # its tests say what is wrong


@pytest.fixture(params=filter(needs_no_files, names()), scope="module")
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each engine of the table, those of other distributions too, but for those whose files have to be fetched."""
    made = load(Settings.read(model=request.param))
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

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.chaos.ledger import Ledger
from tests.chaos.record import Figures, Record, record_into
from tests.chaos.rig import Rig
from tests.chaos.shared import SharedFarm

HANG_S = 300  # the usual two minutes are too short for some of them
_FAILED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Figures())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(HANG_S))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    return report


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """record("render worker killed", kills=20, slowest_s=2.9) is a line of the table at the end of the run."""
    return record_into(request.node.user_properties)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedFarm]:
    """The farm of all files that need no settings of their own, on a folder. The others override this fixture."""
    with SharedFarm(lambda: Rig(tmp_path_factory.mktemp("rig")).start()) as shared:
        yield shared


@pytest.fixture
def rig(shared: SharedFarm, request: pytest.FixtureRequest) -> Iterator[Rig]:
    yield shared.rig()
    if request.node.stash.get(_FAILED, False):
        shared.discard()
    else:
        shared.check()


@pytest.fixture
def ledger(rig: Rig) -> Iterator[Ledger]:
    with Ledger(rig) as ledger:
        yield ledger

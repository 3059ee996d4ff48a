from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.ledger import Ledger
from tests.chaos.record import Figures, Record
from tests.chaos.rig import Rig

_FIGURES = pytest.StashKey[Figures]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FIGURES] = Figures()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if table := config.stash[_FIGURES].table():
        terminalreporter.section("faults")
        for line in table:
            terminalreporter.write_line(line)


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """record("render worker killed", kills=20, slowest_s=2.9) is a line of the table at the end of the run."""
    return request.config.stash[_FIGURES].record


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One farm per file, on a folder. What a test breaks it mends."""
    with Rig(tmp_path_factory.mktemp("rig")) as rig:
        yield rig
        processes = rig.processes()
    gone = [process for process in processes if process.is_running() and process.status() != "zombie"]
    assert not gone, f"still there after the farm was stopped: {gone}"
    assert not list(rig.scratch.glob("tts-farm-*"))


@pytest.fixture
def ledger(rig: Rig) -> Iterator[Ledger]:
    with Ledger(rig) as ledger:
        yield ledger

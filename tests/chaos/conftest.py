from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.ledger import Ledger
from tests.chaos.rig import Rig


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One farm per file, on a folder. What a test breaks it mends."""
    with Rig(tmp_path_factory.mktemp("rig")) as rig:
        yield rig
        processes = rig.processes()
    gone = [process for process in processes if process.is_running() and process.status() != "zombie"]
    assert not gone, f"still there after the farm was stopped: {gone}"


@pytest.fixture
def ledger(rig: Rig) -> Iterator[Ledger]:
    with Ledger(rig) as ledger:
        yield ledger

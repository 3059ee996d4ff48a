"""farm   a running farm with two keys, for the whole session; every process of it is real"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.embedded.supervisor import Local
from tests.contract.inspector import farm_with_keys

HANG_S = 600  # the long form takes minutes


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(HANG_S))


@pytest.fixture(scope="session")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with farm_with_keys(tmp_path_factory.mktemp("farm")) as farm:
        yield farm

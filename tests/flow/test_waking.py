"""Nothing that is due waits for the keeper: each step of a job wakes the worker of the next one."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.client import Farm
from farm.embedded.supervisor import Local
from farm.wire import JobRequest, Output
from tests.flow.slow_keeper import LEASE_S
from tests.patience import patient


class WithSlowKeepers(Local):
    def _add(self, name: str, command: tuple[str, ...]) -> None:
        if command[-2:-1] == ("worker",):
            command = (sys.executable, "-m", "tests.flow.slow_keeper", command[-1])
        super()._add(name, command)


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    settings = {"FARM_LEASE_SECONDS": f"{LEASE_S:g}", "PYTHONPATH": str(Path(__file__).parents[2])}
    with WithSlowKeepers(tmp_path_factory.mktemp("slow"), environment=settings) as local, Farm(local.url) as client:
        yield client


@pytest.mark.parametrize("turn", ["rendered", "found in storage"])
def test_a_one_line_job_ends_before_the_keeper_looks(farm: Farm, turn: str) -> None:
    line = JobRequest(input="Every tide brings something back.", output=Output(format="wav"))
    began = time.monotonic()
    job = farm.wait(farm.submit(line).id, timeout=patient(30))
    assert time.monotonic() - began < patient(2)
    assert (job.status, job.progress.cached) == ("succeeded", int(turn == "found in storage"))

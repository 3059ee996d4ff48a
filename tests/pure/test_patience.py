from __future__ import annotations

import os
import subprocess
import sys

import pytest

from farm.settings import misspelt
from tests import patience as module
from tests.patience import MOST, patience, patient


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FARM_TEST_PATIENCE", raising=False)
    monkeypatch.setattr(module, "measured_at_start", lambda: 1.02)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))


def load(monkeypatch: pytest.MonkeyPatch, per_processor: float) -> None:
    monkeypatch.setattr(module, "_processors", lambda: 4)
    monkeypatch.setattr(os, "getloadavg", lambda: (4 * per_processor, 0.0, 0.0))


def test_a_quiet_machine_keeps_the_bounds_as_they_are_written(quiet: None) -> None:
    assert patient(5) == pytest.approx(5, rel=0.05)


def test_a_named_patience_wins_over_what_is_measured(quiet: None, monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, 3)
    monkeypatch.setenv("FARM_TEST_PATIENCE", "1.5")
    assert patient(2) == 3


def test_the_load_at_the_time_of_the_call_makes_bounds_longer(quiet: None, monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, 3)
    assert patience() == 3


def test_the_measurement_at_the_start_makes_bounds_longer(quiet: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "measured_at_start", lambda: 2.5)
    assert patience() == 2.5


def test_a_bound_has_an_end_on_any_machine(quiet: None, monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, 50)
    assert patience() == MOST


def test_a_process_of_the_same_run_takes_the_measurement_over() -> None:
    script = "from tests.patience import measured_at_start; print(measured_at_start())"
    environment = os.environ | {module.AT_START: "3.25"}
    said = subprocess.run((sys.executable, "-c", script), capture_output=True, text=True, env=environment, check=True)
    assert float(said.stdout) == 3.25


def test_the_farm_does_not_warn_about_the_name() -> None:
    assert not misspelt({"FARM_TEST_PATIENCE": "3"})

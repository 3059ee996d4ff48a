"""The table of faults, and the two forms of the tier."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.chaos.record import Figures, record_into


@pytest.mark.parametrize(("patience", "last"), [("1", "a fault  bound s 4.00"), ("3", "by up to 3.00.")])
def test_the_table_shows_plain_bounds_and_names_the_factor_of_a_busy_machine(
    monkeypatch: pytest.MonkeyPatch, patience: str, last: str
) -> None:
    monkeypatch.setenv("FARM_TEST_PATIENCE", patience)
    properties: list[tuple[str, object]] = []
    record_into(properties)("a fault", bound_s=4.0)
    figures = Figures()
    figures.pytest_runtest_logreport(report(properties))
    assert figures.table()[0] == "a fault  bound s 4.00"
    assert figures.table()[-1].endswith(last)


@pytest.mark.parametrize(("form", "seconds"), [("", "12"), ("full", "60")])
def test_faults_are_short_by_default_and_long_in_the_full_form(form: str, seconds: str) -> None:
    assert told(form).stdout == seconds


def test_a_misspelt_form_is_refused() -> None:
    assert "FAULTS is 'ful'; set it to 'full'" in told("ful").stderr


def report(properties: list[tuple[str, object]]) -> pytest.TestReport:
    place = ("tests/chaos/test_any.py", 1, "test_any")
    return pytest.TestReport(place[0], place, {}, "passed", None, "call", user_properties=properties)


def told(form: str) -> subprocess.CompletedProcess[str]:
    script = "from tests.chaos.lengths import length; print(length(12, full=60), end='')"
    return subprocess.run(
        (sys.executable, "-c", script), env={**os.environ, "FAULTS": form}, capture_output=True, text=True
    )

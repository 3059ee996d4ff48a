"""The figures that the tests of faults counted and measured: a line for each scenario, a table at the end of the run.

    def test_a_killed_worker(…, record: Record) -> None:
        record("render worker killed", kills=20, lost=0, slowest_s=2.9, bound_s=12)

Figures are kept as they are given; a number with a fraction is shown with one digit after the point, or two below ten.
A bound is the plain one, of a quiet machine. When this machine was busy, a last line names the largest factor.

Figures is a plugin of pytest. The figures of a test travel in its report, because with several processes the one that
prints the table runs no test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from tests.patience import patience

Figure = int | float | str
Record = Callable[..., None]  # record(scenario, **figures)

_PROPERTY = "figures of faults"  # of a test's report: [scenario, figures, patience]


def record_into(properties: list[tuple[str, Any]]) -> Record:
    """What a test records goes into `properties`, the user_properties of its item."""
    return partial(_record, properties)


def _record(properties: list[tuple[str, Any]], scenario: str, **figures: Figure) -> None:
    properties.append((_PROPERTY, [scenario, figures, patience()]))


class Figures:
    """The lines of one test run, in the order in which they were recorded."""

    def __init__(self) -> None:
        self._lines: list[tuple[str, Mapping[str, Figure]]] = []
        self._patience = 1.0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            for name, value in report.user_properties:
                if name == _PROPERTY:
                    self.add(*value)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if table := self.table():
            terminalreporter.section("faults")
            for line in table:
                terminalreporter.write_line(line)

    def add(self, scenario: str, figures: Mapping[str, Figure], patience: float) -> None:
        self._lines.append((scenario, figures))
        self._patience = max(self._patience, patience)

    def table(self) -> list[str]:
        width = max((len(scenario) for scenario, _ in self._lines), default=0)
        lines = [f"{scenario:<{width}}  {_told(figures)}" for scenario, figures in self._lines]
        if lines and self._patience > 1:
            lines += ["", f"This machine was busy: bounds were multiplied by up to {self._patience:.2f}."]
        return lines


def _told(figures: Mapping[str, Figure]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_shown(figure)}" for name, figure in figures.items())


def _shown(figure: Figure) -> str:
    if not isinstance(figure, float):
        return str(figure)
    return f"{figure:.1f}" if abs(figure) >= 10 else f"{figure:.2f}"

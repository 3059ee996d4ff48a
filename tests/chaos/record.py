"""What the tests of faults counted and measured: a line for each scenario, shown as a table at the end of the run.

    def test_a_killed_worker(…, record: Record) -> None:
        record("render worker killed", kills=20, lost=0, slowest_s=2.9)

Figures are kept as they are given; a number with a fraction is shown with one digit of it, or two below ten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

Figure = int | float | str
Record = Callable[..., None]  # record(scenario, **figures)


class Figures:
    """The lines of one test run, in the order in which they were recorded."""

    def __init__(self) -> None:
        self._lines: list[tuple[str, Mapping[str, Figure]]] = []

    def record(self, scenario: str, **figures: Figure) -> None:
        self._lines.append((scenario, figures))

    def table(self) -> list[str]:
        width = max((len(scenario) for scenario, _ in self._lines), default=0)
        return [f"{scenario:<{width}}  {_told(figures)}" for scenario, figures in self._lines]


def _told(figures: Mapping[str, Figure]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_shown(figure)}" for name, figure in figures.items())


def _shown(figure: Figure) -> str:
    if not isinstance(figure, float):
        return str(figure)
    return f"{figure:.1f}" if abs(figure) >= 10 else f"{figure:.2f}"

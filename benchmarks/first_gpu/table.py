"""The results: one row for each figure or answer, and at least one row for each probe."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

# measured: a figure or an answer; failed: the probe raised, hung or broke its process, or an answer is wrong;
# not run: something is missing here, as the row says
State = Literal["measured", "failed", "not run"]


@dataclass(frozen=True, slots=True)
class Row:
    """A figure with its unit, or an answer in words."""

    what: str
    value: float | str
    unit: str = ""
    says: str = ""  # what to compare it with, or why it is missing
    state: State = "measured"

    @property
    def shown(self) -> str:
        if isinstance(self.value, str):
            return self.value
        digits = 0 if abs(self.value) >= 100 else 1 if abs(self.value) >= 10 else 3
        return f"{self.value:,.{digits}f} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Result:
    """All that a probe answered."""

    probe: str
    seconds: float
    rows: Sequence[Row]


def failed(what: str, says: str) -> Row:
    return Row(what, "FAILED", says=says, state="failed")


def not_run(what: str, says: str) -> Row:
    return Row(what, "not run", says=says, state="not run")


def judged(what: str, good: bool, answer: str, says: str = "") -> Row:
    """An answer that is right or wrong."""
    return Row(what, answer, says=says, state="measured" if good else "failed")


def as_text(result: Result) -> str:
    lines = [f"{result.probe} ({result.seconds:.0f} s)"]
    for row in result.rows:
        mark = {"measured": " ", "failed": "!", "not run": "-"}[row.state]
        lines.append(f" {mark} {row.what:<46} {row.shown:>18}  {row.says}".rstrip())
    return "\n".join(lines)


def as_markdown(title: str, results: Iterable[Result]) -> str:
    lines = [f"# {title}", "", "| probe | what | value | beside it |", "|---|---|---|---|"]
    for result in results:
        for row in result.rows:
            cells = (result.probe, row.what, row.shown, row.says)
            lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def as_json(title: str, results: Iterable[Result]) -> str:
    return json.dumps({"title": title, "results": [asdict(result) for result in results]}, indent=1) + "\n"


def summary(results: Sequence[Result]) -> str:
    states = [row.state for result in results for row in result.rows]
    return ", ".join(f"{states.count(state)} {state}" for state in ("measured", "failed", "not run"))

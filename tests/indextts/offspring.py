"""Processes that a test has started, by the module that they run.

Those of engines that live longer than a file of tests are left out: `known` notes them before the file begins. So a
file asks for the fixture `offspring_before` (conftest.py).
"""

from __future__ import annotations

import psutil

_known: set[int] = set()


def note_known() -> None:
    _known.update(child.pid for child in psutil.Process().children())


def children(module: str) -> list[psutil.Process]:
    new = (child for child in psutil.Process().children() if child.pid not in _known)
    return [child for child in new if child.is_running() and module in _command(child)]


def _command(child: psutil.Process) -> str:
    try:
        return " ".join(child.cmdline())
    except psutil.ZombieProcess:
        return ""  # it has ended, and waits for its parent to hear of it

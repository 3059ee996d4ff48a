"""Memory that creeps: what PyTorch has reserved on the GPU, compared from drain to drain.

A larger batch than any before takes more, once. A leak takes more in every drain. So drains count that each set a new
maximum, one after the other; streams or workspaces that are made anew for each drain look like that.
"""

from __future__ import annotations

import logging

import torch

log = logging.getLogger(__name__)

_IN_A_ROW = 5  # drains
_SHARE = 0.05  # of what was reserved before these, and
_LEAST = 256 << 20  # bytes: growth below both bounds is not worth a word
_GIB = 1 << 30


def reserved(device: torch.device) -> int:
    """Bytes that PyTorch holds on the device, in use or not; 0 on a CPU, where the system's allocator decides."""
    return torch.cuda.memory_reserved(device) if device.type == "cuda" else 0


class Creep:
    """Of one process. `fact` is empty as long as nothing creeps."""

    def __init__(self) -> None:
        self._most: int | None = None
        self._before = 0  # reserved, before the drains in a row
        self._in_a_row = 0
        self._warned = 0  # growth that the log has heard of
        self.fact = ""

    def drained(self, reserved: int) -> None:
        """After each drain that had work: the bytes that are reserved now."""
        if self._most is None:
            self._most = reserved
            return
        if reserved <= self._most:
            self._in_a_row, self._warned, self.fact = 0, 0, ""
            return
        if not self._in_a_row:
            self._before = self._most
        self._in_a_row += 1
        self._most = reserved
        growth = reserved - self._before
        bound = max(_LEAST, int(_SHARE * self._before))
        if self._in_a_row < _IN_A_ROW or growth < bound:
            return
        self.fact = (
            f"{growth / _GIB:.1f} GiB more after {self._in_a_row} drains, each of which took more than any before"
        )
        if growth >= self._warned + bound:
            self._warned = growth
            log.warning("the GPU's memory creeps: %s; restart this worker when it suits you, and tell us", self.fact)

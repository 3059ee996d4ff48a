"""How many rows a batch of the acoustic stages has, and how pieces are shared out among batches.

Rows are the mel frames of a piece, those of its reference among them. A batch that is a little too large becomes two
halves: seven pieces and one would leave the last alone, and alone a piece costs nearly what the seven cost.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

_GB = 1 << 30
# Rows by the GPU's memory. A row takes about 70 KB in fp32, and half of that in half precision (calculated).
_BY_MEMORY = ((40 * _GB, 24576), (15 * _GB, 16384), (0, 8192))
_ON_A_CPU = 16384


def rows_of(device: torch.device) -> int:
    """The rows that a batch has at most on this device."""
    if device.type != "cuda":
        return _ON_A_CPU
    memory = torch.cuda.get_device_properties(device).total_memory
    return next(rows for least, rows in _BY_MEMORY if memory >= least)


class Room:
    """The rows that the next batch may have: fewer after one that did not fit, more again with each success."""

    def __init__(self, most: int) -> None:
        self._most = self.rows = most

    def shrink(self, failed: int) -> None:
        """After a batch of `failed` rows that did not fit."""
        self.rows = failed // 2

    def grow(self) -> None:
        self.rows = min(self._most, self.rows + self.rows // 8 + 1)


def first_batch(rows: Sequence[int], room: int) -> int:
    """How many of the first pieces, which have so many `rows` each, make the next batch. All are shared out evenly over
    as few batches as their `room` allows; a piece with more rows than that goes alone."""
    fewest = len(_cut(rows, room))
    low, high = 1, room
    while low < high:  # the smallest limit that takes no more batches
        middle = (low + high) // 2
        low, high = (low, middle) if len(_cut(rows, middle)) <= fewest else (middle + 1, high)
    return _cut(rows, low)[0]


def _cut(rows: Sequence[int], limit: int) -> list[int]:
    """The sizes of batches that are filled up to the limit, one after another."""
    sizes: list[int] = []
    filled = 0
    for count in rows:
        if sizes and filled + count <= limit:
            sizes[-1] += 1
            filled += count
        else:
            sizes.append(1)
            filled = count
    return sizes

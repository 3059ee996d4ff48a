"""Codes on their way to the host: copied behind a step, and read while the next one runs."""

from __future__ import annotations

import torch
from torch import Tensor


class Readback:
    """A ring of pinned memory for the codes of the steps that the host has not read yet, at most `depth`.

    Whoever reads sleeps until the copy is done. CUDA's own way is to spin, which would take a core from the processes
    that put texts into words, for a wake-up that is some microseconds earlier, while the next step runs anyway."""

    def __init__(self, depth: int, slots: int, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._places = [torch.zeros(slots, dtype=torch.int64, pin_memory=self._cuda) for _ in range(depth)]
        self._turn = 0

    def note(self, codes: Tensor) -> Note:
        """Queues a copy of the codes (B,) on the current stream. The place is used again after `depth` more."""
        place = self._places[self._turn % len(self._places)]
        self._turn += 1
        place.copy_(codes, non_blocking=True)
        event = None
        if self._cuda:
            event = torch.cuda.Event(blocking=True)
            event.record()
        return Note(place, event)


class Note:
    def __init__(self, place: Tensor, event: torch.cuda.Event | None) -> None:
        self._place, self._event = place, event

    def wait(self) -> None:
        if self._event is not None:
            self._event.synchronize()

    def read(self) -> list[int]:
        """(B,) codes, once the step is done."""
        self.wait()
        codes: list[int] = self._place.tolist()
        return codes

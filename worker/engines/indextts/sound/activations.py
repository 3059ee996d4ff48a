"""BigVGAN's activations by fused kernels, in place of the package's own while a batch runs.

A kernel knows the ends of the items, so that nothing has to be set behind them before it. Itself it writes zeros there,
as a convolution would find them if the item were alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from worker.engines.indextts.kernels.plain import Kernels

log = logging.getLogger(__name__)


class Activations:
    """Of `running`, a copy of the package's network `exact` or the network itself, with the parameters that `exact` has
    in fp32. False where the kernels have no activation, or none of this network's form."""

    def __init__(self, running: Any, exact: Any, device: torch.device, kernels: Kernels) -> None:
        self._kernels: list[tuple[Any, Callable[[Tensor, Tensor | None, int], Tensor]]] = []
        if (snakes := kernels.snakes) is None:
            return
        try:
            made = [partial(snakes.apply, snakes.read(layer, device)) for layer in _of(exact)]
        except ValueError as error:
            log.warning("the vocoder's activations run by PyTorch's kernels, which are slower: %s", error)
            return
        self._kernels = list(zip(_of(running), made, strict=True))

    def __bool__(self) -> bool:
        return len(self._kernels) > 0

    def width(self, frames: Sequence[int]) -> int:
        """Of the batch, in frames. Where it is even, all rows are multiples of 8 numbers and are read in packs."""
        longest = max(frames)
        return longest + longest % 2 if self else longest

    @contextmanager
    def knowing(self, frames: Sequence[int], width: int, device: torch.device) -> Iterator[None]:
        """In place of the package's, for a batch whose items have `frames` and are padded to `width`."""
        uneven = any(count != width for count in frames)
        ends = torch.tensor(frames, dtype=torch.int32, device=device) if self and uneven else None
        for layer, kernel in self._kernels:
            layer.forward = lambda x, kernel=kernel: kernel(x, ends, x.shape[-1] // width)
        try:
            yield
        finally:
            for layer, _ in self._kernels:
                del layer.forward


def _of(network: Any) -> list[Any]:
    return [layer for layer in network.modules() if type(layer).__name__ == "Activation1d"]

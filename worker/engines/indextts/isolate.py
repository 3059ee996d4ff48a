"""A batch, so that one bad item never sinks its neighbours and a full memory sinks nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from worker.engines.indextts.memory import out_of_memory, poisoned

Item = TypeVar("Item")
Made = TypeVar("Made")
Failed = TypeVar("Failed")


def apart(
    items: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Made]], failed: Callable[[Item, Exception], Failed]
) -> list[Made | Failed]:
    """`work(items)`, in order. Out of memory halves the batch; any other error tries each alone, and what fails alone
    is `failed`. A CUDA context that can't be used any more is raised: no item is to blame for it."""
    if not items:
        return []
    try:
        return list(work(items))
    except Exception as error:
        if poisoned(error):
            raise
        if len(items) == 1:
            return [failed(items[0], error)]
        size = 1 if not out_of_memory(error) else (len(items) + 1) // 2
    # Out here the error, which keeps the tensors of the failed call alive through its traceback, is gone.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return [made for start in range(0, len(items), size) for made in apart(items[start : start + size], work, failed)]

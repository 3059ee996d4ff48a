"""The rules for a batch that fails: one bad item never fails the others, and a full memory fails none.

out of memory               the batch is halved
a poisoned CUDA context     raised: no later call can succeed in this process
any other error             each item is tried alone, and one that fails alone is a failure
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from worker.engines.indextts.memory import out_of_memory, poisoned

Item = TypeVar("Item")
Made = TypeVar("Made")
Failed = TypeVar("Failed")


def isolate(
    items: Sequence[Item],
    work: Callable[[Sequence[Item]], Sequence[Made]],
    failed: Callable[[Item, Exception], Failed],
    retried: Callable[[Sequence[Item], Exception], None] = lambda items, error: None,
) -> list[Made | Failed]:
    """`work(items)`, in the order of the items. `failed` makes the answer for an item that fails alone. `retried` is
    told of each batch that failed and is about to be tried in smaller ones.

    Raises:
        Exception: the error of a poisoned CUDA context.
    """
    if not items:
        return []
    try:
        return list(work(items))
    except Exception as error:
        if poisoned(error):
            raise
        if len(items) == 1:
            return [failed(items[0], error)]
        retried(items, error)
        size = (len(items) + 1) // 2 if out_of_memory(error) else 1
    # Behind the handler the error is gone, whose traceback keeps the tensors of the failed call alive.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return [
        made
        for start in range(0, len(items), size)
        for made in isolate(items[start : start + size], work, failed, retried)
    ]

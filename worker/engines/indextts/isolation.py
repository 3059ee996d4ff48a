"""The rules for a batch that fails: one bad item never fails the others, and a full memory fails none.

out of memory                 the batch is halved; an item alone has a second try
an error of the device        raised: this process can't go on, and no item is to blame; where memory may be to blame,
                              not before an item has failed with it twice alone
any other error               each item is tried alone, and one that fails alone is a failure
eight failures in a row       raised as Broken: so many texts are not bad one after another, so something else is
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from farm.errors import FarmError
from worker.engines.indextts.device_error import device_failed, out_of_memory, perhaps_out_of_memory

Item = TypeVar("Item")
Made = TypeVar("Made")
Failed = TypeVar("Failed")

MOST_IN_A_ROW = 8


class Broken(RuntimeError):
    """Item after item failed alone, and none succeeded between them."""


class Isolation:
    """Of one place where batches are worked on. It counts the items that failed alone in a row, over all batches; an
    error that the farm raised on purpose is about the item, and counts nothing."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._in_a_row = 0

    def run(
        self,
        items: Sequence[Item],
        work: Callable[[Sequence[Item]], Sequence[Made]],
        failed: Callable[[Item, Exception], Failed],
        retried: Callable[[Sequence[Item], Exception], None] = lambda items, error: None,
        *,
        last: bool = False,
    ) -> list[Made | Failed]:
        """`work(items)`, in the order of the items. `failed` makes the answer for an item that fails alone. `retried`
        is told of each batch that failed and is about to be tried in smaller ones. `last`: one item has had a try.

        Raises:
            Exception: the error of a device that failed.
            Broken: after eight items that failed alone.
        """
        if not items:
            return []
        try:
            made: list[Made | Failed] = list(work(items))
        except Exception as error:
            unsure = perhaps_out_of_memory(error)
            if device_failed(error) and (last or not unsure):
                raise
            alone, lacking = len(items) == 1, unsure or out_of_memory(error)
            if alone and (last or not lacking):  # memory may be free again in a moment: one item has a second try
                self._count(error)
                return [failed(items[0], error)]
            if not alone:
                retried(items, error)
            size = (len(items) + 1) // 2 if lacking else 1
        else:
            self._in_a_row = 0
            return made
        # Behind the handler the error is gone, whose traceback keeps the tensors of the failed call alive.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return [
            one
            for start in range(0, len(items), size)
            for one in self.run(items[start : start + size], work, failed, retried, last=alone)
        ]

    def _count(self, error: Exception) -> None:
        if isinstance(error, FarmError):
            return
        self._in_a_row += 1
        if self._in_a_row >= MOST_IN_A_ROW:
            raise Broken(
                f"{self._in_a_row} texts in a row failed in {self._place}, each of them alone, so the texts are hardly "
                f"to blame; the last error: {error}"
            ) from error

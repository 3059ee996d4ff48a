"""A batch that fails: halved when memory ran out, one by one on any other error, given up when the context is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from farm.errors import BadInput
from worker.engines.indextts.isolation import MOST_IN_A_ROW, Broken, Isolation


class Device:
    """Doubles numbers in batches of `room` at most, and fails at the number in `bad`."""

    def __init__(
        self, room: int = 100, bad: int | None = None, error: Exception | None = None, full: Exception | None = None
    ) -> None:  # fmt: skip
        self._room, self._bad = room, bad
        self._full = full or torch.OutOfMemoryError("CUDA out of memory")
        self._error = error or ValueError("a bad number")
        self.batches: list[list[int]] = []

    def double(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        if len(numbers) > self._room:
            raise self._full
        if self._bad in numbers:
            raise self._error
        return [2 * number for number in numbers]


def isolate(numbers: Sequence[int], work: Any, failed: Any, *retried: Any) -> list[Any]:
    return Isolation("a test").run(numbers, work, failed, *retried)


def failed(number: int, error: Exception) -> str:
    return f"{number}: {error}"


def test_a_batch_that_goes_well_is_one_call() -> None:
    device = Device()
    assert isolate([1, 2, 3], device.double, failed) == [2, 4, 6]
    assert device.batches == [[1, 2, 3]]


def test_no_items_are_no_call() -> None:
    device = Device()
    assert isolate([], device.double, failed) == []
    assert device.batches == []


def test_out_of_memory_halves_a_batch_until_it_fits() -> None:
    device = Device(room=2)
    assert isolate([1, 2, 3, 4, 5], device.double, failed) == [2, 4, 6, 8, 10]
    assert device.batches == [[1, 2, 3, 4, 5], [1, 2, 3], [1, 2], [3], [4, 5]]


def test_an_item_without_room_alone_fails_alone() -> None:
    assert isolate([1, 2], Device(room=0).double, failed) == ["1: CUDA out of memory", "2: CUDA out of memory"]


def test_any_other_error_tries_the_items_one_by_one_and_only_the_bad_one_fails() -> None:
    device = Device(bad=2)
    assert isolate([1, 2, 3, 4], device.double, failed) == [2, "2: a bad number", 6, 8]
    assert device.batches == [[1, 2, 3, 4], [1], [2], [3], [4]]


def test_a_lost_context_is_raised_and_nothing_is_tried_again() -> None:
    device = Device(bad=2, error=RuntimeError("CUDA error: an illegal memory access was encountered"))
    with pytest.raises(RuntimeError, match="illegal memory access"):
        isolate([1, 2, 3], device.double, failed)
    assert len(device.batches) == 1


NO_ENGINE = "GET was unable to find an engine to execute this computation"  # what cuDNN says of a lack of memory too


def test_a_cudnn_that_finds_no_engine_gets_smaller_batches_first() -> None:
    device = Device(room=2, full=RuntimeError(NO_ENGINE))
    assert isolate([1, 2, 3, 4, 5], device.double, failed) == [2, 4, 6, 8, 10]
    assert device.batches == [[1, 2, 3, 4, 5], [1, 2, 3], [1, 2], [3], [4, 5]]


def test_a_cudnn_that_finds_no_engine_for_an_item_alone_has_failed_and_the_item_has_not() -> None:
    device = Device(room=0, full=RuntimeError(NO_ENGINE))
    with pytest.raises(RuntimeError, match="unable to find an engine"):
        isolate([1, 2], device.double, failed)
    assert device.batches == [[1, 2], [1], [1]]


def test_the_caller_is_told_of_each_batch_that_is_tried_again() -> None:
    told: list[tuple[list[int], str]] = []
    isolate([1, 2, 3], Device(room=1).double, failed, lambda items, error: told.append((list(items), str(error))))
    assert told == [([1, 2, 3], "CUDA out of memory"), ([1, 2], "CUDA out of memory")]


def test_eight_that_fail_alone_in_a_row_are_the_fault_of_none_of_them() -> None:
    isolation = Isolation("a test")
    numbers = list(range(MOST_IN_A_ROW))
    with pytest.raises(Broken, match=r"8 texts in a row failed in a test.*the last error: 7 is bad"):
        isolation.run(numbers, refuse(ValueError), failed)


def test_failures_are_counted_over_batches_and_forgotten_at_a_success() -> None:
    isolation = Isolation("a test")
    for number in range(MOST_IN_A_ROW - 1):
        isolation.run([number], refuse(ValueError), failed)
    isolation.run([1], Device().double, failed)
    for number in range(MOST_IN_A_ROW - 1):
        isolation.run([number], refuse(ValueError), failed)
    with pytest.raises(Broken):
        isolation.run([1], refuse(ValueError), failed)


def test_what_the_farm_refuses_on_purpose_is_about_the_item_and_counts_nothing() -> None:
    isolation = Isolation("a test")
    numbers = list(range(2 * MOST_IN_A_ROW))
    assert isolation.run(numbers, refuse(BadInput), failed) == [f"{number}: {number} is bad" for number in numbers]


def refuse(kind: type[Exception]) -> Any:
    def work(numbers: Sequence[int]) -> list[int]:
        raise kind(f"{numbers[0]} is bad")

    return work

"""How many kernels a piece of work launches, and how much of its time the GPU computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.first_gpu.bench import Bench


@dataclass(frozen=True, slots=True)
class Count:
    what: str
    number: float
    busy: float | None  # share of the time in which the GPU computes; None on a CPU
    says: str = ""


def count(bench: Bench, work: Callable[[], object], turns: int = 1) -> Count:
    """Of one call of `work`, averaged over `turns`. On a CPU, the operators that PyTorch dispatches. Call it after a
    warm-up."""
    if not bench.on_cuda:
        with _Operators() as operators:
            for _ in range(turns):
                work()
        return Count("operators", operators.seen / turns, None)
    from torch.profiler import ProfilerActivity, profile

    bench.now()
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        started = bench.now()
        for _ in range(turns):
            work()
        seconds = bench.now() - started
    spans = sorted((event.time_range.start, event.time_range.end) for event in profiled.events() if on_gpu(event))
    busy = union(spans) / 1e6 / seconds
    return Count("kernels", len(spans) / turns, busy, f"GPU busy {busy:.0%} under the profiler")


def on_gpu(event: Any) -> bool:
    return "CUDA" in str(event.device_type)


def union(spans: list[tuple[float, float]]) -> float:
    """The length that the spans, in the order of their starts, cover together."""
    covered, end = 0.0, float("-inf")
    for first, last in spans:
        covered += max(0.0, last - max(first, end))
        end = max(end, last)
    return covered


class _Operators(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen = 0

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        self.seen += 1
        return function(*arguments, **(keywords or {}))

"""Does memory creep? What PyTorch has reserved after 1, 5 and 20 drains of the same work."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import torch

from benchmarks.first_gpu.bench import Bench, clips
from benchmarks.first_gpu.table import Row, judged

_AT = (1, 5, 20)
_CREEP = 0.05  # share of what was reserved after the first drains


def drains(bench: Bench) -> Iterator[Row]:
    engine = bench.engine("2")
    asked = bench.utterances(bench.size(16, 1), 3)
    held = {}
    last = bench.size(_AT[-1], 2)
    for drain in range(1, last + 1):
        clips(engine, asked)
        if drain in _AT or drain == last:
            held[drain] = _reserved(bench)
            yield Row(f"reserved after {drain} drains", held[drain], "GiB", "" if bench.on_cuda else "of the process")
    if bench.on_cuda:
        yield Row("most that was ever allocated", torch.cuda.max_memory_allocated() / 2**30, "GiB")
    middle = held[sorted(held)[len(held) // 2]]
    growth = held[last] / middle - 1
    yield judged("growth over the last drains", growth <= _CREEP, f"{growth:+.1%}", f"at most {_CREEP:.0%}")
    for name in ("memory", "creep"):
        if fact := engine.facts().get(name):
            yield Row(f"the engine says of its {name}", fact)


def _reserved(bench: Bench) -> float:
    """GiB."""
    if bench.on_cuda:
        return torch.cuda.memory_reserved(bench.device) / 2**30
    return psutil.Process().memory_info().rss / 2**30

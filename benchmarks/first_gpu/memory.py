"""Does memory creep? What PyTorch has reserved after 1, 5 and 20 drains of the same work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import psutil
import torch

from benchmarks.first_gpu.bench import Bench, clips
from benchmarks.first_gpu.table import Row, judged

_AT = (1, 5, 20)
_CREEP = 0.05  # share of what was reserved after the first drains


def drains(bench: Bench) -> Iterator[Row]:
    engine = bench.engine("2")
    asked = bench.utterances(bench.size(16, 1), 3)
    held, taken = {}, {}
    last = bench.size(_AT[-1], 2)
    for drain in range(1, last + 1):
        clips(engine, asked)
        if drain in _AT or drain == last:
            held[drain], taken[drain] = _reserved(bench), _blocks(bench)
            yield Row(f"reserved after {drain} drains", held[drain], "GiB", "" if bench.on_cuda else "of the process")
    if bench.on_cuda:
        yield Row("most that was ever allocated", torch.cuda.max_memory_allocated() / 2**30, "GiB")
        yield from _allocator(taken)
    middle = held[sorted(held)[len(held) // 2]]
    growth = held[last] / middle - 1
    yield judged("growth over the last drains", growth <= _CREEP, f"{growth:+.1%}", f"at most {_CREEP:.0%}")
    for name in ("memory", "creep"):
        if fact := engine.facts().get(name):
            yield Row(f"the engine says of its {name}", fact)


def _blocks(bench: Bench) -> int:
    """Times that PyTorch asked the driver for memory."""
    return int(torch.cuda.memory_stats(bench.device).get("num_device_alloc", 0)) if bench.on_cuda else 0


def _allocator(taken: Mapping[int, int]) -> Iterator[Row]:
    """Each cudaMalloc stops all streams. Lengths that change from batch to batch break the cache into pieces that fit
    none; expandable segments are PyTorch's way out."""
    *_, middle, last = sorted(taken)
    says = "0: the cache serves all; many: try PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True"
    yield Row("cudaMalloc in a drain", (taken[last] - taken[middle]) / (last - middle), "", says)
    stats = torch.cuda.memory_stats()
    yield Row("retries after a full memory", float(stats.get("num_alloc_retries", 0)), "", "each gave the cache back")
    settings = torch.cuda.memory._snapshot()["allocator_settings"]
    yield Row("the allocator's settings", str({key: settings[key] for key in sorted(settings)}))


def _reserved(bench: Bench) -> float:
    """GiB."""
    if bench.on_cuda:
        return torch.cuda.memory_reserved(bench.device) / 2**30
    return psutil.Process().memory_info().rss / 2**30

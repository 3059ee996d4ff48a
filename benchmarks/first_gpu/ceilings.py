"""What the device can do at most, in the kinds of work that the engine consists of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.first_gpu.bench import Bench, Missing
from benchmarks.first_gpu.table import Row, not_run

_HEADS, _WIDTH = 8, 64  # of the flow
_LAUNCHES = 1000


def measure(bench: Bench) -> Iterator[Row]:
    for part in (_copy, _products, _varlen, _sdpa, _plans, _launch, _norm):
        try:
            with torch.inference_mode():
                yield from part(bench)
        except Missing as missing:
            yield not_run(part.__name__.strip("_"), str(missing))
        except Exception as error:  # one kind of work may be missing
            yield not_run(part.__name__.strip("_"), f"{type(error).__name__}: {error}".partition("\n")[0])


def _copy(bench: Bench) -> Iterator[Row]:
    source = torch.empty(bench.size(1 << 30, 1 << 20), dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    seconds = bench.seconds(lambda: target.copy_(source))
    yield Row("copy in memory", 2 * source.numel() / seconds / 1e9, "GB/s", "reads and writes; an H100 has shown 3,000")


def _products(bench: Bench) -> Iterator[Row]:
    size = bench.size(8192, 64)
    for precision in ("fp16", "bf16", "tf32", "fp32"):
        if precision == "tf32" and not bench.on_cuda:
            continue
        dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision, torch.float32)
        if bench.on_cuda:
            torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        one = torch.randn(size, size, device=bench.device).to(dtype)
        seconds = bench.seconds(lambda one=one: one @ one, turns=3)  # type: ignore[misc]
        says = {"fp16": "assumed: 450 on an H100", "tf32": "assumed: 220 on an H100"}.get(precision, "")
        yield Row(f"matrix product of {size}, {precision}", 2 * size**3 / seconds / 1e12, "TFLOP/s", says)


def _varlen(bench: Bench) -> Iterator[Row]:
    from worker.engines.indextts.sound import spans

    rows, items = bench.size(1700, 20), 8  # 10 s of speech behind 10 s of reference
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        bounds = [(item * rows, (item + 1) * rows) for item in range(items)]
        attention = spans.choose(bench.device, dtype, _HEADS, _WIDTH).attention
        attend = attention.over(bounds, bench.device)
        given = torch.randn(2, items * rows, _HEADS, _WIDTH, device=bench.device).to(dtype)
        seconds = bench.seconds(lambda given=given, attend=attend: attend(given, given, given))  # type: ignore[misc]
        flops = 2 * items * 4 * rows * rows * _HEADS * _WIDTH
        name = str(dtype).removeprefix("torch.")
        says = f"{attention.name}; assumed: {45 if dtype == torch.float32 else 330} on an H100"
        yield Row(f"attention of 8 items, {name}", flops / seconds / 1e12, "TFLOP/s", says)


def _sdpa(bench: Bench) -> Iterator[Row]:
    rows = bench.size(1700, 20)
    flops = 2 * 4 * rows * rows * _HEADS * _WIDTH
    for dtype in (torch.float32, torch.float16):
        given = torch.randn(2, _HEADS, rows, _WIDTH, device=bench.device).to(dtype)
        seconds = bench.seconds(lambda given=given: F.scaled_dot_product_attention(given, given, given))  # type: ignore[misc]
        says = "assumed: 45 on an H100" if dtype == torch.float32 else ""
        name = str(dtype).removeprefix("torch.")
        yield Row(f"attention, one item, {name}", flops / seconds / 1e12, "TFLOP/s", says)


def _plans(bench: Bench) -> Iterator[Row]:
    """Which attention PyTorch takes where nobody leaves one out, and what a length that is new costs the host."""
    if not bench.on_cuda:
        raise Missing("only a GPU has attentions with plans")
    for name, backend in (("cuDNN", SDPBackend.CUDNN_ATTENTION), ("flash", SDPBackend.FLASH_ATTENTION)):
        with sdpa_kernel(backend):
            lengths = iter(range(500, 600, 7))

            def new_length(lengths: Iterator[int] = lengths) -> None:
                _attend(bench, next(lengths))

            fresh = bench.seconds(new_length, turns=5)
            again = bench.seconds(lambda: _attend(bench, 500), turns=5)
        says = f"{again * 1e3:.2f} ms for one that was seen before; the engine leaves cuDNN's out"
        yield Row(f"attention by {name}, a new length", fresh * 1e3, "ms", says)


def _attend(bench: Bench, length: int) -> None:
    given = torch.zeros(8, 20, length, 64, device=bench.device, dtype=torch.float16)
    F.scaled_dot_product_attention(given, given, given, is_causal=True)


def _launch(bench: Bench) -> Iterator[Row]:
    """How long Python, PyTorch and driver take for a kernel that does nothing worth naming."""
    small = torch.zeros(1, device=bench.device)

    def many() -> None:
        for _ in range(_LAUNCHES):
            small.add_(1)

    seconds = bench.seconds(many, turns=3)
    yield Row("launch of a small kernel", seconds / _LAUNCHES * 1e6, "us", "assumed: 5; the host's speed")
    if bench.on_cuda:
        graph = _captured(many)
        yield Row("the same in a graph", bench.seconds(graph.replay, turns=3) / _LAUNCHES * 1e6, "us", "assumed: 2")


def _captured(work: Callable[[], Any]) -> Any:
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        work()
    return graph


def _norm(bench: Bench) -> Iterator[Row]:
    """PyTorch's rms_norm is one kernel since 2.9 and seven before: a third of the flow's launches."""
    given = torch.randn(2, bench.size(13_600, 100), 512, device=bench.device).to(torch.float16)
    weight = torch.ones(512, device=bench.device, dtype=torch.float16)
    seconds = bench.seconds(lambda: F.rms_norm(given, (512,), weight, 1e-5))
    yield Row("rms_norm in fp16", 4 * given.numel() / seconds / 1e9, "GB/s", "below half of the copy: it is not fused")

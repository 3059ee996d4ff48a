"""Flow and vocoder alone: audio seconds per second by precision and by the length of the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch

from benchmarks.first_gpu.bench import REFERENCES_S, Bench, Stages
from benchmarks.first_gpu.launches import count
from benchmarks.first_gpu.table import Row
from worker.engines.indextts.kernels.choice import choose
from worker.engines.indextts.kernels.plain import PLAIN, Kernels
from worker.engines.indextts.shapes import Precision, Voice

_CLIP_S = 10.0
_FRAMES_PER_S = 22050 / 256
_TOGETHER = 8  # pieces, as the engine gathers them with 64 slots
_STEP = 33  # frames, so that widths are new however they are rounded
_UNEVEN = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)

# audio seconds per second on an H100, calculated: (precision, seconds of reference)
_FLOW_FORESEEN = {
    ("fp16", 3): 305, ("fp16", 10): 200, ("fp16", 15): 155, ("tf32", 3): 100, ("tf32", 10): 57, ("tf32", 15): 41,
}  # fmt: skip
_VOCODER_FORESEEN = {"fp16": "280 to 430; 1,000 with the fused activation", "tf32": "150 to 230"}


def flow(bench: Bench) -> Iterator[Row]:
    frames = ten_seconds(bench)
    audio = sum(frames) / _FRAMES_PER_S
    for precision, kernels in ways(bench):
        stages = bench.stages(precision, kernels)
        way = f"{precision}, {kernels.name} kernels"
        for seconds_of in REFERENCES_S[: bench.size(3, 1)]:
            voices = bench.voices(seconds_of, len(frames))
            work = flow_of(bench, frames, voices, stages)
            seconds = bench.seconds(work, turns=bench.size(3, 1), warm=1)
            foreseen = _FLOW_FORESEEN.get((precision, seconds_of))
            says = f"{foreseen} foreseen on an H100" if foreseen else ""
            yield Row(f"{way}, reference of {seconds_of} s", audio / seconds, "audio-s/s", says)
            if seconds_of == 10 or bench.tiny:
                told = count(bench, work)
                yield Row(f"{way}, {told.what} a batch", told.number, "", told.says)
                yield _unseen(bench, way, seconds, partial(flow_of, bench, frames, voices, stages))
        del stages
        bench.tidy()


def vocoder(bench: Bench) -> Iterator[Row]:
    even = ten_seconds(bench)
    uneven = [round(share * even[0]) for share in _UNEVEN[-len(even) :]]
    for precision, kernels in ways(bench):
        stages = bench.stages(precision, kernels)
        way = f"{precision}, {kernels.name} kernels"
        for name, frames in (("even", even), ("uneven", uneven)):
            work = vocoder_of(bench, frames, stages)
            seconds = bench.seconds(work, turns=bench.size(3, 1), warm=1)
            says = f"{_VOCODER_FORESEEN[precision]} foreseen on an H100" if precision in _VOCODER_FORESEEN else ""
            yield Row(f"{way}, {name}", sum(frames) / _FRAMES_PER_S / seconds, "audio-s/s", says)
            told = count(bench, work)
            yield Row(f"{way}, {name}, {told.what} a batch", told.number, "", told.says)
        yield _unseen(bench, way, seconds, partial(vocoder_of, bench, uneven, stages))
        del stages
        bench.tidy()


def _unseen(bench: Bench, way: str, seconds: float, work: Callable[[int], Callable[[], object]]) -> Row:
    """The median of batches that are each a little longer than any before: libraries choose kernels by shape, and
    allocate. `seconds`: of one that was seen before."""
    batches = [work(more) for more in range(1, bench.size(5, 1) + 1)]
    taken = sorted(bench.seconds(batch, turns=1, warm=0) for batch in batches)
    unseen = taken[len(taken) // 2]
    says = f"{seconds * 1e3:,.0f} ms for one that was seen before"
    return Row(f"{way}, a batch of new lengths", unseen * 1e3, "ms", says)


def flow_of(
    bench: Bench, frames: Sequence[int], voices: Sequence[Voice], stages: Stages, more: int = 0
) -> Callable[[], object]:
    """A batch of so many frames, and some `more` for each item."""
    longer = [count + _STEP * more for count in frames]
    contents = _contents(bench, longer)

    def work() -> object:
        with torch.inference_mode():
            return stages.mels(contents, longer, voices, range(len(longer)))

    return work


def vocoder_of(bench: Bench, frames: Sequence[int], stages: Stages, more: int = 0) -> Callable[[], object]:
    """Likewise."""
    mels = _mels(bench, [count + _STEP * more for count in frames])

    def work() -> object:
        with torch.inference_mode():
            return stages.vocoder.samples(mels)

    return work


def ten_seconds(bench: Bench) -> list[int]:
    """Frames of each item of a batch of clips of 10 s."""
    return [bench.size(round(_CLIP_S * _FRAMES_PER_S), 12)] * bench.size(_TOGETHER, 2)


def ways(bench: Bench) -> list[tuple[Precision, Kernels]]:
    """Precisions with the kernels that this device gets; and fp16 with PyTorch's, where these are others."""
    best = choose(bench.device)
    precisions: tuple[Precision, ...] = ("fp16", "bf16", "tf32") if bench.on_cuda else ("fp32",)
    more: list[tuple[Precision, Kernels]] = [("fp16", PLAIN)] if best.name != PLAIN.name else []
    return [*((precision, best) for precision in precisions), *more]


def _contents(bench: Bench, frames: Sequence[int]) -> list[torch.Tensor]:
    drawn = torch.Generator().manual_seed(1)
    return [torch.randn(-(-100 * count // 172), 1024, generator=drawn).to(bench.device) for count in frames]


def _mels(bench: Bench, frames: Sequence[int]) -> list[torch.Tensor]:
    drawn = torch.Generator().manual_seed(2)
    return [torch.randn(80, count, generator=drawn).to(bench.device) for count in frames]

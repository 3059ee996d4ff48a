"""What less than fp32 costs at full size, in dB, and numbers that are none: flow and vocoder against one item alone in
fp32, and the states of the GPT against those of the same weights in fp32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from benchmarks.first_gpu.bench import REFERENCES_S, Bench
from benchmarks.first_gpu.table import Row, judged

_FRAMES = (90, 172, 258, 344, 430, 516, 688, 860)


def against_fp32(bench: Bench) -> Iterator[Row]:
    from worker.engines.indextts.examination.comparison import signal_to_noise

    frames = list(_FRAMES if not bench.tiny else (20, 12))
    drawn = torch.Generator().manual_seed(3)
    contents = [torch.randn(-(-100 * count // 172), 1024, generator=drawn).to(bench.device) for count in frames]
    each = REFERENCES_S[: bench.size(3, 1)]
    voices = [bench.voices(each[item % len(each)], 1)[0] for item in range(len(frames))]

    with torch.inference_mode():
        exact = bench.stages("fp32")
        mels = [
            exact.mels([rows], [count], [voice], seeds=[item])[0]
            for item, (rows, count, voice) in enumerate(zip(contents, frames, voices, strict=True))
        ]
        waves = [exact.vocoder.samples([mel])[0] for mel in mels]
        for precision in ("fp32", "tf32", "fp16", "bf16") if bench.on_cuda else ("bf16",):
            rough = bench.stages(precision)
            for name, found, expected in (
                ("flow", rough.mels(contents, frames, voices, seeds=range(len(frames))), mels),
                ("vocoder", rough.vocoder.samples(mels), waves),
            ):
                worst = min(signal_to_noise(one, other) for one, other in zip(found, expected, strict=True))
                says = f"the worst of {len(frames)} items of mixed lengths, against each alone in fp32"
                yield Row(f"{name} in {precision}", worst, "dB", says)
                wrong = sum(int((~item.isfinite()).sum()) for item in found)
                yield judged(f"{name} in {precision}, not finite", not wrong, str(wrong), "numbers that are none")
            del rough
            bench.tidy()
    yield from _gpt(bench)


def _gpt(bench: Bench) -> Iterator[Row]:
    """Of a prompt and codes behind it. With random weights nothing grows large; --checkpoint has the released ones."""
    from worker.engines.indextts.decode.gpt import Gpt
    from worker.engines.indextts.examination.comparison import signal_to_noise

    voice = bench.network().gpt
    gpt = Gpt(voice)
    drawn = torch.Generator().manual_seed(4)
    prompt = (0.3 * torch.randn(bench.size(150, 10), gpt.width, generator=drawn)).to(bench.device)
    codes = torch.randint(gpt.start, (bench.size(400, 10),), generator=drawn)

    def states(gpt: Gpt) -> torch.Tensor:
        spoken = gpt.embed(codes, torch.arange(len(codes)))
        return gpt.hidden([torch.cat([prompt.to(gpt.dtype), spoken])])[0]

    found = states(gpt)
    with _in_fp32(voice):
        expected = states(Gpt(voice))
    name = str(gpt.dtype).removeprefix("torch.")
    says = f"states of {len(found)} positions, against the same weights in fp32"
    yield Row(f"gpt in {name}", signal_to_noise(found, expected), "dB", says)
    wrong = int((~found.isfinite()).sum())
    yield judged(f"gpt in {name}, not finite", not wrong, str(wrong), "numbers that are none")


@contextmanager
def _in_fp32(module: torch.nn.Module) -> Iterator[None]:
    """The same weights in fp32, and afterwards as they were: back and forth, none of them is rounded."""
    types = {name: tensor.dtype for name, tensor in module.named_parameters()}
    module.float()
    try:
        yield
    finally:
        for name, tensor in module.named_parameters():
            tensor.data = tensor.data.to(types[name])

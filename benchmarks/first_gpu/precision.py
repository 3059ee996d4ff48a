"""What less than fp32 costs at full size: flow and vocoder against one item alone in fp32, in dB, and samples that are
no numbers."""

from __future__ import annotations

from collections.abc import Iterator

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

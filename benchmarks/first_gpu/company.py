"""Does company change a clip? One utterance alone, among 8 and among as many as there are slots: the same length means
the same codes, as good as always, and the samples are compared in dB."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from benchmarks.first_gpu.bench import Bench, clips
from benchmarks.first_gpu.table import Row, judged


def alone_and_together(bench: Bench) -> Iterator[Row]:
    from worker.engines.indextts.examination.comparison import signal_to_noise

    engine = bench.engine("2")
    asked = bench.utterances(engine.capacity, 10 if not bench.tiny else 3)
    alone = clips(engine, asked[:1])["0"].samples
    again = clips(engine, asked[:1])["0"].samples
    yield judged("alone, twice", len(alone) == len(again), _same(len(alone), len(again)), "lengths in samples")
    for company in (8, engine.capacity) if not bench.tiny else (2,):
        found = clips(engine, asked[:company])["0"].samples
        equal = len(found) == len(alone)
        says = "of equal length, so of equal codes" if equal else "of other lengths, so of other codes"
        yield judged(f"alone and among {company}", equal, _same(len(alone), len(found)), says)
        if equal:
            ratio = signal_to_noise(torch.from_numpy(found), torch.from_numpy(alone))
            yield Row(f"samples among {company}", ratio, "dB", "against the same alone")


def _same(one: int, other: int) -> str:
    return "equal" if one == other else f"{one} and {other}"

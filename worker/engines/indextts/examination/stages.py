"""The stages of an engine one by one, on a few sentences: each is told how near it is to what it should be.

The functions know a stage by the one method that they call. So a test can hand in one that is wrong in a chosen way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from farm.errors import Misconfigured
from worker.engines.indextts.decode.decoder import Decoder
from worker.engines.indextts.decode.kv import Attention, Wanted
from worker.engines.indextts.device_error import device_failed, out_of_memory
from worker.engines.indextts.examination.comparison import EQUAL, NOT_FINITE, attention_ratio, worst
from worker.engines.indextts.examination.ways import LADDER, Finding, Part
from worker.engines.indextts.shapes import Codes, Request, Sampling, Voice

# (conditions (Y, C), voices, seeds) -> mels (80, Y); and mels -> samples (256 Y,)
Mels = Callable[[Sequence[Tensor], Sequence[Voice], Sequence[int]], Sequence[Tensor]]
Samples = Callable[[Sequence[Tensor]], Sequence[Tensor]]

LIMIT = 150  # codes of an examined sentence: enough for the rows to cross pages


def sound_attention(
    wanted: Wanted,
    choose: Callable[[Wanted], Attention],
    *,
    heads: int,
    width: int,
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Wanted, list[Finding]]:
    """The name of the first attention that is sound, from the wanted one on down the ladder; and all that were tried.
    `choose` may raise Misconfigured for one that can't run here.

    Raises:
        Misconfigured: `wanted` can't run, or none is sound.
    """
    first = choose(wanted)
    tried = []
    for name in LADDER[LADDER.index(first.name) :] if first.name in LADDER else (first.name,):
        try:
            attention = first if name == first.name else choose(name)  # type: ignore[arg-type]
        except Misconfigured:
            continue
        ratio = _guarded(
            lambda attention=attention: attention_ratio(  # type: ignore[misc]
                attention, heads=heads, width=width, dtype=dtype, device=device
            )
        )
        tried.append(Finding(Part.ATTENTION, attention.name, ratio))
        if tried[-1].sound:
            return attention.name, tried  # type: ignore[return-value]
    raise Misconfigured(
        f"no attention computes right on this GPU ({', '.join(map(str, tried))}): the build of PyTorch or the driver "
        "does not fit the card; docs/gpu.md says how to look"
    )


def graph_against_eager(graph: Sequence[Sequence[int]], eager: Sequence[Sequence[int]]) -> Finding:
    """Of the codes of the same rows."""
    equal = [list(row) for row in graph] == [list(row) for row in eager]
    return Finding(Part.GRAPH, "graph", EQUAL if equal else 0.0)


def flow_against_alone(
    way: str, packed: Mels, exact: Mels, conditions: Sequence[Tensor], voices: Sequence[Voice]
) -> tuple[Finding, list[Tensor]]:
    """A batch of mixed lengths against each item alone in fp32, whose mels are returned too."""
    seeds = range(len(conditions))
    alone = [
        exact([condition], [voice], [seed])[0] for condition, voice, seed in zip(conditions, voices, seeds, strict=True)
    ]
    ratio = _guarded(lambda: worst(packed(conditions, voices, seeds), alone))
    return Finding(Part.FLOW, way, ratio), alone


def vocoder_against_alone(way: str, batch: Samples, exact: Samples, mels: Sequence[Tensor]) -> Finding:
    alone = [exact([mel])[0] for mel in mels]
    return Finding(Part.VOCODER, way, _guarded(lambda: worst(batch(mels), alone)))


def codes_of(decoder: Decoder, prompts: Sequence[Tensor]) -> list[list[int]]:
    """Of each prompt, greedy and sampled by turns, and cut at LIMIT.

    Raises:
        RuntimeError: a row failed.
    """
    for index, prompt in enumerate(prompts):
        decoder.submit(Request(index, prompt, Sampling(seed=index, greedy=index % 2 == 0, limit=LIMIT)))
    ended: dict[object, list[int]] = {}
    while decoder.busy:
        for outcome in decoder.step():
            if not isinstance(outcome, Codes):
                raise RuntimeError(outcome.error)
            ended[outcome.request.key] = outcome.codes
    return [ended[index] for index in range(len(prompts))]


def _guarded(ratio: Callable[[], float]) -> float:
    """A way that can't even run is as wrong as one that computes nonsense; but a lost device or a full memory says
    nothing about it."""
    try:
        return ratio()
    except Exception as error:
        if device_failed(error) or out_of_memory(error):
            raise
        return NOT_FINITE

"""An engine at its start on a GPU: made in the ways wanted, examined, and made in other ways until each part is sound.

    attention               before an engine is made, because it decides how pages are laid out
    graph, flow, vocoder    on a few sentences, stage by stage
    warmth                  a full batch through the whole engine

The decisions are those of ways.py. What was found, and what the engine fell back to, goes into the log, and into the
facts that heartbeat, `farm doctor` and metrics show.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from farm.errors import Misconfigured
from farm.warmth import FELL_BACK, WARM
from worker.engines.indextts.decode.gpt import Gpt
from worker.engines.indextts.decode.kv import choose
from worker.engines.indextts.device_error import out_of_memory, perhaps_out_of_memory
from worker.engines.indextts.examination.comparison import NOT_FINITE
from worker.engines.indextts.examination.stages import (
    codes_of,
    flow_against_alone,
    graph_against_eager,
    sound_attention,
    vocoder_against_alone,
)  # fmt: skip
from worker.engines.indextts.examination.warmth import SENTENCES, chord, full_batch, one_sentence
from worker.engines.indextts.examination.ways import Finding, Ways, changes, next_best
from worker.engines.indextts.load.precision import switch_tf32
from worker.engines.indextts.shapes import Adapter, Network, Voice
from worker.engines.indextts.sound.regulator import regulate

if TYPE_CHECKING:
    from worker.engines.indextts.engine import IndexTTS, Parts

log = logging.getLogger(__name__)

_SECONDS = 15.0  # beside the load
_LEAST_ROWS = 8  # of the full batch, on a GPU that is too slow for all slots within these seconds

Assemble = Callable[[Network, Ways], "IndexTTS"]


def begin(network: Network, wanted: Ways, assemble: Assemble, *, examined: bool) -> IndexTTS:
    """An engine that has spoken: in the ways wanted where these are sound, if it is to be `examined`. `network` is
    loaded in their precisions.

    Raises:
        Misconfigured: it can't speak, or a part computes wrong in every way.
    """
    if not examined:
        engine = assemble(network, wanted)
        one_sentence(engine)
        return engine
    started = time.monotonic()
    first, ways, of_attention = _of_attention(network, wanted)
    while isinstance(made := _attempt(network, ways, assemble), Ways):
        _give_back(network.device)
        ways = made
        # Flow and vocoder round copies of the network's weights, so it need not be loaded again.
        network = replace(network, precisions=ways.precisions)
        switch_tf32(ways.precisions, network.device)
    engine, findings = made
    # What the comparisons took lies in the cache of this thread's stream, where the stages' own streams can't use it.
    _give_back(network.device)
    facts = {"examined": ", ".join(map(str, [*of_attention, *findings])) + ("" if findings else ", no more for memory")}
    if fell := changes(first, ways):
        facts[FELL_BACK] = fell
    warmth = full_batch(engine, network.device, _rows(engine, started), _at_work(engine.parts))
    engine.note(facts | {WARM: str(warmth)})
    log.info("examined in %.0f s", time.monotonic() - started)
    return engine


def _of_attention(network: Network, wanted: Ways) -> tuple[Ways, Ways, list[Finding]]:
    """The ways with the attention that was wanted, and those with the one that is sound."""
    gpt = Gpt(network.gpt)
    heads, width = gpt.heads, gpt.width // gpt.heads
    name, tried = sound_attention(
        wanted.attention, partial(choose, gpt.device, gpt.dtype, heads=heads, width=width),
        heads=heads, width=width, dtype=gpt.dtype, device=gpt.device,
    )  # fmt: skip
    for finding in tried[:-1]:
        log.warning("%s, so the decode runs on %s", finding, name)
    return replace(wanted, attention=tried[0].way), replace(wanted, attention=name), tried  # type: ignore[arg-type]


def _attempt(network: Network, ways: Ways, assemble: Assemble) -> tuple[IndexTTS, list[Finding]] | Ways:
    """An engine, and what was found; or the ways to try next."""
    engine = assemble(network, ways)
    findings = _stages(engine.parts, network, ways, engine.capacity)
    following = _following(ways, findings)
    if following == ways:
        return engine, findings
    log.warning("%s, so: %s", "; ".join(str(one) for one in findings if not one.sound), changes(ways, following))
    engine.close()
    return following


def _following(ways: Ways, findings: Sequence[Finding]) -> Ways:
    """The ways of the next attempt; the same where all is sound, or nothing is left to try.

    Raises:
        Misconfigured: a part computes numbers that are none, in the last way that there is.
    """
    following = ways
    for finding in findings:
        if finding.sound or following.kernels is not ways.kernels:  # which may have spoiled this part too
            continue
        if (better := next_best(following, finding.part)) is not None:
            following = better
        elif finding.ratio <= NOT_FINITE:
            raise Misconfigured(
                f"{finding}, and there is no other way to compute it: fetch the model again, and if that changes "
                "nothing, look at the driver; docs/gpu.md says how"
            )
        else:
            log.warning("%s, which is less than it should be, and there is no other way", finding)
    return following


@torch.inference_mode()
def _stages(parts: Parts, network: Network, ways: Ways, most: int) -> list[Finding]:
    """Of at most so many sentences; empty where there is no memory to examine beside the engine."""
    try:
        return _examined(parts, network, ways, SENTENCES[:most])
    except RuntimeError as error:
        if not (out_of_memory(error) or perhaps_out_of_memory(error)):
            raise
        log.warning("there is no memory to examine the engine beside itself, so it runs unexamined: %s", error)
        return []


def _examined(parts: Parts, network: Network, ways: Ways, sentences: Sequence[str]) -> list[Finding]:
    adapter, decoder, sound = parts.adapter, parts.decoder, parts.acoustic.usual
    voice, prompts = _prompts(adapter, sentences)
    if network.device.type == "cuda":
        torch.cuda.synchronize(network.device)  # because the decoder reads them on a stream of its own
    codes = codes_of(decoder, prompts)
    findings = []
    if decoder.graphs:
        with decoder.eagerly():
            findings.append(graph_against_eager(codes, codes_of(decoder, prompts)))
    spoken = [(prompt, row) for prompt, row in zip(prompts, codes, strict=True) if row]
    if not spoken:
        raise Misconfigured("the model ends every sentence before it spoke a sound; fetch its files again")
    contents = adapter.contents([prompt for prompt, _ in spoken], [row for _, row in spoken])
    conditions = regulate(network.regulator, contents, [adapter.frames(len(row), 1.0) for _, row in spoken])
    exact = sound.in_full()
    flow, mels = flow_against_alone(
        ways.precisions.s2mel, sound.flow.mels, _untruncated(exact.flow.mels), conditions, [voice] * len(spoken)
    )
    vocoder = vocoder_against_alone(
        ways.precisions.vocoder, sound.vocoder.samples, _untruncated(exact.vocoder.samples), mels
    )
    return [*findings, flow, vocoder]


def _prompts(adapter: Adapter, sentences: Sequence[str]) -> tuple[Voice, list[Tensor]]:
    with chord() as reference:
        (voice,) = adapter.voices([str(reference)])
    if isinstance(voice, Exception):
        raise voice
    ids = [adapter.segments(sentence, "en").ids[0] for sentence in sentences]
    count = len(ids)
    return voice, adapter.prompts(ids, [voice] * count, [voice.emotion] * count, ["en"] * count)


def _untruncated(work: Callable[..., Any]) -> Callable[..., Any]:
    """The same with TF32 switched off, which is a switch of the whole process."""

    def exactly(*arguments: Any) -> Any:
        products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
        before = products.allow_tf32, convolutions.allow_tf32
        products.allow_tf32 = convolutions.allow_tf32 = False
        try:
            return work(*arguments)
        finally:
            products.allow_tf32, convolutions.allow_tf32 = before

    return exactly


def _at_work(parts: Parts) -> dict[str, tuple[Any, str]]:
    sound = parts.acoustic.usual
    return {"gpt": (parts.decoder, "step"), "flow": (sound.flow, "mels"), "vocoder": (sound.vocoder, "samples")}


def _rows(engine: IndexTTS, started: float) -> int:
    """Of the full batch: all slots, unless so little time is left that only a slow GPU can have taken it."""
    left = _SECONDS - (time.monotonic() - started)
    return engine.capacity if left > _SECONDS / 2 else min(engine.capacity, _LEAST_ROWS)


def _give_back(device: torch.device) -> None:
    """The memory of an engine that nothing refers to any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()

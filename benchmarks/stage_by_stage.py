"""The stages of IndexTTS one after another, each waited for, so that each can be measured."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from worker.engines.indextts.decode.decoder import Decoder
from worker.engines.indextts.decode.gpt import Gpt
from worker.engines.indextts.load.factory import adapt
from worker.engines.indextts.shapes import DTYPES, HOP, SAMPLE_RATE, Codes, Network, Request, Sampling
from worker.engines.indextts.sound.flow import Flow
from worker.engines.indextts.sound.regulator import regulate
from worker.engines.indextts.sound.vocoder import Vocoder

T = TypeVar("T")

TEXT = "The tide went out before the harbour woke, and nobody on the long grey quay had seen it go, or asked where to."
STAGES = ("prompts", "decode", "contents", "regulator", "flow", "vocoder")


@dataclass
class Clock:
    """Seconds by stage: of the CPU where it computes, else of the wall, with the GPU waited for."""

    device: torch.device
    seconds: dict[str, float] = field(default_factory=dict)

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            return time.perf_counter()
        return time.process_time()

    def measure(self, stage: str, work: Callable[[], T]) -> T:
        started = self.now()
        made = work()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + self.now() - started
        return made


class StageByStage:
    """Over a network, with the options of benchmarks/engine.py."""

    def __init__(self, network: Network, voices: Sequence[str], slots: int, options: argparse.Namespace) -> None:
        gpt = Gpt(network.gpt)
        self._adapter = adapt(network, gpt)
        positions = slots * (256 + options.codes + 256)
        room = 2 * gpt.layers * gpt.width * gpt.dtype.itemsize * positions
        self._decoder = Decoder(gpt, slots=slots, bytes=room, attention=options.attention, graph=options.graph)
        self._regulator = network.regulator
        s2mel, vocoder = DTYPES[network.precisions.s2mel], DTYPES[network.precisions.vocoder]
        self._flow = Flow(network.estimator, network.device, s2mel, options.steps)
        self._vocoder = Vocoder(network.vocoder, network.device, vocoder)
        self._voices = [voice for voice in self._adapter.voices(voices) if not isinstance(voice, Exception)]
        self._limit = options.codes

    @torch.inference_mode()
    def run(self, size: int, clock: Clock, first_seed: int = 0) -> float:
        """Seconds of audio of one batch."""
        ids = self._adapter.segments(TEXT, "en").ids[0]
        voices = [self._voices[number % len(self._voices)] for number in range(size)]
        prompts = clock.measure(
            "prompts",
            lambda: self._adapter.prompts([ids] * size, voices, [voice.emotion for voice in voices], ["en"] * size),
        )
        codes = clock.measure("decode", lambda: self._decode(prompts, first_seed))
        contents = clock.measure("contents", lambda: self._adapter.contents(prompts, codes))
        frames = [self._adapter.frames(len(row), 1.0) for row in codes]
        conditions = clock.measure("regulator", lambda: regulate(self._regulator, contents, frames))
        mels = clock.measure("flow", lambda: self._flow.mels(conditions, voices, [0] * size))
        waves = clock.measure("vocoder", lambda: self._vocoder.samples(mels))
        assert [len(wave) for wave in waves] == [HOP * count for count in frames]
        return sum(map(len, waves)) / SAMPLE_RATE

    def _decode(self, prompts: Sequence[torch.Tensor], first_seed: int) -> list[list[int]]:
        for number, prompt in enumerate(prompts):
            self._decoder.submit(Request(number, prompt, Sampling(seed=first_seed + number, limit=self._limit)))
        ended: dict[int, list[int]] = {}
        while self._decoder.busy:
            for outcome in self._decoder.step():
                assert isinstance(outcome, Codes), outcome
                assert isinstance(outcome.request.key, int)
                ended[outcome.request.key] = outcome.codes
        return [ended[number] for number in range(len(prompts))]

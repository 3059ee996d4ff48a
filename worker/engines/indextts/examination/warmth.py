"""What an engine renders before its first job, in the voice of a chord: one sentence, or a full batch of them.

A full batch runs every kernel that customers' work will run, at its shapes, and tells how fast this device is today.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile as sf
import torch

from farm.errors import Misconfigured
from farm.speech import Manner
from farm.warmth import Warmth
from worker.engine import Clip, Speech, Utterance
from worker.engines.indextts.shapes import SAMPLE_RATE

if TYPE_CHECKING:
    from worker.engines.indextts.engine import IndexTTS

SENTENCES = (
    "The tide went out, and nobody saw it go.",
    "Why should they have waited for the ship that had left on Tuesday?",
    "Rain fell on the roofs, on the boats, and on the one man who waited.",
    "At last the lamps were lit along the harbour wall.",
)
_CHORD_S = 3.0
_CODES = 300  # of a sentence in the full batch, at most: a chord is no voice, and some models go on and on in it


def one_sentence(engine: IndexTTS) -> None:
    """Renders a sentence. Raises Misconfigured for a checkpoint that can't speak."""
    with chord() as reference:
        _render(engine, [_utterance("warm-up", SENTENCES[0], reference, 0)])


def full_batch(engine: IndexTTS, device: torch.device, rows: int, stages: Mapping[str, tuple[Any, str]]) -> Warmth:
    """Renders `rows` sentences at once. `stages`: by name, an object and the method of it that does the stage's work.

    Raises:
        Misconfigured: a sentence failed.
    """
    watch = _Stopwatch(device)
    with chord() as reference, engine.limited(_CODES), watch.on(stages):
        asked = [_utterance(f"warm-up {row}", SENTENCES[row % len(SENTENCES)], reference, row) for row in range(rows)]
        started = time.monotonic()
        clips = _render(engine, asked)
        seconds = time.monotonic() - started
    total = sum(watch.seconds.values()) or 1.0  # more than the seconds of the batch: the stages work side by side
    shares = {stage: spent / total for stage, spent in watch.seconds.items()}
    return Warmth(sum(len(clip.samples) for clip in clips) / SAMPLE_RATE / seconds, shares)


@contextmanager
def chord() -> Iterator[Path]:
    """A file with some seconds of it."""
    moment = np.arange(round(_CHORD_S * SAMPLE_RATE)) / SAMPLE_RATE
    samples = sum(np.sin(2 * np.pi * 120 * harmonic * moment) / harmonic for harmonic in range(1, 9)) * 0.2
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(folder, "chord.flac")
        sf.write(reference, np.asarray(samples, np.float32), SAMPLE_RATE)
        yield reference


def _utterance(key: str, text: str, reference: Path, seed: int) -> Utterance:
    return Utterance(key, text, Speech("en", "warm-up", reference, Manner(seed=seed)))


def _render(engine: IndexTTS, utterances: Sequence[Utterance]) -> list[Clip]:
    clips = []
    for outcome in engine.render(_Once(list(utterances))):
        if not isinstance(outcome, Clip):
            raise Misconfigured(f"{engine.card.name} can't speak a first sentence: {outcome.error}")
        clips.append(outcome)
    return clips


class _Once:
    """A feed of these utterances."""

    def __init__(self, utterances: list[Utterance]) -> None:
        self._utterances = utterances

    def take(self, count: int, *, wait: bool) -> list[Utterance]:
        del wait
        taken, self._utterances = self._utterances[:count], self._utterances[count:]
        return taken


@dataclass(slots=True)
class _Stopwatch:
    """Seconds of the wall that methods take, each from its thread's call until its stream has nothing left to do."""

    device: torch.device
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def on(self, stages: Mapping[str, tuple[Any, str]]) -> Iterator[None]:
        with ExitStack() as undone:
            for stage, (owner, method) in stages.items():
                self.seconds[stage] = 0.0
                work = getattr(owner, method)
                if method in vars(owner):
                    undone.callback(setattr, owner, method, work)
                else:
                    undone.callback(delattr, owner, method)  # the class has the method itself
                setattr(owner, method, self._timed(stage, work))
            yield

    def _timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **keywords: Any) -> Any:
            started = time.perf_counter()
            made = work(*arguments, **keywords)
            if self.device.type == "cuda":
                torch.cuda.current_stream(self.device).synchronize()
            self.seconds[stage] += time.perf_counter() - started
            return made

        return timed

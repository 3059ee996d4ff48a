"""Feeds and short cuts for the tests of engines, and the habits in which engines differ."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile as sf

from farm.speech import MANNER_FIELDS, Manner
from worker.engine import Clip, Engine, Failure, Speech, Utterance

_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Habits:
    """The habits of one engine, with which the suite compares it."""

    tolerance: float = 0.0  # by which samples may differ when the same utterance has other neighbours
    pace: tuple[float, float] = (0.03, 0.2)  # seconds for a character, at least and at most

    def same(self, one: Clip | Failure, other: Clip | Failure) -> bool:
        return (
            isinstance(one, Clip)
            and isinstance(other, Clip)
            and one.samples.shape == other.samples.shape
            and np.allclose(one.samples, other.samples, rtol=0, atol=self.tolerance)
        )


class ListFeed:
    """Hands out its utterances, at most `step` at a time, and is over then."""

    def __init__(self, utterances: Iterable[Utterance], step: int | None = None) -> None:
        self._waiting = list(utterances)
        self._step = step
        self.taken: list[str] = []

    def take(self, count: int, *, wait: bool) -> Sequence[Utterance]:
        del wait  # all utterances are here from the beginning
        count = min(count, self._step or count)
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self.taken += [utterance.key for utterance in batch]
        return batch


class Follower(ListFeed):
    """Has more only when it got a clip or failure for all that was taken, as the intake of a tenant that may have a few
    segments in hand. `gets` has to hear of each."""

    def __init__(self, utterances: Iterable[Utterance], step: int) -> None:
        super().__init__(utterances, step)
        self._change = threading.Condition()
        self._out = 0

    def take(self, count: int, *, wait: bool) -> Sequence[Utterance]:
        with self._change:
            if wait:
                assert self._change.wait_for(lambda: not self._out, _PATIENCE_S), "it waits, and has clips in hand"
            batch = () if self._out else super().take(count, wait=wait)
            self._out += len(batch)
            return batch

    def gets(self, outcome: Clip | Failure) -> None:
        del outcome
        with self._change:
            self._out -= 1
            self._change.notify_all()


def utterance(engine: Engine, text: str, key: str = "only", **speech: object) -> Utterance:
    """In the engine's English, or its first language, unless `speech` says otherwise; with a reference, if the engine
    has no voices of its own."""
    language = str(speech.pop("language", "en" if "en" in engine.card.languages else next(iter(engine.card.languages))))
    known = engine.card.languages.get(language)
    voice = str(speech.pop("voice", (known and known.voice) or ""))
    if not engine.card.voices and not voice:
        voice = "a reference"
        speech.setdefault("reference", reference())
    manner = Manner(**{name: speech.pop(name) for name in MANNER_FIELDS if name in speech})  # type: ignore[arg-type]
    return Utterance(key, text, Speech(language=language, voice=voice, manner=manner, **speech))  # type: ignore[arg-type]


def render(engine: Engine, utterances: Iterable[Utterance], step: int | None = None) -> dict[str, Clip | Failure]:
    results = list(engine.render(ListFeed(utterances, step)))
    assert len({result.key for result in results}) == len(results), "a key came back twice"
    return {result.key: result for result in results}


def clip(engine: Engine, text: str, **speech: object) -> Clip:
    result = render(engine, [utterance(engine, text, **speech)])["only"]
    assert isinstance(result, Clip), result
    return result


@cache
def reference() -> Path:
    """A second of a wobbling chord, which an engine that copies voices accepts as one."""
    folder = tempfile.mkdtemp(prefix="farm-reference-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    moment = np.arange(24_000) / 24_000
    wobble = moment + 0.002 * np.sin(2 * np.pi * 4 * moment)
    chord = sum(np.sin(2 * np.pi * 140 * harmonic * wobble) / harmonic for harmonic in range(1, 9))
    sf.write(Path(folder, "reference.flac"), np.asarray(0.2 * chord, np.float32), 24_000)
    return Path(folder, "reference.flac")

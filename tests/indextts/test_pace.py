"""The loop of the engine at the speed of a GPU: the real loop, stages and taker over stand-ins that sleep.

A stand-in takes as long as was measured for the part that it stands for: 0.155 s for the grammar of a text of 10 s, in
four processes; 3.1 ms for a step of 64 rows; a second of the acoustics for 400 s of audio.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from farm.wire import Model
from tests.patience import patience
from worker.engine import Clip, Failure, Speech, Utterance
from worker.engines.indextts.engine import IndexTTS
from worker.engines.indextts.preparation import gathers
from worker.engines.indextts.rendition import Rendition
from worker.engines.indextts.shapes import SAMPLE_RATE, Codes, Fault, Piece, Request, Sampling

SLOTS, READERS = 64, 4
GRAMMAR_S, STEP_S, ACOUSTICS = 0.155, 0.0031, 400.0
CLIP_S, CODES = 10.0, 500
SPEECH = Speech("en", "a voice")
NOBODY: Any = object()


class Reading:
    """A preparation that only puts texts into words, four at a time, as the real one does in its readers."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.gathers = gathers(READERS)
        self._readers = ThreadPoolExecutor(READERS)

    def prepare(self, utterances: Sequence[Utterance]) -> list[Rendition | Failure]:
        return list(self._readers.map(self._read, utterances))

    def _read(self, utterance: Utterance) -> Rendition:
        time.sleep(self._seconds)  # being slow is what it stands for, here and below
        return Rendition(utterance, NOBODY, [torch.zeros(1, 1)], [len(utterance.text)], [1])

    def close(self) -> None:
        self._readers.shutdown()


class Rows:
    """A decoder whose rows end after 500 steps. A slow machine sleeps longer; `steps` counts what was asked."""

    def __init__(self) -> None:
        self._left: list[tuple[Request, int]] = []
        self._waiting: list[Request] = []
        self.step_began: list[float] = []

    @property
    def running(self) -> int:
        return len(self._left)

    @property
    def busy(self) -> bool:
        return bool(self._left or self._waiting)

    def submit(self, request: Request) -> None:
        self._waiting.append(request)

    def clear(self) -> None:
        self._left.clear()
        self._waiting.clear()

    def step(self) -> list[Codes | Fault]:
        self.step_began.append(time.monotonic())
        while self._waiting and len(self._left) < SLOTS:
            self._left.append((self._waiting.pop(0), CODES))
        time.sleep(STEP_S)
        ended = [request for request, left in self._left if left == 1]
        self._left = [(request, left - 1) for request, left in self._left if left > 1]
        return [Codes(request, [1] * CODES, cut=False) for request in ended]


class Acoustics:
    def contents(self, prompts: Sequence[torch.Tensor], codes: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        return [torch.zeros(1, 1) for _ in codes]

    def frames(self, codes: int, speed: float) -> int:
        return codes

    def facts(self) -> dict[str, str]:
        return {}

    def render(self, pieces: Sequence[Piece]) -> list[tuple[object, Any] | Fault]:
        time.sleep(len(pieces) * CLIP_S / ACOUSTICS)
        return [(piece.key, np.zeros(8, np.float32)) for piece in pieces]


class Backlog:
    """A feed of texts. Every look into it takes `look_s`, as a look into a store and a storage does."""

    def __init__(self, count: int, look_s: float) -> None:
        self._left, self._look_s = [Utterance(str(number), "A text.", SPEECH) for number in range(count)], look_s

    def take(self, count: int, *, wait: bool) -> Sequence[Utterance]:
        time.sleep(self._look_s)
        taken, self._left = self._left[:count], self._left[count:]
        return taken


def engine(rows: Rows, grammar_s: float) -> IndexTTS:
    sound: Any = Acoustics()
    return IndexTTS(
        card=Model(
            name="indextts-2", revision="1", sample_rate=SAMPLE_RATE, languages={}, voices={}, uploaded_voices=True,
            parameters=[],
        ),
        device=torch.device("cpu"), name="a stand-in", preparation=Reading(grammar_s),  # type: ignore[arg-type]
        adapter=sound, decoder=rows, acoustic=sound, sampling=Sampling(), slots=SLOTS, standing={},  # type: ignore[arg-type]
    )  # fmt: skip


def test_four_readers_feed_more_than_180_seconds_of_audio_a_second() -> None:
    rows = Rows()
    made = engine(rows, GRAMMAR_S)
    ends = [time.monotonic() for clip in made.render(Backlog(160, look_s=0.003)) if isinstance(clip, Clip)]
    made.close()
    assert len(ends) == 160
    rate = CLIP_S * (len(ends) - 1) / (ends[-1] - ends[0])
    assert rate * patience() > 180, f"{rate:.0f} audio seconds a second"
    assert float(made.facts()["rows"].split()[0]) * patience() > 44 * 160 / (160 + SLOTS)


def test_a_slow_store_or_storage_holds_no_row() -> None:
    look_s, rows = 0.25, Rows()
    made = engine(rows, grammar_s=0.0)
    assert sum(isinstance(clip, Clip) for clip in made.render(Backlog(40, look_s))) == 40
    made.close()
    waits = np.diff(rows.step_began)
    held = waits[waits > look_s / 2].sum() / waits.sum()
    assert held < 0.01 * patience(), f"the decode was held for {held:.0%} of the time"


def test_the_stages_keep_their_threads_and_with_them_their_streams() -> None:
    threads: set[int] = set()
    made = engine(Rows(), grammar_s=0.0)
    reading: Any = made._preparation
    read = reading.prepare

    def prepare(utterances: Sequence[Utterance]) -> list[Rendition | Failure]:
        threads.add(threading.get_ident())
        return read(utterances)  # type: ignore[no-any-return]

    reading.prepare = prepare
    for _ in range(3):
        assert len(list(made.render(Backlog(2, 0.0)))) == 2
    made.close()
    assert len(threads) == 1

"""The loop of the engine at the speed of a GPU: the real loop, preparation, stages and taker over stand-ins that sleep.

A stand-in takes as long as was measured for the part that it stands for: 0.155 s for the grammar of a text of 10 s, in
a process for each reader; 3.1 ms for a step of 64 rows; a second of the acoustics for 400 s of audio; 0.5 s for a new
voice.

How many rows are filled follows from these: a row is decoded for 500 steps, which take 1.55 s. Four readers finish 25.8
texts a second and so fill 40 rows, six fill 60 (Little's law), and more where a step takes longer. While the engine
begins and ends, fewer are filled. So the tests ask how busy readers and rows are between begin and end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from farm.speech import Manner
from farm.wire import Model
from tests.patience import patience
from worker.engine import Clip, Failure, Speech, Utterance
from worker.engines.indextts.engine import IndexTTS
from worker.engines.indextts.preparation import Preparation
from worker.engines.indextts.shapes import SAMPLE_RATE, Codes, Fault, Piece, Request, Sampling, Segments, Voice
from worker.engines.indextts.voice.cache import EmotionCache, VoiceCache
from worker.engines.indextts.voice.emotion import EmotionReader

SLOTS, READERS = 64, 4  # on a host of 8 processors; six where there are 12
GRAMMAR_S, STEP_S, ACOUSTICS = 0.155, 0.0031, 400.0
CLIP_S, CODES = 10.0, 500
SPEECH = Speech("en", "a voice", Path("a-file"))
NOTHING = torch.zeros(1)
VOICE = Voice(NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING)


class Front:
    """An adapter that only takes time. `reads` are the times of the readers' work, since and until."""

    def __init__(self, grammar_s: Iterator[float], voice_s: float) -> None:
        self.languages = {"en": 300}
        self._grammar_s, self._voice_s = grammar_s, voice_s
        self._lock = threading.Lock()
        self.puts: list[float] = []  # when each text came
        self.reads: list[tuple[float, float]] = []
        self.prompting: set[int] = set()  # threads

    def segments(self, text: str, language: str, *, normalize: bool = True) -> Segments:
        with self._lock:
            seconds = next(self._grammar_s)
        began = time.monotonic()
        time.sleep(seconds)  # being slow is what it stands for, here and below
        self.reads.append((began, time.monotonic()))
        return Segments([[1]], [])

    def voices(self, references: Sequence[str]) -> list[Voice | Exception]:
        time.sleep(self._voice_s)
        return [VOICE for _ in references]

    def emotions(self, references: Sequence[str]) -> list[torch.Tensor | Exception]:
        return [NOTHING for _ in references]

    def prompts(self, ids: Sequence[Any], *given: Any) -> list[torch.Tensor]:
        self.prompting.add(threading.get_ident())
        return [torch.zeros(1, 1) for _ in ids]

    def close(self) -> None: ...


class Feelings:
    """Emotions of which a batch of texts takes 0.5 s."""

    together = 8

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.reader = EmotionReader(self)

    def answers(self, texts: Sequence[str]) -> list[Any]:
        self.batches.append(len(texts))
        time.sleep(0.5)
        return [(0.0,) * 8] * len(texts)

    def vector(self, emotion: Any, voice: Voice, clip: Any) -> torch.Tensor:
        assert emotion.text is None, "it is read before prompts are made"
        return NOTHING

    def close(self) -> None: ...


class Rows:
    """A decoder whose rows end after so many steps. A slow machine sleeps longer; `steps` counts what was asked."""

    def __init__(self, codes: int) -> None:
        self._codes = codes
        self._left: list[tuple[Request, int]] = []
        self._waiting: list[Request] = []
        self.step_began: list[float] = []
        self.filled: list[int] = []
        self.first_end = float("inf")

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
            self._left.append((self._waiting.pop(0), self._codes))
        self.filled.append(len(self._left))
        time.sleep(STEP_S)
        ended = [request for request, left in self._left if left == 1]
        self._left = [(request, left - 1) for request, left in self._left if left > 1]
        if ended:
            self.first_end = min(self.first_end, time.monotonic())
        return [Codes(request, [1] * self._codes, cut=False) for request in ended]


class Acoustics:
    def contents(self, prompts: Sequence[torch.Tensor], codes: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        return [torch.zeros(1, 1) for _ in codes]

    def frames(self, codes: int, speed: float) -> int:
        return codes

    def facts(self) -> dict[str, str]:
        return {}

    def render(self, pieces: Sequence[Piece]) -> list[tuple[object, Any] | Fault]:
        time.sleep(sum(piece.frames for piece in pieces) / CODES * CLIP_S / ACOUSTICS)
        return [(piece.key, np.zeros(8, np.float32)) for piece in pieces]


class Backlog:
    """A feed of texts. Every look into it takes `look_s`, as a look into a store and a storage does."""

    def __init__(self, count: int, look_s: float) -> None:
        self._left, self._look_s = [Utterance(str(number), "A text.", SPEECH) for number in range(count)], look_s

    def take(self, count: int, *, wait: bool) -> Sequence[Utterance]:
        time.sleep(self._look_s)
        taken, self._left = self._left[:count], self._left[count:]
        return taken


class Mixed:
    def __init__(self, utterances: Sequence[Utterance]) -> None:
        self._left = list(utterances)

    def take(self, count: int, *, wait: bool) -> Sequence[Utterance]:
        taken, self._left = self._left[:count], self._left[count:]
        return taken


Build = Callable[..., tuple[IndexTTS, Rows, Front, Feelings]]


@pytest.fixture
def build() -> Iterator[Build]:
    made: list[IndexTTS] = []

    def engine(
        *grammar_s: float, voice_s: float = 0.0, codes: int = 20, readers: int = READERS
    ) -> tuple[IndexTTS, Rows, Front, Feelings]:
        rows, sound, front, feelings = Rows(codes), Acoustics(), Front(cycle(grammar_s), voice_s), Feelings()
        preparation = Preparation(
            front, VoiceCache(front.voices, 1 << 20), EmotionCache(front.emotions), feelings, front, readers,  # type: ignore[arg-type]
            torch.device("cpu"),
        )  # fmt: skip
        put = preparation.put

        def noted(utterances: Sequence[Utterance]) -> None:
            front.puts.extend([time.monotonic()] * len(utterances))
            put(utterances)

        preparation.put = noted  # type: ignore[method-assign]
        made.append(
            IndexTTS(
                card=Model(
                    name="indextts-2", revision="1", sample_rate=SAMPLE_RATE, languages={}, voices={},
                    uploaded_voices=True, parameters=[],
                ),
                device=torch.device("cpu"), name="a stand-in", preparation=preparation,
                adapter=sound, decoder=rows, acoustic=sound, sampling=Sampling(), slots=SLOTS, standing={},  # type: ignore[arg-type]
            )
        )  # fmt: skip
        return made[-1], rows, front, feelings

    yield engine
    for one in made:
        one.close()


def clips(outcomes: Iterator[Clip | Failure]) -> Iterator[Clip]:
    for outcome in outcomes:
        assert isinstance(outcome, Clip), outcome
        yield outcome


def idle(readers: int, puts: Sequence[float], reads: Sequence[tuple[float, float]]) -> float:
    """The share of the readers' time that they did not work, of all time in which a text waited to be read."""
    events = (
        [(at, 1, 0) for at in puts] + [(since, -1, 1) for since, _ in reads] + [(until, 0, -1) for _, until in reads]
    )
    idled = waited = 0.0
    waiting = working = 0
    for (at, waits, works), (following, _, _) in pairwise(sorted(events)):
        waiting, working = waiting + waits, working + works
        if waiting:
            waited += readers * (following - at)
            idled += (readers - working) * (following - at)
    return idled / waited


@pytest.mark.parametrize(
    ("readers", "grammar_s", "least"),
    [(4, (GRAMMAR_S,), 0), (4, (0.02, 0.02, 0.02, 0.56), 0), (6, (GRAMMAR_S,), 44)],
    ids=["even", "uneven", "six readers"],
)
def test_no_reader_idles_while_a_text_waits_and_all_rows_are_filled_that_they_can_feed(
    build: Build, readers: int, grammar_s: tuple[float, ...], least: int
) -> None:
    """The rows by what a read and a step really took, between the first row that ends and the last text that is
    read."""
    made, rows, front, _ = build(*grammar_s, codes=CODES, readers=readers)
    ends = [time.monotonic() for _ in clips(made.render(Backlog(160, look_s=0.003)))]
    assert len(ends) == len(front.puts) == len(front.reads) == 160
    rate = CLIP_S * (len(ends) - 1) / (ends[-1] - ends[0])
    assert rate * patience() > 180, f"{rate:.0f} audio seconds a second"
    share = idle(readers, front.puts, front.reads)
    assert share < 0.08 * patience(), f"the readers idled for {share:.0%} of the time in which texts waited"

    read_s = float(np.mean([until - since for since, until in front.reads]))
    steady = [
        (began, filled)
        for began, filled in zip(rows.step_began, rows.filled, strict=True)
        if began > rows.first_end and began < max(until for _, until in front.reads)
    ]
    step_s = (steady[-1][0] - steady[0][0]) / (len(steady) - 1)
    filled = float(np.mean([filled for _, filled in steady]))
    fed = min(SLOTS, readers / read_s * CODES * step_s)
    assert filled * patience() > 0.85 * fed, f"{filled:.1f} rows of {fed:.1f} that can be fed"
    assert filled * patience() >= least, f"{filled:.1f} rows of {SLOTS}"


def test_a_new_voice_holds_up_only_those_who_speak_with_it(build: Build) -> None:
    made, _, _, _ = build(0.0, voice_s=0.5)
    list(clips(made.render(Backlog(1, 0.0))))  # the voice of all others is known from here on
    strangers = [
        Utterance(f"new {number}", "A text.", Speech("en", f"voice {number}", "a-file")) for number in range(8)
    ]  # type: ignore[arg-type]
    known = [Utterance(f"known {number}", "A text.", SPEECH) for number in range(8)]
    order = [clip.key.split()[0] for clip in clips(made.render(Mixed([*strangers, *known])))]
    assert order == ["known"] * 8 + ["new"] * 8


def test_texts_of_emotions_are_read_together_and_hold_up_no_other(build: Build) -> None:
    made, _, _, feelings = build(0.0)
    list(clips(made.render(Backlog(1, 0.0))))
    moods = [Manner(emotion=f'{{"text":"{number}"}}') for number in range(16)]
    moody = [Utterance(f"moody {number}", "A text.", replace(SPEECH, manner=mood)) for number, mood in enumerate(moods)]
    plain = [Utterance(f"plain {number}", "A text.", SPEECH) for number in range(4)]
    order = [clip.key.split()[0] for clip in clips(made.render(Mixed([*moody, *plain])))]
    assert order.index("moody") >= 4
    assert sum(feelings.batches) == 16
    assert len(feelings.batches) <= 3
    assert [clip.key for clip in clips(made.render(Mixed(moody[:1])))] == ["moody 0"]
    assert sum(feelings.batches) == 16, "it is known"


def test_a_slow_store_or_storage_holds_no_row(build: Build) -> None:
    look_s = 0.25
    made, rows, _, _ = build(0.0, codes=CODES)
    assert sum(1 for _ in clips(made.render(Backlog(40, look_s)))) == 40
    waits = np.diff(rows.step_began)
    held = waits[waits > look_s / 2].sum() / waits.sum()
    assert held < 0.01 * patience(), f"the decode was held for {held:.0%} of the time"


def test_the_stages_keep_their_threads_and_with_them_their_streams(build: Build) -> None:
    made, _, front, _ = build(0.0)
    for _ in range(3):
        assert len(list(clips(made.render(Backlog(2, 0.0))))) == 2
    assert len(front.prompting) == 1

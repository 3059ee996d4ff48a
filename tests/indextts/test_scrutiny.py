"""Odd takes: what is found in codes and samples, which of two takes stays, and what becomes of a clip."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from farm.speech import Manner
from farm.wire import Model
from tests.engine.feeds import render
from worker.engine import Clip, Failure, Speech, Utterance
from worker.engines.indextts.engine import IndexTTS, part_seed
from worker.engines.indextts.rendition import Rendition
from worker.engines.indextts.scrutiny import (
    LIMITS,
    Findings,
    of_codes,
    second_stays,
    silence_inside,
    with_silence,
)  # fmt: skip
from worker.engines.indextts.shapes import SAMPLE_RATE, Codes, Fault, Piece, Request, Sampling
from worker.engines.indextts.v2 import V2
from worker.engines.indextts.v25 import V25

DOCS = Path(__file__).parents[2] / "docs" / "indextts.md"
TWO = LIMITS["2"]
TOKENS = 20
VARIED = [number % 7 for number in range(230)]  # 4.6 s, what 20 English tokens take


# --- what is found ----------------------------------------------------------------------------------------------------


def found(codes: Sequence[int], *, tokens: int = TOKENS, cut: bool = False, limits: Any = TWO) -> Findings:
    return of_codes(codes, cut=cut, tokens=tokens, language="en", limits=limits)


def codes_of(findings: Findings) -> list[str]:
    return [notice.code for notice in findings.said]


def test_speech_at_its_usual_pace_is_not_odd() -> None:
    assert found(VARIED) == Findings()


@pytest.mark.parametrize(("count", "odd"), [(76, True), (77, False), (766, False), (767, True)])
def test_more_or_fewer_codes_than_the_tokens_need_are_odd(count: int, odd: bool) -> None:
    findings = found([number % 7 for number in range(count)])
    assert findings.odd is odd
    assert codes_of(findings) == ["suspect_length"] * odd


@pytest.mark.parametrize(("run", "odd"), [(30, False), (31, True)])
@pytest.mark.parametrize("code", [52, 3])
def test_a_run_of_more_than_30_equal_codes_is_odd(code: int, run: int, odd: bool) -> None:
    findings = found([*VARIED[:100], *[code] * run, *VARIED[102:200]])
    assert findings.odd is odd
    assert codes_of(findings) == ["long_silence"] * odd


def test_every_language_of_a_version_has_its_pace() -> None:
    assert set(LIMITS["2"].token_s) == set(V2.languages)
    assert set(LIMITS["2.5"].token_s) == set(V25.languages)


def test_a_segment_as_long_as_planning_makes_them_is_within_the_band() -> None:
    """At 20 to 25 s, for which the lengths of segments were chosen; beyond 120 tokens they are split."""
    for version, most in (("2", V2.languages), ("2.5", V25.languages)):
        for language in most:
            tokens = 60 if (version, language) == ("2.5", "en") else 100
            fewest, longest = LIMITS[version].codes(tokens, language)
            assert fewest * 2 < 20 * LIMITS[version].codes_per_s < longest / 2


def test_the_docs_show_the_table() -> None:
    shown = DOCS.read_text("utf-8").partition("### Odd takes")[2].partition("\n## ")[0]
    rows = [
        (version, language, float(usual), float(least), float(most))
        for version, language, usual, least, most in re.findall(
            r"^\| (2|2\.5) \| (\w+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", shown, re.MULTILINE
        )
    ]
    assert rows == [
        (version, language, usual, round(usual / limits.band, 3), round(usual * limits.band, 2))
        for version, limits in LIMITS.items()
        for language, usual in limits.token_s.items()
    ]
    for limits in LIMITS.values():
        assert f"{limits.allowance_s} s more" in shown
        assert f"more than {limits.run} equal codes" in shown
        assert f"{limits.silence_s} s; {limits.comma_s} s with a comma; {limits.stop_s} s with" in shown


# --- silence ----------------------------------------------------------------------------------------------------------


def voice(seconds: float) -> Any:
    moment = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.3 * np.sin(2 * np.pi * 150 * moment)).astype(np.float32)


def hush(seconds: float, level: float = 1e-4) -> Any:
    return np.random.default_rng(0).uniform(-level, level, round(seconds * SAMPLE_RATE)).astype(np.float32)


def test_a_silence_is_measured_between_two_sounds() -> None:
    assert silence_inside(np.concatenate([voice(1), hush(1.5), voice(1)])) == pytest.approx(1.5, abs=0.041)


def test_silence_at_the_ends_is_no_silence_inside() -> None:
    assert silence_inside(np.concatenate([hush(3), voice(1), hush(3)])) == 0.0


def test_of_several_silences_the_longest_counts() -> None:
    several = np.concatenate([voice(1), hush(0.4), voice(0.5), hush(0.9), voice(0.2), hush(0.6), voice(1)])
    assert silence_inside(several) == pytest.approx(0.9, abs=0.041)


def test_a_soft_voice_is_not_silence() -> None:
    assert silence_inside(np.concatenate([voice(1), 0.02 * voice(2), voice(1)])) == 0.0
    assert silence_inside(0.01 * voice(3)) == 0.0


def test_a_take_without_any_sound_is_silent_all_along() -> None:
    assert silence_inside(np.zeros(2 * SAMPLE_RATE, np.float32)) == 2.0
    assert silence_inside(np.zeros(3, np.float32)) == 0.0


@pytest.mark.parametrize(
    ("text", "explained"),
    [
        ("The tide went out", 0.8), ("“The tide went out.”", 0.8), ("The tide, she said", 1.2), ("潮水，退了", 1.2),
        ("The tide went. Nobody saw it.", 2.0), ("Well … no", 2.0), ("潮水。没有人", 2.0), ("One\nTwo", 2.0),
        ("The tide went out — slowly", 2.0), ("...", 0.8),
    ],
)  # fmt: skip
def test_a_silence_as_long_as_the_marks_of_a_text_explain_is_not_odd(text: str, explained: float) -> None:
    assert not with_silence(Findings(), explained, text, TWO).odd
    findings = with_silence(Findings(), explained + 0.1, text, TWO)
    assert findings.odd
    assert codes_of(findings) == ["long_silence"]


@given(st.lists(st.floats(-1, 1, width=32), max_size=4 * 441), st.integers(0, 5))
def test_the_silence_inside_is_never_longer_than_the_take(samples: list[float], zeros: int) -> None:
    wave = np.asarray([*samples, *[0.0] * 441 * zeros, *samples], np.float32)
    assert 0.0 <= silence_inside(wave) <= len(wave) / SAMPLE_RATE


# --- which of two stays -----------------------------------------------------------------------------------------------

_worse = st.floats(1, 50)
FINDINGS = st.builds(
    Findings, empty=st.booleans(), cut=st.booleans(), fast=_worse, slow=_worse, run=_worse, silence=_worse
)


@given(FINDINGS)
def test_a_healthy_take_stays_before_an_odd_one(odd: Findings) -> None:
    assert second_stays(odd, Findings())
    assert second_stays(Findings(), odd) is not odd.odd


@given(FINDINGS, FINDINGS)
def test_of_two_takes_only_one_is_better(one: Findings, other: Findings) -> None:
    assert second_stays(one, other) or second_stays(other, one)


@given(FINDINGS, FINDINGS, FINDINGS)
def test_what_is_better_than_the_better_one_is_better_than_both(one: Findings, two: Findings, three: Findings) -> None:
    if not second_stays(one, two) and not second_stays(two, three):
        assert not second_stays(one, three)


@given(FINDINGS, st.sampled_from(["fast", "slow", "run", "silence"]), st.floats(0.01, 10))
def test_a_take_that_is_odder_in_one_way_and_equal_in_all_others_never_stays(
    one: Findings, way: str, more: float
) -> None:
    worse = replace(one, **{way: getattr(one, way) + more})
    assert not second_stays(one, worse)
    assert second_stays(worse, one)


@given(FINDINGS)
def test_any_sound_is_better_than_none_and_a_whole_one_better_than_one_cut_off(one: Findings) -> None:
    assert second_stays(replace(one, empty=True), replace(one, empty=False, cut=True, run=50.0))
    assert second_stays(replace(one, empty=False, cut=True), replace(one, empty=False, cut=False, run=50.0))


# --- what becomes of a clip -------------------------------------------------------------------------------------------

SEED = 9
AGAIN = part_seed(SEED, 0, another=True)
NOBODY: Any = object()


class Reading:
    def open(self, deliver: Callable[[list[Rendition]], None]) -> None:
        self._deliver = deliver

    def put(self, utterances: Sequence[Utterance]) -> None:
        self._deliver([Rendition(one, NOBODY, [torch.zeros(1, 1)], [len(one.text)], [TOKENS]) for one in utterances])

    def clear(self) -> None: ...

    def close(self) -> None: ...


class Decoding:
    """Gives each seed the codes that a test says."""

    def __init__(self, codes: dict[int, list[int] | str]) -> None:
        self.codes = codes
        self.asked: list[int] = []
        self._waiting: list[Request] = []
        self.running = 1

    @property
    def busy(self) -> bool:
        return bool(self._waiting)

    def submit(self, request: Request) -> None:
        self._waiting.append(request)
        self.asked.append(request.sampling.seed)

    def clear(self) -> None:
        self._waiting.clear()

    def step(self) -> list[Codes | Fault]:
        waiting, self._waiting = self._waiting, []
        return [self._of(request, self.codes[request.sampling.seed]) for request in waiting]

    @staticmethod
    def _of(request: Request, codes: list[int] | str) -> Codes | Fault:
        return Fault(request.key, codes) if isinstance(codes, str) else Codes(request, codes, cut=len(codes) >= 1500)


class Sounding:
    """A tone of 20 ms for each code; hush for 52 and 53; a fault for 99."""

    def contents(self, prompts: Sequence[Any], codes: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        return [torch.tensor(row) for row in codes]

    def frames(self, codes: int, speed: float) -> int:
        return int(codes * 1.72 / speed)

    def render(self, pieces: Sequence[Piece]) -> list[tuple[object, Any] | Fault]:
        return [
            Fault(piece.key, "not finite")
            if (piece.contents == 99).any()
            else (piece.key, np.repeat((piece.contents.numpy() < 50).astype(np.float32) * 0.5, SAMPLE_RATE // 50))
            for piece in pieces
        ]


Made = Callable[..., tuple[Clip | Failure, list[int]]]


@pytest.fixture
def spoken() -> Iterator[Made]:
    engines: list[IndexTTS] = []

    def speak(
        first: list[int] | str, second: list[int] | str = "not asked", *, text: str = "Some words.", **manner: Any
    ) -> tuple[Clip | Failure, list[int]]:
        sound: Any = Sounding()
        decoding: Any = Decoding({SEED: first, AGAIN: second})
        reading: Any = Reading()
        engine = IndexTTS(
            card=Model(
                name="indextts-2", revision="1", sample_rate=SAMPLE_RATE, languages={}, voices={},
                uploaded_voices=True, parameters=[],
            ),
            device=torch.device("cpu"), name="a stand-in", preparation=reading, adapter=sound, decoder=decoding,
            acoustic=sound, sampling=Sampling(), slots=4, standing={}, limits=TWO,
        )  # fmt: skip
        engines.append(engine)
        speech = Speech("en", "a voice", manner=Manner(seed=SEED, **manner))
        return render(engine, [Utterance("only", text, speech)])["only"], decoding.asked

    yield speak
    for engine in engines:
        engine.close()


def said(outcome: Clip | Failure) -> list[str]:
    assert isinstance(outcome, Clip), outcome
    return [warning.code for warning in outcome.warnings]


def length(outcome: Clip | Failure) -> int:
    assert isinstance(outcome, Clip), outcome
    return len(outcome.samples) // (SAMPLE_RATE // 50)


SWALLOWED = VARIED[:50]
MORE_SWALLOWED = VARIED[:30]
SILENT = [*VARIED[:80], *[52, 53] * 30, *VARIED[80:200]]  # for 1.2 s, where the text explains 0.8
MORE_SILENT = [*VARIED[:80], *[52, 53] * 60, *VARIED[80:200]]
BROKEN = [*VARIED[:80], 99, *VARIED[80:200]]
ENDLESS = VARIED * 7


def test_a_healthy_clip_is_spoken_once(spoken: Made) -> None:
    clip, seeds = spoken(VARIED)
    assert seeds == [SEED]
    assert said(clip) == []


@pytest.mark.parametrize("odd", [SWALLOWED, SILENT, [*VARIED[:100], *[3] * 31, *VARIED[100:]]])
def test_an_odd_take_is_spoken_again_and_a_better_one_is_the_clip(spoken: Made, odd: list[int]) -> None:
    clip, seeds = spoken(odd, VARIED)
    assert seeds == [SEED, AGAIN]
    assert (length(clip), said(clip)) == (len(VARIED), [])


@pytest.mark.parametrize(
    ("better", "worse", "warning"),
    [
        (SWALLOWED, MORE_SWALLOWED, "suspect_length"), (SILENT, MORE_SILENT, "long_silence"),
        (SILENT, SWALLOWED[:20], "long_silence"), (SILENT, [], "long_silence"), (SWALLOWED, [], "suspect_length"),
        (SILENT, ENDLESS, "long_silence"), (SWALLOWED, "NaN", "suspect_length"), (SILENT, "NaN", "long_silence"),
        (SILENT, BROKEN, "long_silence"),
    ],
)  # fmt: skip
def test_of_two_odd_takes_the_better_one_stays_with_its_warning(
    spoken: Made, better: list[int], worse: list[int] | str, warning: str
) -> None:
    assert (length(spoken(better, worse)[0]), said(spoken(better, worse)[0])) == (len(better), [warning])
    if isinstance(worse, list) and worse != BROKEN:
        clip, seeds = spoken(worse, better)
        assert seeds == [SEED, AGAIN]
        assert (length(clip), said(clip)) == (len(better), [warning])


def test_a_clip_that_is_cut_off_twice_says_so_first(spoken: Made) -> None:
    assert said(spoken(ENDLESS, ENDLESS)[0]) == ["code_limit", "suspect_length"]


def test_a_text_that_stays_empty_or_breaks_under_both_seeds_fails(spoken: Made) -> None:
    for first, second in (([], []), ([], "NaN")):
        assert isinstance(spoken(first, second)[0], Failure)


@pytest.mark.parametrize("odd", [SWALLOWED, SILENT])
def test_a_job_that_wants_no_checks_gets_the_first_take(spoken: Made, odd: list[int]) -> None:
    clip, seeds = spoken(odd, checks=False)
    assert seeds == [SEED]
    assert (length(clip), said(clip)) == (len(odd), [])


def test_without_checks_a_clip_that_is_cut_off_is_still_spoken_again(spoken: Made) -> None:
    clip, seeds = spoken(ENDLESS, SWALLOWED, checks=False)
    assert seeds == [SEED, AGAIN]
    assert (length(clip), said(clip)) == (len(SWALLOWED), [])


def test_a_silence_that_the_text_explains_is_left_alone(spoken: Made) -> None:
    clip, seeds = spoken(SILENT, text="Some words. Some more.")
    assert seeds == [SEED]
    assert said(clip) == []


def test_a_clip_that_is_stretched_is_judged_at_the_voices_own_pace(spoken: Made) -> None:
    """Its 1.2 s of silence are 0.6 s at a speed of 1."""
    assert spoken(SILENT, speed=0.5)[1] == [SEED]
    assert spoken(SILENT, VARIED, speed=1.0)[1] == [SEED, AGAIN]

"""A length to keep: shared among parts, held within what the model was made for, and told where it is missed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.feeds import render
from tests.indextts.oracle import speak
from worker.engine import Clip, Speech, Utterance
from worker.engines.indextts import duration
from worker.engines.indextts.engine import IndexTTS
from worker.engines.indextts.load.factory import Options, assemble
from worker.engines.indextts.shapes import Network, Sampling

GAP = 4410


class Even:
    """An adapter of 4 frames a code."""

    def frames(self, codes: int, speed: float) -> int:
        return int(4 * codes / speed)


EVEN: Any = Even()


def test_a_single_part_gets_the_whole_target() -> None:
    (frames,) = duration.shares(1000, [17], GAP)
    assert frames == round(22050 / 256)


def test_parts_share_the_target_less_its_silences_by_their_tokens() -> None:
    frames = duration.shares(10_000, [10, 30], GAP)
    assert sum(frames) == round((220_500 - GAP) / 256)
    assert frames[1] == pytest.approx(3 * frames[0], abs=2)


@given(target_ms=st.integers(100, 10**8), tokens=st.lists(st.integers(1, 120), min_size=1, max_size=20))
def test_the_shares_and_the_silences_are_the_target_to_half_a_frame(target_ms: int, tokens: list[int]) -> None:
    frames = duration.shares(target_ms, tokens, GAP)
    assert len(frames) == len(tokens)
    samples = 256 * sum(frames) + GAP * (len(tokens) - 1)
    assert abs(samples - target_ms * 22.05) <= 129


@pytest.mark.parametrize(("target", "frames"), [(-50, 20), (0, 20), (20, 20), (33, 33), (80, 80), (1000, 80)])
def test_frames_are_held_within_half_and_twice_the_natural_ones(target: int, frames: int) -> None:
    assert duration.held(target, EVEN, 10) == frames


def test_a_miss_of_less_than_half_a_frame_gives_no_warning() -> None:
    for target_ms in range(900, 1100):
        (frames,) = duration.shares(target_ms, [5], GAP)
        assert duration.missed(target_ms, 256 * frames) is None


def test_a_missed_target_is_reported_with_target_and_result() -> None:
    said = str(duration.missed(5000, 22050))
    assert said.startswith("duration_limit: target 5000 ms, ")
    assert "1000 ms" in said
    assert duration.missed(500, 22050) is not None


# --- a clip of version 2 ----------------------------------------------------------------------------------------------

LINE = "The tide went out, and nobody saw it go."
LONG = "We speak of a lazy dog, and of a fox. " * 4


@pytest.fixture(scope="module")
def reference(references: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Short, because the flow sees it beside every clip."""
    samples, rate = sf.read(references[0])
    file = tmp_path_factory.mktemp("brief") / "brief.flac"
    sf.write(file, samples[: round(0.6 * rate)], rate)
    return str(file)


@pytest.fixture(scope="module")
def engine(network: Network) -> Iterator[IndexTTS]:
    """Of few steps, for what is not compared with the package."""
    made = assemble(network, "tiny", Options(slots=4, steps=2, sampling=Sampling(greedy=True)))
    yield made
    made.close()


def clip(engine: IndexTTS, reference: str, text: str, target_ms: int | None) -> Clip:
    speech = Speech("en", "a voice", Path(reference), target_duration_ms=target_ms)
    made = render(engine, [Utterance("only", text, speech)])["only"]
    assert isinstance(made, Clip), made
    return made


@pytest.mark.parametrize("text", [LINE, LONG])
def test_a_clip_of_version_2_keeps_its_target_to_half_a_frame(engine: IndexTTS, reference: str, text: str) -> None:
    natural = len(clip(engine, reference, text, None).samples)
    for factor in (0.7, 1.0, 1.5):
        target_ms = round(factor * natural / 22.05)
        made = clip(engine, reference, text, target_ms)
        assert abs(len(made.samples) - target_ms * 22.05) <= 129
        assert made.warnings == ()


@pytest.mark.parametrize(("factor", "reached"), [(0.3, 0.5), (3.0, 2.0)])
def test_a_target_out_of_reach_of_version_2_becomes_the_nearest_and_is_reported(
    engine: IndexTTS, reference: str, factor: float, reached: float
) -> None:
    natural = len(clip(engine, reference, LINE, None).samples)
    target_ms = round(factor * natural / 22.05)
    made = clip(engine, reference, LINE, target_ms)
    assert len(made.samples) == pytest.approx(reached * natural, abs=256)
    assert [str(warning).partition(",")[0] for warning in made.warnings] == [f"duration_limit: target {target_ms} ms"]


def test_a_stretched_clip_of_version_2_equals_the_packages_own_stages_at_that_length(
    network: Network, package: Any, reference: str
) -> None:
    """The package has no such option, so its length regulator is asked for other frames than infer() asks for."""
    engine = assemble(network, "tiny", Options(slots=1, sampling=Sampling(greedy=True)))
    natural = len(clip(engine, reference, LINE, None).samples) // duration.HOP
    target = round(natural * 1.3)
    regulator = package.s2mel.models["length_regulator"]
    forward, stretched = regulator.forward, 0

    def regulate(x: Any, *given: Any, ylens: Any, **options: Any) -> Any:
        nonlocal stretched
        if ylens.tolist() == [natural]:
            ylens, stretched = ylens * 0 + target, stretched + 1
        return forward(x, *given, ylens=ylens, **options)

    with patch.object(regulator, "forward", regulate):
        (wave,) = speak(package, reference, LINE, greedy=True).waves
    assert stretched == 1
    made = clip(engine, reference, LINE, round(len(wave) / 22.05)).samples
    engine.close()
    assert made.shape == wave.shape == (target * duration.HOP,)
    assert np.abs(made - wave).max() < 1e-5

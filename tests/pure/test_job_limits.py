"""How much one job may be: what acceptance refuses is certain, and planning refuses the rest."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from farm.cutting import Part
from farm.errors import BadInput
from farm.job_limits import MAX_AUDIO_BYTES, beyond_limits, within_limits
from farm.planning import segments
from farm.segment import Recipe
from farm.speech import NEUTRAL
from farm.wire import Chapter, Output, Pauses

RATE = 22_050
RECIPE = Recipe("default", "espeak", "1", "en-us", NEUTRAL)
SECOND_OF_WAV = 2 * RATE


def planned(
    parts: list[Chapter], output: Output, *, max_bytes: int = MAX_AUDIO_BYTES, target: int | None = None
) -> int:
    texts = [Part(part.title, part.input, "en-us", False, part.target_duration_ms) for part in parts]
    rows = segments(texts, RECIPE, 300, output.pause_ms, target_duration_ms=target)
    return sum(1 for _ in within_limits(rows, output, RATE, max_bytes=max_bytes))


def test_a_job_whose_audio_would_be_too_large_is_refused_by_its_format() -> None:
    text = [Chapter(input="The quick brown fox. " * 100)]  # 2,099 characters in eight segments: 147 s and pauses
    assert planned(text, Output(format="wav"), max_bytes=160 * SECOND_OF_WAV) == 8
    with pytest.raises(BadInput, match=r"^output\.format: about 0 hours of wav at 22050 Hz would be") as raised:
        planned(text, Output(format="wav"), max_bytes=140 * SECOND_OF_WAV)
    assert (raised.value.code, raised.value.fields[0].pointer) == ("output_too_large", "/output/format")
    assert planned(text, Output(format="mp3"), max_bytes=140 * SECOND_OF_WAV) == 8
    assert planned(text, Output(format="flac", sample_rate=16_000), max_bytes=140 * SECOND_OF_WAV) == 8


@pytest.mark.parametrize(
    ("parts", "output", "pointers"),
    [
        ([Chapter(input="a" * 3_100_000)], Output(format="wav", sample_rate=48_000), ["/output/format"]),
        ([Chapter(input="a" * 3_100_000)], Output(format="wav"), []),
        ([Chapter(input="." * 3_100_000)], Output(format="wav", sample_rate=48_000), []),
        ([Chapter(input="a", target_duration_ms=86_400_000)] * 15, Output(format="mp3"), ["/output/format"]),
        ([Chapter(input="a")] * 200, Output(pause_ms=Pauses(chapter=60_000)), ["/output/pause_ms/chapter"]),
        ([Chapter(input="a" * 1000)] * 200, Output(pause_ms=Pauses(chapter=60_000)), []),
    ],
)  # fmt: skip
def test_what_is_certain_beforehand_is_refused_by_its_field(
    parts: list[Chapter], output: Output, pointers: list[str]
) -> None:
    assert [fault.fields[0].pointer for fault in beyond_limits(parts, output, RATE)] == pointers


@given(
    st.lists(
        st.builds(Chapter, input=st.text("ab. \n-*7", max_size=80).map("a".__add__), target_duration_ms=st.none()),
        min_size=1, max_size=6,
    ),
    st.integers(0, 60_000),
    st.integers(1, 60),
    st.none() | st.integers(400_000, 900_000),
)  # fmt: skip
@example([Chapter(input="one two")], 0, 1, None)
def test_nothing_that_planning_would_take_is_refused_beforehand(
    parts: list[Chapter], pause: int, seconds: int, target: int | None
) -> None:
    output, most = Output(format="wav", pause_ms=Pauses(chapter=pause)), seconds * SECOND_OF_WAV
    if beyond_limits(parts, output, RATE, target_duration_ms=target, max_bytes=most):
        with pytest.raises(BadInput):
            planned(parts, output, max_bytes=most, target=target)

"""Presets: the fields that they decide, the limiter that they need, and the table that says whether they are met."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.cli.preset_table import preset_table
from farm.presets import PRESETS, contradictions, resolved
from farm.sound.flac import Samples, to_pcm
from farm.sound.timeline import Piece
from farm.wire import Output, Pauses
from worker.desk.checklist import checklist
from worker.desk.limiter import limited
from worker.desk.loudness import Figures, decibels
from worker.desk.stitch import Stitched, stitch

RATE = 22_050


def output(**said: Any) -> Output:
    return Output.model_validate(said)


def speechlike(seconds: float, level: float = 0.1, seed: int = 1) -> Samples:
    """Noise in syllables, with a peak now and then."""
    frames = round(seconds * RATE)
    rng, time = np.random.default_rng(seed), np.arange(frames) / RATE
    noise = np.convolve(rng.standard_normal(frames), np.ones(12) / 3.5, "same")
    return np.asarray(level * noise * np.maximum(0, np.sin(2 * np.pi * 2.5 * time)), np.float32)


# --- fields -----------------------------------------------------------------------------------------------------------


def test_acx_decides_format_rate_bit_rate_and_the_silence_at_both_ends() -> None:
    found = resolved(output(preset="acx"))
    assert (found.format, found.sample_rate, found.loudness_per, found.loudness_lufs) == (
        "mp3",
        44_100,
        "chapter",
        None,
    )
    assert found.pause_ms == Pauses(before_chapter=500, chapter=1000, end=1000)
    assert (found.trim_dbfs, found.room_tone_dbfs, found.gain_per_chapter) == (-50, -65, True)


def test_what_a_job_says_itself_stays_where_the_preset_has_no_word() -> None:
    said = output(preset="acx", room_tone_dbfs=None, pause_ms={"paragraph": 700, "end": 3000}, subtitles=["vtt"])
    found = resolved(said)
    assert (found.room_tone_dbfs, found.subtitles) == (None, ["vtt"])
    assert found.pause_ms == Pauses(paragraph=700, before_chapter=500, chapter=1000, end=3000)
    assert resolved(output(preset="book", format="m4b", loudness_per="recording")).gain_per_chapter is False
    assert resolved(output(preset="book", loudness_lufs=None)).loudness_lufs == -20
    assert resolved(output(format="flac")) == output(format="flac")


@pytest.mark.parametrize(
    ("said", "places"),
    [
        ({"preset": "acx"}, []),
        ({"preset": "acx", "format": "mp3", "sample_rate": 44_100, "pause_ms": {"end": 5000}}, []),
        ({"preset": "acx", "format": "wav", "sample_rate": 48_000}, ["format", "sample_rate"]),
        ({"preset": "acx", "loudness_lufs": -20}, ["loudness_lufs"]),
        ({"preset": "acx", "loudness_per": "recording"}, ["loudness_per"]),
        ({"preset": "acx", "pause_ms": {"end": 500, "chapter": 5001}}, ["pause_ms/chapter", "pause_ms/end"]),
        ({"preset": "acx", "room_tone_dbfs": -55}, ["room_tone_dbfs"]),
        ({"preset": "book", "loudness_lufs": -18}, ["loudness_lufs"]),
        ({"preset": "book", "loudness_lufs": -20, "format": "m4b", "room_tone_dbfs": -55}, []),
        ({"preset": "book", "loudness_lufs": None}, []),
    ],
)  # fmt: skip
def test_a_field_that_contradicts_a_preset_is_named(said: dict[str, Any], places: list[str]) -> None:
    assert [place for place, _ in contradictions(output(**said))] == places


# --- the limiter ------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 99), level=st.floats(0.01, 2), ceiling=st.floats(0.05, 0.9),
    cuts=st.lists(st.integers(0, RATE), max_size=8),
)  # fmt: skip
def test_no_sample_passes_the_ceiling_whatever_the_blocks(
    seed: int, level: float, ceiling: float, cuts: list[int]
) -> None:
    loud = speechlike(1, level, seed)
    whole = np.concatenate(list(limited([loud], RATE, ceiling)))
    parts = np.concatenate(list(limited(np.split(loud, sorted(cuts)), RATE, ceiling)))
    assert len(whole) == len(loud)
    assert np.abs(whole).max() <= ceiling * (1 + 1e-6)
    assert np.abs(whole - parts).max() < 1e-6
    assert np.all(np.abs(whole) <= np.abs(loud) * (1 + 1e-6)), "nothing becomes louder"


def test_the_limiter_leaves_alone_what_is_far_from_a_peak() -> None:
    quiet = speechlike(2, 0.02)
    loud = quiet.copy()
    loud[RATE] = 0.9
    found = np.concatenate(list(limited([loud], RATE, 0.5)))
    far = np.abs(np.arange(len(loud)) - RATE) > 0.031 * RATE
    assert np.array_equal(found[far], loud[far])
    assert found[RATE] == pytest.approx(0.5, rel=0.02)
    assert np.array_equal(np.concatenate(list(limited([quiet], RATE, 0.5))), quiet)


# --- the table --------------------------------------------------------------------------------------------------------


def stitched(folder: Path, asked: Output, *, level: float = 0.1, pause_ms: int = 1000) -> Stitched:
    clip = to_pcm(speechlike(3, level))
    pieces = [Piece(clip, pause_ms, asked.pause_ms.before_chapter)]
    wanted = asked.model_copy(update={"loudness_per": "recording"})
    return stitch(pieces, sample_rate=RATE, output=wanted, target=folder / "a", check=lambda: None)


def table(asked: Output, done: Stitched) -> dict[str, dict[str, Any]]:
    """The lines of its one file, by their names."""
    found = checklist(asked, done, {0: done.spans})
    assert found is not None
    assert found["passed"] == all(line["passed"] for line in found["files"][0]["checks"])
    return {line["check"]: line for line in found["files"][0]["checks"]}


def test_what_acx_asks_for_is_told_line_by_line_with_its_value(tmp_path: Path) -> None:
    asked = resolved(output(preset="acx"))
    lines = table(asked, stitched(tmp_path, asked))
    assert {line["passed"] for line in lines.values()} == {True}, lines
    assert lines["silence_before"] == {"check": "silence_before", "wanted": "0.5 to 1 s", "value": 0.5, "passed": True}
    assert lines["silence_after"]["value"] == 1.0
    assert lines["format"]["value"] == "mp3, 192 kbit/s, constant"
    assert lines["sample_rate"]["value"] == 44_100
    assert lines["rms"]["value"] == pytest.approx(-20, abs=1)
    assert lines["floor"]["value"] == pytest.approx(-65, abs=1)


def test_digital_silence_is_named_and_a_limit_that_is_passed_fails(tmp_path: Path) -> None:
    asked = resolved(output(preset="acx", room_tone_dbfs=None))
    done = stitched(tmp_path, asked, pause_ms=700)
    lines = table(asked, done)
    assert (lines["floor"]["value"], lines["floor"]["passed"]) == (None, True)
    assert lines["floor"]["note"].startswith("digital silence")
    assert lines["silence_after"]["passed"] is False
    bad = Figures(None, rms_dbfs=-17.99, true_peak_dbtp=-2.99, peak_dbfs=-3, floor_dbfs=-59.99)
    worse = table(asked, replace(done, figures=bad, chapters={0: bad}, frames=7_201 * 44_100))
    assert [name for name, line in worse.items() if not line["passed"]] == [
        *("rms", "true_peak", "floor", "minutes", "silence_after")
    ]


def test_speech_that_would_need_more_than_6_db_of_limiting_says_what_was_reached(tmp_path: Path) -> None:
    clicks = np.zeros(3 * RATE, np.float32)
    clicks[:: RATE // 2] = 0.5
    asked = output(preset="podcast", format="wav", loudness_per="recording", loudness_lufs=-16)
    done = stitch([Piece(to_pcm(clicks), 0)], sample_rate=RATE, output=asked, target=tmp_path / "a", check=lambda: None)
    assert done.gain_db == pytest.approx(6.02 - 1.5 - decibels(0.5), abs=0.01)
    lines = table(asked, done)
    assert (lines["loudness"]["passed"], lines["true_peak"]["passed"]) == (False, True)


def test_the_table_on_the_screen_marks_what_fails_and_says_why() -> None:
    def line(check: str, value: Any, passed: bool = True, **note: str) -> dict[str, Any]:
        return {"check": check, "wanted": "some", "value": value, "passed": passed, **note}

    files = [
        {"chapter": 0, "passed": True, "checks": [line("rms", -20.0), line("floor", None, note="digital silence")]},
        {"chapter": 1, "passed": False, "checks": [line("rms", -25.5, False), line("floor", -65.0)]},
    ]
    manifest = {
        "chapters": [{"title": "The Lamp"}, {"title": ""}], "preset": {"name": "acx", "passed": False, "files": files},
    }  # fmt: skip
    assert list(preset_table(manifest)) == [
        "           rms       floor",
        "The Lamp   -20.00    silent  pass",
        "Chapter 2  -25.50 !  -65.00  FAIL",
        "The Lamp: floor: digital silence",
        "Chapter 2: rms is -25.5; acx wants some",
        "acx: NOT passed",
    ]


def test_every_preset_leaves_room_between_its_aim_and_its_limits() -> None:
    for preset in PRESETS.values():
        lowest, highest = preset.accepted
        assert lowest + 1 <= preset.aim <= highest - 1

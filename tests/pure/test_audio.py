"""Clips, loudness, encoders and the stitching of clips into one recording."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyloudnorm
import pytest
import soundfile as sf
import soxr
from hypothesis import example, given, settings
from hypothesis import strategies as st

from farm.audio_formats import AudioFormat, encodable_rate
from farm.errors import ClipCorrupt
from farm.sound.flac import HEADER, Samples, decode, duration_ms, encode, from_pcm, to_pcm, warnings_of
from farm.sound.timeline import Piece, Span, Timeline
from farm.wire import Output
from worker.desk import room_tone
from worker.desk.encoder import Encoder
from worker.desk.loudness import Figures, Levels, Meter, decibels, joined
from worker.desk.stitch import Stitched, stitch
from worker.desk.subtitles import Cue, Subtitles

RATE = 22050


def _tone(seconds: float, level: float = 0.25, rate: int = RATE, hertz: float = 440) -> Samples:
    time = np.arange(round(seconds * rate)) / rate
    return np.asarray(level * np.sin(2 * np.pi * hertz * time), np.float32)


def _speechlike(seconds: float, seed: int = 1, rate: int = RATE) -> Samples:
    """Noise in syllables of 200 ms under a slow envelope, with gaps: what the gates of loudness are there for."""
    frames = round(seconds * rate)
    time = np.arange(frames) / rate
    noise = np.convolve(np.random.default_rng(seed).standard_normal(frames), np.ones(12) / 12, "same")
    envelope = np.maximum(0, np.sin(2 * np.pi * 2.5 * time)) * (0.2 + np.abs(np.sin(time))) * (time % 3 < 2.3)
    return np.asarray(0.3 * noise * envelope, np.float32)


def _stitch(
    clips: Sequence[Samples], target: Path, pause_ms: int = 100, rate: int = RATE, **output: object
) -> Stitched:
    pieces = [Piece(to_pcm(clip), pause_ms) for clip in clips]
    return stitch(pieces, sample_rate=rate, output=Output.model_validate(output), target=target, check=lambda: None)


def _loudness(samples: npt.NDArray[np.floating], rate: int = RATE) -> float:
    return float(pyloudnorm.Meter(rate).integrated_loudness(samples.astype(np.float64)))


# --- clips ------------------------------------------------------------------------------------------------------------


def test_a_clip_comes_back_as_it_was_rounded_and_always_as_the_same_bytes() -> None:
    samples = _speechlike(2)
    data = encode(samples, RATE)
    assert np.array_equal(decode(data, RATE).pcm, to_pcm(samples))
    assert encode(from_pcm(decode(data, RATE).pcm), RATE) == data


def test_samples_beyond_full_scale_are_clipped_and_do_not_wrap() -> None:
    edges = np.array([1.0, -1.0, 2.0, -2.0, 0.0], np.float32)
    assert to_pcm(edges).tolist() == [32767, -32768, 32767, -32768, 0]


def test_a_clip_tells_its_length_from_its_first_bytes() -> None:
    assert duration_ms(encode(_tone(1.234), RATE)[:42]) == 1234


@pytest.mark.parametrize("spoken", [None, 0, 213])
@pytest.mark.parametrize("warnings", [(), ("cut_off: the end", "code_limit: 8 characters")])
def test_a_clip_keeps_what_the_engine_said_of_it(spoken: int | None, warnings: tuple[str, ...]) -> None:
    found = decode(encode(_tone(1), RATE, warnings, spoken), RATE)
    assert (found.warnings, found.spoken_characters) == (warnings, spoken)
    assert warnings_of(encode(_tone(1), RATE, warnings, spoken)[:HEADER]) == warnings


def test_warnings_beyond_the_header_of_a_clip_cost_none_of_those_before() -> None:
    warnings = ["misread: four", *(f"noise: {'x' * 1000}" for _ in range(9))]
    found = warnings_of(encode(_tone(1), RATE, warnings)[:HEADER])
    assert (found[0], found[1].partition(":")[0]) == ("misread: four", "noise")


@given(st.binary(max_size=200))
def test_a_damaged_header_has_no_warnings(noise: bytes) -> None:
    assert isinstance(warnings_of(encode(_tone(0.1), RATE, ["noise: x"])[:42] + noise), tuple)


@pytest.mark.parametrize("start", [b"", b"fLaC", b"RIFF" + bytes(60), b"fLaC" + bytes(60)])
def test_a_wrong_file_header_is_a_corrupt_clip(start: bytes) -> None:
    with pytest.raises(ClipCorrupt):
        duration_ms(start)


def _wav() -> bytes:
    buffer = io.BytesIO()
    sf.write(buffer, _tone(1), RATE, format="WAV")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "bend",
    [
        lambda data: b"",
        lambda data: b"not audio at all" * 100,
        lambda data: data[:30],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :],
        lambda data: data[:26] + bytes(16) + data[42:],
        lambda data: _wav(),
    ],
    ids=["empty", "text", "header", "half", "last byte", "one bit", "checksum", "wav"],
)
def test_a_clip_that_is_not_whole_is_corrupt(bend: object) -> None:
    assert callable(bend)
    with pytest.raises(ClipCorrupt):
        decode(bend(encode(_speechlike(1), RATE)), RATE)


def test_a_clip_at_another_rate_is_corrupt() -> None:
    with pytest.raises(ClipCorrupt, match="24000"):
        decode(encode(_tone(1), RATE), 24000)


# --- loudness ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("seconds", [0.4, 0.44, 0.46, 3.14159, 20.0])
def test_loudness_in_pieces_is_loudness_of_the_whole(rate: int, seconds: float) -> None:
    rng = np.random.default_rng(7)
    for signal in (
        _tone(seconds, rate=rate),
        np.asarray(rng.uniform(-0.1, 0.1, round(seconds * rate)), np.float32),
        _speechlike(seconds, rate=rate),
    ):
        meter = Meter(rate)
        cuts = np.sort(rng.integers(0, len(signal), 9))
        for part in np.split(signal, cuts):
            meter.feed(part)
        assert meter.levels().loudness_lufs == pytest.approx(_loudness(signal, rate), abs=0.01)
        assert meter.levels().peak == pytest.approx(float(np.abs(signal).max()))


def test_silence_has_no_loudness_and_a_moment_has_some() -> None:
    silent, empty, short = Meter(RATE), Meter(RATE), Meter(RATE)
    silent.feed(np.zeros(RATE, np.float32))
    short.feed(_tone(0.1))
    assert silent.levels().loudness_lufs == empty.levels().loudness_lufs == -math.inf
    assert short.levels().loudness_lufs == pytest.approx(_loudness(_tone(1)), abs=1)
    assert decibels(silent.levels().peak) == -math.inf


@pytest.mark.parametrize("rate", [16000, 22050, 24000, 48000])
def test_a_sine_has_the_levels_that_it_was_made_with(rate: int) -> None:
    """RMS is 3.01 dB below the peak. BS.1770 counts a mono sine of 997 Hz and full scale as -3.01 LUFS."""
    levels = _measured(_tone(10, level=0.1, rate=rate, hertz=997), rate)
    assert levels.rms_dbfs == pytest.approx(-23.01, abs=0.01)
    assert levels.floor_dbfs == pytest.approx(-23.01, abs=0.01)
    assert levels.loudness_lufs == pytest.approx(-23.01, abs=0.1)
    assert decibels(levels.peak) == pytest.approx(-20, abs=0.05)
    assert levels.frames == 10 * rate


@pytest.mark.parametrize(("share", "phase", "over_db"), [(1 / 4, 45, 3.01), (1 / 6, 60, 1.25), (1 / 3, 0, 1.25)])
def test_a_true_peak_lies_between_samples(share: float, phase: float, over_db: float) -> None:
    """The tones of EBU Tech 3341: the highest sample is `over_db` below the peak of the sine, which is 0.5. They allow
    +0.2 and -0.4 dB."""
    time = np.arange(5 * 48_000)
    fade = np.minimum(1, np.minimum(time, time[::-1]) / 2_000)
    sine = np.asarray(0.5 * fade * np.sin(2 * np.pi * share * time + math.radians(phase)), np.float32)
    levels = _measured(sine, 48_000)
    assert decibels(levels.true_peak) == pytest.approx(decibels(0.5), abs=0.1)
    assert decibels(levels.true_peak / levels.peak) == pytest.approx(over_db, abs=0.1)


@pytest.mark.parametrize("rate", [22050, 44100])
def test_the_true_peak_is_that_of_all_samples_at_four_times_the_rate(rate: int) -> None:
    for signal in (_speechlike(9, rate=rate), np.asarray(np.sign(_tone(9, rate=rate)) * 0.4, np.float32)):
        everywhere = np.abs(soxr.resample(signal, rate, 4 * rate, quality="HQ")).max()
        assert decibels(_measured(signal, rate).true_peak) == pytest.approx(decibels(float(everywhere)), abs=0.02)


def test_the_floor_is_that_of_the_quietest_half_second_and_digital_silence_has_none() -> None:
    hiss = np.asarray(np.random.default_rng(3).standard_normal(2 * RATE) * 0.001, np.float32)
    short, long = np.zeros(RATE // 5, np.float32), np.zeros(RATE, np.float32)
    assert _measured(np.concatenate((_tone(3), hiss, short, _tone(3)))).floor_dbfs == pytest.approx(-60, abs=3)
    assert _measured(np.concatenate((_tone(3), hiss, _tone(3)))).floor_dbfs == pytest.approx(-60, abs=0.3)
    assert _measured(np.concatenate((_tone(3), hiss, long, _tone(3)))).floor_dbfs == -math.inf


def test_a_stretch_of_a_stream_is_measured_as_if_it_were_alone() -> None:
    quiet, loud = _speechlike(4, 1) * np.float32(0.1), _speechlike(6, 2)
    meter = Meter(RATE)
    for block in np.array_split(np.concatenate((quiet, loud)), 7):
        meter.feed(block)
    for found, alone in (
        (meter.levels(0, len(quiet)), _measured(quiet)),
        (meter.levels(len(quiet)), _measured(loud)),
    ):
        assert found.loudness_lufs == pytest.approx(alone.loudness_lufs, abs=0.05)
        assert found.rms_dbfs == pytest.approx(alone.rms_dbfs, abs=0.05)
        assert (found.peak, found.true_peak) == pytest.approx((alone.peak, alone.true_peak), rel=0.001)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 5 * RATE), max_size=20), seed=st.integers(0, 5))
def test_levels_do_not_depend_on_the_blocks_in_which_a_stream_comes(cuts: list[int], seed: int) -> None:
    signal = _speechlike(5, seed)
    meter = Meter(RATE)
    for block in np.split(signal, sorted(cuts)):
        meter.feed(block)
    found, whole = Figures.of(meter.levels()), Figures.of(_measured(signal))
    assert asdict(found) == pytest.approx(asdict(whole), abs=0.02)


@given(st.lists(st.floats(0.5, 1), min_size=1, max_size=4), st.floats(0.1, 4))
@example([1, 0.5, 0.5, 0.5], 1)
@settings(max_examples=25, deadline=None)
def test_levels_of_stretches_are_joined_and_made_louder_as_the_sound_is(volumes: list[float], gain: float) -> None:
    """Silence of a second follows each. Joined stretches lack the windows of loudness that reach over a joint, which
    count much in stretches as short as these."""
    parts = [np.concatenate((_tone(2) * np.float32(volume), np.zeros(RATE, np.float32))) for volume in volumes]
    found = joined([_measured(part) for part in parts]).louder(gain)
    whole = _measured(np.concatenate(parts) * np.float32(gain))
    assert found.loudness_lufs == pytest.approx(whole.loudness_lufs, abs=0.5)
    assert found.rms_dbfs == pytest.approx(whole.rms_dbfs, abs=0.01)
    assert (found.peak, found.frames, found.floor) == (pytest.approx(whole.peak), whole.frames, whole.floor)


def _measured(samples: Samples, rate: int = RATE) -> Levels:
    meter = Meter(rate)
    for start in range(0, len(samples), 5 * rate):
        meter.feed(samples[start : start + 5 * rate])
    return meter.levels()


# --- stitching --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_the_recording_is_the_clips_and_the_pauses_to_the_sample(format: AudioFormat, tmp_path: Path) -> None:
    clips = [_speechlike(1.5, seed) for seed in range(3)]
    done = _stitch(clips, tmp_path / "book", pause_ms=333, format=format)
    gap = np.zeros(333 * RATE // 1000, np.int16)
    expected = np.concatenate([part for clip in clips for part in (to_pcm(clip), gap)])
    assert np.array_equal(sf.read(tmp_path / "book", dtype="int16")[0], expected)
    assert (done.frames, done.sample_rate, done.format) == (len(expected), RATE, format)
    assert done.seconds == len(expected) / RATE
    assert done.sha256 == hashlib.sha256((tmp_path / "book").read_bytes()).hexdigest()
    assert done.bytes == (tmp_path / "book").stat().st_size
    stride = len(clips[0]) + len(gap)
    assert done.spans == tuple(Span(i * stride, len(clips[0])) for i in range(3))


@pytest.mark.parametrize("format", ["wav", "flac", "mp3", "opus"])
@pytest.mark.parametrize("rate", [None, 8000, 44100])
def test_segments_are_where_the_spans_say_at_every_rate(format: AudioFormat, rate: int | None, tmp_path: Path) -> None:
    """Silence, a burst, silence: the burst is found again by ear."""
    burst = np.concatenate([np.zeros(RATE // 2, np.float32), _tone(0.5), np.zeros(RATE // 2, np.float32)])
    done = _stitch([burst] * 3, tmp_path / "book", pause_ms=500, format=format, sample_rate=rate)
    heard, heard_rate = sf.read(tmp_path / "book")
    assert heard_rate == done.sample_rate == encodable_rate(format, rate or RATE)
    assert len(heard) == done.frames == pytest.approx(6 * done.sample_rate, abs=3)
    for number, span in enumerate(done.spans):
        assert span.start == round(2 * number * done.sample_rate)
        loud = np.flatnonzero(np.abs(heard[span.start : span.start + span.frames]) > 0.05) / done.sample_rate
        assert loud[0] == pytest.approx(0.5, abs=0.03)
        assert loud[-1] == pytest.approx(1.0, abs=0.03)


def test_wav_and_flac_are_the_same_samples_whatever_the_gain(tmp_path: Path) -> None:
    for format in ("wav", "flac"):
        _stitch([_speechlike(2)], tmp_path / format, format=format, sample_rate=48000, loudness_lufs=-23)
    wav, flac = (sf.read(tmp_path / format, dtype="int16")[0] for format in ("wav", "flac"))
    assert np.array_equal(wav, flac)


def test_opus_takes_the_next_higher_rate_that_it_has() -> None:
    assert [encodable_rate("opus", rate) for rate in (8000, 16000, 22050, 24000, 44100, 48000)] == [
        *(8000, 16000, 24000, 24000, 48000, 48000)
    ]
    assert encodable_rate("mp3", 22050) == 22050


@pytest.mark.parametrize("format", ["wav", "flac", "mp3"])
def test_the_same_clips_are_the_same_file(format: AudioFormat, tmp_path: Path) -> None:
    clips = [_speechlike(2, seed) for seed in range(2)]
    first, second = (
        _stitch(clips, tmp_path / name, format=format, sample_rate=44100, loudness_lufs=-20) for name in "ab"
    )
    assert first == second


def test_loudness_reaches_its_target(tmp_path: Path) -> None:
    clips = [_speechlike(4, seed) * np.float32(0.1) for seed in range(3)]
    done = _stitch(clips, tmp_path / "book", format="wav", loudness_lufs=-30)
    assert done.source_loudness_lufs is not None
    assert done.figures.loudness_lufs == pytest.approx(-30, abs=0.05)
    assert done.gain_db == pytest.approx(-30 - done.source_loudness_lufs, abs=0.05)
    assert _loudness(sf.read(tmp_path / "book")[0]) == pytest.approx(-30, abs=0.05)


@pytest.mark.parametrize("rate", [None, 48000])
def test_gain_stops_at_the_ceiling_and_says_what_was_reached(rate: int | None, tmp_path: Path) -> None:
    done = _stitch([_speechlike(4)], tmp_path / "book", format="wav", sample_rate=rate, loudness_lufs=-8)
    heard, heard_rate = sf.read(tmp_path / "book")
    assert decibels(float(np.abs(heard).max())) == pytest.approx(-1, abs=0.01)
    assert done.figures.peak_dbfs == pytest.approx(-1, abs=0.01)
    assert done.figures.loudness_lufs is not None
    assert done.figures.loudness_lufs < -9
    assert done.figures.loudness_lufs == pytest.approx(_loudness(heard, heard_rate), abs=0.05)


# --- trimmed clips and room tone --------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(
    before=st.integers(0, 4_000), after=st.integers(0, 4_000), speech=st.integers(1, 3_000), hiss=st.integers(0, 90),
    dbfs=st.floats(-50, -20),
)  # fmt: skip
def test_a_trimmed_clip_keeps_all_of_its_speech_and_little_else(
    before: int, after: int, speech: int, hiss: int, dbfs: float
) -> None:
    """`hiss` is up to -51 dBFS. The speech is 20,000 all through, so that every sample of it is heard again."""
    clip = np.concatenate((np.full(before, hiss), np.full(speech, 20_000), np.full(after, -hiss))).astype(np.int16)
    timeline, kept = Timeline(RATE, dbfs), round(0.02 * RATE)
    found = np.concatenate(list(timeline.blocks([Piece(clip, 100)])))
    (span,) = timeline.spans(RATE)
    assert span == Span(0, speech + min(before, kept) + min(after, kept))
    assert len(found) == span.frames + 100 * RATE // 1000
    if min(before, after) >= kept:
        assert np.count_nonzero(found == 20_000) == speech
        assert (found[0], abs(found[span.frames - 1]) <= hiss) == (0, True)


def test_a_clip_in_which_nothing_is_loud_is_not_trimmed() -> None:
    whisper = to_pcm(_speechlike(1) * np.float32(0.001))
    assert np.array_equal(np.concatenate(list(Timeline(RATE, -50).blocks([Piece(whisper, 0)]))), whisper)


def test_a_clip_without_silent_ends_is_the_same_trimmed_or_not() -> None:
    clip = to_pcm(_tone(1))
    blocks = [np.concatenate(list(Timeline(RATE, dbfs).blocks([Piece(clip, 0)]))) for dbfs in (None, -50)]
    assert np.array_equal(*blocks)


@pytest.mark.parametrize("rate", [8000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("dbfs", [-65, -50])
def test_room_tone_has_its_level_in_every_second_and_the_same_samples_always(rate: int, dbfs: float) -> None:
    silence = np.zeros(25 * rate, np.float32)
    once, again = (
        np.concatenate(list(room_tone.under(np.array_split(silence, parts), rate, dbfs))) for parts in (1, 33)
    )
    assert np.array_equal(once, again)
    assert np.array_equal(once[: 10 * rate], once[10 * rate : 20 * rate])
    levels = [decibels(float(np.sqrt(np.mean(np.square(part))))) for part in np.array_split(once, 25)]
    assert levels == pytest.approx([dbfs] * 25, abs=1)
    assert np.abs(once).max() <= room_tone.peak(dbfs) + 1 / 65_536
    assert np.array_equal(once, from_pcm(to_pcm(once)))


@pytest.mark.parametrize("lufs", [None, -14, -30])
def test_room_tone_is_as_quiet_as_asked_whatever_the_gain(lufs: float | None, tmp_path: Path) -> None:
    """It is under pauses and under silence within a clip; and peaks stay below the ceiling."""
    clips = [
        np.concatenate((_speechlike(2, seed), np.zeros(RATE, np.float32), _speechlike(2, seed))) for seed in (1, 2)
    ]
    done = _stitch(clips, tmp_path / "book", pause_ms=1000, format="wav", loudness_lufs=lufs, room_tone_dbfs=-65)
    heard = sf.read(tmp_path / "book")[0]
    for second in (done.spans[0].frames + RATE // 10, 2 * RATE + RATE // 10):
        assert decibels(float(np.sqrt(np.mean(np.square(heard[second:][: RATE // 2]))))) == pytest.approx(-65, abs=1.5)
    assert done.figures.floor_dbfs == pytest.approx(-65, abs=1.5)
    assert done.figures.peak_dbfs is not None
    assert done.figures.peak_dbfs <= (-1 if lufs else 0)


def test_a_recording_begins_and_ends_with_the_silence_that_is_asked_for(tmp_path: Path) -> None:
    pieces = [Piece(to_pcm(_tone(1)), 300, 500), Piece(to_pcm(_tone(1)), 1000)]
    done = stitch(pieces, sample_rate=RATE, output=Output(format="wav"), target=tmp_path / "a", check=lambda: None)
    assert done.spans == (Span(RATE // 2, RATE), Span(RATE // 2 + RATE + 300 * RATE // 1000, RATE))
    assert done.frames == done.spans[1].start + 2 * RATE


def test_each_chapter_is_measured_as_it_was_written(tmp_path: Path) -> None:
    clips = [_speechlike(4, 1) * np.float32(0.1), _speechlike(3, 2), _speechlike(4, 3) * np.float32(0.3)]
    pieces = [Piece(to_pcm(clip), 700) for clip in clips]
    done = stitch(
        pieces, sample_rate=RATE, output=Output(format="wav", sample_rate=44100, loudness_lufs=-23),
        target=tmp_path / "book", check=lambda: None, chapters={0: 0, 5: 1},
    )  # fmt: skip
    heard = np.asarray(sf.read(tmp_path / "book", dtype="float32")[0])
    cut = done.spans[1].start
    for chapter, part in ((0, heard[:cut]), (5, heard[cut:])):
        assert asdict(done.chapters[chapter]) == pytest.approx(asdict(Figures.of(_measured(part, 44100))), abs=0.1)
    assert asdict(done.figures) == pytest.approx(asdict(Figures.of(_measured(heard, 44100))), abs=0.1)


def test_the_waveform_is_that_of_the_audio_as_written(tmp_path: Path) -> None:
    done = _stitch([_speechlike(4) * np.float32(0.1)] * 2, tmp_path / "book", format="wav", loudness_lufs=-20)
    heard = sf.read(tmp_path / "book")[0]
    pairs = np.frombuffer(base64.b64decode(str(done.waveform["data"])), np.int8).reshape(-1, 2) / 127
    each = int(done.waveform["samples_per_pair"])
    for number, (low, high) in enumerate(pairs):
        stretch = heard[number * each : (number + 1) * each]
        assert (low, high) == pytest.approx((stretch.min(), stretch.max()), abs=1 / 127)
    assert (len(pairs) - 1) * each < len(heard) <= len(pairs) * each


def test_without_a_target_nothing_is_made_louder(tmp_path: Path) -> None:
    done = _stitch([_speechlike(2)], tmp_path / "book", format="wav")
    assert done.gain_db == 0
    assert done.figures.loudness_lufs == done.source_loudness_lufs


@pytest.mark.parametrize("lufs", [None, -16.0])
@pytest.mark.parametrize("format", ["wav", "flac", "mp3", "opus"])
def test_silence_is_assembled_without_a_loudness(format: AudioFormat, lufs: float | None, tmp_path: Path) -> None:
    done = _stitch([np.zeros(2000, np.float32)] * 2, tmp_path / "book", format=format, loudness_lufs=lufs)
    assert set(asdict(done.figures).values()) == {None}
    assert (done.source_loudness_lufs, done.gain_db) == (None, 0)


def test_a_clip_that_starts_on_a_step_does_not_click(tmp_path: Path) -> None:
    hum = np.full(RATE // 2, 0.5, np.float32)
    _stitch([hum, hum], tmp_path / "book", format="wav")
    heard, _ = sf.read(tmp_path / "book")
    assert np.abs(np.diff(heard)).max() < 0.01


def test_a_check_that_raises_stops_the_work(tmp_path: Path) -> None:
    drawn: list[int] = []

    def pieces() -> Iterator[Piece]:
        for index in range(1000):
            drawn.append(index)
            yield Piece(to_pcm(_tone(1)), 0)

    def check() -> None:
        if len(drawn) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        stitch(pieces(), sample_rate=RATE, output=Output(), target=tmp_path / "book", check=check)
    assert len(drawn) == 3


def test_stitching_without_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no clip"):
        _stitch([], tmp_path / "book", format="wav")


def test_nothing_but_the_recording_is_left_behind(tmp_path: Path) -> None:
    _stitch([_tone(1)], tmp_path / "book", format="wav", loudness_lufs=-20)
    assert [path.name for path in tmp_path.iterdir()] == ["book"]


def test_a_wav_beyond_its_limit_becomes_rf64_and_loses_nothing(tmp_path: Path) -> None:
    blocks = [_speechlike(1, seed) for seed in range(4)]
    encoder = Encoder(tmp_path / "book", "wav", RATE, wav_frames=2 * RATE + 10)
    for block in blocks:
        encoder.write(block)
    encoder.close()
    assert sf.info(tmp_path / "book").format == "RF64"
    assert np.array_equal(sf.read(tmp_path / "book", dtype="int16")[0], to_pcm(np.concatenate(blocks)))
    assert [path.name for path in tmp_path.iterdir()] == ["book"]


LONG = """
import re, sys
from pathlib import Path
from farm.wire import Output
from farm.sound.flac import decode
from farm.sound.timeline import Piece
from worker.desk.stitch import stitch
clips = [path.read_bytes() for path in sorted(Path(sys.argv[1]).glob("*.flac"))]
checks = []
done = stitch(
    (Piece(decode(clips[i % len(clips)], 22050).pcm, 120) for i in range(int(sys.argv[2]))), sample_rate=22050,
    output=Output(format="wav", loudness_lufs=-18), target=Path(sys.argv[1], "book"), check=lambda: checks.append(1))
# Not ru_maxrss, which a child begins with at its parent's.
print(done.seconds, int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024, len(checks))
"""


def test_memory_does_not_grow_with_the_length_of_a_book(tmp_path: Path) -> None:
    """A quarter of an hour, so that it takes seconds. Ten hours of espeak's clips took 154 MB in all and 34 s."""
    for number in range(12):
        (tmp_path / f"{number:02}.flac").write_bytes(encode(_speechlike(9.88, number), RATE))

    def run(hours: float) -> tuple[float, float, int]:
        command = [sys.executable, "-c", LONG, str(tmp_path), str(round(hours * 360))]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        return float(answer[0]), float(answer[1]), int(answer[2])

    _, short_mb, _ = run(0.05)
    seconds, long_mb, beats = run(0.25)
    assert seconds == pytest.approx(900, rel=0.001)
    assert long_mb - short_mb < 5
    assert long_mb < 300
    assert beats > 0


# --- subtitles --------------------------------------------------------------------------------------------------------

CUES = [Cue(0, 1500, "Salt & <pepper>\n\n--> away"), Cue(3_661_001, 3_662_000, "Später")]


def test_web_vtt_escapes_what_would_be_markup() -> None:
    assert Subtitles(CUES).file("vtt") == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:01.500\nSalt &amp; &lt;pepper&gt; --&gt; away\n\n"
        "01:01:01.001 --> 01:01:02.000\nSpäter\n"
    )


def test_subrip_numbers_its_cues() -> None:
    assert Subtitles(CUES).file("srt") == (
        "1\n00:00:00,000 --> 00:00:01,500\nSalt & <pepper> -> away\n\n2\n01:01:01,001 --> 01:01:02,000\nSpäter\n"
    )


def test_no_cues_are_still_a_file() -> None:
    assert Subtitles([]).file("vtt") == "WEBVTT\n"
    assert Subtitles([]).file("srt") == ""

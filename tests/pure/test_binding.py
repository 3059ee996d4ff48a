"""Passages, and the recordings that are bound of them: every sample in its place, in every format."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.audio_formats import AUDIO_FORMATS, BOOK_FORMATS, AudioFormat
from farm.passages import PASSAGE_MS, Cuts, passages
from farm.segment import Segment
from farm.sound.flac_frames import LONGEST, bodies_at, encode_frames, frames_at, stream_head
from farm.wire import Output, Pauses
from tests.pure.studio import BOOK, CLICKS, CLIPS, RATE, bound, heard, made, noise, picture_of, row, stored
from worker.desk.book import read_cover
from worker.desk.loudness import Levels
from worker.desk.packets import CODERS
from worker.desk.passage import Passage, Pieces, read_passage, with_sound, without_sound, write_passage
from worker.desk.recording_file import RecordingFile

# --- cuts -------------------------------------------------------------------------------------------------------------

LONG = "x" * 2_000  # 2 minutes, as it is estimated


def cut(rows: Sequence[Segment], format: AudioFormat = "flac", lufs: float | None = None) -> list[list[int]]:
    return [[each.index for each in part] for part in passages(rows, Output(format=format, loudness_lufs=lufs))]


def test_a_passage_is_a_chapter_or_ten_minutes_of_a_longer_one_cut_between_paragraphs() -> None:
    pauses = [120, 120, 120, 120, 120, 450, 120, 1500, 1500]
    rows = [row(n, 0 if n < 8 else 1, pause, LONG) for n, pause in enumerate(pauses)]
    assert cut(rows) == [[0, 1, 2, 3, 4, 5], [6, 7], [8]]


def test_a_chapter_of_one_paragraph_is_cut_after_twenty_minutes() -> None:
    assert [len(part) for part in cut([row(n, 0, 120, LONG) for n in range(25)])] == [10, 10, 5]


def test_silence_counts_for_the_length_of_a_passage() -> None:
    assert len(cut([row(n, 0, 60_000) for n in range(30)])) == 3


def test_a_short_job_and_one_with_a_gain_of_its_own_are_joined_as_a_whole() -> None:
    short, long = [row(0, 0), row(1, 1)], [row(n, n, 0, LONG) for n in range(9)]
    assert cut(short) == cut(long, "flac", -18) == []
    assert len(cut(long)) == 9
    for book in BOOK_FORMATS:
        assert (len(cut(short, book)), len(cut(long, book, -18))) == (2, 9)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60_000), st.integers(1, 30_000)), max_size=30))
def test_every_row_is_in_one_passage_and_none_is_much_too_long(given_rows: list[tuple[bool, int, int]]) -> None:
    rows, chapter = [], 0
    for index, (begins, pause_ms, letters) in enumerate(given_rows):
        chapter += begins
        rows.append(row(index, chapter, pause_ms, "x" * letters))
    cuts = Cuts(Output(format="m4b"))
    assert list(cuts.noted(iter(rows))) == rows
    parts = passages(rows, Output(format="m4b"))
    assert [each for part in parts for each in part] == rows
    for part in parts:
        assert len({each.chapter for each in part}) == 1
        assert sum(60 * len(each.text) + each.pause_ms for each in part[:-1]) < 2 * PASSAGE_MS


# --- FLAC -------------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.one_of(st.integers(16, 10_000), st.sampled_from([4096, 4097, 8207, 192, 256, 257, 576])),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([8_000, 11_025, 22_050, 24_000, 44_100, 48_000]),
    st.sampled_from([0, 100, 2_000_000, LONGEST - 45_000]),
)
def test_joined_flac_files_decode_to_all_of_their_samples(lengths: list[int], rate: int, before: int) -> None:
    """`before`: samples that went before, because a header says where its frame lies in up to six bytes."""
    clips = [noise(length, seed, 3_000) for seed, length in enumerate(lengths)]
    frames = [encode_frames(clip, rate) for clip in clips]
    starts = np.cumsum([0, *lengths])
    stretches = [b"".join(frames_at(before + start, each)) for start, each in zip(starts[:-1], frames, strict=True)]
    body = b"".join(stretches)
    if not before:
        data = stream_head(rate, int(starts[-1]), 16, 4096) + body
        read, read_rate = sf.read(io.BytesIO(data), dtype="int16")
        assert read_rate == rate
        assert np.array_equal(read, np.concatenate(clips))
    with av.open(io.BytesIO(stream_head(rate, 0, 16, 4096) + body), options={"err_detect": "crccheck+explode"}) as file:
        read = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    assert np.array_equal(read, np.concatenate(clips))
    assert min(int(each.samples.min()) for each in frames) >= 16
    for start, each, stretch in zip(starts[:-1], frames, stretches, strict=True):
        assert bodies_at(before + start, replace(each, bodies=b""), stretch) == each.bodies


def test_a_joined_flac_can_be_searched(tmp_path: Path) -> None:
    clips = [noise(50_001, 1), noise(60_007, 2), noise(70_000, 3)]
    rows = [[row(n, n)] for n in range(3)]
    output = Output(format="flac")
    done = bound(tmp_path / "a.flac", made(stored(tmp_path / "s", clips), rows, output), output)
    whole, _ = sf.read(tmp_path / "a.flac", dtype="int16")
    assert len(whole) == done.frames
    with sf.SoundFile(tmp_path / "a.flac") as file:
        for place in (100_000, 3, 175_000, 50_001):
            file.seek(place)
            assert np.array_equal(file.read(500, dtype="int16"), whole[place : place + 500])


# --- every format -----------------------------------------------------------------------------------------------------


EVERY_FORMAT: list[tuple[AudioFormat, float | None]] = [
    ("wav", None), ("flac", None), ("m4b", None), ("m4b", -20), ("mp3", None), ("mp3", -20), ("opus", None),
    ("opus", -20),
]  # fmt: skip
# By so many samples less than these the silence at the end of a passage is longer than asked for.
SLACK = {"m4b": 2 * 1024, "mp3": CODERS["mp3"].silence + 576}


def placed(spans: Sequence[Any]) -> list[int]:
    return [span.start + at for span, (_, at) in zip(spans, CLICKS, strict=True)]


def clicks(sound: npt.NDArray[Any], near: Sequence[int]) -> list[int]:
    return [int(np.argmax(np.abs(sound[max(0, at - 2_000) : at + 2_000]))) + max(0, at - 2_000) for at in near]


@pytest.mark.parametrize("format", ["wav", "flac", "m4b", "mp3"])
def test_a_recording_with_a_cover_has_each_passage_in_one_stretch(format: AudioFormat, tmp_path: Path) -> None:
    rows = [row(n, chapter, 1500) for n, chapter in enumerate((0, 0, 1, 2, 2))]
    output = Output(format=format)
    passages = made(stored(tmp_path / "s", CLIPS), [rows[:2], rows[2:3], rows[3:]], output)
    book = replace(BOOK, picture=read_cover(picture_of("PNG", 600, 600)))
    file = RecordingFile(tmp_path / "whole", output, passages[0].sample_rate, book, lambda: None)
    for passage in passages:
        file.write(passage)
    file.finish()
    file.close()
    data = (tmp_path / "whole").read_bytes()
    for passage, (start, length), sample in zip(passages, file.places(), file.starts, strict=True):
        silent = without_sound(passage, output)
        taken = with_sound(silent, passage.chapter, sample, data[start : start + length])
        assert taken is not None
        assert write_passage(taken) == write_passage(passage)


@pytest.mark.parametrize("pauses", [(120, 1500, 450, 120, 0), (0, 0, 0, 0, 0), (7, 43, 42, 1, 0)])
@pytest.mark.parametrize(("format", "lufs"), EVERY_FORMAT)
def test_a_click_is_heard_where_the_spans_say(
    format: AudioFormat, lufs: float | None, pauses: Sequence[int], tmp_path: Path
) -> None:
    rows = [row(n, chapter, pause) for n, (chapter, pause) in enumerate(zip((0, 0, 1, 2, 2), pauses, strict=True))]
    output = Output(format=format, loudness_lufs=lufs)
    parts = [rows[:2], rows[2:3], rows[3:]]
    done = bound(tmp_path / "whole", made(stored(tmp_path / "s", CLIPS), parts, output), output)
    sound = heard(tmp_path / "whole", format)
    assert 0 <= len(sound) - done.frames < (1024 if format == "m4b" else 1)
    assert clicks(sound, placed(done.spans)) == placed(done.spans)
    for span, following, pause in zip(done.spans, done.spans[1:], pauses, strict=False):
        exact = following.start - span.start - span.frames - pause * RATE // 1000
        assert 0 <= exact < SLACK.get(format, 1)


@pytest.mark.parametrize(("format", "lufs"), EVERY_FORMAT)
def test_a_click_is_heard_in_its_place_in_trimmed_clips_over_room_tone(
    format: AudioFormat, lufs: float | None, tmp_path: Path
) -> None:
    """Each chapter begins with silence of its own, and the recording ends with some."""
    rows = [row(n, chapter, 300) for n, chapter in enumerate((0, 0, 1, 2, 2))]
    output = Output.model_validate(
        {
            "format": format, "loudness_lufs": lufs, "trim_dbfs": -30, "room_tone_dbfs": -65,
            "pause_ms": {"before_chapter": 500, "end": 1000},
        }
    )  # fmt: skip
    storage = stored(tmp_path / "s", CLIPS)
    done = bound(tmp_path / "whole", made(storage, [rows[:2], rows[2:3], rows[3:]], output), output)
    sound, kept = heard(tmp_path / "whole", format), round(0.02 * RATE)
    assert 0 <= len(sound) - done.frames < (1024 if format == "m4b" else 1)
    places = [span.start + min(at, kept) for span, (_, at) in zip(done.spans, CLICKS, strict=True)]
    assert clicks(sound, places) == places
    assert [span.frames for span in done.spans] == [kept + 1 + min(kept, at, n - at - 1) for n, at in CLICKS]
    gaps = [after.start - span.start - span.frames for span, after in zip(done.spans, done.spans[1:], strict=False)]
    more = [gap - ms * RATE // 1000 for gap, ms in zip(gaps, (300, 800, 800, 300), strict=True)]
    assert all(0 <= samples < SLACK.get(format, 1) for samples in more)
    assert (done.spans[0].start, done.frames - done.spans[-1].start - done.spans[-1].frames) == (RATE // 2, RATE)
    assert done.figures.floor_dbfs == pytest.approx(-65, abs=1)
    near = 2 if format == "opus" else 1  # which spends few bits on noise
    assert 20 * np.log10(power(sound[done.frames - RATE : done.frames])) == pytest.approx(-65, abs=near)


def power(samples: npt.NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


LOUD_AND_QUIET = [noise(60_000, seed, level) for seed, level in enumerate((900, 1_800, 900, 450))]


def test_a_book_with_a_target_for_loudness_reaches_it_by_one_gain(tmp_path: Path) -> None:
    output = Output(format="m4b", loudness_lufs=-24)
    rows = [[row(0, 0, 300)], [row(1, 1)]]
    done = bound(tmp_path / "a", made(stored(tmp_path / "s", LOUD_AND_QUIET), rows, output), output)
    assert done.figures.loudness_lufs == pytest.approx(-24, abs=0.1)
    one, two = (power(heard(tmp_path / "a", "m4b")[span.start :][: span.frames]) for span in done.spans)
    assert two / one == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("format", list(AUDIO_FORMATS))
def test_each_chapter_reaches_the_target_by_a_gain_of_its_own(format: AudioFormat, tmp_path: Path) -> None:
    """The last chapter has two passages, and one gain all the same."""
    output = Output(format=format, loudness_lufs=-24, loudness_per="chapter")
    rows = [[row(0, 0, 300)], [row(1, 1, 300)], [row(2, 2, 300)], [row(3, 2)]]
    passages = made(stored(tmp_path / "s", LOUD_AND_QUIET), rows, output)
    assert [passage.gain is None for passage in passages] == [False, False, True, True], "whole chapters are ready"
    done = bound(tmp_path / "a", passages, output)
    first, second, third, fourth = (power(heard(tmp_path / "a", format)[s.start :][: s.frames]) for s in done.spans)
    near = 0.2 if format == "opus" else 0.05  # which spends few bits on noise
    assert (second / first, third / fourth) == pytest.approx((1, 2), rel=near)
    assert [chapter.loudness_lufs for chapter in done.chapters.values()] == pytest.approx([-24] * 3, abs=0.1)
    assert done.gains[0] - done.gains[1] == pytest.approx(6.02, abs=0.1)
    assert done.gain_db is None


@pytest.mark.parametrize("format", list(AUDIO_FORMATS))
def test_every_desk_makes_the_same_passage_and_the_same_recording(format: AudioFormat, tmp_path: Path) -> None:
    rows = [[row(0, 0, 450)], [row(1, 1)]]
    output = Output(format=format)
    storage = stored(tmp_path / "s", CLIPS[:2])
    once, again = made(storage, rows, output), made(storage, rows, output)
    assert [write_passage(each) for each in once] == [write_passage(each) for each in again]
    assert bound(tmp_path / "a", once, output).sha256 == bound(tmp_path / "b", again, output).sha256


def test_the_waveform_of_passages_shows_each_click_in_its_stretch(tmp_path: Path) -> None:
    rows = [row(n, n, 500) for n in range(5)]
    output = Output(format="flac")
    done = bound(tmp_path / "a", made(stored(tmp_path / "s", CLIPS), [[each] for each in rows], output), output)
    shown = done.waveform
    pairs = np.frombuffer(base64.b64decode(str(shown["data"])), np.int8).reshape(-1, 2)
    assert len(pairs) == shown["length"]
    loud = np.flatnonzero(pairs[:, 1] == round(127 * 30_000 / 32_768))
    assert loud.tolist() == pytest.approx([at // int(shown["samples_per_pair"]) for at in placed(done.spans)], abs=5)


@pytest.mark.parametrize(
    "other",
    [
        {"format": "wav"}, {"format": "m4b"}, {"format": "flac", "sample_rate": 48_000},
        {"format": "flac", "trim_dbfs": -50}, {"format": "flac", "room_tone_dbfs": -65},
    ],
)  # fmt: skip
def test_a_passage_of_another_sound_has_another_name(other: dict[str, Any]) -> None:
    pieces = pieces_of([row(0, 0, 100), row(1, 0, 100)])
    name = pieces.name(RATE, Output(format="flac"))
    assert name == pieces.name(RATE, Output(format="flac", subtitles=["vtt"]))
    assert name != pieces.name(RATE, Output.model_validate(other))
    assert name != pieces_of(pieces.rows, ends_job=True).name(RATE, Output(format="flac"))
    assert name != pieces_of([row(0, 0, 100), row(1, 0, 101)]).name(RATE, Output(format="flac"))


@settings(max_examples=40, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_passage_is_never_taken_for_a_good_one(
    place: float, bit: int, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = bytearray(PASSAGE)
    at = int(place * len(data))
    if cut:
        del data[at:]
    else:
        data[at] ^= 1 << bit
    assert read_passage(bytes(data), 0) is None


def pieces_of(rows: Sequence[Segment], *, ends_job: bool = False) -> Pieces:
    return Pieces.of(rows, Pauses(), ends_job=ends_job, begins_chapter=True, ends_chapter=True)


LEVELS = Levels(3, np.ones(2), 0.1, 0.5, 0.6, 0.01)
PASSAGE = write_passage(Passage(RATE, 3, (), (), LEVELS, LEVELS, np.array([1, 2, 3], np.int16)))

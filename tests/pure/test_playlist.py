"""The playlist of a job of any clips, settled in any order: what it names, in a row, is the recording."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from api.listening.playlist import LONGEST_S, Part, Playlist
from api.listening.sound import JobSound
from farm.cutting import Part as Chapter
from farm.job import Status
from farm.layout import clip_key, pages_key, plan_key
from farm.plan import encode_plan
from farm.segment import Recipe, Segment
from farm.silences import silences
from farm.sound.flac import Pcm, decode, encode, from_pcm
from farm.sound.fragments import init_segment
from farm.sound.timeline import Piece, Timeline
from farm.storage import LocalStorage
from farm.store.jobs import Bits, Settling
from farm.wire import Output, Pauses
from tests.pure.test_fragments import noise, played

RATE = 8_000
JOB = "job_1"
CLIP = st.tuples(
    st.sampled_from([1, 15, 16, 17, 4_095, 4_097, 40_001, 79_999, 80_000, 80_001, 170_003]) | st.integers(1, 9_999),
    st.sampled_from([0, 1, 137, 10_000, 25_001]),  # milliseconds of the pause after it
    st.booleans(),  # whether a chapter ends with it
)
OUTPUTS = st.builds(
    lambda trim, lead, end: Output(trim_dbfs=trim, pause_ms=Pauses(before_chapter=lead, end=end)),
    st.sampled_from([None, -40.0]), st.sampled_from([0, 511]), st.sampled_from([0, 333, 12_000]),
)  # fmt: skip


def planned(folder: Path, clips: Sequence[tuple[int, int, bool]]) -> tuple[LocalStorage, list[Segment]]:
    storage, rows, chapter = LocalStorage(folder), list[Segment](), 0
    for index, (length, pause_ms, ends) in enumerate(clips):
        digest = hashlib.sha256(f"{index} {length}".encode()).hexdigest()
        rows.append(Segment(index, chapter, 0, 1, "a", "v", False, pause_ms, digest))
        storage.put(clip_key(digest), encode(from_pcm(noise(length, index)), RATE))
        chapter += ends
    chapters = [Chapter("", "a", "v") for _ in range(chapter + 1)]
    plan, pages = encode_plan(rows, chapters, Recipe("t", "m", "1", "en"), sample_rate=RATE)
    storage.put(plan_key(JOB), plan.to_json().encode())
    storage.put(pages_key(JOB), pages)
    return storage, rows


def recording(storage: LocalStorage, rows: Sequence[Segment], output: Output) -> Pcm:
    """As the desk joins it."""
    pieces = (
        Piece(decode(storage.get(clip_key(row.digest)), RATE).pcm, around.after, around.before)
        for row, around in zip(rows, silences(rows, output.pause_ms), strict=True)
    )
    return np.concatenate([np.empty(0, np.int16), *Timeline(RATE, output.trim_dbfs).blocks(pieces)])


@settings(deadline=None, max_examples=40)
@given(st.lists(CLIP, min_size=1, max_size=6), OUTPUTS, st.data())
def test_what_a_playlist_names_is_the_recording_whatever_was_settled_first(
    clips: list[tuple[int, int, bool]], output: Output, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(clips))))
    dead = data.draw(st.sets(st.sampled_from(order), max_size=len(order) - 1)) if len(order) > 1 else set()
    with tempfile.TemporaryDirectory() as folder:
        storage, rows = planned(Path(folder), clips)
        sound = JobSound(storage, JOB, output)
        playlist, settled, texts = Playlist(sound), set[int](), list[bytes]()
        for index in order:
            settled.add(index)
            known = Settling(Status.RUNNING, len(clips), Bits.of(settled - dead), None)
            playlist.grow(known, dead & settled)
            texts.append(playlist.text)
        assert all(after.startswith(before) for before, after in pairwise(texts))
        listed = texts[-1].decode()
        assert listed.endswith("#EXT-X-ENDLIST\n")
        expected = recording(storage, [row for row in rows if row.index not in dead], output)
        parts = [Part.read(name) for name in re.findall(r"^(\S+)\.m4s$", listed, re.MULTILINE)]
        lengths = [float(length) for length in re.findall(r"#EXTINF:([\d.]+),", listed)]
        assert all(length <= LONGEST_S for length in lengths)
        assert round(sum(lengths) * RATE) == len(expected)
        if len(expected):
            made = [part.bytes(sound) for part in parts if part is not None]
            heard, _ = played(b"".join([init_segment(RATE), *made]))
            assert np.array_equal(heard, expected)

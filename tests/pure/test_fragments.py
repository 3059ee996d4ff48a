"""Fragments of MP4 as players read them: each is made by itself, and all in a row are the recording."""

from __future__ import annotations

import io
from collections.abc import Sequence

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.sound.flac import Pcm
from farm.sound.fragments import fragment, init_segment

RATE = 22_050
LENGTHS = st.lists(
    st.one_of(st.integers(1, 40), st.sampled_from([4095, 4096, 4097, 4111, 4112, 8191, 8193]), st.integers(1, 30_000)),
    min_size=1,
    max_size=8,
)


def noise(length: int, seed: int = 0) -> Pcm:
    return np.random.default_rng(seed).integers(-9_000, 9_000, length, dtype=np.int16)


def played(data: bytes) -> tuple[Pcm, list[int]]:
    """The samples, and the time of each packet in samples."""
    heard: list[Pcm] = []
    times: list[int] = []
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.rate) == ("flac", stream.time_base.denominator)
        for packet in container.demux(stream):
            if packet.pts is not None:
                times.append(packet.pts)
            heard += [frame.to_ndarray().reshape(-1) for frame in packet.decode()]
    return np.concatenate(heard).astype(np.int16), times


def fragments(pieces: Sequence[Pcm], rate: int = RATE) -> list[bytes]:
    starts = np.cumsum([0, *(len(piece) for piece in pieces[:-1])]).tolist()
    return [fragment(piece, rate, start) for piece, start in zip(pieces, starts, strict=True)]


@settings(deadline=None, max_examples=60)
@given(LENGTHS)
def test_fragments_in_a_row_decode_to_the_samples_that_were_encoded(lengths: list[int]) -> None:
    pieces = [noise(length, seed) for seed, length in enumerate(lengths)]
    heard, times = played(b"".join([init_segment(RATE), *fragments(pieces)]))
    assert np.array_equal(heard, np.concatenate(pieces))
    assert set(np.cumsum([0, *lengths[:-1]]).tolist()) <= set(times)


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 44_100, 48_000, 96_000])
def test_every_rate_of_a_model_is_said(rate: int) -> None:
    pieces = [noise(rate), np.zeros(rate // 2, np.int16)]
    heard, _ = played(b"".join([init_segment(rate), *fragments(pieces, rate)]))
    assert np.array_equal(heard, np.concatenate(pieces))


def test_a_fragment_says_where_it_begins_also_after_days() -> None:
    at = 5 * 24 * 3600 * RATE
    assert at > 1 << 32
    _, times = played(init_segment(RATE) + fragment(noise(5_000), RATE, at))
    assert times == [at, at + 4096]


def test_the_same_samples_have_the_same_bytes_but_for_their_place() -> None:
    one, other = (fragment(noise(9_000), RATE, at) for at in (0, 70_000))
    assert one[one.index(b"mdat") :] == other[other.index(b"mdat") :]

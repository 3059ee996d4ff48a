"""The cache of what references have become: what it keeps, what it lets go, and that it makes nothing twice."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from worker.engines.indextts.shapes import Voice
from worker.engines.indextts.voice.cache import EmotionCache, VoiceCache


def voice(frames: int) -> Voice:
    return Voice(
        torch.zeros(192),
        torch.zeros(80, frames),
        torch.zeros(frames, 64),
        torch.zeros(32, 64),
        torch.zeros(64),
        torch.zeros(64),
    )


SIZE = voice(100).bytes


class Maker:
    """Of a file "name" a voice of 100 frames, and of "bad…" nothing."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, references: Sequence[str]) -> list[Voice | Exception]:
        self.asked.append(list(references))
        return [ValueError(path) if path.startswith("bad") else voice(100) for path in references]


def wanted(*digests: str) -> dict[str, str]:
    return {digest: digest + ".flac" for digest in digests}


def test_new_voices_are_made_in_one_batch_and_known_ones_are_found():
    make = Maker()
    cache = VoiceCache(make, bytes=10 * SIZE)
    first = cache.get(wanted("a", "b"))
    second = cache.get(wanted("b", "c", "a"))
    assert make.asked == [["a.flac", "b.flac"], ["c.flac"]]
    assert second["a"] is first["a"]
    assert second["b"] is first["b"]
    assert (cache.hits, cache.misses, len(cache), cache.bytes) == (2, 3, 3, 3 * SIZE)


def test_the_voice_that_was_wanted_longest_ago_goes_first():
    make = Maker()
    cache = VoiceCache(make, bytes=3 * SIZE)
    for digests in ("a", "b", "c", "a", "d"):
        cache.get(wanted(digests))
    assert (len(cache), cache.bytes) == (3, 3 * SIZE)
    cache.get(wanted("a", "c", "d"))
    assert make.asked[4:] == []
    cache.get(wanted("b"))
    assert make.asked[4:] == [["b.flac"]]


def test_an_answer_is_kept_even_if_it_exceeds_the_room():
    make = Maker()
    cache = VoiceCache(make, bytes=2 * SIZE)
    cache.get(wanted("old"))
    answer = cache.get(wanted("a", "b", "c"))
    assert set(answer) == {"a", "b", "c"}
    assert (len(cache), cache.bytes) == (3, 3 * SIZE)
    cache.get(wanted("c"))
    assert (len(cache), cache.bytes) == (2, 2 * SIZE)


def test_a_reference_that_cannot_be_used_is_answered_with_the_reason_and_tried_again():
    make = Maker()
    cache = VoiceCache(make, bytes=10 * SIZE)
    answer = cache.get(wanted("bad", "good"))
    assert isinstance(answer["bad"], ValueError)
    assert isinstance(answer["good"], Voice)
    cache.get(wanted("bad", "good"))
    assert make.asked == [["bad.flac", "good.flac"], ["bad.flac"]]
    assert (len(cache), cache.bytes) == (1, SIZE)


def test_a_maker_that_raises_leaves_the_cache_as_it_was():
    make = Maker()
    cache = VoiceCache(make, bytes=10 * SIZE)
    cache.get(wanted("a"))
    cache._make = lambda references: [][1]
    with pytest.raises(IndexError):
        cache.get(wanted("a", "b"))
    assert (cache.hits, cache.misses, len(cache), cache.bytes) == (0, 1, 1, SIZE)


def test_threads_that_want_the_same_new_voice_make_it_once():
    make = Maker()
    started = threading.Barrier(4)
    cache = VoiceCache(make, bytes=10 * SIZE)

    def want() -> object:
        started.wait(10)
        return cache.get(wanted("a"))["a"]

    with ThreadPoolExecutor(4) as threads:
        found = [future.result() for future in [threads.submit(want) for _ in range(4)]]
    assert make.asked == [["a.flac"]]
    assert all(one is found[0] for one in found)


def test_emotion_vectors_are_bounded_by_their_bytes_too():
    cache = EmotionCache(lambda references: [torch.zeros(64) for _ in references], bytes=1024)
    for number in range(10):
        cache.get(wanted(str(number)))
    assert (len(cache), cache.bytes) == (4, 1024)

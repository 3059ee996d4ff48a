from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
import torch

from tests.indextts.pieces import FLOAT_NOISE, MIXED, pieces, sound, worst
from worker.engines.indextts.shapes import HOP, Fault, Network, Piece
from worker.engines.indextts.sound.acoustic import Acoustic
from worker.engines.indextts.sound.flow import Flow

QUICK = 2  # steps


@pytest.fixture(scope="module")
def acoustic(network: Network) -> Acoustic:
    return Acoustic(network, steps=QUICK)


def render(acoustic: Acoustic, batch: Sequence[Piece]) -> dict[Any, torch.Tensor]:
    """By key; every piece must have become samples."""
    made = acoustic.render(batch)
    assert not [each for each in made if isinstance(each, Fault)]
    return {each[0]: torch.from_numpy(each[1]) for each in made if not isinstance(each, Fault)}


def difference(found: dict[Any, torch.Tensor], expected: dict[Any, torch.Tensor]) -> float:
    assert found.keys() == expected.keys()
    return worst(list(found.values()), [expected[key] for key in found])


@contextmanager
def failing(when: Callable[[Sequence[int]], bool], error: Exception) -> Iterator[list[int]]:
    """The flow, but for batches of which `when` says that they fail. Yields the sizes of those that went well."""
    mels, sizes = Flow.mels, []

    def interrupted(flow: Flow, conditions: Any, voices: Any, seeds: Sequence[int]) -> Any:
        if when(seeds):
            raise error
        sizes.append(len(seeds))
        return mels(flow, conditions, voices, seeds)

    with patch.object(Flow, "mels", interrupted):
        yield sizes


def test_a_batch_sounds_like_the_packages_clips_made_one_by_one(network: Network, package: Any) -> None:
    batch = pieces(network, [3, 86, 149, 260, 1], [90, 258, 371, 120])

    found = render(Acoustic(network), batch)

    assert list(found) == [0, 1, 2, 3, 4]
    assert difference(found, {piece.key: sound(package, piece) for piece in batch}) < FLOAT_NOISE


def test_any_order_and_any_limit_give_the_same_sound(network: Network, acoustic: Acoustic) -> None:
    batch = pieces(network, MIXED[:5], [90, 40])
    alone = {piece.key: samples for piece in batch for samples in render(acoustic, [piece]).values()}

    for rows in (1, 300, 10**6):
        random.Random(rows).shuffle(batch)
        assert difference(render(Acoustic(network, QUICK, rows=rows), batch), alone) < FLOAT_NOISE


def test_a_batch_holds_no_more_rows_than_it_may(network: Network) -> None:
    batch = pieces(network, [10, 20, 30, 40, 200], [50])
    with failing(lambda seeds: False, RuntimeError()) as sizes:
        render(Acoustic(network, QUICK, rows=150), batch)
    assert sizes == [2, 1, 1, 1]  # 60 + 70; 80; 90; and the last alone, although it is too long


def test_out_of_memory_halves_the_batch_and_keeps_the_sound(network: Network, acoustic: Acoustic) -> None:
    batch = pieces(network, [10, 20, 30, 40, 50, 60], [30])
    whole = render(acoustic, batch)
    out = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    with failing(lambda seeds: len(seeds) > 2, out) as sizes:
        halved = render(Acoustic(network, QUICK), batch)

    assert sizes == [2, 1, 2, 1]
    assert difference(halved, whole) < FLOAT_NOISE


def test_batches_stay_smaller_after_out_of_memory_and_grow_again(network: Network) -> None:
    batch = pieces(network, [10] * 8, [30])
    tight = Acoustic(network, QUICK, rows=320)
    with failing(lambda seeds: len(seeds) > 4, torch.OutOfMemoryError()):
        render(tight, batch)

    with failing(lambda seeds: False, RuntimeError()) as after:
        render(tight, batch)
        for _ in range(10):
            render(tight, batch[:1])
    with failing(lambda seeds: False, RuntimeError()) as later:
        render(tight, batch)

    assert after[0] < 8
    assert later == [8]


def test_a_piece_too_large_for_memory_is_the_only_fault_of_its_batch(network: Network, acoustic: Acoustic) -> None:
    batch = pieces(network, [10, 20, 30], [30])
    with failing(lambda seeds: 1 in seeds, torch.OutOfMemoryError()):
        first, second, third = acoustic.render(batch)
    assert isinstance(second, Fault)
    assert "memory" in second.error
    assert not isinstance(first, Fault)
    assert not isinstance(third, Fault)


def test_a_broken_piece_is_the_only_fault_of_its_batch(network: Network, acoustic: Acoustic) -> None:
    good, other = pieces(network, [10, 20], [30])
    wrong = replace(good, key="wrong", contents=good.contents[:, :7])

    made = acoustic.render([good, wrong, other])

    assert isinstance(made[1], Fault)
    assert made[1].key == "wrong"
    assert "RuntimeError" in made[1].error
    assert difference({made[0][0]: torch.from_numpy(made[0][1])}, render(acoustic, [good])) < FLOAT_NOISE  # type: ignore[index]
    assert not isinstance(made[2], Fault)


def test_nan_in_the_sound_is_a_fault_of_its_piece(network: Network, acoustic: Acoustic) -> None:
    good, other = pieces(network, [10, 20], [30])
    made = acoustic.render([replace(other, contents=other.contents * torch.nan), good])
    assert isinstance(made[0], Fault)
    assert "no numbers" in made[0].error
    assert not isinstance(made[1], Fault)


@pytest.mark.parametrize("nothing", [{"frames": 0}, {"contents": torch.zeros(0, 1024)}], ids=["frames", "contents"])
def test_an_empty_piece_is_a_fault(network: Network, acoustic: Acoustic, nothing: dict[str, Any]) -> None:
    good, other = pieces(network, [10, 20], [30])
    made = acoustic.render([good, replace(other, **nothing)])
    assert isinstance(made[1], Fault)
    assert "no codes" in made[1].error
    assert not isinstance(made[0], Fault)


def test_a_lost_gpu_raises_and_blames_no_piece(network: Network, acoustic: Acoustic) -> None:
    lost = RuntimeError("CUDA error: an illegal memory access was encountered")
    with failing(lambda seeds: True, lost), pytest.raises(RuntimeError, match="illegal memory access"):
        acoustic.render(pieces(network, [10, 20], [30]))


def test_an_empty_batch_renders_to_an_empty_list(acoustic: Acoustic) -> None:
    assert acoustic.render([]) == []


def test_samples_are_as_many_as_the_frames_say_and_within_one(network: Network, acoustic: Acoustic) -> None:
    for piece, samples in zip(batch := pieces(network, MIXED[:4], [30]), render(acoustic, batch).values(), strict=True):
        assert samples.shape == (HOP * piece.frames,)
        assert samples.dtype == torch.float32
        assert samples.abs().max() <= 1

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.indextts.pieces import FLOAT_NOISE, contents, regulated, worst
from worker.engines.indextts.shapes import Network
from worker.engines.indextts.sound.regulator import regulate

MIX = [(1, 1), (2, 3), (50, 86), (333, 572), (87, 149), (500, 860), (61, 140), (200, 90), (64, 64), (40, 80)]


def test_in_a_batch_every_item_is_stretched_as_the_package_does_it_alone(network: Network, package: Any) -> None:
    rows = [contents(count) for count, _ in MIX]

    batch = regulate(network.regulator, rows, [frames for _, frames in MIX])

    expected = [regulated(package, item, frames) for item, (_, frames) in zip(rows, MIX, strict=True)]
    assert worst(batch, expected) < FLOAT_NOISE


def test_an_item_is_the_same_beside_any_neighbours(network: Network) -> None:
    lengths = st.tuples(st.integers(1, 120), st.integers(1, 240))

    @settings(deadline=None, max_examples=25)
    @given(st.lists(lengths, min_size=1, max_size=6))
    def check(mix: list[tuple[int, int]]) -> None:
        rows = [contents(count, seed) for seed, (count, _) in enumerate(mix)]
        frames = [count for _, count in mix]
        alone = [regulate(network.regulator, [row], [count])[0] for row, count in zip(rows, frames, strict=True)]
        assert worst(regulate(network.regulator, rows, frames), alone) < FLOAT_NOISE

    check()


def test_nan_does_not_spread_between_items(network: Network) -> None:
    good = contents(50)
    _, after = regulate(network.regulator, [torch.full((9, 1024), torch.nan), good], [15, 86])
    assert worst([after], regulate(network.regulator, [good], [86])) < FLOAT_NOISE

"""Slots by memory: cards of 8 GB speak too, and none is promised more than it has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from farm.errors import Misconfigured
from worker.engines.indextts.decode.gpt import Gpt
from worker.engines.indextts.load.shares import GIB, Needs, needs, share, share_beside, shares_on
from worker.engines.indextts.shapes import Network, Precisions

# 24 layers, 1280 wide, half precision; the default limit of codes.
HALF = Needs(
    2 * 24 * 1280 * 2, usual=656, longest=2012, frame=75_000, frames=16_384, reserved=(512 << 20) + 432_000_000,
    back=864_000_000,
)  # fmt: skip
FULL = replace(HALF, position=2 * HALF.position, frame=2 * HALF.frame, back=0)
WEIGHTS = 4.0  # GiB of version 2 in half precision, without flow and vocoder, with the context of CUDA (calculated)


@pytest.mark.parametrize(
    ("card", "slots"), [(8, 15), (12, 57), (16, 64), (24, 64), (40, 64), (80, 64)], ids=lambda one: str(one)
)
def test_each_common_card_gets_the_slots_that_it_has_room_for(card: int, slots: int) -> None:
    given = share(int((0.97 * card - WEIGHTS) * GIB), HALF)
    assert given.slots == slots
    assert given.pages >= slots * HALF.usual * HALF.position


def test_a_large_card_holds_every_row_at_its_longest() -> None:
    given = share(70 * GIB, HALF)
    assert given.pages == given.slots * HALF.longest * HALF.position
    assert given.frames == 16_384


@given(st.integers(0, 90 * GIB), st.sampled_from([HALF, FULL]), st.none() | st.integers(1, 1024))
def test_the_shares_never_exceed_what_is_free_and_one_longest_row_always_fits(
    free: int, needed: Needs, slots: int | None
) -> None:
    try:
        given = share(free, needed, slots)
    except Misconfigured:
        assert free < 3 * GIB + needed.back, "refused though there was room"
        return
    assert given.pages + given.frames * needed.frame + needed.reserved + needed.back <= free
    assert given.pages >= needed.longest * needed.position
    assert given.slots == slots or 1 <= given.slots <= 64


@given(st.integers(3 * GIB, 80 * GIB), st.integers(0, 8 * GIB))
def test_more_memory_never_means_fewer_slots(free: int, more: int) -> None:
    assert share(free + more, HALF).slots >= share(free, HALF).slots


def test_a_card_without_room_for_one_row_is_refused_with_what_it_lacks() -> None:
    with pytest.raises(Misconfigured, match=r"0\.8 GiB free beside the weights, and one sentence needs 2\.3"):
        share(int(0.8 * GIB), HALF)


def test_an_operators_number_of_slots_is_kept_and_its_rows_share_the_room_there_is() -> None:
    assert share(3 * GIB, HALF, 40).slots == 40
    assert share(3 * GIB, HALF, 40).pages == share(3 * GIB, HALF).pages


def test_memory_is_kept_free_for_a_process_beside_where_there_is_room_for_both(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert share_beside(20 * GIB, HALF, None, 3 * GIB) == share(17 * GIB, HALF)
    assert not caplog.messages
    assert share_beside(4 * GIB, HALF, None, 3 * GIB) == share(4 * GIB, HALF)
    assert "emotions in words" in caplog.messages[0]
    with pytest.raises(Misconfigured):
        share_beside(GIB // 2, HALF, None, GIB)


def test_a_card_that_has_no_room_for_the_way_back_speaks_without_it_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert share_beside(2 * GIB, HALF, None, 0) == share(2 * GIB, replace(HALF, back=0))
    assert len(caplog.messages) == 1
    assert "not finite in half precision fails here" in caplog.messages[0]
    caplog.clear()
    assert share_beside(2 * GIB, HALF, None, GIB) == share(2 * GIB, replace(HALF, back=0))
    assert ["emotions in words" in caplog.messages[0], "not finite" in caplog.messages[1]] == [True, True]


def test_on_a_cpu_slots_do_not_depend_on_memory() -> None:
    assert shares_on(torch.device("cpu"), FULL, None).slots == 16
    assert shares_on(torch.device("cpu"), FULL, 3).slots == 3


def test_weights_that_lie_where_they_run_are_not_counted_as_copies(network: Network) -> None:
    gpt = Gpt(network.gpt)
    halves = needs(replace(network, precisions=Precisions("fp32", "fp16", "fp16")), gpt, 100)
    weights = sum(weight.numel() for stage in (network.estimator, network.vocoder) for weight in stage.parameters())
    assert halves.reserved - needs(network, gpt, 100).reserved == 2 * weights


def test_the_weights_of_the_way_back_have_their_share_where_a_stage_is_in_half_precision(network: Network) -> None:
    gpt = Gpt(network.gpt)
    flow, vocoder = (
        4 * sum(weight.numel() for weight in stage.parameters()) for stage in (network.estimator, network.vocoder)
    )

    def back(*precisions: Any) -> int:
        return needs(replace(network, precisions=Precisions(*precisions)), gpt, 100).back

    assert back("fp16", "fp32", "fp32") == 0
    assert back("fp16", "bf16", "fp32") == flow, "the vocoder in fp32 is there"
    elsewhere = replace(network, device=torch.device("meta"))  # a vocoder that is to be rounded waits on the CPU
    assert needs(replace(elsewhere, precisions=Precisions("fp16", "fp16", "fp16")), gpt, 100).back == flow + vocoder

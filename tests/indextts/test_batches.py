from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.indextts.sound.batches import Room, first_batch, rows_of


def batches(rows: list[int], room: int) -> list[list[int]]:
    """All of them, one after another."""
    made = []
    while rows:
        size = first_batch(rows, room)
        made.append(rows[:size])
        rows = rows[size:]
    return made


def greedy(rows: list[int], room: int) -> int:
    """The batches that it takes if each is filled up."""
    count, filled = 0, room
    for one in rows:
        if filled + one > room:
            count, filled = count + 1, 0
        filled += one
    return count


def test_eight_pieces_with_references_of_15_s_are_cut_four_and_four() -> None:
    rows = [1292 + 861] * 8  # of 10 s each
    assert [len(batch) for batch in batches(rows, 16384)] == [4, 4]
    assert [len(batch) for batch in batches(rows, 24576)] == [8]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(20, 200))
def test_pieces_are_shared_out_evenly_over_as_few_batches_as_there_is_room_for(rows: list[int], room: int) -> None:
    made = batches(rows, room)
    assert [one for batch in made for one in batch] == rows
    assert all(sum(batch) <= room or len(batch) == 1 for batch in made)
    assert len(made) == greedy(rows, room)


@given(st.integers(1, 40), st.integers(1, 50), st.integers(50, 300))
def test_batches_of_equal_pieces_differ_by_one_at_most(count: int, rows: int, room: int) -> None:
    sizes = [len(batch) for batch in batches([rows] * count, room)]
    assert max(sizes) - min(sizes) <= 1


def test_a_piece_beyond_the_room_goes_alone() -> None:
    assert batches([10, 900, 10], 100) == [[10], [900], [10]]


@pytest.mark.parametrize(("gigabytes", "rows"), [(80, 24576), (40, 24576), (24, 16384), (16, 16384), (8, 8192)])
def test_a_gpu_with_more_memory_has_more_rows(gigabytes: int, rows: int) -> None:
    reported = SimpleNamespace(total_memory=int(gigabytes * 0.97 * 2**30) if gigabytes < 40 else gigabytes << 30)
    with patch("torch.cuda.get_device_properties", return_value=reported):
        assert rows_of(torch.device("cuda", 0)) == rows
    assert rows_of(torch.device("cpu")) == 16384


def test_room_shrinks_below_what_failed_and_grows_back_to_where_it_was() -> None:
    room = Room(1000)
    room.shrink(600)
    assert room.rows == 300
    for _ in range(20):
        room.grow()
    assert room.rows == 1000

"""The recording of CUDA graphs, by the calls that it makes: a CPU has none. tests/indextts/test_decode.py replays on a
tape, and on a GPU for real."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from worker.engines.indextts.decode.graph import CudaGraphs


class Stream:
    device_index = 1

    def __init__(self, calls: list[str]) -> None:
        self._calls = calls

    def synchronize(self) -> None:
        self._calls.append("synchronize")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []

    class Graph:
        def replay(self) -> None:
            made.append("replay")

    @contextmanager
    def capture(graph: Graph, *, pool: str, stream: Stream, capture_error_mode: str) -> Iterator[None]:
        assert isinstance(graph, Graph)
        assert isinstance(stream, Stream)
        made.append(f"capture into {pool}, {capture_error_mode}")
        yield
        made.append("captured")

    pools = iter(["pool 1", "pool 2"])
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: next(pools))
    return made


def test_work_is_rehearsed_and_done_then_captured_so_that_no_first_call_is_recorded(calls: list[str]) -> None:
    stream: Any = Stream(calls)
    replay = CudaGraphs(stream)(lambda: calls.append("work"))
    assert calls == ["work", "work", "synchronize", "capture into pool 1, thread_local", "work", "captured"]
    replay()
    assert calls[-1] == "replay"


def test_all_recordings_of_a_decoder_share_their_memory(calls: list[str]) -> None:
    stream: Any = Stream(calls)
    record = CudaGraphs(stream)
    for _ in range(3):
        record(lambda: None)
    assert [call for call in calls if call.startswith("capture into")] == ["capture into pool 1, thread_local"] * 3


@pytest.mark.parametrize("ended", [False, True])
def test_a_recording_that_fails_leaves_no_pool_in_which_the_allocator_still_records(
    calls: list[str], ended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch 2.11 ends the recording's pool only where the recording succeeded; a newer one has `ended` it."""

    @contextmanager
    def spoiled(*given: Any, **named: Any) -> Iterator[None]:
        yield
        raise RuntimeError("CUDA error: operation failed due to a previous error during capture")

    def end(device: int, pool: str) -> None:
        calls.append(f"end {pool} of device {device}")
        if ended:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")

    monkeypatch.setattr(torch.cuda, "graph", spoiled)
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", end, raising=False)
    stream: Any = Stream(calls)
    with pytest.raises(RuntimeError, match="previous error during capture"):
        CudaGraphs(stream)(lambda: None)
    assert calls[-1] == "end pool 1 of device 1"

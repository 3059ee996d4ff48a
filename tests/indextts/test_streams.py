"""Streams of CUDA and pinned memory, by the calls that ask for them: a CPU has neither.

A stream that is made anew in each drain strands the memory that it used, and one without a priority lets the flow stand
before the decode.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any
from unittest.mock import patch

import pytest
import torch

from tests.indextts.imagined import imagined_gpu, on_gpu
from tests.patience import patient
from worker.engines.indextts.decode import decoder as decoding
from worker.engines.indextts.decode.decoder import Decoder
from worker.engines.indextts.decode.gpt import Gpt
from worker.engines.indextts.decode.readback import Readback
from worker.engines.indextts.shapes import Network, Precisions
from worker.engines.indextts.stage import Stage

GPU = torch.device("cuda", 0)


class Stream:
    """Notes the priority of each that is made; a lower number goes first."""

    priorities: list[int]

    def __init__(self, device: torch.device, priority: int = 0) -> None:
        assert device == GPU
        self.priorities.append(priority)

    def wait_stream(self, other: object) -> None: ...


@pytest.fixture
def priorities(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    monkeypatch.setattr(Stream, "priorities", [], raising=False)
    return Stream.priorities


def test_a_stage_has_one_thread_and_one_stream_over_all_drains(
    priorities: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    threads: set[int] = set()
    worked: list[int] = []
    done = threading.Semaphore(0)

    def work(tasks: Sequence[int]) -> None:
        threads.add(threading.get_ident())
        worked.extend(tasks)
        done.release()

    stage = Stage[int]("a stage", GPU, work, enough=1)
    for drain in range(3):
        stage.put(drain)
        assert done.acquire(timeout=patient(10))
        stage.clear()
    stage.close()
    assert worked == [0, 1, 2]
    assert len(threads) == 1
    assert priorities == [0]


def test_the_stream_of_the_decode_goes_before_those_of_the_stages(
    network: Network, priorities: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "Readback", lambda *given: None)  # which asks for pinned memory
    with imagined_gpu(), torch.inference_mode():
        gpt = Gpt(on_gpu(network, Precisions("fp16", "fp16", "fp16")).gpt)
        with patch.object(torch.cuda, "Stream", Stream):
            Decoder(gpt, slots=2, pages=8, attention="sdpa", graph="off")
    assert priorities == [-1]


def test_codes_come_back_through_pinned_memory_of_which_each_step_in_flight_has_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    zeros, pinned, calls = torch.zeros, [], []

    def noted(*shape: int, pin_memory: bool = False, **options: Any) -> torch.Tensor:
        pinned.append(pin_memory)
        return zeros(*shape, **options)

    class Event:
        def __init__(self, *, blocking: bool = False) -> None:
            assert blocking, "to wait by spinning would take a core"

        def record(self) -> None:
            calls.append("record")

        def synchronize(self) -> None:
            calls.append("wait")

    monkeypatch.setattr(torch, "zeros", noted)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    readback = Readback(2, 3, GPU)
    one, next_one = (readback.note(torch.tensor(codes)) for codes in ([1, 2, 3], [4, 5, 6]))
    assert [one.read(), next_one.read()] == [[1, 2, 3], [4, 5, 6]]
    assert pinned == [True, True]
    assert calls == ["record", "record", "wait", "wait"]

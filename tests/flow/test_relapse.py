"""A worker whose device fails again and again waits before its next start, and says why."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from farm.store import Store, registry
from farm.wire import Worker
from worker.process import relapse
from worker.process.relapse import End, Relapse, wait_s

SICK = RuntimeError("CUDA error: the GPU requires reset\nCompile with TORCH_USE_CUDA_DSA")


@pytest.mark.parametrize(
    ("lives", "seconds"),
    [
        ([], 0),
        ([1, 1], 0),
        ([1, 1, 1], 60),
        ([1, 1, 1, 1], 120),
        ([1] * 10, 600),
        ([1, 1, 900], 0),
        ([900, 1, 1], 0),
        ([900, 1, 1, 1], 60),
    ],
)
def test_three_short_lives_in_a_row_make_the_next_start_wait(lives: list[float], seconds: float) -> None:
    assert wait_s([End(life, "sick") for life in lives]) == seconds


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    store = Store.connect(redis_url)
    yield store
    store.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits, which are over at once."""
    found: list[float] = []
    monkeypatch.setattr(relapse.time, "sleep", found.append)
    return found


def test_a_worker_that_ended_three_times_waits_and_says_why_in_its_heartbeat(store: Store, waits: list[float]) -> None:
    for number in range(3):
        sick = Relapse(store, f"w{number}", "indextts-2")
        sick.hold_back()
        sick.note(SICK)
    assert waits == []
    Relapse(store, "w3", "indextts-2").hold_back()
    assert waits == [60.0]
    (heartbeat,) = store.run(registry.workers())
    worker = Worker.model_validate_json(heartbeat)
    assert worker.facts["waiting"].endswith("the latest reason: RuntimeError: CUDA error: the GPU requires reset")


def test_a_worker_of_another_gpu_goes_on(store: Store, waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        Relapse(store, "w", "indextts-2").note(SICK)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-2")
    Relapse(store, "w", "indextts-2").hold_back()
    assert waits == []


def test_a_worker_that_worked_for_long_starts_at_once(
    store: Store, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    well = Relapse(store, "w", "indextts-2")
    for _ in range(2):
        well.note(SICK)
    began = time.monotonic()
    monkeypatch.setattr(relapse.time, "monotonic", lambda: began + 3600)
    well.note(SICK)
    Relapse(store, "w", "indextts-2").hold_back()
    assert waits == []

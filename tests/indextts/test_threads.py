"""How many threads PyTorch and the readers may have beside a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from worker.engines.indextts.aide import ON_ONE_CORE, Aide
from worker.engines.indextts.load import factory
from worker.engines.indextts.load.factory import build, limit_threads, readers_beside
from worker.engines.indextts.settings import IndexTTSSettings


@pytest.mark.parametrize(("kind", "cores", "found"), [("cuda", 64, [2, 1]), ("cuda", 1, [1, 1]), ("cpu", 64, [])])
def test_a_gpus_worker_has_two_threads_whatever_the_cores_and_a_cpus_has_all(
    kind: str, cores: int, found: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setattr(torch, "set_num_interop_threads", asked.append)
    limit_threads(torch.device(kind))
    assert asked == found


class Enough(Exception):
    """The start has come as far as a test follows it."""


@pytest.mark.parametrize("kind", ["cuda", "cpu"])
def test_a_worker_limits_its_threads_before_it_reads_weights_and_examines_itself_on_a_gpu(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[object] = []

    def begin(*given: object, examined: bool) -> None:
        steps.append(f"begun, examined: {examined}")
        raise Enough

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(factory, "choose_device", lambda wanted: torch.device(kind))
    for name in ("limit_threads", "switch_tf32"):
        monkeypatch.setattr(factory, name, lambda *given, name=name: steps.append(name))
    for name in ("_checkpoint", "load_network"):
        monkeypatch.setattr(factory, name, lambda *given: steps.append("weights"))
    monkeypatch.setattr(factory, "begin", begin)
    with pytest.raises(Enough):
        build("2", IndexTTSSettings())
    assert sorted(map(str, steps[:2])) == ["limit_threads", "switch_tf32"]
    assert steps[2:] == ["weights", "weights", f"begun, examined: {kind == 'cuda'}"]


def test_a_process_that_set_its_threads_already_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise RuntimeError("cannot set number of interop threads after parallel work has started")

    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(torch, "set_num_interop_threads", refuse)
    limit_threads(torch.device("cuda"))


@pytest.mark.parametrize(("processors", "readers"), [(1, 2), (4, 2), (8, 4), (12, 6), (64, 6)])
def test_readers_beside_a_gpu_take_half_of_the_processors_and_no_more_than_fill_the_rows(
    processors: int, readers: int
) -> None:
    assert readers_beside(processors) == readers


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc")
def test_a_process_that_computes_beside_the_worker_has_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    aide = Aide("tests.indextts.answering", None, start_s=60, environment=ON_ONE_CORE)
    aide.start()
    try:
        assert aide._process is not None
        given = Path(f"/proc/{aide._process.pid}/environ").read_bytes().split(b"\0")
        assert b"OMP_NUM_THREADS=1" in given
    finally:
        aide.close()

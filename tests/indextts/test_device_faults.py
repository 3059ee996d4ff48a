"""A GPU that fails under the engine, in a farm without processes: no text is blamed, and attempts are counted.

The loop of the engine, its stages, store, desk and storage are real. Reading, decode and acoustics are stand-ins, of
which one raises.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from farm.job import Status
from farm.wire import Language, Model
from tests.flow.house import House
from tests.indextts.test_device_error import BROKEN, OF_A_LIBRARY
from worker.engine import DeviceFault, Utterance
from worker.engines.indextts.engine import IndexTTS
from worker.engines.indextts.isolation import MOST_IN_A_ROW
from worker.engines.indextts.rendition import Rendition
from worker.engines.indextts.shapes import SAMPLE_RATE, Codes, Fault, Piece, Request, Sampling

LINES = 12  # of a job; the engine has far fewer in hand


class Device:
    """All stages but the loop, in one. The stage `at` raises `error`."""

    def __init__(self) -> None:
        self.at = ""
        self.error: Exception = RuntimeError()
        self.running = 1
        self._waiting: list[Request] = []

    def _work(self, stage: str) -> None:
        if stage == self.at:
            raise self.error

    def _is_nan(self, stage: str) -> bool:
        return self.at == f"{stage} of NaN"

    def _spoilt(self, piece: Piece) -> bool:
        return self._is_nan("acoustics") or (self.at == "the seed 7" and piece.seed == 7)

    # As the preparation.

    def open(self, deliver: Callable[[Any], None]) -> None:
        self._deliver = deliver

    def put(self, utterances: Sequence[Utterance]) -> None:
        try:
            self._work("prepare")
        except Exception as error:
            self._deliver(error)
            return
        voice: Any = None
        self._deliver([Rendition(one, voice, [torch.zeros(1, 1)], [len(one.text)], [4]) for one in utterances])

    def close(self) -> None: ...

    # As the decoder, which is cleared like the preparation.

    @property
    def busy(self) -> bool:
        return bool(self._waiting)

    def submit(self, request: Request) -> None:
        self._waiting.append(request)

    def clear(self) -> None:
        self._waiting.clear()

    def step(self) -> list[Codes] | list[Fault]:
        self._work("decode")
        waiting, self._waiting = self._waiting, []
        if self._is_nan("decode"):
            return [Fault(request.key, "NaN", unexplained=True) for request in waiting]
        return [Codes(request, [1, 2, 3], cut=False) for request in waiting]

    # As the adapter and the acoustic stages.

    def contents(self, prompts: Sequence[Any], codes: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        self._work("contents")
        return [torch.zeros(1, 1) for _ in codes]

    def frames(self, codes: int, speed: float) -> int:
        return codes

    def facts(self) -> dict[str, str]:
        return {}

    def render(self, pieces: Sequence[Piece]) -> list[tuple[object, Any] | Fault]:
        self._work("acoustics")
        tone = np.sin(np.arange(SAMPLE_RATE // 2) / 20, dtype=np.float32) / 2
        return [
            Fault(piece.key, "NaN", unexplained=True) if self._spoilt(piece) else (piece.key, tone) for piece in pieces
        ]


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def house(redis_url: str, tmp_path: Path, device: Device) -> Iterator[House]:
    engine = IndexTTS(
        card=Model(
            name="indextts-2", revision="1", sample_rate=SAMPLE_RATE, voices={"a voice": "en"}, parameters=[],
            languages={"en": Language(voice="a voice", max_characters=300)}, uploaded_voices=True,
        ),
        device=torch.device("cpu"), name="a stand-in", preparation=device, adapter=device, decoder=device,  # type: ignore[arg-type]
        acoustic=device, sampling=Sampling(), slots=2, standing={},  # type: ignore[arg-type]
    )  # fmt: skip
    house = House(redis_url, tmp_path / "storage", engine)
    yield house
    house.close()
    engine.close()


def attempts_after(house: House, device: Device, error: Exception) -> tuple[DeviceFault, list[int]]:
    """What a worker ends with whose device fails in a job, and the attempts of the job's segments once a worker with a
    sound device has rendered it."""
    job = house.submit(input="\n\n".join(f"Line {number} of {error}" for number in range(LINES)))
    house.desk.drain()
    device.error = error
    with pytest.raises(DeviceFault) as ended:
        house.renderer().drain()
    device.at = ""
    house.finish()
    assert house.record(job).status is Status.SUCCEEDED
    rows = json.loads(house.storage.get(house.outcome(job).manifest_key))["segments"]
    return ended.value, [row["attempts"] for row in rows]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("message", OF_A_LIBRARY)
def test_whatever_a_library_of_the_gpu_says_costs_a_text_that_had_begun_one_attempt_at_most(
    house: House, device: Device, message: str
) -> None:
    device.at = "decode"
    fault, attempts = attempts_after(house, device, RuntimeError(message))
    assert not fault.certain
    assert set(attempts) == {1, 2}
    assert attempts.count(1) >= LINES // 2, "what had not begun has lost nothing"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("message", BROKEN)
def test_a_device_that_says_that_it_is_broken_costs_no_attempt(house: House, device: Device, message: str) -> None:
    device.at = "decode"
    fault, attempts = attempts_after(house, device, RuntimeError(message))
    assert fault.certain
    assert set(attempts) == {1}


@pytest.mark.parametrize("stage", ["prepare", "contents", "acoustics"])
def test_it_is_the_same_in_every_stage(house: House, device: Device, stage: str) -> None:
    for message, certain in ((OF_A_LIBRARY[0], False), (BROKEN[0], True)):
        device.at = stage
        fault, attempts = attempts_after(house, device, RuntimeError(message))
        assert fault.certain is certain
        assert set(attempts) == ({1} if certain else {1, 2})


def test_a_call_that_cuda_put_off_until_its_start_is_an_error_of_the_device_too(house: House, device: Device) -> None:
    device.at = "decode"
    put_off = "CUDA call failed lazily at initialization with error: all CUDA-capable devices are busy or unavailable"
    fault, attempts = attempts_after(house, device, torch.cuda.DeferredCudaCallError(put_off))
    assert fault.certain
    assert set(attempts) == {1}


def test_eight_texts_in_a_row_that_fail_alone_end_the_worker_before_any_of_them_is_dead(
    house: House, device: Device
) -> None:
    device.at = "contents"
    fault, attempts = attempts_after(house, device, ValueError("what no library of a GPU says"))
    assert f"{MOST_IN_A_ROW} texts in a row failed" in str(fault)
    assert not fault.certain
    assert sum(attempts) - LINES >= MOST_IN_A_ROW


@pytest.mark.parametrize("stage", ["decode", "acoustics"])
def test_a_device_that_computes_nan_for_a_voice_that_spoke_ends_the_worker_before_any_text_is_dead(
    house: House, device: Device, stage: str
) -> None:
    house.submit(input="It speaks.")
    house.finish()
    device.at = f"{stage} of NaN"
    fault, attempts = attempts_after(house, device, RuntimeError("no error"))
    assert f"{MOST_IN_A_ROW} utterances in a row failed, whose voice had spoken before" in str(fault)
    assert not fault.certain
    assert sum(attempts) - LINES >= MOST_IN_A_ROW


def test_a_voice_of_which_only_nan_comes_fails_its_own_lines_and_ends_no_worker(house: House, device: Device) -> None:
    device.at = "acoustics of NaN"
    job = house.submit(input="\n\n".join(f"Line {number}." for number in range(LINES)))
    house.finish()
    assert house.record(job).status is Status.FAILED


@pytest.mark.parametrize("stage", ["decode", "acoustics"])
def test_a_device_that_computes_nan_for_the_only_line_of_a_farm_ends_the_worker_before_that_line_is_dead(
    house: House, device: Device, stage: str
) -> None:
    house.submit(input="It speaks.")
    house.finish()
    device.at = f"{stage} of NaN"
    job = house.submit(input="One line.")
    house.desk.drain()
    with pytest.raises(DeviceFault, match="a text that this engine has spoken before fails too") as ended:
        house.renderer().drain()
    assert not ended.value.certain
    device.at = ""
    house.finish()
    assert house.record(job).status is Status.SUCCEEDED


def test_lines_that_come_one_by_one_to_a_sound_device_and_fail_are_to_blame_themselves_and_end_no_worker(
    house: House, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.engines.indextts.unexplained._PATIENCE_S", 0.05)
    house.submit(input="It speaks.")
    house.finish()
    device.at = "the seed 7"
    for number in range(MOST_IN_A_ROW // 3 + 1):  # each has three attempts
        job = house.submit(input=f"Line {number}.", seed=7)
        house.finish()
        assert house.record(job).status is Status.FAILED

"""What flow and vocoder may ask of a GPU at full size, counted on the meta device: a regression shows without a GPU.

The budgets are what was counted when they were written, and a little more: benchmarks/acoustic_counts.py prints it.
"""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch

from benchmarks import acoustic_counts as counts
from benchmarks.counting import HostSync, no_host_sync
from worker.engines.indextts.sound.estimator import Estimator

FP16 = counts.WAYS[-1]
GIVEN = counts.inputs(10.0)
AUDIO_S = counts.PIECES * counts.SECONDS


def test_a_step_of_the_flow_keeps_its_budget() -> None:
    begin, step = counts.flow_step(FP16, GIVEN)
    assert step.launches <= 265
    assert step.bytes / AUDIO_S < 0.24e9
    assert 0.056e12 < step.flops / AUDIO_S < 0.059e12
    assert begin.launches < 200


def test_the_attention_of_a_step_is_one_launch_a_layer_for_all_items() -> None:
    cost = counts.count_flow(counts.flow(FP16, 1), GIVEN)
    assert cost.by_operator["_flash_attention_forward"] == 13
    assert cost.by_operator["rms_norm"] == 27, "by the one operator that PyTorch 2.9 and newer have as one kernel"


@pytest.mark.parametrize(("lengths", "launches"), [([861] * 8, 1190), ([861 - 40 * item for item in range(8)], 1960)])
def test_a_batch_of_the_vocoder_keeps_its_budget(lengths: list[int], launches: int) -> None:
    cost = counts.count_vocoder(counts.vocoder(torch.float16), lengths)
    seconds = 8 * 861 * 256 / 22050
    assert cost.launches <= launches
    assert cost.bytes / seconds < 4.6e9
    assert cost.flops / seconds < 0.16e12


def test_the_host_waits_for_the_device_nowhere_in_flow_and_vocoder() -> None:
    flow, vocoder = counts.flow(FP16, 2), counts.vocoder(torch.float16)
    with torch.inference_mode(), no_host_sync():
        mels = flow.mels(GIVEN.conditions, GIVEN.voices, GIVEN.seeds)
        waves = vocoder.waves([mel[:, : 40 + 20 * item] for item, mel in enumerate(mels[:3])])
    assert waves.shape == (3, 256 * 80)


def test_a_wait_within_a_step_would_be_noticed() -> None:
    flow, step = counts.flow(FP16, 1), Estimator.__call__

    def looking(estimator: Estimator, speech: torch.Tensor, number: int, batch: object) -> torch.Tensor:
        made = step(estimator, speech, number, batch)  # type: ignore[arg-type]
        assert not made.isnan().any()
        return made

    with patch.object(Estimator, "__call__", looking), torch.inference_mode(), no_host_sync(), pytest.raises(HostSync):
        flow.mels(GIVEN.conditions, GIVEN.voices, GIVEN.seeds)

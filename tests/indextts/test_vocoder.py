from __future__ import annotations

import copy
from itertools import combinations
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.errors import Misconfigured
from tests.indextts import pieces
from tests.indextts.pieces import FLOAT_NOISE, worst
from worker.engines.indextts.shapes import Network
from worker.engines.indextts.sound import vocoder as module
from worker.engines.indextts.sound.snake import Snake
from worker.engines.indextts.sound.vocoder import Vocoder, groups


@pytest.fixture(scope="module")
def vocoder(network: Network) -> Vocoder:
    return Vocoder(network.vocoder)


@pytest.fixture
def one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much padding it takes."""
    monkeypatch.setattr(module, "_LAUNCH", {"cpu": 10**6})


def mels(lengths: list[int]) -> list[torch.Tensor]:
    drawn = torch.Generator().manual_seed(0)
    return [torch.randn(80, length, generator=drawn) for length in lengths]


@pytest.mark.usefixtures("one_batch")
def test_a_padded_batch_equals_the_packages_waves_made_one_by_one(package: Any, vocoder: Vocoder) -> None:
    mixed = mels([1, 2, 3, 5, 9, 86, 130, 150, 150, 57])

    batch = vocoder.samples(mixed)

    assert worst(batch, [vocoder.samples([mel])[0] for mel in mixed]) < FLOAT_NOISE
    assert worst(batch, [pieces.samples(package, mel) for mel in mixed]) < FLOAT_NOISE


@pytest.mark.usefixtures("one_batch")
def test_on_a_gpu_lengths_share_few_widths_and_an_item_sounds_as_it_does_alone(
    vocoder: Vocoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the widths of a GPU, on a CPU: there each new width costs the choice of 60 engines."""
    lengths = [[57, 3], [60, 1, 60], [40], [33], [64, 64]]
    alone = [vocoder.samples([mel])[0] for mixed in lengths for mel in mels(mixed)]
    monkeypatch.setattr(module, "_WIDTHS", {"cpu": module._WIDTHS["cuda"]})
    seen: set[int] = set()
    hook = vocoder._module.register_forward_pre_hook(lambda _, given: seen.add(given[0].shape[-1]))
    try:
        found = [wave for mixed in lengths for wave in vocoder.samples(mels(mixed))]
    finally:
        hook.remove()
    assert worst(found, alone) < FLOAT_NOISE
    assert [len(wave) for wave in found] == [256 * length for mixed in lengths for length in mixed]
    assert seen == {64}


def test_neighbours_and_order_do_not_change_an_item(vocoder: Vocoder) -> None:
    @settings(deadline=None, max_examples=8)
    @given(st.lists(st.integers(1, 40), min_size=2, max_size=5), st.randoms(use_true_random=False))
    def check(lengths: list[int], random: Any) -> None:
        mixed = mels(lengths)
        order = random.sample(range(len(mixed)), len(mixed))
        alone = [vocoder.samples([mixed[item]])[0] for item in order]
        assert worst(vocoder.samples([mixed[item] for item in order]), alone) < FLOAT_NOISE

    check()


def test_after_a_batch_the_module_is_the_packages_again(network: Network, vocoder: Vocoder, package: Any) -> None:
    vocoder.samples(mels([20, 30]))
    [mel] = mels([25])
    assert worst([network.vocoder(mel[None])[0, 0]], [pieces.samples(package, mel)]) < FLOAT_NOISE


def test_too_loud_samples_are_clipped(network: Network, vocoder: Vocoder) -> None:
    [wave] = vocoder.samples([1e4 * mels([20])[0]])
    assert wave.abs().max() == 1


def test_items_are_grouped_at_the_least_cost() -> None:
    @settings(deadline=None)
    @given(st.lists(st.integers(1, 50), max_size=7), st.integers(50, 150), st.integers(0, 40))
    def check(lengths: list[int], limit: int, launch: int) -> None:
        found = groups(lengths, limit, launch)
        assert sorted(index for group in found for index in group) == list(range(len(lengths)))
        costs = [len(group) * max(lengths[index] for index in group) for group in found]
        assert all(cost <= limit for cost in costs)

        ordered = sorted(lengths)
        cheapest = min(
            sum(launch + len(group) * group[-1] for group in cut)
            for cuts in range(max(1, len(ordered)))
            for places in combinations(range(1, len(ordered)), cuts)
            if (cut := [ordered[a:b] for a, b in zip((0, *places), (*places, len(ordered)), strict=True) if b > a])
            is not None
            and all(len(group) * group[-1] <= limit for group in cut)
        )
        assert sum(costs) + launch * len(found) == cheapest

    check()


def test_an_item_beyond_the_limit_goes_alone() -> None:
    assert groups([10, 900, 11], limit=100, launch=5) == [[1], [0, 2]]


def test_a_module_with_the_fused_kernel_is_refused(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(network.vocoder.h, "use_cuda_kernel", True)
    with pytest.raises(Misconfigured, match="use_cuda_kernel=False"):
        Vocoder(network.vocoder)


def test_half_precision_rounds_a_copy_and_computes_its_activations_in_fp32(
    network: Network, package: Any, caplog: pytest.LogCaptureFixture
) -> None:
    half = Vocoder(network.vocoder, dtype=torch.float16)

    assert {weight.dtype for weight in half._module.parameters()} == {torch.float16}
    snakes = [layer for layer in half._module.modules() if isinstance(layer, Snake)]
    assert len(snakes) == sum(type(layer).__name__ == "Activation1d" for layer in network.vocoder.modules())
    assert {snake.amplitude.dtype for snake in snakes} == {torch.float32}
    assert not caplog.records
    [mel] = mels([25])
    assert worst([network.vocoder(mel[None])[0, 0]], [pieces.samples(package, mel)]) < FLOAT_NOISE


def test_channels_that_swing_further_than_half_precision_are_counted(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    loud = copy.deepcopy(network.vocoder)
    beta = loud.activation_post.act.beta
    beta[:2] = -12.0  # 1/b is 162,755, and fp16 ends at 65,504
    Vocoder(loud, dtype=torch.float16)
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "2 channels of the vocoder swing further than half precision reaches"
    ]

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.errors import Misconfigured
from tests.indextts.pieces import FLOAT_NOISE, MIXED, mel, pieces, worst
from tests.indextts.test_spans import varlen
from worker.engines.indextts.shapes import Network, Voice
from worker.engines.indextts.sound.flow import Flow
from worker.engines.indextts.sound.regulator import regulate
from worker.engines.indextts.sound.spans import Choice, Packed

Item = tuple[torch.Tensor, Voice, int]  # conditions, voice and seed
STEPS = 6  # all 25 are in test_acoustic.py


@pytest.fixture(scope="module")
def flow(network: Network) -> Flow:
    return flow_of(network.estimator, STEPS)


@pytest.fixture(scope="module")
def quick(network: Network) -> Flow:
    return flow_of(network.estimator, 2)


def flow_of(dit: Any, steps: int = 25, attention: Choice | None = None) -> Flow:
    return Flow(dit, torch.device("cpu"), torch.float32, steps, attention=attention)


def items(network: Network, frames: Sequence[int], prompts: Sequence[int]) -> list[Item]:
    made = pieces(network, frames, prompts)
    conditions = regulate(network.regulator, [piece.contents for piece in made], frames)
    return [(condition, piece.voice, piece.seed) for condition, piece in zip(conditions, made, strict=True)]


def run(flow: Flow, batch: Sequence[Item]) -> list[torch.Tensor]:
    return flow.mels(
        [condition for condition, _, _ in batch], [voice for _, voice, _ in batch], [seed for *_, seed in batch]
    )


def test_a_mixed_batch_equals_the_packages_mels_made_one_by_one(network: Network, package: Any, flow: Flow) -> None:
    mixed = items(network, MIXED, [90, 258, 371, 1290])

    batch = run(flow, mixed)

    assert worst(batch, [mel for item in mixed for mel in run(flow, [item])]) < FLOAT_NOISE
    assert worst(batch, [mel(package, *item, STEPS) for item in mixed]) < FLOAT_NOISE


def test_neighbours_and_order_do_not_change_an_item(network: Network, quick: Flow) -> None:
    lengths = st.tuples(st.integers(1, 60), st.integers(3, 90))

    @settings(deadline=None, max_examples=20)
    @given(st.lists(lengths, min_size=1, max_size=6), st.randoms(use_true_random=False))
    def check(mix: list[tuple[int, int]], random: Any) -> None:
        frames, prompts = zip(*mix, strict=True)
        mixed = items(network, frames, prompts)
        random.shuffle(mixed)
        assert worst(run(quick, mixed), [mel for item in mixed for mel in run(quick, [item])]) < FLOAT_NOISE

    check()


def test_the_seed_alone_decides_on_the_noise(network: Network, quick: Flow) -> None:
    [(condition, voice, _)] = items(network, [40], [90])

    first, again, other = run(quick, [(condition, voice, seed) for seed in (5, 5, 6)])

    assert worst([first], [again]) < FLOAT_NOISE
    assert worst([first], [other]) > 0.1


def test_a_prompt_is_shown_to_the_convolutions_as_far_as_they_reach(network: Network, package: Any) -> None:
    deep = rebuilt(network, num_layers=8)  # as the released model: they reach 16 frames of it
    around = items(network, [5, 40, 7, 30], [15, 16, 17, 3])

    with patch.object(package.s2mel.models["cfm"], "estimator", deep):
        expected = [mel(package, *item, 2) for item in around]
    assert worst(run(flow_of(deep, 2), around), expected) < FLOAT_NOISE


def test_a_dilated_convolution_finds_as_much_mirrored_as_it_looks_at(network: Network, package: Any) -> None:
    wide = rebuilt(network, num_layers=3, dilation_rate=2)
    two = items(network, [12, 30], [20, 9])

    with patch.object(package.s2mel.models["cfm"], "estimator", wide):
        expected = [mel(package, *item, 2) for item in two]
    assert worst(run(flow_of(wide, 2), two), expected) < FLOAT_NOISE


def test_one_launch_for_all_lengths_equals_a_launch_for_each(network: Network, quick: Flow) -> None:
    packed = flow_of(network.estimator, 2, Choice(Packed("a stand-in", varlen)))
    three = items(network, [30, 7, 55], [20, 90, 33])
    assert worst(run(packed, three), run(quick, three)) < FLOAT_NOISE
    assert worst(run(packed, three[:1]), run(quick, three[:1])) < FLOAT_NOISE


def test_nan_does_not_spread_between_items(network: Network, quick: Flow) -> None:
    first, (condition, voice, seed), third = items(network, [20, 30, 40], [10, 20, 30])

    before, spoiled, after = run(quick, [first, (condition * torch.nan, voice, seed), third])

    assert spoiled.isnan().all()
    assert worst([before, after], [*run(quick, [first]), *run(quick, [third])]) < FLOAT_NOISE


def test_an_item_too_short_to_be_mirrored_is_refused(network: Network, quick: Flow) -> None:
    with pytest.raises(ValueError, match="2 frames, the reference's with them, are too few"):
        run(quick, items(network, [1], [1]))


def test_a_network_of_another_structure_is_refused(network: Network) -> None:
    other = rebuilt(network)
    other.time_as_token = True
    with pytest.raises(Misconfigured, match="time_as_token"):
        flow_of(other)


def rebuilt(network: Network, **wavenet: int) -> Any:
    """The package's DiT on the same weights, but for a WaveNet of another shape, which is random."""
    from indextts.s2mel.modules.diffusion_transformer import DiT
    from omegaconf import OmegaConf

    config = OmegaConf.create(network.config["s2mel"])
    config.wavenet.update(wavenet)
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package uses an older form of weight norm
        torch.manual_seed(0)
        module = DiT(config)
    state = {name: tensor for name, tensor in network.estimator.state_dict().items() if "wavenet." not in name}
    module.load_state_dict(state, strict=False)
    module.setup_caches(max_batch_size=1, max_seq_length=1024)
    return module.eval().requires_grad_(False)

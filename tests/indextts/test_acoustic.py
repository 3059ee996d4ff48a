from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
import torch

from farm.errors import Misconfigured
from tests.indextts.pieces import FLOAT_NOISE, MIXED, pieces, sound, worst
from worker.engines.indextts.shapes import DTYPES, HOP, Fault, Network, Piece, Precision, Precisions
from worker.engines.indextts.sound.acoustic import Acoustic
from worker.engines.indextts.sound.flow import Flow

QUICK = 2  # steps


@pytest.fixture(scope="module")
def acoustic(network: Network) -> Acoustic:
    return Acoustic(network, steps=QUICK)


def render(acoustic: Acoustic, batch: Sequence[Piece]) -> dict[Any, torch.Tensor]:
    """By key; every piece must have become samples."""
    made = acoustic.render(batch)
    assert not [each for each in made if isinstance(each, Fault)]
    return {each[0]: torch.from_numpy(each[1]) for each in made if not isinstance(each, Fault)}


def difference(found: dict[Any, torch.Tensor], expected: dict[Any, torch.Tensor]) -> float:
    assert found.keys() == expected.keys()
    return worst(list(found.values()), [expected[key] for key in found])


@contextmanager
def failing(when: Callable[[Sequence[int]], bool], error: Exception) -> Iterator[list[int]]:
    """The flow, but for batches of which `when` says that they fail. Yields the sizes of those that went well."""
    mels, sizes = Flow.mels, []

    def interrupted(flow: Flow, conditions: Any, voices: Any, seeds: Sequence[int]) -> Any:
        if when(seeds):
            raise error
        sizes.append(len(seeds))
        return mels(flow, conditions, voices, seeds)

    with patch.object(Flow, "mels", interrupted):
        yield sizes


def test_a_batch_sounds_like_the_packages_clips_made_one_by_one(network: Network, package: Any) -> None:
    batch = pieces(network, [3, 86, 149, 260, 1], [90, 258, 371, 120])

    found = render(Acoustic(network), batch)

    assert list(found) == [0, 1, 2, 3, 4]
    assert difference(found, {piece.key: sound(package, piece) for piece in batch}) < FLOAT_NOISE


def test_any_order_and_any_limit_give_the_same_sound(network: Network, acoustic: Acoustic) -> None:
    batch = pieces(network, MIXED[:5], [90, 40])
    alone = {piece.key: samples for piece in batch for samples in render(acoustic, [piece]).values()}

    for rows in (1, 300, 10**6):
        random.Random(rows).shuffle(batch)
        assert difference(render(Acoustic(network, QUICK, rows=rows), batch), alone) < FLOAT_NOISE


def test_a_batch_holds_no_more_rows_than_it_may(network: Network) -> None:
    batch = pieces(network, [10, 20, 30, 40, 200], [50])
    with failing(lambda seeds: False, RuntimeError()) as sizes:
        render(Acoustic(network, QUICK, rows=150), batch)
    assert sizes == [2, 1, 1, 1]  # 60 + 70; 80; 90; and the last alone, although it is too long


def test_out_of_memory_halves_the_batch_and_keeps_the_sound(network: Network, acoustic: Acoustic) -> None:
    batch = pieces(network, [10, 20, 30, 40, 50, 60], [30])
    whole = render(acoustic, batch)
    out = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    with failing(lambda seeds: len(seeds) > 2, out) as sizes:
        halved = render(Acoustic(network, QUICK), batch)

    assert sizes == [2, 1, 2, 1]
    assert difference(halved, whole) < FLOAT_NOISE


def test_batches_stay_smaller_after_out_of_memory_and_grow_again(network: Network) -> None:
    batch = pieces(network, [10] * 8, [30])
    tight = Acoustic(network, QUICK, rows=320)
    with failing(lambda seeds: len(seeds) > 4, torch.OutOfMemoryError()):
        render(tight, batch)

    with failing(lambda seeds: False, RuntimeError()) as after:
        render(tight, batch)
        for _ in range(10):
            render(tight, batch[:1])
    with failing(lambda seeds: False, RuntimeError()) as later:
        render(tight, batch)

    assert after[0] < 8
    assert later == [8]


def test_a_piece_too_large_for_memory_is_the_only_fault_of_its_batch(network: Network, acoustic: Acoustic) -> None:
    batch = pieces(network, [10, 20, 30], [30])
    with failing(lambda seeds: 1 in seeds, torch.OutOfMemoryError()):
        first, second, third = acoustic.render(batch)
    assert isinstance(second, Fault)
    assert "memory" in second.error
    assert not isinstance(first, Fault)
    assert not isinstance(third, Fault)


def test_a_broken_piece_is_the_only_fault_of_its_batch(network: Network, acoustic: Acoustic) -> None:
    good, other = pieces(network, [10, 20], [30])
    wrong = replace(good, key="wrong", contents=good.contents[:, :7])

    made = acoustic.render([good, wrong, other])

    assert isinstance(made[1], Fault)
    assert made[1].key == "wrong"
    assert "RuntimeError" in made[1].error
    assert difference({made[0][0]: torch.from_numpy(made[0][1])}, render(acoustic, [good])) < FLOAT_NOISE  # type: ignore[index]
    assert not isinstance(made[2], Fault)


def test_nan_in_the_sound_is_a_fault_of_its_piece(network: Network, acoustic: Acoustic) -> None:
    good, other = pieces(network, [10, 20], [30])
    made = acoustic.render([replace(other, contents=other.contents * torch.nan), good])
    assert isinstance(made[0], Fault)
    assert "no numbers" in made[0].error
    assert not isinstance(made[1], Fault)


@pytest.mark.parametrize("nothing", [{"frames": 0}, {"contents": torch.zeros(0, 1024)}], ids=["frames", "contents"])
def test_an_empty_piece_is_a_fault(network: Network, acoustic: Acoustic, nothing: dict[str, Any]) -> None:
    good, other = pieces(network, [10, 20], [30])
    made = acoustic.render([good, replace(other, **nothing)])
    assert isinstance(made[1], Fault)
    assert "no codes" in made[1].error
    assert not isinstance(made[0], Fault)


def test_a_lost_gpu_raises_and_blames_no_piece(network: Network, acoustic: Acoustic) -> None:
    lost = RuntimeError("CUDA error: an illegal memory access was encountered")
    with failing(lambda seeds: True, lost), pytest.raises(RuntimeError, match="illegal memory access"):
        acoustic.render(pieces(network, [10, 20], [30]))


# --- the way back from half precision ---------------------------------------------------------------------------------


def in_half(network: Network, half: Precision = "fp16") -> Network:
    return replace(network, precisions=Precisions(s2mel=half, vocoder=half))


def too_loud(piece: Piece) -> Piece:
    """In a voice whose mel is beyond fp16, and not beyond fp32."""
    return replace(piece, voice=replace(piece.voice, mel=piece.voice.mel * 1e6))


@contextmanager
def overflowing(spoils: Callable[[Sequence[int]], Sequence[bool]]) -> Iterator[list[str]]:
    """A flow that makes NaN in half precision, of the items of which `spoils` says so by their seeds. Yields the type
    of each call."""
    mels, calls = Flow.mels, []

    def overflowed(flow: Flow, conditions: Any, voices: Any, seeds: Sequence[int]) -> Any:
        calls.append(str(flow.dtype).removeprefix("torch."))
        made = mels(flow, conditions, voices, seeds)
        if flow.dtype == torch.float32:
            return made
        return [mel * torch.nan if spoilt else mel for mel, spoilt in zip(made, spoils(seeds), strict=True)]

    with patch.object(Flow, "mels", overflowed):
        yield calls


def decibels(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float(10 * torch.log10(expected.square().sum() / (found - expected).square().sum()))


def test_a_piece_beyond_fp16_is_made_again_in_fp32_and_its_company_stays(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    first, loud, third = pieces(network, [10, 20, 30], [30])
    batch, half = [first, too_loud(loud), third], Acoustic(in_half(network), QUICK)

    found = render(half, batch)

    alone = render(Acoustic(network, QUICK), [batch[1]])
    assert worst([found[1]], [alone[1]]) < FLOAT_NOISE
    company = render(Acoustic(in_half(network), QUICK), [first, third])
    assert min(decibels(found[key], company[key]) for key in (0, 2)) > 40
    assert half.facts()["made again"] == "1 of 3 pieces, in fp32"

    render(half, batch)

    assert half.facts()["made again"] == "2 of 6 pieces, in fp32"
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "again in fp32" in warnings[0]


@pytest.mark.parametrize("half", ["fp16", "bf16"])
def test_a_flow_that_overflows_costs_no_piece(network: Network, half: Precision) -> None:
    batch = pieces(network, [10, 20, 30], [30])
    with overflowing(lambda seeds: [seed > 0 for seed in seeds]) as calls:
        acoustic = Acoustic(in_half(network, half), QUICK)
        found = render(acoustic, batch)
    assert calls == [str(DTYPES[half]).removeprefix("torch."), "float32"]
    exact = render(Acoustic(network, QUICK), batch)
    assert difference({key: found[key] for key in (1, 2)}, {key: exact[key] for key in (1, 2)}) < FLOAT_NOISE
    assert acoustic.facts()["made again"] == "2 of 3 pieces, in fp32"


def test_a_vocoder_that_overflows_works_again_without_the_flow(network: Network) -> None:
    """Between two layers everything is 2**14 times as large, which changes nothing in fp32 and is beyond fp16."""
    loud = copy.deepcopy(network.vocoder)
    before, behind = loud.conv_pre, loud.ups[0][0]
    for parameter in (before.weight, before.bias):
        parameter.mul_(2.0**14)
    behind.weight.mul_(2.0**-14)
    batch = pieces(network, [10, 20], [30])
    with overflowing(lambda seeds: [False for _ in seeds]) as calls:
        acoustic = Acoustic(replace(in_half(network), vocoder=loud), QUICK)
        found = render(acoustic, batch)
    assert calls == ["float16"]
    assert acoustic.facts()["made again"] == "2 of 2 pieces, in fp32"
    exact = render(Acoustic(network, QUICK), batch)
    assert min(decibels(found[key], exact[key]) for key in exact) > 20, "only the mel is of fp16"


def test_a_piece_that_fp32_can_not_save_is_the_only_fault(network: Network) -> None:
    good, loud, other = pieces(network, [10, 20, 30], [30])
    acoustic = Acoustic(in_half(network), QUICK)
    made = acoustic.render([good, replace(loud, contents=loud.contents * torch.nan), too_loud(other)])
    assert isinstance(made[1], Fault)
    assert made[1].error == "the model made samples that are no numbers, in fp32 too; try another seed"
    assert not isinstance(made[0], Fault)
    assert not isinstance(made[2], Fault)


def test_a_full_memory_while_a_piece_is_made_again_is_told_of_that_piece_alone(network: Network) -> None:
    good, loud = pieces(network, [10, 20], [30])
    acoustic = Acoustic(in_half(network), QUICK)
    mels = Flow.mels

    def tight(flow: Flow, *given: Any) -> Any:
        if flow.dtype == torch.float32:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return mels(flow, *given)

    with patch.object(Flow, "mels", tight):
        made = acoustic.render([good, too_loud(loud)])
    assert not isinstance(made[0], Fault)
    assert isinstance(made[1], Fault)
    assert made[1].error == (
        "the sound of this text is not finite in half precision, and the GPU has no memory to make it again in fp32; "
        "give the engine fewer slots"
    )


def test_in_full_precision_nothing_is_made_twice(network: Network, acoustic: Acoustic) -> None:
    assert acoustic._exact is None
    assert "made again" not in acoustic.facts()


def test_weights_beyond_fp16_are_refused_by_name(network: Network) -> None:
    loud = copy.deepcopy(network.vocoder)
    loud.conv_post.weight.fill_(1e5)
    with pytest.raises(Misconfigured, match=r"conv_post\.weight does not fit into float16.*FARM_INDEXTTS_VOCODER=fp32"):
        Acoustic(replace(in_half(network), vocoder=loud), QUICK)
    linear: Any = network.estimator.conv1
    with (
        patch.object(linear, "weight", torch.nn.Parameter(torch.full_like(linear.weight, 1e5))),
        pytest.raises(Misconfigured, match="FARM_INDEXTTS_S2MEL=bf16 or fp32"),
    ):
        Acoustic(in_half(network), QUICK)


def test_an_empty_batch_renders_to_an_empty_list(acoustic: Acoustic) -> None:
    assert acoustic.render([]) == []


def test_samples_are_as_many_as_the_frames_say_and_within_one(network: Network, acoustic: Acoustic) -> None:
    for piece, samples in zip(batch := pieces(network, MIXED[:4], [30]), render(acoustic, batch).values(), strict=True):
        assert samples.shape == (HOP * piece.frames,)
        assert samples.dtype == torch.float32
        assert samples.abs().max() <= 1

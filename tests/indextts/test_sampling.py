"""The draw of the next code: what Hugging Face would let through, and a stream that belongs to seed and position."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LogitsProcessorList
from transformers.generation import logits_process as hugging_face

from benchmarks.counting import counted
from worker.engines.indextts.decode.sampling import (
    MOST_NARROW,
    NOT_FINITE,
    Parameters,
    defect,
    narrow,
    penalise,
    pick,
    probabilities,
    sample,
    signed,
    uniform,
)
from worker.engines.indextts.shapes import Sampling

CPU = torch.device("cpu")
VOCABULARY = 40

samplings = st.builds(
    Sampling,
    seed=st.integers(0, 2**64 - 1),
    temperature=st.floats(0.05, 5),
    top_k=st.integers(0, VOCABULARY + 10),
    top_p=st.one_of(st.just(1.0), st.just(0.0), st.floats(0, 1)),
    repetition_penalty=st.floats(0.5, 20),
)


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[Sampling], torch.Tensor, torch.Tensor]:
    """Parameters, logits and what was seen. Rounded logits tie often, as those of half precision do."""
    chosen = draw(st.lists(samplings, min_size=1, max_size=6))
    noise = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    logits = torch.randn(len(chosen), VOCABULARY, generator=noise) * draw(st.sampled_from([0.1, 2, 15]))
    steps = draw(st.sampled_from([1, 4, 2**20]))
    logits = (logits * steps).round() / steps
    return chosen, logits, torch.rand(logits.shape, generator=noise) < 0.3


@settings(deadline=None, max_examples=200)
@given(rows())
def test_surviving_codes_and_their_probabilities_are_hugging_faces(
    given_rows: tuple[list[Sampling], torch.Tensor, torch.Tensor],
) -> None:
    chosen, logits, seen = given_rows
    parameters = Parameters.of(chosen, VOCABULARY, CPU)
    ours = probabilities(penalise(logits, seen, parameters), parameters)
    for row, sampling in enumerate(chosen):
        ids = seen[row].nonzero().T
        # Which of equals goes first Hugging Face leaves to the sort, and an unstable one differs between machines.
        with patch.object(torch, "sort", partial(torch.sort, stable=True)):
            expected = _processors(sampling)(ids, logits[row : row + 1].clone())[0].softmax(-1)
        assert torch.equal(ours[row] > 0, expected > 0)
        torch.testing.assert_close(ours[row], expected, rtol=1e-5, atol=1e-7)


@settings(deadline=None, max_examples=50)
@given(rows(), st.integers(0, 2**32))
def test_a_row_draws_the_same_wherever_it_stands_in_the_batch(
    given_rows: tuple[list[Sampling], torch.Tensor, torch.Tensor], shuffle: int
) -> None:
    chosen, logits, seen = given_rows
    drawn = uniform(torch.tensor([signed(one.seed) for one in chosen]), torch.arange(len(chosen)))
    together = sample(logits, seen, Parameters.of(chosen, VOCABULARY, CPU), drawn).tolist()
    order = list(range(len(chosen)))
    random.Random(shuffle).shuffle(order)
    parameters = Parameters.of([chosen[row] for row in order], VOCABULARY, CPU)
    shuffled = sample(logits[order], seen[order], parameters, drawn[order]).tolist()
    assert shuffled == [together[row] for row in order]


class RunningSums(TorchDispatchMode):
    """Notes how many rows of floats are summed at once."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rows: list[int] = []

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        if function is torch.ops.aten.cumsum.default and arguments[0].is_floating_point():
            self.rows.append(len(arguments[0]))
        return function(*arguments, **(keywords or {}))


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_row_alone_is_summed_by_the_kernel_of_several(rows: int, narrow: bool) -> None:
    """CUDA's kernel for one row adds in an order that changes from call to call, and a new row is read alone there."""
    logits = torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(rows))
    parameters = Parameters.of([Sampling()] * rows, VOCABULARY, CPU)
    with RunningSums() as sums:
        alone = [probabilities(logits[row : row + 1], Parameters.of([Sampling()], VOCABULARY, CPU), narrow=narrow)
                 for row in range(rows)]  # fmt: skip
        together = probabilities(logits, parameters, narrow=narrow)
    assert min(sums.rows) >= 2
    assert torch.equal(torch.cat(alone), together)


# --- without sorting the vocabulary -----------------------------------------------------------------------------------


@st.composite
def crowded(draw: st.DrawFn) -> tuple[list[Sampling], torch.Tensor]:
    """Rows of 200 codes. Many tie, up to all: then more than MOST_NARROW are as likely as the k-th."""
    chosen = draw(st.lists(st.builds(replace, samplings, top_k=st.integers(1, MOST_NARROW)), min_size=1, max_size=5))
    noise = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    scores = torch.randn(len(chosen), 200, generator=noise) * draw(st.sampled_from([0.01, 0.3, 2, 15]))
    steps = draw(st.sampled_from([1, 4, 2**20]))
    return chosen, (scores * steps).round() / steps


@settings(deadline=None, max_examples=300)
@given(crowded())
def test_the_largest_few_give_the_probabilities_of_a_whole_sort_to_the_bit(
    row: tuple[list[Sampling], torch.Tensor],
) -> None:
    chosen, scores = row
    parameters = Parameters.of(chosen, scores.shape[1], CPU)
    expected = by_a_stable_sort(scores, parameters)
    assert torch.equal(probabilities(scores, parameters, narrow=True), expected)
    assert torch.equal(probabilities(scores, parameters), expected)


def test_at_the_size_of_the_model_too() -> None:
    noise = torch.Generator().manual_seed(0)
    for spread in (0.1, 1, 4):
        scores = (torch.randn(64, 8194, generator=noise) * spread).half().float()
        parameters = Parameters.of([Sampling(top_k=1 + row, top_p=0.7 + row / 200) for row in range(64)], 8194, CPU)
        assert torch.equal(probabilities(scores, parameters, narrow=True), by_a_stable_sort(scores, parameters))


@pytest.mark.parametrize(
    ("sampling", "few"),
    [
        (Sampling(top_k=1), True),
        (Sampling(top_k=MOST_NARROW), True),
        (Sampling(top_k=MOST_NARROW + 1), False),
        (Sampling(top_k=0), False),
        (Sampling(top_k=0, greedy=True), True),
    ],
)
def test_a_row_of_a_large_top_k_needs_the_sort_unless_it_is_greedy(sampling: Sampling, few: bool) -> None:
    assert narrow(sampling) is few


def test_the_draw_sorts_no_vocabulary_and_launches_few_kernels() -> None:
    """79 before: of these 14 for the sort, and 29 for random numbers that are now made when a row begins."""
    meta = torch.device("meta")
    logits, seen = torch.empty(64, 8194, device=meta), torch.empty(64, 8194, dtype=torch.bool, device=meta)
    parameters, uniforms = Parameters.empty(64, meta), torch.empty(64, dtype=torch.float64, device=meta)
    with counted() as cost, torch.inference_mode():
        sample(logits, seen, parameters, uniforms, narrow=True)
    assert "sort" not in cost.by_operator
    assert cost.launches <= 50


def by_a_stable_sort(scores: torch.Tensor, parameters: Parameters) -> torch.Tensor:
    """As Hugging Face does it, with the lower of equal codes first."""
    scores = scores / parameters.temperature[:, None]
    ascending, order = scores.sort(stable=True)
    smallest = ascending.gather(1, (scores.shape[1] - parameters.top_k)[:, None])
    ascending = ascending.masked_fill(ascending < smallest, -torch.inf)
    cut = ascending.softmax(-1).cumsum(-1) <= parameters.tail[:, None]
    cut[:, -1] = False
    kept = ascending.masked_fill(cut, -torch.inf)
    return torch.empty_like(scores).scatter_(1, order, kept).softmax(-1)


# --- single rows ------------------------------------------------------------------------------------------------------


def test_a_greedy_row_takes_the_best_beside_rows_that_draw() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0, 2.5], [1.0, 2.0, 3.0, 2.5]])
    seen = torch.tensor([[False, False, True, False], [False, False, False, False]])
    parameters = Parameters.of([Sampling(greedy=True), Sampling(top_k=1)], 4, CPU)
    assert sample(logits, seen, parameters, torch.zeros(2, dtype=torch.float64)).tolist() == [3, 2]


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("greedy", [True, False])
def test_logits_that_are_not_finite_concern_their_row_alone(broken: float, greedy: bool) -> None:
    logits = torch.zeros(3, VOCABULARY)
    logits[:, 7] = 50
    logits[1, 3] = broken
    parameters = Parameters.of([Sampling(greedy=greedy)] * 3, VOCABULARY, CPU)
    uniforms = torch.zeros(3, dtype=torch.float64)
    codes = sample(logits, torch.zeros_like(logits, dtype=torch.bool), parameters, uniforms)
    assert codes.tolist() == [7, NOT_FINITE, 7]


@given(st.integers(0, 2**64 - 1), st.integers(0, 2000))
def test_the_stream_is_splitmix64_over_seed_and_position(seed: int, position: int) -> None:
    drawn = uniform(torch.tensor([signed(seed)]), torch.tensor([position])).item()
    assert drawn == (_splitmix64(_splitmix64(seed) + position * _GOLDEN) >> 11) / 2**53


def test_the_stream_is_uniform_along_positions_and_across_seeds() -> None:
    ramp, still = torch.arange(20_000), torch.zeros(20_000, dtype=torch.long)
    for draws in (uniform(still, ramp), uniform(ramp, still)):
        histogram = torch.histc(draws, bins=100, min=0, max=1)
        chi_squared = ((histogram - 200) ** 2 / 200).sum().item()
        assert 60 < chi_squared < 149  # 99.9 % of the chi-squared distribution of 99 degrees, on both sides
        neighbours = torch.corrcoef(torch.stack([draws[:-1], draws[1:]]))[0, 1].item()
        assert abs(neighbours) < 0.025  # 3.5 standard deviations
    seeds, positions = torch.meshgrid(torch.arange(200), torch.arange(200), indexing="ij")
    assert len(uniform(seeds.flatten(), positions.flatten()).unique()) == 40_000


def test_a_code_is_drawn_as_often_as_it_is_likely() -> None:
    weights = torch.tensor([0.0, 0.5, 0.0, 0.3, 0.2, 0.0])
    positions = torch.arange(20_000)
    codes = pick(weights.expand(20_000, -1), uniform(torch.full_like(positions, 7), positions))
    shares = torch.bincount(codes, minlength=6) / 20_000
    assert shares[weights == 0].sum() == 0
    torch.testing.assert_close(shares, weights, rtol=0, atol=0.012)  # 3.5 standard deviations


@pytest.mark.parametrize(("drawn", "code"), [(0.0, 2), (0.25, 2), (0.5, 5), (1 - 2**-53, 5)])
def test_the_ends_of_the_distribution_are_never_outside_of_it(drawn: float, code: int) -> None:
    weights = torch.zeros(1, 9)
    weights[0, [2, 5]] = 0.5
    assert pick(weights, torch.tensor([drawn], dtype=torch.float64)).tolist() == [code]


@pytest.mark.parametrize(
    ("sampling", "named"),
    [
        (Sampling(temperature=0), "temperature"),
        (Sampling(temperature=float("nan")), "temperature"),
        (Sampling(repetition_penalty=0), "repetition_penalty"),
        (Sampling(top_p=1.5), "top_p"),
        (Sampling(top_p=float("nan")), "top_p"),
        (Sampling(top_k=-1), "top_k"),
        (Sampling(limit=0), "limit"),
    ],
)
def test_invalid_parameters_are_named(sampling: Sampling, named: str) -> None:
    assert (defect(sampling) or "").startswith(named)


def test_the_default_parameters_are_sound() -> None:
    assert defect(Sampling()) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="compares a GPU with the CPU")
@pytest.mark.parametrize("few", [True, False])
def test_a_gpu_draws_the_codes_of_the_cpu(few: bool) -> None:
    noise = torch.Generator().manual_seed(0)
    logits = torch.randn(64, 8194, generator=noise) * 4
    seen, chosen = torch.rand(logits.shape, generator=noise) < 0.01, [Sampling()] * 64
    drawn, cuda = uniform(torch.arange(64), torch.arange(64)), torch.device("cuda")
    parameters = Parameters.of(chosen, 8194, cuda)
    there = sample(logits.to(cuda), seen.to(cuda), parameters, drawn.to(cuda), narrow=few)
    assert there.tolist() == sample(logits, seen, Parameters.of(chosen, 8194, CPU), drawn, narrow=few).tolist()


def _processors(sampling: Sampling) -> LogitsProcessorList:
    """In the order, and left out where, `generate` would."""
    processors = LogitsProcessorList()
    processors.append(hugging_face.RepetitionPenaltyLogitsProcessor(penalty=sampling.repetition_penalty))
    processors.append(hugging_face.TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        processors.append(hugging_face.TopKLogitsWarper(top_k=sampling.top_k))
    if sampling.top_p < 1:
        processors.append(hugging_face.TopPLogitsWarper(top_p=sampling.top_p))
    return processors


_GOLDEN = 0x9E3779B97F4A7C15


def _splitmix64(state: int) -> int:
    """The reference generator's output at a state, in Python's integers."""
    state = (state + _GOLDEN) % 2**64
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
    return state ^ (state >> 31)

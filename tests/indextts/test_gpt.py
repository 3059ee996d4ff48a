"""The forward over the package's weights, against the package's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.indextts.generation import Generated, generate, small_voice, utterances
from tests.indextts.tape import tensors_of
from worker.engines.indextts.decode.gpt import Gpt
from worker.engines.indextts.decode.kv import Pages, SdpaAttention, places
from worker.engines.indextts.shapes import Sampling


@pytest.fixture(scope="module")
def gpt(package: Any) -> Gpt:
    return Gpt(package.gpt)


@pytest.fixture
def small() -> Any:
    return small_voice()


@pytest.fixture(scope="module")
def generated(package: Any) -> list[Generated]:
    """Prompts of different lengths, and different numbers of codes."""
    return [
        generate(package.gpt, utterance, Sampling(seed=index, limit=12 + 5 * index))
        for index, utterance in enumerate(utterances(package.gpt, 4))
    ]


def _logits(gpt: Gpt, generated: list[Generated], steps: int) -> list[torch.Tensor]:
    """(B, V) before each of the first codes, all rows in one batch."""
    attention = SdpaAttention(page=16)
    pages = _pages(gpt, attention.page)
    slots, prompts = list(range(len(generated))), [row.prompt for row in generated]
    for slot, prompt in zip(slots, prompts, strict=True):
        assert pages.extend(slot, len(prompt) + 1 + steps)
    answers = [torch.cat([_prefilled(gpt, prompt, pages, slot) for slot, prompt in zip(slots, prompts, strict=True)])]
    for count in range(1, steps):
        lengths = torch.tensor([len(prompt) + count for prompt in prompts], dtype=torch.int32)
        codes = torch.tensor([row.codes[count - 1] for row in generated])
        over = attention.over(pages.tables(slots), lengths)
        answers.append(gpt.step(codes, torch.full_like(codes, count), pages, over))
    return answers


def _prefilled(gpt: Gpt, prompt: torch.Tensor, pages: Pages, slot: int, padding: int = 0) -> torch.Tensor:
    start = gpt.embed(torch.tensor([gpt.start]), torch.tensor([0]))
    states = torch.cat([prompt.to(gpt.dtype), start, torch.zeros(padding, gpt.width, dtype=gpt.dtype)])
    table, length = pages.tables([slot])[0], len(prompt) + 1
    into = torch.cat([places(table, torch.arange(length), pages.size), torch.arange(padding) % pages.size])
    return gpt.prefill(states[None], torch.tensor([len(prompt)]), into[None], pages)


def _pages(gpt: Gpt, size: int) -> Pages:
    width = gpt.width // gpt.heads
    return Pages(80, size, layers=gpt.layers, heads=gpt.heads, width=width, dtype=gpt.dtype, device=gpt.device)


def test_the_logits_of_a_mixed_batch_are_the_packages_one_by_one(gpt: Gpt, generated: list[Generated]) -> None:
    steps = min(len(row.codes) for row in generated)
    assert len({len(row.prompt) for row in generated}) == len(generated)
    assert steps > 8
    for step, logits in enumerate(_logits(gpt, generated, steps)):
        expected = torch.stack([row.logits[step] for row in generated])
        torch.testing.assert_close(logits, expected, rtol=1e-5, atol=2e-5)


def test_padding_behind_a_prompt_changes_neither_logits_nor_pages(gpt: Gpt, generated: list[Generated]) -> None:
    prompt = generated[0].prompt
    exact, padded = _pages(gpt, 16), _pages(gpt, 16)
    for pages in (exact, padded):
        pages.extend(0, len(prompt) + 1)
    logits = _prefilled(gpt, prompt, exact, 0)
    torch.testing.assert_close(_prefilled(gpt, prompt, padded, 0, padding=40), logits, rtol=1e-5, atol=2e-5)
    for one, other in zip(padded.keys + padded.values, exact.keys + exact.values, strict=True):
        torch.testing.assert_close(one[1:], other[1:], rtol=1e-5, atol=1e-5)  # page 0 is no row's


def test_the_latents_of_a_mixed_batch_are_the_packages_one_by_one(gpt: Gpt, generated: list[Generated]) -> None:
    latents = gpt.latents([row.prompt for row in generated], [row.codes for row in generated])
    for row, states in zip(generated, latents, strict=True):
        assert states.shape == (len(row.codes), gpt.width)
        torch.testing.assert_close(states, row.latents, rtol=0, atol=1e-5)


def test_an_empty_list_of_codes_has_no_latents(gpt: Gpt, generated: list[Generated]) -> None:
    prompts = [row.prompt for row in generated[:2]]
    assert [len(states) for states in gpt.latents(prompts, [[], [5]])] == [0, 1]


def test_the_weights_are_shared_with_the_package(gpt: Gpt, package: Any) -> None:
    of_package = {parameter.data_ptr() for parameter in package.gpt.parameters()}
    weights = list(tensors_of(gpt))
    assert len(weights) == 8 + 12 * gpt.layers
    assert {weight.data_ptr() for weight in weights} <= of_package


def test_in_half_precision_the_logits_are_still_single(small: Any) -> None:
    noise = torch.Generator().manual_seed(0)
    rows = [Generated(torch.randn(length, 64, generator=noise), [3, 9, 27], [], torch.empty(0)) for length in (5, 70)]
    exact = _logits(Gpt(small), rows, 3)
    half = Gpt(small.bfloat16())
    assert half.dtype == torch.bfloat16
    for ours, expected in zip(_logits(half, rows, 3), exact, strict=True):
        assert ours.dtype == torch.float32
        usual = expected[:, : half.start]  # the start code is kept away by a bias of its own
        torch.testing.assert_close(ours[:, : half.start], usual, rtol=0, atol=0.1 * usual.std().item())


def test_a_row_may_have_as_many_codes_as_there_are_places_for(gpt: Gpt, generated: list[Generated]) -> None:
    prompt, full = generated[0].prompt, [3] * gpt.max_codes
    assert len(gpt.latents([prompt], [full])[0]) == gpt.max_codes
    with pytest.raises(IndexError):
        gpt.latents([prompt], [[*full, 3]])

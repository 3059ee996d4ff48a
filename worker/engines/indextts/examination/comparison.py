"""One way of computing against another, as the ratio of signal to noise in dB: 20 dB more is a tenth of the error."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from worker.engines.indextts.decode.kv import Attention, Pages

EQUAL = 200.0  # dB, where no bit differs
NOT_FINITE = -200.0  # dB, where a number is none

_LEFT_OVER = 100.0  # behind a row's end; keys and values are of a standard deviation of 1


def signal_to_noise(found: Tensor, expected: Tensor) -> float:
    """dB of `expected` over the difference; within NOT_FINITE and EQUAL. Both of one shape, on any device.

    Raises:
        ValueError: the shapes differ.
    """
    if found.shape != expected.shape:
        raise ValueError(f"{tuple(found.shape)} can't be compared with {tuple(expected.shape)}")
    exact = expected.detach().double().cpu()
    noise = (found.detach().double().cpu() - exact).square().sum().item()
    signal = exact.square().sum().item()
    if not math.isfinite(noise) or not math.isfinite(signal):
        return NOT_FINITE
    if noise == 0:
        return EQUAL
    return max(NOT_FINITE, min(EQUAL, 10 * math.log10(signal / noise))) if signal else NOT_FINITE


def worst(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """dB of the item that is furthest off. An item of another shape is as wrong as can be."""
    return min(
        signal_to_noise(one, other) if one.shape == other.shape else NOT_FINITE
        for one, other in zip(found, expected, strict=True)
    )


@torch.inference_mode()
def attention_ratio(
    attention: Attention, *, heads: int, width: int, dtype: torch.dtype, device: torch.device, seed: int = 0
) -> float:
    """dB of one decode step over pages, against fp32 attention over whole histories.

    The rows have histories that end within a page, at its end and behind it, in pages that lie mixed. Pages of no row
    are NaN: a kernel that reads one is wrong. So is the rest of a row's last page, as a row that failed may leave it.
    For an attention that gathers whole pages, and so is promised no NaN there, that rest is large numbers. What the
    step writes is compared too.
    """
    page = attention.page
    lengths = [0, 1, page - 1, page, page + 1, 3 * page - 2]
    pages = Pages(len(lengths) * 4, page, layers=1, heads=heads, width=width, dtype=dtype, device=device)
    keys, values = pages.keys[0], pages.values[0]
    drawn = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=drawn).to(device, dtype)

    for length in range(0, 3 * page, page):  # by turns, so that no row's pages are neighbours
        for slot, wanted in enumerate(lengths):
            pages.extend(slot, min(wanted + 1, length + page))
    held = sorted({page_of for slot in range(len(lengths)) for page_of in pages.tables([slot])[0].tolist()})
    for pool in (keys, values):
        pool.fill_(torch.nan)
        pool[held] = _LEFT_OVER if attention.gathers else torch.nan
    histories = [(random(length, heads, width), random(length, heads, width)) for length in lengths]
    for slot, (length, (key, value)) in enumerate(zip(lengths, histories, strict=True)):
        places = _places(pages, slot, length, device)
        keys.flatten(0, 1)[places], values.flatten(0, 1)[places] = key, value
    query, key, value = (random(len(lengths), 1, heads, width) for _ in range(3))

    slots = list(range(len(lengths)))
    tables = pages.tables(slots).to(device)
    attend = attention.over(tables, torch.tensor(lengths, dtype=torch.int32, device=device))
    found = attend(query, key, value, keys, values)
    ratios = []
    for slot, (length, (old_keys, old_values)) in enumerate(zip(lengths, histories, strict=True)):
        all_keys, all_values = torch.cat([old_keys, key[slot]]), torch.cat([old_values, value[slot]])
        places = _places(pages, slot, length + 1, device)
        kept = torch.cat([keys.flatten(0, 1)[places], values.flatten(0, 1)[places]])
        ratios.append(signal_to_noise(kept, torch.cat([all_keys, all_values])))
        ratios.append(signal_to_noise(found[slot], _attended(query[slot], all_keys, all_values)))
    return min(ratios)


def _places(pages: Pages, slot: int, length: int, device: torch.device) -> Tensor:
    """(length,): where the slot's first positions lie in a pool that is flattened to positions."""
    table, positions = pages.tables([slot])[0].long(), torch.arange(length)
    return (table[positions // pages.size] * pages.size + positions % pages.size).to(device)


def _attended(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """(1, heads, width) in fp32: of one query over all keys and values (T, heads, width)."""
    query, keys, values = (x.float().transpose(0, 1) for x in (query, keys, values))
    return scaled_dot_product_attention(query, keys, values).transpose(0, 1)

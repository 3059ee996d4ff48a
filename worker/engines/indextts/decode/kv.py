"""Keys and values of the rows that are being decoded, in pages of one pool, and the two attentions that read them.

A row takes pages as it grows and gives all back when it ends, so rows of any length share the pool. Both attentions
append a row's new key and value to its pages and attend over all that the row has. They compute the same, and differ
in speed and in the last bits.

    slot 0 ── table [4, 2] ──>  page 4 │k k k k│   page 2 │k k · ·│     length 6, pages of 4
    slot 1 ── table [1, 0] ──>  page 1 │k k k ·│   page 0: no row's; the padding of a batch reads and writes there
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from farm.errors import Misconfigured

Wanted = Literal["auto", "flash", "sdpa"]

# (query, key, value, keys, values) -> attended. The first three and the result are (B, 1, heads, width). `keys` and
# `values` are one layer's pool, into which the new key and value are written.
Attend = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


class Attention(Protocol):
    name: str
    page: int  # positions per page

    def over(self, tables: Tensor, lengths: Tensor) -> Attend:
        """For one step: tables (B, pages) int32, and lengths (B,) int32 of the rows before this step."""
        ...


def choose(device: torch.device, dtype: torch.dtype, wanted: Wanted = "auto") -> Attention:
    """The fastest attention that can run on the device, or the wanted one.

    Raises:
        Misconfigured: flash attention is wanted and can't run; the message says why.
    """
    if wanted == "sdpa":
        return SdpaAttention()
    if wanted not in ("auto", "flash"):
        raise Misconfigured(f"no attention is called {wanted!r}; there are: auto, flash, sdpa")
    obstacle = _flash_obstacle(device, dtype)
    if obstacle is None:
        return FlashAttention()
    if wanted == "flash":
        raise Misconfigured(f"flash attention can't be used: {obstacle}; choose sdpa or auto")
    return SdpaAttention()


class Pages:
    """A pool of pages for every layer, and the slot that holds each page."""

    def __init__(
        self, count: int, size: int, *, layers: int, heads: int, width: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.count, self.size = count, size
        self.version = 0  # moves whenever a table changes
        # Zeros: a masked position has a weight of 0, but 0 times NaN is NaN.
        shape = (count + 1, size, heads, width)
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(layers)]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(layers)]
        self._free = list(range(count, 0, -1))
        self._held: dict[int, list[int]] = {}
        self._soiled: set[int] = set()

    @staticmethod
    def bytes(size: int, *, layers: int, heads: int, width: int, dtype: torch.dtype) -> int:
        """Of one page, over all layers."""
        return 2 * layers * size * heads * width * dtype.itemsize

    @property
    def free(self) -> int:
        return len(self._free)

    def needed(self, length: int) -> int:
        """The pages that `length` positions take."""
        return -(-length // self.size)

    def extend(self, slot: int, length: int) -> bool:
        """Gives the slot room for `length` positions. Returns False and changes nothing if too few pages are free."""
        held = self._held.get(slot, [])
        missing = self.needed(length) - len(held)
        if missing > len(self._free):
            return False
        if missing > 0:
            taken = self._free[-missing:]
            self._clean(self._soiled.intersection(taken))
            del self._free[-missing:]
            self._held[slot] = held + taken
            self.version += 1
        return True

    def release(self, slot: int, *, soiled: bool = False) -> None:
        """Takes the slot's pages back. Pages that may hold NaN are `soiled`, and zeroed before another row gets them.
        Nothing is done on the device here, because its context may be lost."""
        held = self._held.pop(slot)
        if soiled:
            self._soiled.update(held)
        self._free.extend(reversed(held))
        self.version += 1

    def tables(self, slots: Sequence[int]) -> Tensor:
        """(B, pages) int32 on the host: the pages of each slot, padded with page 0 to the longest."""
        held = [self._held[slot] for slot in slots]
        width = max(len(pages) for pages in held)
        return torch.tensor([pages + [0] * (width - len(pages)) for pages in held], dtype=torch.int32)

    def places(self, slot: int, length: int) -> Tensor:
        """(length,) on the host: the places of the slot's first positions in a pool that is flattened to positions."""
        pages = torch.tensor(self._held[slot])
        return (pages[:, None] * self.size + torch.arange(self.size)).flatten()[:length]

    def _clean(self, soiled: set[int]) -> None:
        if soiled:
            pages = torch.tensor(sorted(soiled), device=self.keys[0].device)
            for pool in (*self.keys, *self.values):
                pool.index_fill_(0, pages, 0)
            self._soiled -= soiled


class SdpaAttention:
    """PyTorch's own attention, on any device and in any precision. It first gathers a row's pages side by side, so each
    key and value is moved three times, where flash attention reads it once. Small pages waste little of that."""

    name = "sdpa"

    def __init__(self, page: int = 32) -> None:
        self.page = page

    def over(self, tables: Tensor, lengths: Tensor) -> Attend:
        rows, width = tables.shape
        pages = tables.flatten().long()
        current = tables.gather(1, (lengths // self.page).long()[:, None])[:, 0]
        places = (current * self.page + lengths % self.page).long()
        positions = torch.arange(width * self.page, device=tables.device)
        mask = (positions <= lengths[:, None])[:, None, None]

        def attend(query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            keys.flatten(0, 1).index_copy_(0, places, key[:, 0])
            values.flatten(0, 1).index_copy_(0, places, value[:, 0])
            held_keys = keys.index_select(0, pages).view(rows, -1, *keys.shape[2:])
            held_values = values.index_select(0, pages).view(rows, -1, *values.shape[2:])
            return scaled_dot_product_attention(
                query.transpose(1, 2), held_keys.transpose(1, 2), held_values.transpose(1, 2), attn_mask=mask
            ).transpose(1, 2)

        return attend


class FlashAttention:
    """FlashAttention 2, which reads pages in place: CUDA and half precision only."""

    name = "flash"

    def __init__(self, page: int = 256) -> None:
        if page % 256:
            raise ValueError(f"FlashAttention 2 wants pages of a multiple of 256 positions, not {page}")
        self.page = page
        self._attend: Any = importlib.import_module("flash_attn").flash_attn_with_kvcache

    def over(self, tables: Tensor, lengths: Tensor) -> Attend:
        def attend(query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            if torch.compiler.is_compiling():
                attended: Tensor = _flash(query, key, value, keys, values, tables, lengths)
            else:
                attended = self._attend(
                    query, keys, values, k=key, v=value, cache_seqlens=lengths, block_table=tables, causal=True
                )
            return attended

        return attend


def causal(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of whole sequences from their start: all (B, T, heads, width). Padding goes on the right, where causal
    attention never looks."""
    return scaled_dot_product_attention(
        query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), is_causal=True
    ).transpose(1, 2)


# The compiler can't look into the extension. As an operator it stays one node of one graph. Without the compiler the
# operator would only cost its dispatch in Python, once per layer and step.
@torch.library.custom_op("tts_farm::flash_over_pages", mutates_args=("keys", "values"))
def _flash(
    query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor, tables: Tensor, lengths: Tensor
) -> Tensor:
    attended: Tensor = importlib.import_module("flash_attn").flash_attn_with_kvcache(
        query, keys, values, k=key, v=value, cache_seqlens=lengths, block_table=tables, causal=True
    )
    return attended


@_flash.register_fake
def _(
    query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor, tables: Tensor, lengths: Tensor
) -> Tensor:
    return torch.empty_like(query)


def _flash_obstacle(device: torch.device, dtype: torch.dtype) -> str | None:
    if device.type != "cuda":
        return f"it needs an NVIDIA GPU, and this is {device.type}"
    if dtype not in (torch.float16, torch.bfloat16):
        return f"it needs fp16 or bf16, and the decoder is in {str(dtype).removeprefix('torch.')}"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return "it needs an Ampere GPU or newer"
    try:
        importlib.import_module("flash_attn").flash_attn_with_kvcache  # noqa: B018
    except (ImportError, AttributeError, OSError) as error:
        return f"the package flash-attn can't be imported ({error}): pip install 'tts-farm[flash]'"
    return None

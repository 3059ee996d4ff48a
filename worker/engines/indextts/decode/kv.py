"""Keys and values of the rows that are being decoded, in pages of one pool, and the three attentions that read them.

A row takes pages as it grows and gives all back when it ends, so rows of any length share the pool. Each attention
appends a row's new key and value to its pages and attends over all that the row has. They compute the same, and differ
in speed and in the last bits.

    slot 0 ── table [4, 2] ──>  page 4 │k k k k│   page 2 │k k · ·│     length 6, pages of 4
    slot 1 ── table [1, 1] ──>  page 1 │k k k ·│   the rest of a table repeats the row's first page, and is not read
    slot 2 ── table [0, 0] ──>  page 0: no row's; free slots and padding read and write there

flash and torch read pages in place. One that is installed may lack kernels for the GPU, or refuse to read pages; so it
counts as there when it has attended once over two rows, and agreed with sdpa.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from farm.errors import Misconfigured
from worker.engines.indextts.device_error import lost_context

log = logging.getLogger(__name__)

Wanted = Literal["auto", "flash", "torch", "sdpa"]

# (query, key, value, keys, values) -> attended. The first three and the result are (B, 1, heads, width). `keys` and
# `values` are one layer's pool, into which the new key and value are written.
Attend = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]

_TRIAL_TOLERANCE = 0.02  # of values of a standard deviation of 1; bf16 has 8 bits


class Attention(Protocol):
    name: str
    page: int  # positions per page
    gathers: bool  # whole pages: time grows with the width of the tables, and NaN behind a row's end reaches the row

    def over(self, tables: Tensor, lengths: Tensor) -> Attend:
        """For one step: tables (B, pages) int32, and lengths (B,) int32 of the rows before this step."""
        ...


def choose(
    device: torch.device, dtype: torch.dtype, wanted: Wanted = "auto", *, heads: int = 20, width: int = 64
) -> Attention:
    """The fastest attention that can run on the device, or the wanted one. `width` is that of a head.

    Raises:
        Misconfigured: the wanted attention can't run, or one of them lost the device; the message says why.
    """
    kinds: dict[str, Callable[[], Attention]] = {"flash": FlashAttention, "torch": TorchAttention}
    if wanted not in ("auto", "sdpa", *kinds):
        raise Misconfigured(f"no attention is called {wanted!r}; there are: auto, flash, torch, sdpa")
    obstacles = []
    for name in kinds if wanted == "auto" else kinds.keys() & {wanted}:
        attention = _usable(kinds[name], device, dtype, heads, width)
        if not isinstance(attention, str):
            return attention
        obstacles.append(f"{name} attention can't be used: {attention}")
    if wanted not in ("auto", "sdpa"):
        raise Misconfigured(f"{obstacles[0]}; choose sdpa or auto")
    if obstacles and device.type == "cuda":
        log.warning(
            "the decode reads K and V through sdpa, at three times the traffic of memory: %s", "; ".join(obstacles)
        )
    return SdpaAttention()


def places(table: Tensor, positions: Tensor, page: int) -> Tensor:
    """(…, N) int64: where positions (…, N) of the rows with tables (…, pages) lie in a pool that is flattened to
    positions."""
    return table.gather(-1, positions // page).long() * page + positions % page


class Pages:
    """A pool of pages for every layer, and the slot that holds each page."""

    def __init__(
        self, count: int, size: int, *, layers: int, heads: int, width: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.count, self.size = count, size
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
        return True

    def release(self, slot: int, *, soiled: bool = False) -> None:
        """Takes the slot's pages back. Pages that may hold NaN are `soiled`, and zeroed before another row gets them.
        Nothing is done on the device here, because its context may be lost."""
        held = self._held.pop(slot)
        if soiled:
            self._soiled.update(held)
        self._free.extend(reversed(held))

    def move(self, source: int, target: int) -> None:
        """Gives the pages of a slot to another, which has none."""
        self._held[target] = self._held.pop(source)

    def held(self, slot: int) -> Sequence[int]:
        """The slot's pages, in the order of its positions."""
        return self._held[slot]

    def tables(self, slots: Sequence[int]) -> Tensor:
        """(B, pages) int32 on the host: the pages of each slot, as wide as the longest."""
        held = [self._held[slot] for slot in slots]
        width = max(len(pages) for pages in held)
        return torch.tensor([pages + pages[:1] * (width - len(pages)) for pages in held], dtype=torch.int32)

    def _clean(self, soiled: set[int]) -> None:
        for page in soiled:
            for pool in (*self.keys, *self.values):
                pool[page].zero_()
        self._soiled -= soiled


class SdpaAttention:
    """PyTorch's own attention, on any device and in any precision. It first gathers a row's pages side by side, so each
    key and value is moved three times, where the others read it once. Small pages waste little of that."""

    name = "sdpa"
    gathers = True

    def __init__(self, page: int = 32) -> None:
        self.page = page

    def over(self, tables: Tensor, lengths: Tensor) -> Attend:
        rows, width = tables.shape
        pages = tables.flatten().long()
        fresh = places(tables, lengths[:, None].long(), self.page)[:, 0]
        positions = torch.arange(width * self.page, device=tables.device)
        mask = (positions <= lengths[:, None])[:, None, None]

        def attend(query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            _append(key, value, keys, values, fresh)
            held_keys = keys.index_select(0, pages).view(rows, -1, *keys.shape[2:])
            held_values = values.index_select(0, pages).view(rows, -1, *values.shape[2:])
            return scaled_dot_product_attention(
                query.transpose(1, 2), held_keys.transpose(1, 2), held_values.transpose(1, 2), attn_mask=mask
            ).transpose(1, 2)

        return attend


class FlashAttention:
    """FlashAttention 2, which reads pages in place: CUDA and half precision only. It writes the new key and value by
    itself. A row's keys are never split between blocks, so that its result depends on the row alone."""

    name = "flash"
    gathers = False

    def __init__(self, page: int = 256) -> None:
        self.page = _of_kernel(page)
        self._attend: Any = importlib.import_module("flash_attn").flash_attn_with_kvcache

    def over(self, tables: Tensor, lengths: Tensor) -> Attend:
        def attend(query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            attended: Tensor = self._attend(
                query,
                keys,
                values,
                k=key,
                v=value,
                cache_seqlens=lengths,
                block_table=tables,
                causal=True,
                num_splits=1,
            )
            return attended

        return attend


class TorchAttention:
    """The attention over pages that PyTorch brings itself, from 2.13 on: CUDA and half precision only.

    num_splits=1 keeps a row's result the same in any company. Without, PyTorch's kernel returns nonsense for all rows
    but the first (pytorch#194167)."""

    name = "torch"
    gathers = False

    def __init__(self, page: int = 256) -> None:
        self.page = _of_kernel(page)
        self._attend: Any = importlib.import_module("torch.nn.attention.varlen").varlen_attn

    def over(self, tables: Tensor, lengths: Tensor) -> Attend:
        rows, width = tables.shape
        most = width * self.page
        starts = torch.arange(rows + 1, dtype=torch.int32, device=tables.device)  # of the queries, one a row
        keys_start = starts * most
        used = lengths + 1
        fresh = places(tables, lengths[:, None].long(), self.page)[:, 0]

        def attend(query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            _append(key, value, keys, values, fresh)
            attended: Tensor = self._attend(
                query[:, 0], keys, values, starts, keys_start, 1, most,
                seqused_k=used, block_table=tables, num_splits=1,
            )  # fmt: skip
            return attended[:, None]

        return attend


def _append(key: Tensor, value: Tensor, keys: Tensor, values: Tensor, fresh: Tensor) -> None:
    """Writes the new key and value of each row to its place `fresh` (B,) in a flattened pool."""
    keys.flatten(0, 1).index_copy_(0, fresh, key[:, 0])
    values.flatten(0, 1).index_copy_(0, fresh, value[:, 0])


def _of_kernel(page: int) -> int:
    """FlashAttention 2, which PyTorch has as well, reads pages of a multiple of 256 positions alone."""
    if page % 256:
        raise ValueError(f"this attention reads pages of a multiple of 256 positions, not of {page}")
    return page


def causal(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of whole sequences from their start: all (B, T, heads, width). Padding goes on the right, where causal
    attention never looks."""
    return scaled_dot_product_attention(
        query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), is_causal=True
    ).transpose(1, 2)


def _usable(
    make: Callable[[], Attention], device: torch.device, dtype: torch.dtype, heads: int, width: int
) -> Attention | str:
    """The attention, or the reason why it can't run here."""
    if device.type != "cuda":
        return f"it needs an NVIDIA GPU, and this is {device.type}"
    if dtype not in (torch.float16, torch.bfloat16):
        return f"it needs fp16 or bf16, and the decoder is in {str(dtype).removeprefix('torch.')}"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return "it needs an Ampere GPU or newer"
    try:
        attention = make()
    except (ImportError, AttributeError, OSError) as error:
        if make is FlashAttention:
            return f"the package flash-attn can't be imported ({error}): pip install 'tts-farm[flash]'"
        return f"PyTorch {torch.__version__} can't attend over pages ({error}): 2.13 can"
    try:
        off = trial(attention, device, dtype, heads, width)
    except Exception as error:  # no kernels for this GPU, an older signature: each is a reason against the attention
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        if lost_context(error):
            raise Misconfigured(
                f"{attention.name} attention took the GPU away from this process with its first two rows ({reason}): "
                "set FARM_INDEXTTS_ATTENTION to another, or install a build of it for this GPU and this PyTorch"
            ) from error
        return f"it failed on its first two rows ({reason})"
    if not off < _TRIAL_TOLERANCE:
        return f"its first two rows differ from sdpa's by {off:.2g}"
    return attention


@torch.inference_mode()
def trial(attention: Attention, device: torch.device, dtype: torch.dtype, heads: int, width: int) -> float:
    """The largest difference from sdpa over two rows, of which one has a second page; or NaN."""
    noise = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=noise).to(device, dtype)

    keys, values = (random(4, attention.page, heads, width) for _ in range(2))
    tables = torch.tensor([[3, 1], [2, 2]], dtype=torch.int32, device=device)
    lengths = torch.tensor([attention.page + 3, 40], dtype=torch.int32, device=device)
    query, key, value = (random(2, 1, heads, width) for _ in range(3))
    expected, found = (
        one.over(tables, lengths)(query, key, value, keys.clone(), values.clone())
        for one in (SdpaAttention(attention.page), attention)
    )
    return float((expected.float() - found.float()).abs().max())

"""One suite for the three attentions over pages, against plain attention over whole histories; and the pool itself.

flash and torch run where they can. Elsewhere their arguments are checked and answered by stand-ins, written from what
the documentations of flash_attn_with_kvcache and varlen_attn promise.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from farm.errors import Misconfigured
from worker.engines.indextts.decode import kv
from worker.engines.indextts.decode.kv import (
    Attend,
    Attention,
    FlashAttention,
    Pages,
    SdpaAttention,
    TorchAttention,
    causal,
    choose,
    places,
    trial,
)

HEADS, WIDTH = 3, 16
CPU = torch.device("cpu")
GPU = torch.device("cuda", 0)


@dataclass
class Bench:
    """An attention with a pool of one layer for it."""

    attention: Attention
    pages: Pages
    tolerance: float

    def random(self, *shape: int) -> Tensor:
        return torch.randn(shape).to(self.pages.keys[0])

    def attend(self, over: Attend, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return over(query, key, value, self.pages.keys[0], self.pages.values[0])

    def places(self, slot: int, length: int) -> Tensor:
        table = self.pages.tables([slot])[0]
        return places(table, torch.arange(length), self.pages.size).to(self.pages.keys[0].device)

    def over(self, slots: list[int], lengths: list[int]) -> Attend:
        device = self.pages.keys[0].device
        return self.attention.over(
            self.pages.tables(slots).to(device), torch.tensor(lengths, dtype=torch.int32, device=device)
        )


def _bench(attention: Attention, dtype: torch.dtype, device: str, tolerance: float) -> Bench:
    torch.manual_seed(0)
    pages = Pages(12, attention.page, layers=1, heads=HEADS, width=WIDTH, dtype=dtype, device=torch.device(device))
    return Bench(attention, pages, tolerance)


@pytest.fixture(
    params=["sdpa", "sdpa bf16", "flash stand-in", "torch stand-in", "sdpa cuda", "flash cuda", "torch cuda"]
)
def bench(request: pytest.FixtureRequest) -> Bench:
    kind, _, where = request.param.partition(" ")
    if where == "stand-in":
        request.getfixturevalue("stand_ins")
        return _bench({"flash": FlashAttention, "torch": TorchAttention}[kind](), torch.float16, "cpu", 2e-3)
    if where == "bf16":
        return _bench(SdpaAttention(page=4), torch.bfloat16, "cpu", 2e-2)
    if where != "cuda":
        return _bench(SdpaAttention(page=4), torch.float32, "cpu", 1e-6)
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    try:
        attention = choose(GPU, torch.float16, kind, heads=HEADS, width=WIDTH)  # type: ignore[arg-type]
    except Misconfigured as error:
        pytest.skip(str(error))
    return _bench(attention, torch.float16, "cuda", 2e-3)


def test_rows_of_any_length_attend_over_their_own_history(bench: Bench) -> None:
    lengths = {2: 0, 0: bench.attention.page - 2, 1: bench.attention.page + 1}
    histories = {slot: _begin(bench, slot, length) for slot, length in lengths.items()}
    for step in range(4):  # slot 0 walks over the end of a page
        slots = list(histories)
        for slot in slots:
            assert bench.pages.extend(slot, lengths[slot] + step + 1)
        query, key, value = (bench.random(3, 1, HEADS, WIDTH) for _ in range(3))
        over = bench.over(slots, [lengths[slot] + step for slot in slots])
        attended = bench.attend(over, query, key, value)
        assert attended.shape == query.shape
        for row, slot in enumerate(slots):
            histories[slot].append(key[row], value[row])
            expected = histories[slot].attend(query[row])
            torch.testing.assert_close(attended[row].float(), expected, rtol=0, atol=bench.tolerance)


def test_the_new_key_and_value_are_written_where_the_prefill_would_have_written_them(bench: Bench) -> None:
    length = bench.attention.page
    bench.pages.extend(5, length + 1)
    query, key, value = (bench.random(1, 1, HEADS, WIDTH) for _ in range(3))
    bench.attend(bench.over([5], [length]), query, key, value)
    place = bench.places(5, length + 1)[-1]
    assert torch.equal(bench.pages.keys[0].flatten(0, 1)[place], key[0, 0])
    assert torch.equal(bench.pages.values[0].flatten(0, 1)[place], value[0, 0])
    written = sum(int(pool.any(-1).any(-1).sum()) for pool in (bench.pages.keys[0], bench.pages.values[0]))
    assert written == 2


def test_pages_of_others_and_old_contents_have_no_weight(bench: Bench) -> None:
    length = 2
    for pool in (*bench.pages.keys, *bench.pages.values):
        pool.fill_(100)
    history = _begin(bench, 3, length)
    bench.pages.extend(3, length + 1)
    query, key, value = (bench.random(1, 1, HEADS, WIDTH) for _ in range(3))
    attended = bench.attend(bench.over([3], [length]), query, key, value)
    history.append(key[0], value[0])
    torch.testing.assert_close(attended[0].float(), history.attend(query[0]), rtol=0, atol=bench.tolerance)


def test_a_whole_sequence_attends_like_its_steps() -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 5, HEADS, WIDTH) for _ in range(3))
    attended = causal(query, key, value)
    for row in range(2):
        history = History(key[row, :0], value[row, :0])
        for position in range(5):
            history.append(key[row, position : position + 1], value[row, position : position + 1])
            expected = history.attend(query[row, position : position + 1])
            torch.testing.assert_close(attended[row, position : position + 1], expected, rtol=0, atol=1e-6)


class TestPages:
    def test_a_slot_that_asks_for_too_many_pages_gets_none(self) -> None:
        pages = _pages(3)
        assert pages.extend(0, 8)
        assert not pages.extend(1, 9)
        assert pages.free == 1
        assert pages.extend(1, 4)
        assert not pages.extend(0, 9)
        assert pages.tables([0, 1]).shape == (2, 2)

    def test_pages_move_with_a_row_to_another_slot(self) -> None:
        pages = _pages(3)
        pages.extend(4, 8)
        held = list(pages.held(4))
        pages.move(4, 0)
        assert list(pages.held(0)) == held
        pages.release(0)
        assert pages.free == 3

    def test_soiled_pages_are_clean_for_the_next_row(self) -> None:
        pages = _pages(4)
        pages.extend(0, 8)
        pages.extend(1, 8)
        kept, soiled = pages.tables([0])[0].tolist(), pages.tables([1])[0].tolist()
        for pool in (*pages.keys, *pages.values):
            pool[soiled] = torch.nan
            pool[kept] = 1
        pages.release(1, soiled=True)
        pages.extend(2, 8)
        assert sorted(pages.tables([2])[0].tolist()) == sorted(soiled)
        for pool in (*pages.keys, *pages.values):
            assert not pool[soiled].any()
            assert pool[kept].all()

    def test_a_table_is_padded_with_a_page_of_its_own_row(self) -> None:
        pages = _pages(4)
        pages.extend(0, 4)
        pages.extend(1, 12)
        tables = pages.tables([0, 1])
        assert tables.dtype == torch.int32
        assert len(set(tables[0].tolist())) == 1
        assert sorted({*tables.flatten().tolist()}) == [1, 2, 3, 4]

    def test_places_follow_the_table(self) -> None:
        pages = _pages(4)
        pages.extend(0, 6)
        first, second = pages.tables([0])[0].tolist()
        assert places(pages.tables([0])[0], torch.arange(6), 4).tolist() == [4 * first + i for i in range(4)] + [
            4 * second,
            4 * second + 1,
        ]

    def test_a_page_takes_the_bytes_that_are_reckoned_for_it(self) -> None:
        pages = _pages(1)
        held = sum(pool.nbytes for pool in (*pages.keys, *pages.values))
        size = Pages.bytes(4, layers=2, heads=HEADS, width=WIDTH, dtype=torch.float32)
        assert held == size * (1 + 1)  # and nobody's page

    @given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), max_size=40))
    def test_no_page_is_held_twice_or_lost(self, moves: list[tuple[int, int]]) -> None:
        pages, held = _pages(9), dict.fromkeys(range(5), 0)
        for slot, length in moves:
            if length:
                if pages.extend(slot, length):
                    held[slot] = max(held[slot], pages.needed(length))
            elif held[slot]:
                pages.release(slot)
                held[slot] = 0
            assert pages.free == 9 - sum(held.values())
        holders = [slot for slot, count in held.items() if count]
        if holders:
            taken = [page for slot in holders for page in pages.held(slot)]
            assert len(set(taken)) == len(taken) == sum(held.values())


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of capability 9.0, as far as `choose` can see: what it tries there runs on the CPU."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(kv, "trial", lambda attention, device, *given: trial(attention, CPU, *given))


@pytest.mark.usefixtures("on_a_gpu")
class TestChoose:
    def test_auto_takes_sdpa_on_a_cpu(self) -> None:
        assert choose(CPU, torch.float16).name == "sdpa"

    @pytest.mark.parametrize("name", ["flash", "torch"])
    def test_on_a_cpu_the_others_are_refused_with_the_reason(self, name: Any) -> None:
        with pytest.raises(Misconfigured, match=f"{name}.* needs an NVIDIA GPU, and this is cpu; choose sdpa or auto"):
            choose(CPU, torch.float16, name)

    @pytest.mark.parametrize("name", ["flash", "torch"])
    def test_in_single_precision_they_are_refused_with_the_reason(self, name: Any) -> None:
        with pytest.raises(Misconfigured, match="needs fp16 or bf16, and the decoder is in float32"):
            choose(GPU, torch.float32, name)

    @pytest.mark.parametrize("name", ["flash", "torch"])
    def test_an_older_gpu_is_told_so(self, monkeypatch: pytest.MonkeyPatch, name: Any) -> None:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
        with pytest.raises(Misconfigured, match="Ampere"):
            choose(GPU, torch.bfloat16, name)

    def test_flash_attention_that_is_not_installed_says_how_to_install_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "flash_attn", None)
        with pytest.raises(Misconfigured, match=r"pip install 'tts-farm\[flash\]'"):
            choose(GPU, torch.bfloat16, "flash")

    def test_a_torch_that_knows_no_pages_is_told_its_version(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "torch.nn.attention.varlen", None)
        with pytest.raises(Misconfigured, match=rf"PyTorch {re.escape(torch.__version__)} can't attend over pages"):
            choose(GPU, torch.bfloat16, "torch")

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_auto_takes_flash_attention_where_it_ran(self, stand_ins: StandIns, dtype: torch.dtype) -> None:
        assert choose(GPU, dtype).name == "flash"
        assert stand_ins.rows == [2]

    def test_auto_takes_torchs_attention_where_flash_has_no_kernels(self, stand_ins: StandIns) -> None:
        stand_ins.flash = _raise(RuntimeError("CUDA error: no kernel image is available for execution on the device"))
        assert choose(GPU, torch.float16).name == "torch"

    def test_auto_takes_sdpa_where_neither_runs_and_says_why(
        self, stand_ins: StandIns, caplog: pytest.LogCaptureFixture
    ) -> None:
        stand_ins.flash = _raise(RuntimeError("CUDA error: no kernel image is available\nfor execution"))
        stand_ins.torch = _raise(TypeError("varlen_attn() got an unexpected keyword argument 'block_table'"))
        assert choose(GPU, torch.float16).name == "sdpa"
        (said,) = [record.message for record in caplog.records]
        assert "flash attention can't be used: it failed on its first two rows (CUDA error: no kernel image" in said
        assert "unexpected keyword argument 'block_table'" in said

    @pytest.mark.parametrize("factor", [1.5, float("nan")])
    def test_an_attention_that_runs_and_errs_is_not_taken(self, stand_ins: StandIns, factor: float) -> None:
        right = stand_ins.torch
        stand_ins.torch = lambda *given, **named: right(*given, **named) * factor
        with pytest.raises(Misconfigured, match="its first two rows differ from sdpa's by"):
            choose(GPU, torch.float16, "torch")

    @pytest.mark.parametrize("wanted", ["auto", "flash"])
    def test_an_attention_that_loses_the_device_is_named_before_anything_else_fails_for_it(
        self, stand_ins: StandIns, wanted: Any
    ) -> None:
        stand_ins.flash = _raise(RuntimeError("CUDA error: an illegal memory access was encountered\nmore"))
        with pytest.raises(Misconfigured, match=r"flash attention took the GPU away .*illegal memory.*set FARM_"):
            choose(GPU, torch.float16, wanted)

    def test_an_unknown_name_is_answered_with_the_known_ones(self) -> None:
        with pytest.raises(Misconfigured, match="auto, flash, torch, sdpa"):
            choose(CPU, torch.float32, "xformers")  # type: ignore[arg-type]


@pytest.mark.parametrize("attention", [FlashAttention, TorchAttention])
def test_pages_that_it_can_not_read_are_refused(attention: Any, stand_ins: StandIns) -> None:
    with pytest.raises(ValueError, match="multiple of 256"):
        attention(page=64)


class History:
    """One row's keys and values, (T, heads, width), and attention over them as the textbook has it."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys, self.values = keys.float(), values.float()

    def append(self, key: Tensor, value: Tensor) -> None:
        self.keys, self.values = torch.cat([self.keys, key.float()]), torch.cat([self.values, value.float()])

    def attend(self, query: Tensor) -> Tensor:
        scores = torch.einsum("qhw,thw->hqt", query.float(), self.keys) / query.shape[-1] ** 0.5
        return torch.einsum("hqt,thw->qhw", scores.softmax(-1), self.values)


def _begin(bench: Bench, slot: int, length: int) -> History:
    """A row that has `length` positions already, as a prefill would leave them."""
    bench.pages.extend(slot, max(1, length))
    keys, values = bench.random(length, HEADS, WIDTH), bench.random(length, HEADS, WIDTH)
    into = bench.places(slot, length)
    bench.pages.keys[0].flatten(0, 1)[into] = keys
    bench.pages.values[0].flatten(0, 1)[into] = values
    return History(keys, values)


def _pages(count: int) -> Pages:
    return Pages(count, 4, layers=2, heads=HEADS, width=WIDTH, dtype=torch.float32, device=CPU)


@dataclass
class StandIns:
    """What is called in place of flash-attn and of PyTorch's kernel, and how many rows it was given."""

    flash: Callable[..., Tensor]
    torch: Callable[..., Tensor]
    rows: list[int] = field(default_factory=list)


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> StandIns:
    made = StandIns(_flash_attn_with_kvcache, _varlen_attn)

    def called(name: str) -> Callable[..., Tensor]:
        def attend(query: Tensor, *given: Any, **named: Any) -> Tensor:
            made.rows.append(len(query))
            return getattr(made, name)(query, *given, **named)  # type: ignore[no-any-return]

        return attend

    for module, function, name in (
        ("flash_attn", "flash_attn_with_kvcache", "flash"), ("torch.nn.attention.varlen", "varlen_attn", "torch"),
    ):  # fmt: skip
        double = ModuleType(module)
        setattr(double, function, called(name))
        monkeypatch.setitem(sys.modules, module, double)
    return made


def _raise(error: Exception) -> Callable[..., Tensor]:
    def attend(*given: Any, **named: Any) -> Tensor:
        raise error

    return attend


def _varlen_attn(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    seqused_k: Tensor,
    block_table: Tensor,
    num_splits: int,
) -> Tensor:
    """query (rows, heads, width); key and value (pages, page, heads, width); each row attends over the first seqused_k
    positions of its pages."""
    rows, heads, width = query.shape
    assert key.shape == value.shape
    assert key.shape[2:] == (heads, width)
    assert key.shape[1] % 256 == 0
    assert {tensor.dtype for tensor in (query, key, value)} in ({torch.float16}, {torch.bfloat16})
    assert {tensor.dtype for tensor in (cu_seq_q, cu_seq_k, seqused_k, block_table)} == {torch.int32}
    assert all(tensor.stride(-1) == 1 for tensor in (query, key, value, block_table))
    assert cu_seq_q.tolist() == list(range(rows + 1))
    assert (max_q, max_k) == (1, block_table.shape[1] * key.shape[1])
    assert cu_seq_k.tolist() == [row * max_k for row in range(rows + 1)]
    assert num_splits == 1  # the kernel splits by the longest row, and then writes only the first
    attended = torch.empty_like(query)
    for row in range(rows):
        keys, values = (cache[block_table[row].long()].flatten(0, 1) for cache in (key, value))
        seen = History(keys[: seqused_k[row]], values[: seqused_k[row]])
        attended[row] = seen.attend(query[row : row + 1])[0].to(query.dtype)
    return attended


def _flash_attn_with_kvcache(
    q: Tensor,
    k_cache: Tensor,
    v_cache: Tensor,
    k: Tensor | None = None,
    v: Tensor | None = None,
    *,
    cache_seqlens: Tensor,
    block_table: Tensor,
    causal: bool = False,
    num_splits: int = 0,
) -> Tensor:
    """q (B, T, heads, width); caches (pages, page, heads, width), written in place from cache_seqlens (B,) on with
    k and v (B, T, …); then each row attends over its cache_seqlens + T positions, causal from the end."""
    rows, new, heads, width = q.shape
    assert num_splits == 1  # in more parts, how many depends on the company
    assert k is not None
    assert v is not None
    assert k.shape == v.shape == q.shape
    assert k_cache.shape == v_cache.shape
    assert k_cache.shape[2:] == (heads, width)
    assert k_cache.shape[1] % 256 == 0
    assert {tensor.dtype for tensor in (q, k, v, k_cache, v_cache)} in ({torch.float16}, {torch.bfloat16})
    assert all(tensor.stride(-1) == 1 for tensor in (q, k, v, k_cache, v_cache, block_table))
    assert (cache_seqlens.dtype, block_table.dtype) == (torch.int32, torch.int32)
    assert cache_seqlens.shape == (rows,)
    assert cache_seqlens.is_contiguous()
    assert block_table.shape[0] == rows
    page = k_cache.shape[1]
    attended = torch.empty_like(q)
    for row in range(rows):
        length = int(cache_seqlens[row])
        assert length + new <= block_table.shape[1] * page
        for cache, fresh in ((k_cache, k), (v_cache, v)):
            for offset in range(new):
                place = length + offset
                cache[int(block_table[row, place // page]), place % page] = fresh[row, offset]
        keys, values = (cache[block_table[row].long()].flatten(0, 1) for cache in (k_cache, v_cache))
        for offset in range(new):
            until = length + offset + 1 if causal else length + new
            seen = History(keys[:until], values[:until])
            attended[row, offset] = seen.attend(q[row, offset : offset + 1])[0].to(q.dtype)
    return attended

"""One suite for both attentions over pages, against plain attention over whole histories; and the pool itself.

FlashAttention runs where it can. Elsewhere its arguments are checked and answered by a stand-in, written from what the
documentation of flash_attn_with_kvcache promises.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from farm.errors import Misconfigured
from worker.engines.indextts.decode import kv
from worker.engines.indextts.decode.kv import Attend, Attention, FlashAttention, Pages, SdpaAttention, causal, choose

HEADS, WIDTH = 3, 16
CPU = torch.device("cpu")

_OBSTACLE = kv._flash_obstacle(torch.device("cuda" if torch.cuda.is_available() else "cpu"), torch.float16)


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

    def over(self, slots: list[int], lengths: list[int]) -> Attend:
        device = self.pages.keys[0].device
        return self.attention.over(
            self.pages.tables(slots).to(device), torch.tensor(lengths, dtype=torch.int32, device=device)
        )


def _bench(attention: Attention, dtype: torch.dtype, device: str, tolerance: float) -> Bench:
    torch.manual_seed(0)
    pages = Pages(12, attention.page, layers=1, heads=HEADS, width=WIDTH, dtype=dtype, device=torch.device(device))
    return Bench(attention, pages, tolerance)


@pytest.fixture(params=["sdpa", "sdpa-bf16", "flash-stand-in", "flash"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "sdpa":
        return _bench(SdpaAttention(page=4), torch.float32, "cpu", 1e-6)
    if request.param == "sdpa-bf16":
        return _bench(SdpaAttention(page=4), torch.bfloat16, "cpu", 2e-2)
    if request.param == "flash-stand-in":
        request.getfixturevalue("stand_in")
        return _bench(FlashAttention(), torch.float16, "cpu", 2e-3)
    if _OBSTACLE:
        pytest.skip(_OBSTACLE)
    return _bench(FlashAttention(), torch.float16, "cuda", 2e-3)


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
    place = bench.pages.places(5, length + 1)[-1]
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


def test_flash_attention_stays_one_node_of_a_compiled_step(stand_in: None) -> None:
    eager, compiled = (_bench(FlashAttention(), torch.float16, "cpu", 0) for _ in range(2))

    def step(bench: Bench, tables: Tensor, lengths: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return bench.attend(bench.attention.over(tables, lengths), query, key, value)

    answers = []
    for bench, call in ((eager, step), (compiled, torch.compile(step, backend="aot_eager", fullgraph=True))):
        bench.pages.extend(0, 300)
        torch.manual_seed(1)
        tensors = [bench.random(1, 1, HEADS, WIDTH) for _ in range(3)]
        answers.append(call(bench, bench.pages.tables([0]), torch.tensor([280], dtype=torch.int32), *tensors))
    assert torch.equal(*answers)
    assert torch.equal(eager.pages.keys[0], compiled.pages.keys[0])


class TestPages:
    def test_a_slot_that_asks_for_too_many_pages_gets_none(self) -> None:
        pages = _pages(3)
        assert pages.extend(0, 8)
        assert not pages.extend(1, 9)
        assert pages.free == 1
        assert pages.extend(1, 4)
        assert not pages.extend(0, 9)
        assert pages.tables([0, 1]).shape == (2, 2)

    def test_the_version_moves_with_the_tables_and_only_with_them(self) -> None:
        pages = _pages(3)
        pages.extend(0, 3)
        before = pages.version
        pages.extend(0, 4)
        assert pages.version == before
        pages.extend(0, 5)
        assert pages.version > before

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

    def test_the_page_that_pads_tables_belongs_to_no_slot(self) -> None:
        pages = _pages(4)
        pages.extend(0, 4)
        pages.extend(1, 12)
        tables = pages.tables([0, 1])
        assert tables.dtype == torch.int32
        assert tables[0, 1:].tolist() == [0, 0]
        assert sorted([tables[0, 0].item(), *tables[1].tolist()]) == [1, 2, 3, 4]

    def test_places_follow_the_table(self) -> None:
        pages = _pages(4)
        pages.extend(0, 6)
        first, second = pages.tables([0])[0].tolist()
        assert pages.places(0, 6).tolist() == [4 * first + i for i in range(4)] + [4 * second, 4 * second + 1]

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
            taken = [page for page in pages.tables(holders).flatten().tolist() if page]
            assert len(set(taken)) == len(taken) == sum(held.values())


class TestChoose:
    def test_auto_takes_sdpa_on_a_cpu(self) -> None:
        assert choose(CPU, torch.float16).name == "sdpa"

    def test_flash_attention_on_a_cpu_is_refused_with_the_reason(self) -> None:
        with pytest.raises(Misconfigured, match="needs an NVIDIA GPU, and this is cpu; choose sdpa or auto"):
            choose(CPU, torch.float16, "flash")

    def test_flash_attention_in_single_precision_is_refused_with_the_reason(self) -> None:
        with pytest.raises(Misconfigured, match="needs fp16 or bf16, and the decoder is in float32"):
            choose(torch.device("cuda"), torch.float32, "flash")

    def test_flash_attention_that_is_not_installed_says_how_to_install_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
        monkeypatch.setitem(sys.modules, "flash_attn", None)
        with pytest.raises(Misconfigured, match=r"pip install 'tts-farm\[flash\]'"):
            choose(torch.device("cuda"), torch.bfloat16, "flash")
        assert choose(torch.device("cuda"), torch.bfloat16).name == "sdpa"

    def test_an_older_gpu_is_told_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
        with pytest.raises(Misconfigured, match="Ampere"):
            choose(torch.device("cuda"), torch.bfloat16, "flash")

    def test_auto_takes_flash_attention_where_it_can_run(self, stand_in: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
        assert choose(torch.device("cuda"), torch.bfloat16).name == "flash"

    def test_an_unknown_name_is_answered_with_the_known_ones(self) -> None:
        with pytest.raises(Misconfigured, match="auto, flash, sdpa"):
            choose(CPU, torch.float32, "xformers")  # type: ignore[arg-type]


def test_flash_attention_refuses_pages_that_it_can_not_read() -> None:
    with pytest.raises(ValueError, match="multiple of 256"):
        FlashAttention(page=64)


class History:
    """One row's keys and values, (T, heads, width), and attention over them as the textbook has it."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys, self.values = keys.float(), values.float()

    def append(self, key: Tensor, value: Tensor) -> None:
        self.keys, self.values = torch.cat([self.keys, key.float()]), torch.cat([self.values, value.float()])

    def attend(self, query: Tensor) -> Tensor:
        scores = torch.einsum("qhw,thw->hqt", query.float(), self.keys) / WIDTH**0.5
        return torch.einsum("hqt,thw->qhw", scores.softmax(-1), self.values)


def _begin(bench: Bench, slot: int, length: int) -> History:
    """A row that has `length` positions already, as a prefill would leave them."""
    bench.pages.extend(slot, max(1, length))
    keys, values = bench.random(length, HEADS, WIDTH), bench.random(length, HEADS, WIDTH)
    places = bench.pages.places(slot, length).to(keys.device)
    bench.pages.keys[0].flatten(0, 1)[places] = keys
    bench.pages.values[0].flatten(0, 1)[places] = values
    return History(keys, values)


def _pages(count: int) -> Pages:
    return Pages(count, 4, layers=2, heads=HEADS, width=WIDTH, dtype=torch.float32, device=CPU)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("flash_attn")
    module.flash_attn_with_kvcache = _flash_attn_with_kvcache  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flash_attn", module)


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
) -> Tensor:
    """q (B, T, heads, width); caches (pages, page, heads, width), written in place from cache_seqlens (B,) on with
    k and v (B, T, …); then each row attends over its cache_seqlens + T positions, causal from the end."""
    rows, new, heads, width = q.shape
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

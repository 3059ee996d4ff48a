"""Decoding on slots: the package's codes, whoever shares the batch, whenever they came, and whatever ran out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from farm.errors import Misconfigured
from tests.indextts.generation import generate, small_voice, utterances
from worker.engines.indextts.decode.decoder import Decoder
from worker.engines.indextts.decode.gpt import Gpt
from worker.engines.indextts.decode.kv import Attend, Pages
from worker.engines.indextts.shapes import Codes, Fault, Request, Sampling

PAGE = 32  # positions, of the attention that runs here

# --- equal to the package, on the checkpoint --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gpt(package: Any) -> Gpt:
    return Gpt(package.gpt)


@pytest.fixture(scope="module")
def small() -> Any:
    return small_voice()


GREEDY = Sampling(greedy=True, limit=60)
SAMPLED = Sampling(seed=11, limit=60)
WIDELY = Sampling(seed=2**63 - 2, temperature=1.5, top_k=0, top_p=0.95, repetition_penalty=1.5, limit=60)


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_the_codes_of_a_mixed_batch_are_the_packages_one_by_one(package: Any, gpt: Gpt, sampling: Sampling) -> None:
    _compare(package.gpt, gpt, [replace(sampling, seed=sampling.seed + index) for index in range(4)])


def test_rows_of_different_parameters_share_a_batch_and_get_the_packages_codes(small: Any) -> None:
    samplings = [
        replace(one, seed=one.seed + index, limit=limit)
        for index, (one, limit) in enumerate(((WIDELY, 60), (GREEDY, 30), (SAMPLED, 9), (WIDELY, 40), (SAMPLED, 60)))
    ]
    _compare(small, Gpt(small), samplings)


def _compare(unified_voice: Any, gpt: Gpt, samplings: Sequence[Sampling]) -> None:
    expected = [
        generate(unified_voice, utterance, sampling)
        for utterance, sampling in zip(utterances(unified_voice, len(samplings)), samplings, strict=True)
    ]
    assert len({tuple(row.codes) for row in expected}) == len(expected)
    decoder = Decoder(gpt, slots=3, pages=40)
    for index, (row, sampling) in enumerate(zip(expected, samplings, strict=True)):
        decoder.submit(Request(index, row.prompt, sampling))
    ended = _by_key(_drain(decoder))
    for index, (row, sampling) in enumerate(zip(expected, samplings, strict=True)):
        assert ended[index].codes == row.codes
        assert ended[index].cut == (len(row.codes) == sampling.limit)


# --- the same in any company, on a small model ------------------------------------------------------------------------

SEEDS = range(12)


@pytest.fixture(scope="module")
def requests() -> list[Request]:
    """Greedy and sampled, of prompts from 3 to 69 rows, which end after 5 to 28 codes."""
    noise = torch.Generator().manual_seed(0)
    return [
        Request(
            index,
            torch.randn(3 + 6 * index, 64, generator=noise),
            Sampling(seed=index, greedy=index % 4 == 0, temperature=1.2, repetition_penalty=1.5, limit=40),
        )
        for index in SEEDS
    ]


@pytest.fixture(scope="module")
def alone(small: Any, requests: list[Request]) -> dict[Any, Codes]:
    """Each decoded by itself."""
    ended: dict[Any, Codes] = {}
    for request in requests:
        decoder = Decoder(Gpt(small), slots=1, pages=8)
        decoder.submit(request)
        ended |= _by_key(_drain(decoder))
    assert len({tuple(end.codes) for end in ended.values()}) == len(requests)
    assert len({len(end.codes) for end in ended.values()}) > 4
    return ended


@settings(deadline=None, max_examples=25)
@given(
    order=st.permutations(list(SEEDS)),
    gaps=st.lists(st.integers(0, 9), min_size=len(SEEDS), max_size=len(SEEDS)),
    slots=st.integers(1, 12),
    pages=st.integers(4, 24),
    failing=st.sets(st.integers(0, 120), max_size=5),
)
def test_any_company_any_order_and_any_shortage_give_the_same_codes(
    small: Any,
    requests: list[Request],
    alone: dict[Any, Codes],
    order: list[int],
    gaps: list[int],
    slots: int,
    pages: int,
    failing: set[int],
) -> None:
    """Requests join between any two steps; a pool of 4 pages holds the longest alone; memory runs out at random, but
    never under a row that has no neighbour to give way."""
    decoder = Decoder(Tight(small, failing), slots=slots, pages=pages)
    ended: list[Codes | Fault] = []
    for index, gap in zip(order, gaps, strict=True):
        decoder.submit(requests[index])
        for _ in range(gap):
            ended += decoder.step()
    assert _by_key([*ended, *_drain(decoder)]) == alone
    assert decoder.pages.free == pages
    assert (decoder.running, decoder.busy) == (0, False)


def test_a_row_that_ends_leaves_at_once_and_its_place_is_taken(small: Any, requests: list[Request]) -> None:
    short, long, newcomer = (replace(requests[i], sampling=Sampling(limit=n)) for i, n in ((0, 3), (1, 12), (2, 2)))
    decoder = Decoder(Gpt(small), slots=2, pages=16)
    for request in (short, long, newcomer):
        decoder.submit(request)
    timeline = [([end.request.key for end in _codes(decoder.step())], decoder.running) for _ in range(5)]
    assert timeline == [([], 2), ([], 2), ([0], 1), ([], 2), ([2], 1)]


def test_room_counts_the_rows_that_the_next_step_would_admit(small: Any, requests: list[Request]) -> None:
    decoder = Decoder(Gpt(small), slots=3, pages=16)
    assert (decoder.room, decoder.busy) == (3, False)
    decoder.submit(requests[0])
    decoder.submit(requests[1])
    assert (decoder.room, decoder.running, decoder.busy) == (1, 0, True)
    decoder.step()
    assert (decoder.room, decoder.running) == (1, 2)


def test_the_limit_cuts_and_says_so(small: Any, requests: list[Request], alone: dict[Any, Codes]) -> None:
    whole = max(alone.values(), key=lambda end: len(end.codes) * (not end.cut))
    for limit, cut in ((len(whole.codes), True), (len(whole.codes) + 1, False)):
        decoder = Decoder(Gpt(small), slots=1, pages=8)
        decoder.submit(replace(whole.request, sampling=replace(whole.request.sampling, limit=limit)))
        (end,) = _codes(_drain(decoder))
        assert (end.codes, end.cut) == (whole.codes, cut)


def test_a_row_ends_at_the_last_position_of_the_model(small: Any, requests: list[Request]) -> None:
    never = Gpt(small)
    never.stop = -5
    decoder = Decoder(never, slots=1, pages=12)
    decoder.submit(replace(requests[0], sampling=Sampling(greedy=True, limit=10_000)))
    (end,) = _codes(_drain(decoder))
    assert (len(end.codes), end.cut) == (never.max_codes, True)


def test_a_cleared_decoder_starts_afresh(small: Any, requests: list[Request], alone: dict[Any, Codes]) -> None:
    decoder = Decoder(Gpt(small), slots=2, pages=16)
    for request in requests[:4]:
        decoder.submit(request)
    for _ in range(3):
        decoder.step()
    decoder.clear()
    assert (decoder.busy, decoder.room, decoder.pages.free) == (False, 2, 16)
    decoder.submit(requests[5])
    assert _by_key(_drain(decoder)) == {5: alone[5]}


# --- when something runs out ------------------------------------------------------------------------------------------


def test_when_pages_run_out_the_youngest_starts_again(
    small: Any, requests: list[Request], alone: dict[Any, Codes]
) -> None:
    """Both start in a page of their own and outgrow it; the pool has one more."""
    older, younger = (replace(requests[4], key=key) for key in ("older", "younger"))
    gpt = Recording(small)
    decoder = Decoder(gpt, slots=2, pages=3)
    decoder.submit(older)
    decoder.submit(younger)
    ended = _codes(_drain(decoder))
    assert [end.request.key for end in ended] == ["older", "younger"]
    assert all(end.codes == alone[4].codes for end in ended)
    assert gpt.prefilled == [2, 1]


def test_a_new_row_waits_while_running_rows_may_need_its_pages(small: Any, requests: list[Request]) -> None:
    decoder = Decoder(Gpt(small), slots=4, pages=4)
    for request in requests[:4]:  # a page each, and one more for each that runs
        decoder.submit(request)
    decoder.step()
    assert decoder.running == 2


def test_out_of_memory_halves_the_rows_and_grows_back(small: Any, requests: list[Request]) -> None:
    """Given eight slots and a step that fails once with eight rows, four remain; one more is tried for every 16 rows
    that end well."""
    gpt = Tight(small, failing={1})
    decoder = Decoder(gpt, slots=8, pages=64)
    for number in range(100):
        decoder.submit(replace(requests[number % 8], key=number, sampling=Sampling(limit=2, seed=number)))
    assert len(_codes(_drain(decoder))) == 100
    failed, *after = gpt.stepped
    assert (failed, after[0]) == (8, 4)
    peaks = [rows for index, rows in enumerate(after) if rows > max(after[:index], default=0)]
    assert peaks == [4, 5, 6, 7, 8]


def test_rows_in_prefill_at_out_of_memory_wait_in_their_order(small: Any, requests: list[Request]) -> None:
    decoder = Decoder(Tight(small, failing={0}), slots=4, pages=32)
    for request in requests[:4]:
        decoder.submit(request)
    decoder.step()
    assert [row.request.key for row in decoder._running] == [0, 1]
    assert [request.key for request in decoder._waiting] == [2, 3]


def test_a_row_too_large_for_memory_is_a_fault_and_the_next_row_runs(
    small: Any, requests: list[Request], alone: dict[Any, Codes]
) -> None:
    decoder = Decoder(Tight(small, failing={0}, even_alone=True), slots=1, pages=8)
    decoder.submit(requests[2])
    decoder.submit(requests[3])
    fault, codes = _drain(decoder)
    assert isinstance(fault, Fault)
    assert (fault.key, fault.error.partition(":")[0]) == (2, "out of memory with this row alone, of 15 positions")
    assert codes == alone[3]


def test_a_prompt_larger_than_the_pool_is_a_fault(small: Any, requests: list[Request], alone: dict[Any, Codes]) -> None:
    decoder = Decoder(Gpt(small), slots=2, pages=2)
    decoder.submit(requests[11])
    decoder.submit(requests[0])
    fault, codes = _drain(decoder)
    assert fault == Fault(11, "the decoder has room for 64 positions in all, and this row alone needs 70")
    assert codes == alone[0]


def test_a_row_that_outgrows_the_whole_pool_is_a_fault(small: Any, requests: list[Request]) -> None:
    never = Gpt(small)
    never.stop = -5
    decoder = Decoder(never, slots=2, pages=1)
    decoder.submit(replace(requests[0], sampling=Sampling(limit=100)))
    assert _drain(decoder) == [Fault(0, "the decoder has room for 32 positions in all, and this row alone needs 33")]
    assert decoder.pages.free == 1


# --- when something is wrong ------------------------------------------------------------------------------------------


def test_a_prompt_of_nan_is_a_fault_and_spares_other_rows(
    small: Any, requests: list[Request], alone: dict[Any, Codes]
) -> None:
    """Its pages, full of NaN, go to the next that needs some."""
    decoder = Decoder(Gpt(small), slots=3, pages=12)
    decoder.submit(requests[5])
    decoder.submit(Request("broken", torch.full((70, 64), torch.nan), Sampling()))
    for request in requests[6:]:
        decoder.submit(request)
    ended = _drain(decoder)
    faults = [end for end in ended if isinstance(end, Fault)]
    assert faults == [Fault("broken", "the decoder computed NaN or infinity after 0 codes")]
    assert _by_key([end for end in ended if end not in faults]) == {key: alone[key] for key in range(5, 12)}


def test_the_start_code_among_the_codes_is_a_fault(small: Any, requests: list[Request]) -> None:
    decoder = Decoder(Eager(small), slots=1, pages=8)
    decoder.submit(requests[0])
    (fault,) = _drain(decoder)
    assert isinstance(fault, Fault)
    assert fault.error.startswith("the decoder drew its start code after 0 codes")


def test_invalid_parameters_are_a_fault_at_the_next_step(small: Any, requests: list[Request]) -> None:
    decoder = Decoder(Gpt(small), slots=1, pages=8)
    decoder.submit(replace(requests[0], sampling=Sampling(temperature=0)))
    assert decoder.busy
    (fault,) = decoder.step()
    assert isinstance(fault, Fault)
    assert fault.error.startswith("temperature must be above 0")
    assert not decoder.busy


def test_a_poisoned_context_is_raised(small: Any, requests: list[Request]) -> None:
    decoder = Decoder(Poisoned(small), slots=2, pages=8)
    decoder.submit(requests[0])
    with pytest.raises(RuntimeError, match="device-side assert"):
        decoder.step()


@pytest.mark.parametrize("given", [{}, {"pages": 4, "bytes": 4096}])
def test_the_pool_is_given_in_pages_or_in_bytes(small: Any, given: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="one of the two"):
        Decoder(Gpt(small), slots=1, **given)


def test_a_pool_in_bytes_holds_the_pages_that_fit(small: Any) -> None:
    page = 2 * 2 * PAGE * 64 * 4  # K and V, layers, positions, width, bytes
    assert Decoder(Gpt(small), slots=1, bytes=3 * page + 1).pages.count == 3
    with pytest.raises(Misconfigured, match=f"takes {page} bytes, and the decoder was given 100"):
        Decoder(Gpt(small), slots=1, bytes=100)


# --- compiled ---------------------------------------------------------------------------------------------------------


def test_a_compiled_step_over_padded_batches_gives_the_same_codes(
    small: Any, requests: list[Request], alone: dict[Any, Codes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced and functionalised as for a GPU, and then run by PyTorch instead of generated code, which takes minutes to
    make."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    shapes = set()
    decoder = Decoder(Gpt(small), slots=5, pages=24, compile=True)
    advance = decoder._advance

    def spy(codes: Tensor, count: Tensor, lengths: Tensor, tables: Tensor) -> Tensor:
        shapes.add(tuple(tables.shape))
        return advance(codes, count, lengths, tables)

    decoder._advance = spy
    for request in requests:
        decoder.submit(request)
    assert _by_key(_drain(decoder)) == alone
    assert {rows for rows, _ in shapes} <= {2, 4, 8}
    assert {width for _, width in shapes} <= {2, 4}


def test_without_a_compiler_the_error_asks_to_install_one(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise RuntimeError("No working C++ compiler found\nin a long story")

    monkeypatch.setattr(torch, "compile", fail)
    with pytest.raises(Misconfigured, match=r"\(No working C\+\+ compiler found\); install a C\+\+ compiler"):
        Decoder(Gpt(small), slots=1, pages=4, compile=True)


# --- doubles of the real forward --------------------------------------------------------------------------------------


class Recording(Gpt):
    """Notes how many rows it was given at a time."""

    def __init__(self, unified_voice: Any) -> None:
        super().__init__(unified_voice)
        self.prefilled: list[int] = []
        self.stepped: list[int] = []

    def prefill(self, prompts: Sequence[Tensor], pages: Pages, slots: Sequence[int]) -> Tensor:
        self.prefilled.append(len(prompts))
        return super().prefill(prompts, pages, slots)

    def step(self, codes: Tensor, count: Tensor, pages: Pages, attend: Attend) -> Tensor:
        self.stepped.append(len(codes))
        return super().step(codes, count, pages, attend)


class Tight(Recording):
    """Runs out of memory in the calls of given numbers, after it has written K and V; of a single row only if asked."""

    def __init__(self, unified_voice: Any, failing: set[int], *, even_alone: bool = False) -> None:
        super().__init__(unified_voice)
        self._failing, self._least = failing, 1 if even_alone else 2

    def prefill(self, prompts: Sequence[Tensor], pages: Pages, slots: Sequence[int]) -> Tensor:
        return self._or_fail(super().prefill(prompts, pages, slots))

    def step(self, codes: Tensor, count: Tensor, pages: Pages, attend: Attend) -> Tensor:
        return self._or_fail(super().step(codes, count, pages, attend))

    def _or_fail(self, logits: Tensor) -> Tensor:
        if len(self.prefilled) + len(self.stepped) - 1 in self._failing and len(logits) >= self._least:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return logits


class Poisoned(Gpt):
    def prefill(self, prompts: Sequence[Tensor], pages: Pages, slots: Sequence[int]) -> Tensor:
        raise RuntimeError("CUDA error: device-side assert triggered")


class Eager(Gpt):
    """Can't wait to start."""

    def prefill(self, prompts: Sequence[Tensor], pages: Pages, slots: Sequence[int]) -> Tensor:
        logits = super().prefill(prompts, pages, slots)
        logits[:, self.start] = 1e9
        return logits


def _drain(decoder: Decoder) -> list[Codes | Fault]:
    ended: list[Codes | Fault] = []
    for _ in range(5000):
        if not decoder.busy:
            return ended
        ended += decoder.step()
    raise AssertionError("the decoder goes on for ever")


def _codes(ended: Sequence[Codes | Fault]) -> list[Codes]:
    assert all(isinstance(end, Codes) for end in ended), ended
    return [end for end in ended if isinstance(end, Codes)]


def _by_key(ended: Sequence[Codes | Fault]) -> dict[Any, Codes]:
    assert len({end.request.key for end in _codes(ended)}) == len(ended)
    return {end.request.key: end for end in _codes(ended)}

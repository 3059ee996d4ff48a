"""Decoding on slots: the package's codes, whoever shares the batch, whenever they came, and whatever ran out."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.counting import counted, no_host_sync
from farm.errors import Misconfigured
from tests.indextts.generation import generate, small_voice, utterances
from tests.indextts.tape import Tape, address, tensors_of
from worker.engines.indextts.decode.batch import Batch
from worker.engines.indextts.decode.decoder import Decoder
from worker.engines.indextts.decode.gpt import Gpt
from worker.engines.indextts.decode.graph import Record, Work
from worker.engines.indextts.decode.kv import Attend, Attention, FlashAttention, Pages, SdpaAttention, TorchAttention
from worker.engines.indextts.decode.step import advance
from worker.engines.indextts.shapes import Codes, Fault, Request, Sampling

PAGE = 32  # positions, of the attention that runs here


def launched(work: Work) -> Work:
    """In place of a recording: steps of all slots, one behind, kernel by kernel."""
    return work


# How a decoder runs: as on a CPU, as on a GPU without CUDA graphs, and as with them.
MODES: dict[str, Callable[[], Record | None]] = {"cpu": lambda: None, "launched": lambda: launched, "replayed": Tape}
any_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
Mode = Callable[[], Record | None]

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


@any_mode
def test_rows_of_different_parameters_share_a_batch_and_get_the_packages_codes(small: Any, mode: Mode) -> None:
    samplings = [
        replace(one, seed=one.seed + index, limit=limit)
        for index, (one, limit) in enumerate(((WIDELY, 60), (GREEDY, 30), (SAMPLED, 9), (WIDELY, 40), (SAMPLED, 60)))
    ]
    _compare(small, Gpt(small), samplings, mode())


def _compare(unified_voice: Any, gpt: Gpt, samplings: Sequence[Sampling], record: Record | None = None) -> None:
    expected = [
        generate(unified_voice, utterance, sampling)
        for utterance, sampling in zip(utterances(unified_voice, len(samplings)), samplings, strict=True)
    ]
    assert len({tuple(row.codes) for row in expected}) == len(expected)
    decoder = Decoder(gpt, slots=3, pages=40, record=record)
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


def _any_company(modes: Sequence[str]) -> Any:
    return given(
        mode=st.sampled_from(modes),
        order=st.permutations(list(SEEDS)),
        gaps=st.lists(st.integers(0, 9), min_size=len(SEEDS), max_size=len(SEEDS)),
        slots=st.integers(1, 12),
        pages=st.integers(4, 24),
        failing=st.sets(st.integers(0, 120), max_size=5),
    )


@settings(deadline=None, max_examples=25)
@_any_company(["cpu", "launched"])
def test_any_company_any_order_and_any_shortage_give_the_same_codes(
    small: Any, requests: list[Request], alone: dict[Any, Codes], **drawn: Any
) -> None:
    """Requests join between any two steps; a pool of 4 pages holds the longest alone; memory runs out at random, but
    never under a row that has no neighbour to give way."""
    _in_company(small, requests, alone, **drawn)


@settings(deadline=None, max_examples=3)
@_any_company(["replayed"])
def test_any_company_any_order_and_any_shortage_replay_to_the_same_codes(
    small: Any, requests: list[Request], alone: dict[Any, Codes], **drawn: Any
) -> None:
    _in_company(small, requests, alone, **drawn)


def _in_company(
    small: Any, requests: list[Request], alone: dict[Any, Codes], mode: str, order: list[int], gaps: list[int],
    slots: int, pages: int, failing: set[int],
) -> None:  # fmt: skip
    gpt = Tight(small, failing)
    decoder = gpt.watches(Decoder(gpt, slots=slots, pages=pages, record=MODES[mode]()))
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


def test_one_step_behind_a_row_is_known_to_have_ended_when_the_next_step_runs(
    small: Any, requests: list[Request]
) -> None:
    short, long, newcomer = (replace(requests[i], sampling=Sampling(limit=n)) for i, n in ((0, 3), (1, 12), (2, 2)))
    decoder = Decoder(Gpt(small), slots=2, pages=16, record=launched)
    for request in (short, long, newcomer):
        decoder.submit(request)
    timeline = [([end.request.key for end in _codes(decoder.step())], decoder.running) for _ in range(7)]
    assert timeline == [([], 2), ([], 2), ([], 2), ([0], 1), ([], 2), ([], 2), ([2], 1)]


@any_mode
def test_the_limit_cuts_and_says_so(small: Any, requests: list[Request], alone: dict[Any, Codes], mode: Mode) -> None:
    whole = max(alone.values(), key=lambda end: len(end.codes) * (not end.cut))
    for limit, cut in ((len(whole.codes), True), (len(whole.codes) + 1, False)):
        decoder = Decoder(Gpt(small), slots=1, pages=8, record=mode())
        decoder.submit(replace(whole.request, sampling=replace(whole.request.sampling, limit=limit)))
        (end,) = _codes(_drain(decoder))
        assert (end.codes, end.cut) == (whole.codes, cut)


@any_mode
def test_a_row_ends_at_the_last_position_of_the_model(small: Any, requests: list[Request], mode: Mode) -> None:
    never = Gpt(small)
    never.stop = -5
    decoder = Decoder(never, slots=1, pages=12, record=mode())
    decoder.submit(replace(requests[0], sampling=Sampling(greedy=True, limit=10_000)))
    (end,) = _codes(_drain(decoder))
    assert (len(end.codes), end.cut) == (never.max_codes, True)


@any_mode
def test_a_cleared_decoder_starts_afresh(
    small: Any, requests: list[Request], alone: dict[Any, Codes], mode: Mode
) -> None:
    decoder = Decoder(Gpt(small), slots=2, pages=16, record=mode())
    for request in requests[:4]:
        decoder.submit(request)
    for _ in range(3):
        decoder.step()
    decoder.clear()
    assert (decoder.busy, decoder.running, decoder.pages.free) == (False, 0, 16)
    decoder.submit(requests[5])
    assert _by_key(_drain(decoder)) == {5: alone[5]}


# --- when something runs out ------------------------------------------------------------------------------------------


@any_mode
def test_when_pages_run_out_the_youngest_starts_again(
    small: Any, requests: list[Request], alone: dict[Any, Codes], mode: Mode
) -> None:
    """Both start in a page of their own and outgrow it; the pool has one more."""
    older, younger = (replace(requests[4], key=key) for key in ("older", "younger"))
    gpt = Recording(small)
    decoder = gpt.watches(Decoder(gpt, slots=2, pages=3, record=mode()))
    decoder.submit(older)
    decoder.submit(younger)
    ended = _codes(_drain(decoder))
    assert [end.request.key for end in ended] == ["older", "younger"]
    assert all(end.codes == alone[4].codes for end in ended)
    assert len(gpt.prefilled) == 3


@any_mode
def test_a_new_row_waits_while_running_rows_may_need_its_pages(small: Any, requests: list[Request], mode: Mode) -> None:
    decoder = Decoder(Gpt(small), slots=4, pages=4, record=mode())
    for request in requests[:4]:  # a page each, and one more for each that runs
        decoder.submit(request)
    decoder.step()
    assert decoder.running == 2


@pytest.mark.parametrize(("mode", "first"), [("cpu", 1), ("launched", 8)])
def test_out_of_memory_halves_the_rows_and_grows_back(
    small: Any, requests: list[Request], mode: str, first: int
) -> None:
    """Given eight slots and a step that fails once with eight rows, four remain; one more is tried for every 16 rows
    that end well. A recorded step asks for no memory."""
    gpt = Tight(small, failing={first})  # the first step, after prompts were read together or alone
    decoder = gpt.watches(Decoder(gpt, slots=8, pages=64, record=MODES[mode]()))
    for number in range(100):
        decoder.submit(replace(requests[number % 8], key=number, sampling=Sampling(limit=2, seed=number)))
    assert len(_codes(_drain(decoder))) == 100
    failed, *after = gpt.stepped
    assert (failed, after[0]) == (8, 4)
    peaks = [rows for index, rows in enumerate(after) if rows > max(after[:index], default=0)]
    assert peaks == [4, 5, 6, 7, 8]


def test_rows_in_prefill_at_out_of_memory_wait_in_their_order(small: Any, requests: list[Request]) -> None:
    gpt = Tight(small, failing={0})
    decoder = gpt.watches(Decoder(gpt, slots=4, pages=32))
    for request in requests[:4]:
        decoder.submit(request)
    decoder.step()
    assert [row.request.key for row in decoder._running] == [0, 1]
    assert [request.key for request in decoder._waiting] == [2, 3]


def test_a_row_too_large_for_memory_is_a_fault_and_the_next_row_runs(
    small: Any, requests: list[Request], alone: dict[Any, Codes]
) -> None:
    gpt = Tight(small, failing={0}, even_alone=True)
    decoder = gpt.watches(Decoder(gpt, slots=1, pages=8))
    decoder.submit(requests[2])
    decoder.submit(requests[3])
    fault, codes = _drain(decoder)
    assert isinstance(fault, Fault)
    assert (fault.key, fault.error.partition(":")[0]) == (2, "out of memory with this row alone, of 15 positions")
    assert codes == alone[3]


@any_mode
def test_a_prompt_larger_than_the_pool_is_a_fault(
    small: Any, requests: list[Request], alone: dict[Any, Codes], mode: Mode
) -> None:
    decoder = Decoder(Gpt(small), slots=2, pages=2, record=mode())
    decoder.submit(requests[11])
    decoder.submit(requests[0])
    fault, codes = _drain(decoder)
    assert fault == Fault(11, "the decoder has room for 64 positions in all, and this row alone needs 70")
    assert codes == alone[0]


def test_a_prompt_longer_than_any_of_the_model_is_a_fault(small: Any) -> None:
    decoder = Decoder(Gpt(small), slots=2, pages=200)
    decoder.submit(Request("endless", torch.zeros(1024, 64), Sampling()))
    assert _drain(decoder) == [Fault("endless", "the decoder reads prompts of up to 1023 rows, and this one has 1024")]


@any_mode
def test_a_row_that_outgrows_the_whole_pool_is_a_fault(small: Any, requests: list[Request], mode: Mode) -> None:
    never = Gpt(small)
    never.stop = -5
    decoder = Decoder(never, slots=2, pages=1, record=mode())
    decoder.submit(replace(requests[0], sampling=Sampling(limit=100)))
    assert _drain(decoder) == [Fault(0, "the decoder has room for 32 positions in all, and this row alone needs 33")]
    assert decoder.pages.free == 1


@any_mode
def test_a_row_whose_last_code_fills_the_pool_has_ended_and_is_no_fault(
    small: Any, requests: list[Request], mode: Mode
) -> None:
    """One step behind, the decoder asks for one more position before it knows."""
    never = Gpt(small)
    never.stop = -5
    decoder = Decoder(never, slots=2, pages=1, record=mode())
    decoder.submit(replace(requests[0], sampling=Sampling(limit=PAGE - len(requests[0].prompt))))
    (end,) = _codes(_drain(decoder))
    assert (len(end.codes), end.cut) == (29, True)


# --- when something is wrong ------------------------------------------------------------------------------------------


@any_mode
def test_a_prompt_of_nan_is_a_fault_and_spares_other_rows(
    small: Any, requests: list[Request], alone: dict[Any, Codes], mode: Mode
) -> None:
    """Its pages, full of NaN, go to the next that needs some."""
    decoder = Decoder(Gpt(small), slots=3, pages=12, record=mode())
    decoder.submit(requests[5])
    decoder.submit(Request("broken", torch.full((70, 64), torch.nan), Sampling()))
    for request in requests[6:]:
        decoder.submit(request)
    ended = _drain(decoder)
    faults = [end for end in ended if isinstance(end, Fault)]
    assert faults == [Fault("broken", "the decoder computed NaN or infinity after 0 codes", unexplained=True)]
    assert _by_key([end for end in ended if end not in faults]) == {key: alone[key] for key in range(5, 12)}


@any_mode
def test_nan_in_the_step_that_a_row_no_longer_needed_reaches_no_other_row(
    small: Any, requests: list[Request], alone: dict[Any, Codes], mode: Mode
) -> None:
    """Each row leaves its pages to the next, which attends over all of them."""
    decoder = Decoder(BrokenBehindTheStop(small), slots=1, pages=4, record=mode())
    for request in requests:
        decoder.submit(request)
    assert _by_key(_drain(decoder)) == alone


@any_mode
def test_the_start_code_among_the_codes_is_a_fault(small: Any, requests: list[Request], mode: Mode) -> None:
    decoder = Decoder(Eager(small), slots=1, pages=8, record=mode())
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


# --- fixed rows, and their recording ----------------------------------------------------------------------------------


def test_with_all_slots_in_each_step_the_logits_of_a_row_are_the_same_to_the_bit(
    small: Any, requests: list[Request]
) -> None:
    """Alone, and in the company of five, in another slot, begun at another time. All have as many pages."""

    def logits(company: Sequence[Request], last: Request) -> list[Tensor]:
        gpt = Spying(small)
        decoder = Decoder(gpt, slots=6, pages=24, record=launched)
        gpt.decoder = decoder
        for request in company:
            decoder.submit(request)
            decoder.step()
        decoder.submit(last)
        while not gpt.logits or len(gpt.logits) < 12:
            decoder.step()
        return gpt.logits[:12]

    greedy = [replace(request, sampling=Sampling(greedy=True, limit=40)) for request in requests]
    longer = [request for request in greedy if PAGE < len(request.prompt) < 2 * PAGE - 14]
    watched = replace(longer[0], key="watched")
    alone, beside = logits([], watched), logits(longer[1:], watched)
    assert len(longer) > 1
    assert all(torch.equal(one, other) for one, other in zip(alone, beside, strict=True))


def test_a_replay_reads_and_writes_the_same_static_memory_from_any_thread_over_three_drains(
    small: Any, requests: list[Request], alone: dict[Any, Codes]
) -> None:
    gpt, tape = Gpt(small), Tape()
    decoder = Decoder(gpt, slots=4, pages=24, record=tape)
    static = [*decoder._batch.tensors(), *decoder._entry.tensors(), *decoder.pages.keys, *decoder.pages.values]
    places = [address(tensor) for tensor in static]
    assert tape.outside <= {*places, *map(address, tensors_of(gpt))}

    def drain(sent: Sequence[Request], ended: list[Codes | Fault]) -> None:
        for request in sent:
            decoder.submit(request)
        ended.extend(_drain(decoder))

    for first in range(0, 9, 3):
        ended: list[Codes | Fault] = []
        before = tape.replays
        thread = threading.Thread(target=drain, args=(requests[first:], ended))
        thread.start()
        thread.join()
        assert _by_key(ended) == {key: codes for key, codes in alone.items() if key >= first}
        assert tape.replays - before > max(len(codes.codes) for codes in alone.values())
    assert [address(tensor) for tensor in static] == places


def test_the_tape_notices_a_step_that_is_not_the_recorded_one(small: Any, requests: list[Request]) -> None:
    decoder = Decoder(Gpt(small), slots=2, pages=8, record=Tape())
    decoder.submit(requests[0])
    decoder.step()
    object.__setattr__(decoder._batch.parameters, "penalty", decoder._batch.parameters.penalty.clone())
    decoder.step()  # a recording holds on to its memory
    decoder._gpt._head = decoder._gpt._head.clone()
    with pytest.raises(AssertionError, match="a graph would go on as it was recorded"):
        decoder.step()


def test_without_its_graphs_the_same_rows_go_on_to_the_same_codes(
    small: Any, requests: list[Request], alone: dict[Any, Codes]
) -> None:
    tape = Tape()
    decoder = Decoder(Gpt(small), slots=4, pages=24, record=tape)
    for request in requests:
        decoder.submit(request)
    ended = [end for _ in range(9) for end in decoder.step()]
    assert decoder.graphs
    before = tape.replays
    with decoder.eagerly():
        assert not decoder.graphs
        assert _by_key([*ended, *_drain(decoder)]) == alone
    assert (tape.replays, decoder.graphs) == (before, True)


def test_a_row_that_needs_the_whole_vocabulary_is_stepped_without_a_graph_and_the_next_ones_with(
    small: Any, requests: list[Request]
) -> None:
    """Of the same codes: top-k off, and top-k of all codes but none."""
    wide = [replace(one, sampling=replace(one.sampling, top_k=0, greedy=False)) for one in requests[:3]]
    expected = {}
    for request in wide:
        decoder = Decoder(Gpt(small), slots=1, pages=8)
        decoder.submit(request)
        expected |= _by_key(_drain(decoder))
    tape = Tape()
    decoder = Decoder(Gpt(small), slots=2, pages=16, record=tape)
    for request in wide:
        decoder.submit(request)
    assert _by_key(_drain(decoder)) == expected
    assert tape.replays == 0
    decoder.submit(requests[4])
    _drain(decoder)
    assert tape.replays > 5


def test_prompts_are_read_alone_and_in_few_lengths_where_steps_have_all_slots(
    small: Any, requests: list[Request]
) -> None:
    gpt = Recording(small)
    decoder = Decoder(gpt, slots=12, pages=80, record=launched)
    gpt.prefilled.clear()
    for request in requests:
        decoder.submit(replace(request, sampling=Sampling(limit=1)))
    _drain(decoder)
    assert sorted(gpt.prefilled) == [-(-(len(request.prompt) + 1) // 32) * 32 for request in requests]


def test_a_recording_that_fails_is_told_and_the_decode_goes_on_without(
    small: Any, requests: list[Request], alone: dict[Any, Codes], caplog: pytest.LogCaptureFixture
) -> None:
    def fails(work: Work) -> Work:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nCUDA kernel errors might")

    with pytest.raises(Misconfigured, match=r"can't be recorded as CUDA graphs \(CUDA error: operation not permitted"):
        Decoder(Gpt(small), slots=2, pages=8, graph="on", record=fails)
    decoder = Decoder(Gpt(small), slots=2, pages=8, record=fails)
    assert "goes on without CUDA graphs" in caplog.text
    decoder.submit(requests[3])
    assert _by_key(_drain(decoder)) == {3: alone[3]}


def test_what_spoiled_a_recording_is_named_and_not_its_end(small: Any, caplog: pytest.LogCaptureFixture) -> None:
    """As torch.cuda.graph raises it: where its body has failed, its end fails too."""

    def fails(work: Work) -> Work:
        try:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        finally:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")

    Decoder(Gpt(small), slots=2, pages=8, record=fails)
    assert "they can't be recorded (CUDA error: operation not permitted when stream is capturing)" in caplog.text


def test_a_recording_that_loses_the_device_ends_the_start_and_names_the_setting(small: Any) -> None:
    def loses(work: Work) -> Work:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(Misconfigured, match=r"illegal memory access.*let FARM_INDEXTTS_GRAPH say off"):
        Decoder(Gpt(small), slots=2, pages=8, record=loses)


def test_graphs_that_must_be_are_refused_on_a_cpu(small: Any) -> None:
    with pytest.raises(Misconfigured, match="CUDA graphs need an NVIDIA GPU, and this is cpu; say auto or off"):
        Decoder(Gpt(small), slots=2, pages=8, graph="on")


# --- what a step asks of a GPU, counted at full size on tensors without data ------------------------------------------

# Launches, GB and TFLOP at most, of a step of 64 rows of 512 positions in half precision. Before, with the sort of the
# vocabulary and random numbers made in each step: some 340 by flash, 435 by sdpa. flash is a stand-in, one kernel.
BUDGETS = {"flash": (304, 1.3, 0.063), "torch": (362, 5.3, 0.063), "sdpa": (411, 13.4, 0.067)}


@pytest.mark.parametrize("name", BUDGETS)
def test_a_step_keeps_its_budget_of_launches_bytes_and_operations(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gpt, pages, attention, batch = _full_size(name, monkeypatch)
    with counted() as cost, torch.inference_mode():
        advance(gpt, pages, attention, batch, narrow=True)
    launches = cost.launches + (gpt.layers if name == "flash" else 0)  # its stand-in has no kernel
    assert not {"scalar_tensor", "lift_fresh"} & cost.by_operator.keys(), (
        "a number of the host, which a graph can't copy"
    )
    most, gigabytes, teraflops = BUDGETS[name]
    assert most - 10 < launches <= most, cost.table()
    assert cost.bytes / 1e9 <= gigabytes, cost.table()
    assert cost.flops / 1e12 <= teraflops, cost.table()


@pytest.mark.parametrize("name", BUDGETS)
def test_nothing_waits_for_the_device_within_a_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gpt, pages, attention, batch = _full_size(name, monkeypatch)
    with no_host_sync(), torch.inference_mode():
        advance(gpt, pages, attention, batch, narrow=True)
        advance(gpt, pages, attention, batch, narrow=False)


def _full_size(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Gpt, Pages, Attention, Batch]:
    """The released GPT, without data: 24 layers, 1280 wide, 20 heads, 8194 codes."""
    attention: Attention = SdpaAttention()
    if name == "flash":
        double = SimpleNamespace(flash_attn_with_kvcache=lambda query, *given, **named: torch.empty_like(query))
        monkeypatch.setitem(sys.modules, "flash_attn", double)
        attention = FlashAttention()
    elif name == "torch":
        attention = TorchAttention()
    layers, width, heads, vocabulary, meta = 24, 1280, 20, 8194, torch.device("meta")

    def empty(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.float16, device=meta)

    shapes = {"ln_1": 1, "attn.c_attn": 3, "attn.c_proj": 1, "ln_2": 1, "mlp.c_fc": 4, "mlp.c_proj": 1}
    state = {"ln_f.weight": empty(width), "ln_f.bias": empty(width)}
    for layer in range(layers):
        for part, times in shapes.items():
            inputs = [4 * width] if part == "mlp.c_proj" else [width] if "ln" not in part else []
            state[f"h.{layer}.{part}.weight"] = empty(*inputs, times * width)
            state[f"h.{layer}.{part}.bias"] = empty(times * width)
    gpt = Gpt(
        SimpleNamespace(
            gpt=SimpleNamespace(state_dict=lambda: state), layers=layers, heads=heads,
            start_mel_token=8192, stop_mel_token=8193,
            final_norm=SimpleNamespace(weight=empty(width), bias=empty(width)),
            mel_head=SimpleNamespace(weight=empty(vocabulary, width), bias=empty(vocabulary)),
            mel_embedding=SimpleNamespace(weight=empty(vocabulary, width)),
            mel_pos_embedding=SimpleNamespace(emb=SimpleNamespace(weight=empty(1817, width))),
        )  # type: ignore[arg-type]
    )  # fmt: skip
    held = 512 // attention.page
    pages = Pages(
        64 * held - 1, attention.page, layers=layers, heads=heads, width=width // heads, dtype=gpt.dtype, device=meta
    )
    batch = Batch.empty(64, 3072 // attention.page, vocabulary, gpt.max_codes + 1, meta)
    return gpt, pages, attention, batch.first(64, held if attention.gathers else 3072 // attention.page)


# --- on a GPU ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("graph", ["on", "off"])
def test_on_a_gpu_the_codes_are_the_same_in_any_company(
    dtype: torch.dtype, graph: Any, requests: list[Request]
) -> None:
    gpt = Gpt(small_voice().to("cuda", dtype))
    there = [replace(request, prompt=request.prompt.cuda()) for request in requests]
    expected: dict[Any, Codes] = {}
    for request in there:
        decoder = Decoder(gpt, slots=12, pages=40, graph=graph)
        decoder.submit(request)
        expected |= _by_key(_drain(decoder))
    decoder = Decoder(gpt, slots=12, pages=40, graph=graph)
    assert decoder.graphs is (graph == "on")
    ended: list[Codes | Fault] = []

    def drain(sent: Sequence[Request]) -> None:
        for request in sent:
            decoder.submit(request)
            ended.extend(decoder.step())
        ended.extend(_drain(decoder))

    for sent in (there[:5], there[5:]):  # each in a thread of its own
        thread = threading.Thread(target=drain, args=(sent,))
        thread.start()
        thread.join()
    assert {key: end.codes for key, end in _by_key(ended).items()} == {key: end.codes for key, end in expected.items()}


# --- doubles of the real forward --------------------------------------------------------------------------------------


class Recording(Gpt):
    """Notes how long the sequences were that it read, and how many rows ran when it made a step."""

    def __init__(self, unified_voice: Any) -> None:
        super().__init__(unified_voice)
        self.prefilled: list[int] = []
        self.stepped: list[int] = []
        self.calls = 0
        self.decoder: Decoder | None = None

    def watches(self, decoder: Decoder) -> Decoder:
        """From now on, and not what is done when the decoder is made."""
        self.decoder = decoder
        self.prefilled, self.stepped, self.calls = [], [], 0
        return decoder

    def prefill(self, states: Tensor, last: Tensor, places: Tensor, pages: Pages) -> Tensor:
        self.calls += 1
        self.prefilled += [states.shape[1]] * len(states)
        return super().prefill(states, last, places, pages)

    def step(self, codes: Tensor, count: Tensor, pages: Pages, attend: Attend) -> Tensor:
        self.calls += 1
        self.stepped.append(self.decoder.running if self.decoder else 0)
        return super().step(codes, count, pages, attend)


class Tight(Recording):
    """Runs out of memory in the calls of given numbers, after it has written K and V; with a single row only if
    asked."""

    def __init__(self, unified_voice: Any, failing: set[int], *, even_alone: bool = False) -> None:
        super().__init__(unified_voice)
        self._failing, self._least = failing, 1 if even_alone else 2

    def prefill(self, states: Tensor, last: Tensor, places: Tensor, pages: Pages) -> Tensor:
        return self._or_fail(super().prefill(states, last, places, pages))

    def step(self, codes: Tensor, count: Tensor, pages: Pages, attend: Attend) -> Tensor:
        return self._or_fail(super().step(codes, count, pages, attend))

    def _or_fail(self, logits: Tensor) -> Tensor:
        if self.decoder is not None and self.calls - 1 in self._failing and self.decoder.running >= self._least:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return logits


class Spying(Gpt):
    """Keeps the logits of the row that is watched."""

    def __init__(self, unified_voice: Any) -> None:
        super().__init__(unified_voice)
        self.logits: list[Tensor] = []
        self.decoder: Decoder | None = None

    def step(self, codes: Tensor, count: Tensor, pages: Pages, attend: Attend) -> Tensor:
        logits = super().step(codes, count, pages, attend)
        if self.decoder:
            self.logits += [logits[row.slot] for row in self.decoder._running if row.request.key == "watched"]
        return logits


class BrokenBehindTheStop(Gpt):
    """Makes NaN of the value that follows a stop code."""

    def step(self, codes: Tensor, count: Tensor, pages: Pages, attend: Attend) -> Tensor:
        stopped = (codes == self.stop)[:, None, None, None]

        def broken(query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            return attend(query, key, value.masked_fill(stopped, torch.nan), keys, values)

        return super().step(codes, count, pages, broken)


class Poisoned(Gpt):
    def prefill(self, states: Tensor, last: Tensor, places: Tensor, pages: Pages) -> Tensor:
        raise RuntimeError("CUDA error: device-side assert triggered")


class Eager(Gpt):
    """Can't wait to start."""

    def prefill(self, states: Tensor, last: Tensor, places: Tensor, pages: Pages) -> Tensor:
        logits = super().prefill(states, last, places, pages)
        logits[:, self.start].fill_(1e9)
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

"""The examination at a GPU's start, on a CPU: each fault, put into the real stage by a wrapper, costs that way and is
said; a sound engine keeps all its ways."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from farm.errors import Misconfigured
from worker.engines.indextts.adapter import BaseAdapter
from worker.engines.indextts.decode.decoder import Decoder
from worker.engines.indextts.decode.gpt import Gpt
from worker.engines.indextts.decode.graph import Record, Work
from worker.engines.indextts.decode.kv import Attend, SdpaAttention
from worker.engines.indextts.engine import IndexTTS
from worker.engines.indextts.examination import stages, start, warmth
from worker.engines.indextts.examination.comparison import EQUAL, NOT_FINITE, attention_ratio, signal_to_noise, worst
from worker.engines.indextts.examination.stages import graph_against_eager, sound_attention
from worker.engines.indextts.examination.start import begin
from worker.engines.indextts.examination.warmth import SENTENCES
from worker.engines.indextts.examination.ways import BOUNDS, Finding, Part, Ways, changes, next_best
from worker.engines.indextts.kernels.plain import PLAIN, Kernels, Plain
from worker.engines.indextts.load.factory import Options, assemble
from worker.engines.indextts.shapes import Network, Precisions, Sampling

CPU = torch.device("cpu")

# --- comparison -------------------------------------------------------------------------------------------------------


def test_a_tenth_of_the_error_is_20_decibels_more() -> None:
    exact = torch.ones(100)
    assert signal_to_noise(exact * 1.1, exact) == pytest.approx(20, abs=0.01)
    assert signal_to_noise(exact * 1.01, exact) == pytest.approx(40, abs=0.01)
    assert signal_to_noise(exact, exact) == EQUAL


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_a_number_that_is_none_is_as_wrong_as_can_be(wrong: float) -> None:
    assert signal_to_noise(torch.tensor([1.0, wrong]), torch.ones(2)) == NOT_FINITE
    assert signal_to_noise(torch.ones(2), torch.tensor([1.0, wrong])) == NOT_FINITE


def test_the_worst_item_counts_and_one_of_another_length_is_wrong() -> None:
    exact = [torch.ones(10), torch.ones(20)]
    assert worst([exact[0], exact[1] * 1.1], exact) == pytest.approx(20, abs=0.01)
    assert worst([exact[0], exact[0]], exact) == NOT_FINITE


# --- attention --------------------------------------------------------------------------------------------------------


class Wrong(SdpaAttention):
    """The real one, with a fault of its own."""

    def __init__(self, fault: Callable[..., Tensor], name: str = "flash", page: int = 4) -> None:
        super().__init__(page)
        self.name = name
        self._fault = fault

    def over(self, tables: Tensor, lengths: Tensor) -> Attend:
        def attend(*given: Tensor) -> Tensor:
            return self._fault(super(Wrong, self).over, tables, lengths, *given)

        return attend


def garbage(over: Any, tables: Tensor, lengths: Tensor, *given: Tensor) -> Tensor:
    return torch.randn_like(over(tables, lengths)(*given))


def without_the_newest(over: Any, tables: Tensor, lengths: Tensor, *given: Tensor) -> Tensor:
    return over(tables, (lengths - 1).clamp(min=0))(*given)  # type: ignore[no-any-return]


def one_page_for_another(over: Any, tables: Tensor, lengths: Tensor, *given: Tensor) -> Tensor:
    return over(tables.flip(0), lengths)(*given)  # type: ignore[no-any-return]


def nothing_written(over: Any, tables: Tensor, lengths: Tensor, *given: Tensor) -> Tensor:
    query, key, value, keys, values = given
    return over(tables, lengths)(query, key, value, keys.clone(), values.clone())  # type: ignore[no-any-return]


def not_finite(over: Any, tables: Tensor, lengths: Tensor, *given: Tensor) -> Tensor:
    return over(tables, lengths)(*given) * torch.nan  # type: ignore[no-any-return]


def one_position_too_many_of_long_rows(over: Any, tables: Tensor, lengths: Tensor, *given: Tensor) -> Tensor:
    """A position of zeros would take 1 in 95 of a row away here, and 1 in 767 on a GPU: too little to be noticed."""
    attended: Tensor = over(tables, lengths)(*given)
    query, _, _, keys, values = given
    row, length = len(lengths) - 1, int(lengths[-1])
    held = [pool[tables[row].long()].flatten(0, 1)[: length + 2].transpose(0, 1) for pool in (keys, values)]
    attended[row] = scaled_dot_product_attention(query[row].transpose(0, 1), *held).transpose(0, 1)
    return attended


FAULTS = [
    garbage, without_the_newest, one_page_for_another, nothing_written, not_finite, one_position_too_many_of_long_rows,
]  # fmt: skip


def ratio(attention: SdpaAttention, dtype: torch.dtype = torch.float32) -> float:
    return attention_ratio(attention, heads=3, width=16, dtype=dtype, device=CPU)


@pytest.mark.parametrize(("dtype", "least"), [(torch.float32, 100), (torch.float16, 55), (torch.bfloat16, 40)], ids=str)
@pytest.mark.parametrize("page", [4, 32])
def test_a_right_attention_is_as_exact_as_its_type(dtype: torch.dtype, least: float, page: int) -> None:
    assert ratio(SdpaAttention(page), dtype) > least > BOUNDS[Part.ATTENTION]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_attention_is_noticed(fault: Callable[..., Tensor]) -> None:
    assert ratio(Wrong(fault, page=32)) < BOUNDS[Part.ATTENTION]


def settle(wanted: Any, kinds: dict[str, SdpaAttention]) -> tuple[str, list[Finding]]:
    def choose(name: str) -> SdpaAttention:
        if name not in kinds:
            raise Misconfigured(f"{name} attention can't be used")
        return kinds[name]

    return sound_attention(wanted, choose, heads=3, width=16, dtype=torch.float32, device=CPU)  # type: ignore[arg-type]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_next_attention_that_can_run_takes_the_place_of_a_wrong_one(fault: Callable[..., Tensor]) -> None:
    name, tried = settle("auto", {"auto": Wrong(fault), "sdpa": SdpaAttention(4)})
    assert name == "sdpa"
    assert [finding.sound for finding in tried] == [False, True]


def test_a_sound_attention_is_kept_and_no_other_is_tried() -> None:
    right = SdpaAttention(4)
    right.name = "flash"
    assert settle("auto", {"auto": right, "sdpa": Wrong(garbage, "sdpa")})[0] == "flash"


def test_an_attention_that_can_not_even_run_is_wrong() -> None:
    def refuses(*given: Any) -> Tensor:
        raise RuntimeError("FlashAttention only supports Ampere GPUs or newer.")

    assert settle("flash", {"flash": Wrong(refuses), "torch": SdpaAttention(4)})[0] == "sdpa"


@pytest.mark.parametrize("error", ["CUDA error: an illegal memory access was encountered", "CUDA out of memory"])
def test_a_lost_device_and_a_full_memory_say_nothing_about_the_attention(error: str) -> None:
    def loses(*given: Any) -> Tensor:
        raise (torch.OutOfMemoryError if "memory." not in error and "out of" in error else RuntimeError)(error)

    with pytest.raises(RuntimeError, match=error):
        settle("auto", {"auto": Wrong(loses), "sdpa": SdpaAttention(4)})


def test_a_gpu_on_which_no_attention_is_right_is_refused() -> None:
    with pytest.raises(Misconfigured, match="no attention computes right"):
        settle("auto", {"auto": Wrong(garbage), "torch": Wrong(garbage, "torch"), "sdpa": Wrong(garbage, "sdpa")})


# --- ways -------------------------------------------------------------------------------------------------------------


class Fused(Plain):
    name = "fused"


FUSED = Fused()
_PRECISIONS = st.sampled_from(["fp32", "tf32", "bf16", "fp16"])


@given(
    st.builds(
        Ways, st.just("sdpa"), st.sampled_from(["auto", "on", "off"]),
        st.builds(Precisions, gpt=st.just("fp16"), s2mel=_PRECISIONS, vocoder=_PRECISIONS),
        st.sampled_from([PLAIN, FUSED]),
    ),
    st.lists(st.sampled_from(Part), max_size=20),
)  # fmt: skip
def test_the_ways_come_to_an_end_whatever_is_found_wrong(ways: Ways, wrong: Sequence[Part]) -> None:
    changed = 0
    mixed = {"fp32", "tf32"} <= set(astuple(ways.precisions))
    for part in wrong:
        following = next_best(ways, part)
        if following is not None:
            assert following != ways
            assert changes(ways, following)
            ways, changed = following, changed + 1
    assert changed <= 4
    assert ({"fp32", "tf32"} <= set(astuple(ways.precisions))) == mixed, "TF32 is a switch of the whole process"


def test_codes_are_equal_or_not() -> None:
    assert graph_against_eager([[1, 2], [3]], [[1, 2], [3]]).sound
    assert not graph_against_eager([[1, 2], [3]], [[1, 2], [4]]).sound


# --- an engine at its start -------------------------------------------------------------------------------------------

HALVES = Precisions("fp16", "fp16", "fp16")  # of the GPT by name alone: here it computes in fp32
LIMIT = 10  # codes
Fault = Callable[[IndexTTS, Ways], None]


@dataclass
class Workshop:
    """Makes engines of the tiny network as the factory does, with a fault put into each."""

    network: Network
    fault: Fault = lambda engine, ways: None
    record: Record | None = None
    slots: int = 2  # as many sentences are examined, and fill a batch
    made: list[Ways] = field(default_factory=list)
    closed: list[IndexTTS] = field(default_factory=list)

    def assemble(self, network: Network, ways: Ways) -> IndexTTS:
        options = Options(
            slots=self.slots, steps=2, attention=ways.attention, sampling=Sampling(limit=LIMIT), kernels=ways.kernels
        )  # fmt: skip
        engine = assemble(network, "tiny", options)
        if self.record and ways.graph != "off":
            engine._decoder = Decoder(
                Gpt(network.gpt), slots=self.slots, pages=60, attention="sdpa", record=self.record
            )
        self.made.append(ways)
        self.fault(engine, ways)
        return engine

    def begin(
        self, precisions: Precisions = Precisions(), *, examined: bool = True, kernels: Kernels = PLAIN  # noqa: B008
    ) -> IndexTTS:  # fmt: skip
        network, wanted = replace(self.network, precisions=precisions), Ways("auto", "auto", precisions, kernels)
        engine = begin(network, wanted, self.assemble, examined=examined)
        engine.close()
        return engine


@pytest.fixture(scope="module")
def heard() -> list[Any]:
    return []


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch, heard: list[Any]) -> None:
    """Less to say, in the voice of a shorter chord, which one engine hears for all: that takes longer than to speak."""
    hear = BaseAdapter.voices

    def voices(adapter: BaseAdapter, references: Sequence[str]) -> list[Any]:
        if not heard:
            heard.extend(hear(adapter, references))
        return heard

    monkeypatch.setattr(BaseAdapter, "voices", voices)
    monkeypatch.setattr(warmth, "_CHORD_S", 0.7)
    monkeypatch.setattr(stages, "LIMIT", LIMIT)


def replayed(work: Work) -> Work:
    return work


def stale(work: Work) -> Work:
    """A graph of which one replay in seven does nothing."""
    turns = 0

    def replay() -> None:
        nonlocal turns
        turns += 1
        if turns % 7:
            work()

    return replay


def noisy(owner: object, method: str, share: float) -> None:
    work = getattr(owner, method)

    def wrapped(*given: Any) -> list[Tensor]:
        return [item + share * item.std() * torch.randn_like(item) for item in work(*given)]

    setattr(owner, method, wrapped)


def test_a_sound_engine_keeps_its_ways_and_says_what_was_found(
    network: Network, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    give_back, full_batch = start._give_back, start.full_batch
    monkeypatch.setattr(start, "_give_back", lambda *given: order.append("given back") or give_back(*given))
    monkeypatch.setattr(start, "full_batch", lambda *given: order.append("full batch") or full_batch(*given))
    with caplog.at_level(logging.WARNING):
        workshop = Workshop(network, record=replayed)
        facts = workshop.begin(HALVES).facts()
    assert len(workshop.made) == 1
    assert order == ["given back", "full batch"], "fp32 and its batches would stay reserved beside the engine"
    for part in ("attention sdpa", "graph equal", "flow fp16", "vocoder fp16"):
        assert part in facts["examined"]
    assert "fell back" not in facts
    assert "audio-s/s" in facts["warm"]
    assert all(stage in facts["warm"] for stage in ("gpt", "flow", "vocoder"))
    assert not caplog.records


def test_a_graph_that_gives_other_codes_is_left_for_the_eager_decode(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    workshop = Workshop(network, record=stale)
    facts = workshop.begin().facts()
    assert [ways.graph for ways in workshop.made] == ["auto", "off"]
    assert facts["fell back"] == "decode graph -> eager"
    assert "graph of other codes than eager" in caplog.text


def test_a_noisy_flow_in_half_precision_is_left_for_tf32_and_the_vocoder_is_not(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    def fault(engine: IndexTTS, ways: Ways) -> None:
        if ways.precisions.s2mel == "fp16":
            noisy(engine.parts.acoustic.usual.flow, "mels", 0.1)

    workshop = Workshop(network, fault)
    facts = workshop.begin(HALVES).facts()
    assert [ways.precisions for ways in workshop.made] == [HALVES, replace(HALVES, s2mel="tf32")]
    assert facts["fell back"] == "s2mel fp16 -> tf32"
    assert "s2mel tf32" in facts["precision"]
    assert "flow fp16 20 dB" in caplog.text


def test_a_vocoder_that_makes_no_numbers_in_half_precision_is_left_for_tf32(network: Network) -> None:
    def fault(engine: IndexTTS, ways: Ways) -> None:
        if ways.precisions.vocoder == "fp16":
            noisy(engine.parts.acoustic.usual.vocoder, "samples", torch.nan)

    assert Workshop(network, fault).begin(HALVES).facts()["fell back"] == "vocoder fp16 -> tf32"


def test_fused_kernels_that_are_wrong_are_left_before_a_precision_is(network: Network) -> None:
    def fault(engine: IndexTTS, ways: Ways) -> None:
        if ways.kernels is FUSED:
            noisy(engine.parts.acoustic.usual.flow, "mels", 0.1)

    facts = Workshop(network, fault).begin(HALVES, kernels=FUSED).facts()
    assert facts["fell back"] == "kernels fused -> torch"
    assert "flow fp16" in facts["examined"]


def test_fused_kernels_that_spoil_flow_and_vocoder_cost_neither_its_precision(network: Network) -> None:
    def fault(engine: IndexTTS, ways: Ways) -> None:
        if ways.kernels is FUSED:
            noisy(engine.parts.acoustic.usual.flow, "mels", 0.1)
            noisy(engine.parts.acoustic.usual.vocoder, "samples", torch.nan)

    assert Workshop(network, fault).begin(HALVES, kernels=FUSED).facts()["fell back"] == "kernels fused -> torch"


def test_an_engine_that_makes_no_numbers_in_any_precision_does_not_start(network: Network) -> None:
    def fault(engine: IndexTTS, ways: Ways) -> None:
        noisy(engine.parts.acoustic.usual.flow, "mels", torch.nan)

    with pytest.raises(Misconfigured, match="flow fp32 of numbers that are none, and there is no other way"):
        Workshop(network, fault).begin()


def test_less_than_it_should_be_in_the_last_precision_is_said_and_kept(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    def fault(engine: IndexTTS, ways: Ways) -> None:
        noisy(engine.parts.acoustic.usual.flow, "mels", 0.1)

    workshop = Workshop(network, fault)
    assert "flow fp32 20 dB" in workshop.begin().facts()["examined"]
    assert len(workshop.made) == 1
    assert "there is no other way" in caplog.text


def test_a_wrong_attention_is_left_before_an_engine_is_made(
    network: Network, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    choose = start.choose
    monkeypatch.setattr(
        start,
        "choose",
        lambda *given, **shape: Wrong(garbage, page=32) if given[2] == "auto" else choose(*given, **shape),
    )
    workshop = Workshop(network)
    facts = workshop.begin().facts()
    assert [ways.attention for ways in workshop.made] == ["sdpa"]
    assert facts["fell back"] == "attention flash -> sdpa"
    assert "so the decode runs on sdpa" in caplog.text


def test_an_engine_beside_which_nothing_fits_runs_and_says_that_it_was_not_examined(
    network: Network, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*given: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(start, "flow_against_alone", full)
    facts = Workshop(network).begin().facts()
    assert facts["examined"].endswith("no more for memory")
    assert "warm" in facts
    assert "runs unexamined" in caplog.text


@pytest.mark.parametrize(("taken_s", "slots", "rows"), [(2.0, 64, 64), (8.0, 64, 8), (8.0, 4, 4)])
def test_a_gpu_that_was_slow_to_examine_gets_a_smaller_batch(
    taken_s: float, slots: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it is to take 15 s at most."""
    monkeypatch.setattr(start.time, "monotonic", lambda: 100.0 + taken_s)
    engine: Any = SimpleNamespace(capacity=slots)
    assert start._rows(engine, 100.0) == rows


def test_a_start_that_is_not_examined_speaks_one_sentence(network: Network) -> None:
    workshop = Workshop(network)
    engine = workshop.begin(examined=False)
    assert "examined" not in engine.facts()
    assert float(engine.facts()["rows"].partition(" ")[0]) <= 1


def test_the_full_batch_fills_the_slots_and_leaves_the_stages_as_they_were(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Workshop(network, slots=4).begin()
    parts = engine.parts
    assert len(SENTENCES) >= 4
    for owner in (parts.decoder, parts.acoustic.usual.flow, parts.acoustic.usual.vocoder):
        assert not {"step", "mels", "samples"} & vars(owner).keys()
    assert float(engine.facts()["rows"].partition(" ")[0]) > 2  # of 4
    assert engine._sampling.limit == LIMIT

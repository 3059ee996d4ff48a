"""Every stage on a GPU that is imagined: no tensor of the CPU meets one of the GPU, and all results lie there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorDeviceMismatchError

from tests.indextts.imagined import GPU, imagined_gpu, on_gpu
from tests.indextts.tape import tensors_of
from worker.engines.indextts.decode import decoder as decoding
from worker.engines.indextts.decode.kv import Attention, SdpaAttention, TorchAttention
from worker.engines.indextts.kernels.plain import PLAIN
from worker.engines.indextts.load.factory import Options, assemble
from worker.engines.indextts.shapes import Codes, Fault, Network, Precisions, Request, Sampling
from worker.engines.indextts.sound import estimator, spans
from worker.engines.indextts.sound.regulator import regulate
from worker.engines.indextts.voice.spectra import AnalystHere

STOP_AFTER = 2  # codes


class Scripted:
    """In place of the codes' way to the host, because nobody has computed any: some equal ones, and the stop code."""

    stop = 0

    def __init__(self, depth: int, slots: int, device: torch.device) -> None:
        self._slots, self._steps = slots, 0

    def note(self, codes: Tensor) -> Scripted:
        assert codes.device == GPU
        assert codes.shape == (self._slots,)
        return self

    def wait(self) -> None: ...

    def read(self) -> list[int]:
        self._steps += 1
        return [self.stop if self._steps > STOP_AFTER else 5] * self._slots


@pytest.fixture
def gpu() -> Iterator[None]:
    with imagined_gpu(), torch.inference_mode():
        yield


@pytest.mark.timeout(300)  # 10 s of a core
def test_every_stage_runs_on_the_gpu_from_a_recording_to_samples(
    network: Network, references: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `auto` has them on a GPU, but for the choices by trial, which would look at numbers."""
    heard = AnalystHere(network.features).spectra(references[0], "voice")  # by libraries that want real numbers
    monkeypatch.setattr(AnalystHere, "spectra", lambda *given, **named: heard)
    monkeypatch.setattr(decoding, "Readback", Scripted)
    monkeypatch.setattr(Scripted, "stop", network.gpt.stop_mel_token)
    monkeypatch.setattr(decoding, "choose", lambda *given, **named: TorchAttention())
    packed = spans.Choice(spans.Packed("torch flash", spans.torch_flash))
    monkeypatch.setattr(estimator, "choose", lambda *given: packed)
    # which asks each voice whether its numbers are some
    monkeypatch.setattr("worker.engines.indextts.adapter.finite", lambda made, tensors: made)
    with imagined_gpu(), torch.inference_mode():
        there = on_gpu(network, Precisions("fp16", "fp16", "fp16"))
        there.semantic.encoder.layers = there.semantic.encoder.layers[:1]  # of 17 equal ones
        engine = assemble(there, "weights", Options(slots=2, steps=1, graph="off", kernels=PLAIN))
        adapter, decoder, sound = engine.parts.adapter, engine.parts.decoder, engine.parts.acoustic.usual
        (voice,) = adapter.voices(["one"])
        assert not isinstance(voice, Exception)
        assert {one.device for one in tensors_of(voice)} == {GPU}

        ids = [adapter.segments(text, "en").ids[0] for text in ("At last!", "Nobody had seen it go.")]
        prompts = adapter.prompts(ids, [voice] * 2, [voice.emotion] * 2, ["en"] * 2)
        for number, prompt in enumerate([*prompts, prompts[0]]):  # the last waits for a slot and has no narrow top-k
            decoder.submit(Request(number, prompt, Sampling(seed=number, top_k=30 if number < 2 else 0)))
        ended: list[Codes | Fault] = []
        while decoder.busy:
            ended += decoder.step()
        assert [type(end) for end in ended] == [Codes] * 3, ended

        contents = adapter.contents(prompts, [[5] * 8, [5] * 12])
        conditions = regulate(there.regulator, contents, [40, 53])
        mels = sound.flow.mels(conditions, [voice] * 2, [1, 2])
        waves = sound.vocoder.waves(mels)
        assert {one.device for one in (*contents, *conditions, *mels, waves)} == {GPU}
        assert [mel.shape for mel in mels] == [(80, 40), (80, 53)]
        assert waves.shape == (2, 53 * 256)
        engine.close()


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("attention", [TorchAttention(), SdpaAttention()], ids=lambda one: one.name)
def test_each_attention_of_the_decode_stays_on_the_gpu(attention: Attention) -> None:
    query, key, value = (torch.empty(3, 1, 2, 64, device=GPU, dtype=torch.float16) for _ in range(3))
    keys, values = (torch.empty(7, attention.page, 2, 64, device=GPU, dtype=torch.float16) for _ in range(2))
    tables, lengths = torch.ones(3, 2, dtype=torch.int32, device=GPU), torch.ones(3, dtype=torch.int32, device=GPU)
    attended = attention.over(tables, lengths)(query, key, value, keys, values)
    assert (attended.device, attended.shape) == (GPU, query.shape)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    "attention",
    [spans.PerItem(), *(spans.Packed(one.__name__, one) for one in (spans.torch_flash, spans.torch_efficient))],
    ids=lambda one: one.name,
)
def test_each_attention_of_the_flow_stays_on_the_gpu(attention: spans.Attention) -> None:
    given = torch.empty(2, 8, 3 * 2, 64, device=GPU, dtype=torch.float16).chunk(3, 2)
    heard = attention.over([(0, 5), (5, 8)], GPU)(*given)
    assert (heard.device, heard.shape) == (GPU, (2, 8, 2 * 64))


# --- what it notices --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("gpu")
def test_a_tensor_of_the_cpu_beside_one_of_the_gpu_is_noticed() -> None:
    there, here = torch.ones(3).to(GPU), torch.ones(3)
    assert (there + there).device == GPU
    for meet in (
        lambda: there + here,
        lambda: there.index_select(0, torch.tensor([1])),
        lambda: torch.cat([here, there]),
    ):
        with pytest.raises(FakeTensorDeviceMismatchError):
            meet()


@pytest.mark.usefixtures("gpu")
def test_a_look_at_a_number_is_noticed() -> None:
    there = torch.ones(3).to(GPU)
    for look in (lambda: there[0].item(), there.tolist, lambda: bool(there.isfinite().all())):
        with pytest.raises(DataDependentOutputException):
            look()


@pytest.mark.usefixtures("gpu")
def test_what_is_selected_and_set_on_the_gpu_has_the_shape_that_it_has_on_the_cpu() -> None:
    here = torch.arange(24.0).view(2, 3, 4)
    chosen, mask = torch.tensor([[0, 1], [1, 0]]), torch.tensor([True, False])
    for index in (
        0, slice(1), None, ..., (..., 1), (None, 0, slice(0, 3, 2)), [1, 0], chosen, (chosen, slice(None), 1),
        (slice(None), [0, 2]), mask.nonzero()[:, 0], (..., None), (chosen[:, :, None], slice(None), chosen[:, None]),
    ):  # fmt: skip
        there = here.to(GPU)
        assert there[index].shape == here[index].shape, index
        there[index] = 0.0
        there[index] = torch.ones_like(there[index])

"""The fused kernels, compiled by g++ over emulated threads, against PyTorch and against the package.

So their arithmetic, their indices and the tails of their rows run here. What a GPU adds is its own compiler, whose
machine code is read back, and nothing here runs it.
"""

from __future__ import annotations

import ctypes
import math
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from farm.errors import Misconfigured
from tests.indextts import pieces
from tests.indextts.pieces import FLOAT_NOISE, worst
from worker.engines.indextts.device_error import device_failed
from worker.engines.indextts.kernels import build
from worker.engines.indextts.kernels.choice import choose, examine
from worker.engines.indextts.kernels.fused import VERSION, Fused
from worker.engines.indextts.kernels.plain import PLAIN, Kernels, Plain
from worker.engines.indextts.load.factory import build as build_engine
from worker.engines.indextts.settings import IndexTTSSettings
from worker.engines.indextts.shapes import Network
from worker.engines.indextts.sound import vocoder
from worker.engines.indextts.sound.acoustic import Acoustic
from worker.engines.indextts.sound.flow import Flow
from worker.engines.indextts.sound.regulator import regulate
from worker.engines.indextts.sound.vocoder import Vocoder

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
# Half a unit in the last place of the result, and a little for the two orders of summing in fp32.
ROUNDING = {torch.float32: 2e-6, torch.float16: 2**-11 * 1.05, torch.bfloat16: 2**-8 * 1.05}

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


@pytest.fixture(scope="module")
def library(common: Path) -> Path:
    """Compiled once for all test processes."""
    folder = common / "kernels"
    with FileLock(folder.with_suffix(".lock")):
        place = folder / build.LIBRARY
        return place if place.exists() else build.build_for_cpu(folder)


@pytest.fixture(scope="module")
def fused(library: Path) -> Fused:
    return Fused(library, device="cpu")


@pytest.fixture(params=["first to last", "last to first"])
def order(request: pytest.FixtureRequest, library: Path) -> Iterator[None]:
    """Of threads and blocks: a GPU promises none."""
    turn = ctypes.CDLL(str(library)).farm_emulation_backwards
    turn(int(request.param == "last to first"))
    yield
    turn(0)


def drawn(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def error(found: Tensor, exact: Tensor) -> float:
    """Of the worst number, as a share of it; of 1 where it is smaller, because sums lose what their terms lose."""
    assert found.shape == exact.shape
    return float(((found.double() - exact).abs() / exact.abs().clamp(min=1)).max()) if found.numel() else 0.0


# --- functions of rows ------------------------------------------------------------------------------------------------


def exact(function: str, *arguments: Any) -> Tensor:
    """By PyTorch's operators in fp64."""
    wide = [each.double() if isinstance(each, Tensor) else each for each in arguments]
    answer: Tensor = getattr(Plain(), function)(*wide)
    return answer


CALLS: dict[str, Callable[[int, int, torch.dtype], tuple[Any, ...]]] = {
    "rms_scale": lambda rows, width, dtype: (drawn(rows, width, dtype=dtype), drawn(width, dtype=dtype, seed=1), 1e-5),
    "silu_mul": lambda rows, width, dtype: (
        drawn(rows, width, dtype=dtype) * 4,
        drawn(rows, width, dtype=dtype, seed=1),
    ),
    "tanh_gate": lambda rows, width, dtype: (drawn(rows, 2 * width, dtype=dtype) * 3,),
    "rotate": lambda rows, width, dtype: (
        drawn(2, rows, 3, 2 * width, dtype=dtype),
        drawn(rows, 1, width, seed=1).cos().to(dtype),
        drawn(rows, 1, width, seed=1).sin().to(dtype),
    ),
}


@pytest.mark.usefixtures("order")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("function", CALLS)
def test_a_function_of_rows_rounds_once(
    function: str, dtype: torch.dtype, fused: Fused, record_property: Callable[[str, object], None]
) -> None:
    worst = 0.0
    for rows, width in ((1, 1), (3, 7), (5, 8), (2, 33), (7, 64), (33, 512), (1, 1000)):
        arguments = CALLS[function](rows, width, dtype)
        expected = exact(function, *arguments)
        worst = max(worst, error(getattr(fused, function)(*arguments), expected))
    record_property("error", worst)
    assert worst < ROUNDING[dtype]


@pytest.mark.parametrize("function", CALLS)
def test_no_rows_are_no_work(function: str, fused: Fused) -> None:
    arguments = CALLS[function](0, 8, torch.float32)
    assert getattr(fused, function)(*arguments).numel() == 0


@pytest.mark.parametrize("function", ["silu_mul", "tanh_gate", "rms_scale"])
def test_a_row_that_is_no_number_leaves_its_neighbours_alone(function: str, fused: Fused) -> None:
    arguments = CALLS[function](3, 16, torch.float16)
    arguments[0][1, 5] = math.nan
    found = getattr(fused, function)(*arguments)
    assert not found[1].isfinite().all()
    assert found[[0, 2]].isfinite().all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_large_and_small_numbers_end_where_pytorchs_do(dtype: torch.dtype, fused: Fused) -> None:
    largest = min(torch.finfo(dtype).max, 1e30)
    ends = torch.tensor([-largest, -1e4, -90, -1e-4, -0.0, 0.0, 1e-4, 90, 1e4, largest]).to(dtype)
    gate, value = (x.flatten().contiguous() for x in torch.meshgrid(ends, ends, indexing="ij"))
    for function, arguments in (("silu_mul", (gate, value)), ("tanh_gate", (torch.stack([value, gate], 1),))):
        expected = exact(function, *arguments).to(dtype)
        found = getattr(fused, function)(*arguments)
        assert torch.equal(found.isfinite(), expected.isfinite())
        held = expected.isfinite()
        assert error(found[held], expected[held].double()) < 2 * ROUNDING[dtype]


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e3])
def test_the_square_of_an_fp16_number_may_leave_its_range(scale: float, fused: Fused) -> None:
    x = (drawn(4, 64) * scale).half()
    weight = torch.ones(64).half()
    assert error(fused.rms_scale(x, weight, 1e-5), exact("rms_scale", x, weight, 1e-5)) < ROUNDING[torch.float16]


def test_halves_of_one_product_are_read_in_place(fused: Fused) -> None:
    both = drawn(6, 2 * 24)
    gate, value = both.chunk(2, 1)
    assert error(fused.silu_mul(gate, value), exact("silu_mul", gate, value)) < ROUNDING[torch.float32]


def test_queries_and_keys_are_rotated_where_they_lie_and_values_stay(fused: Fused) -> None:
    qkv = drawn(2, 5, 9, 16)
    before = qkv.clone()
    angles = drawn(5, 1, 8, seed=1)

    heads = fused.rotate(qkv[:, :, :6], angles.cos(), angles.sin())

    assert heads.data_ptr() == qkv.data_ptr()
    expected = exact("rotate", before[:, :, :6], angles.cos(), angles.sin())
    assert error(qkv[:, :, :6], expected) < ROUNDING[torch.float32]
    assert torch.equal(qkv[:, :, 6:], before[:, :, 6:])


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("rms_scale", lambda: (drawn(4, 8).T, drawn(4), 1e-5)),
        ("rms_scale", lambda: (drawn(4, 8), drawn(4), 1e-5)),
        ("rms_scale", lambda: (drawn(4, 8), drawn(8).half(), 1e-5)),
        ("silu_mul", lambda: (drawn(4, 8).T, drawn(8, 4))),
        ("silu_mul", lambda: (drawn(4, 8), drawn(4, 7))),
        ("silu_mul", lambda: (drawn(6, 4, 8)[:, :3], drawn(6, 3, 8))),
        ("tanh_gate", lambda: (drawn(4, 8)[:, ::2],)),
        ("tanh_gate", lambda: (drawn(4, 7),)),
        ("tanh_gate", lambda: (drawn(4, 8).double(),)),
        ("tanh_gate", lambda: (drawn(4, 8).to("meta"),)),
        ("rotate", lambda: (drawn(2, 5, 3, 8).transpose(1, 2), drawn(3, 1, 4), drawn(3, 1, 4))),
        ("rotate", lambda: (drawn(2, 5, 3, 8)[..., ::2], drawn(5, 1, 2), drawn(5, 1, 2))),
        ("rotate", lambda: (drawn(2, 5, 3, 8), drawn(4, 1, 4), drawn(4, 1, 4))),
    ],
)
def test_a_tensor_that_a_function_can_not_read_is_refused(
    function: str, arguments: Callable[[], tuple[Any, ...]], fused: Fused
) -> None:
    with pytest.raises(ValueError, match=function):
        getattr(fused, function)(*arguments())


# --- the activation ---------------------------------------------------------------------------------------------------


def activation(name: str = "SnakeBeta", channels: int = 3, **form: int) -> Any:
    """The package's Activation1d, with parameters as trained ones lie."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's modules may be imported here for the first time
        from indextts.s2mel.modules.bigvgan import activations
        from indextts.s2mel.modules.bigvgan.alias_free_activation.torch.act import Activation1d

    layer = Activation1d(getattr(activations, name)(channels, alpha_logscale=True), **form)
    for index, parameter in enumerate(layer.parameters()):
        parameter.data = drawn(channels, seed=index)
    return layer.requires_grad_(False)


def fine(layer: Any, x: Tensor) -> Tensor:
    """By the package's modules in fp64."""
    answer: Tensor = layer.double()(x.double())
    layer.float()
    return answer


CPU = torch.device("cpu")


@pytest.mark.usefixtures("order")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["Snake", "SnakeBeta"])
def test_an_activation_equals_the_packages(
    name: str, dtype: torch.dtype, fused: Fused, record_property: Callable[[str, object], None]
) -> None:
    layer = activation(name)
    snake = fused.snakes.read(layer, CPU)
    worst = 0.0
    for length in (1, 2, 3, 5, 6, 7, 8, 9, 12, 13, 16, 17, 23, 24, 31, 32, 40, 64, 129, 1000):
        x = drawn(2, 3, length, dtype=dtype, seed=length)
        worst = max(worst, error(fused.snake(snake, x, None, 1), fine(layer, x)))
    record_property("error", worst)
    assert worst < ROUNDING[dtype]


@pytest.mark.usefixtures("order")
@pytest.mark.parametrize("rate", [1, 4, 6])
def test_each_item_of_a_batch_ends_as_if_it_were_alone_and_zeros_follow(rate: int, fused: Fused) -> None:
    layer = activation()
    snake = fused.snakes.read(layer, CPU)

    @settings(deadline=None, max_examples=25)
    @given(st.lists(st.integers(0, 12), min_size=1, max_size=4))
    def check(frames: list[int]) -> None:
        length = rate * max(*frames, 1)
        x = drawn(len(frames), 3, length)
        found = fused.snake(snake, x, torch.tensor(frames, dtype=torch.int32), rate)
        for item, count in enumerate(frames):
            end = rate * count
            assert not found[item, :, end:].any()
            if end:
                alone = fine(layer, x[item : item + 1, :, :end])[0]
                assert error(found[item, :, :end], alone) < ROUNDING[torch.float32]

    check()


def test_what_lies_behind_an_end_is_never_read(fused: Fused) -> None:
    snake = fused.snakes.read(activation(), CPU)
    x = drawn(2, 3, 64)
    x[1, :, 21:] = math.nan
    found = fused.snake(snake, x, torch.tensor([64, 21], dtype=torch.int32), 1)
    assert found.isfinite().all()


def test_a_sample_that_is_no_number_is_passed_on(fused: Fused) -> None:
    snake = fused.snakes.read(activation(), CPU)
    x = drawn(2, 3, 40)
    x[0, 1, 20] = math.nan
    found = fused.snake(snake, x, None, 1)
    assert found[0, 1, 20].isnan()
    assert found[0, 1, :9].isfinite().all()
    assert found[1].isfinite().all()


def test_extreme_parameters_of_a_channel_do_no_more_harm_than_in_the_package(fused: Fused) -> None:
    layer = activation(channels=6)
    layer.act.alpha.data = torch.tensor([-30.0, -3.0, 4.0, 6.0, 0.0, 0.0])
    layer.act.beta.data = torch.tensor([0.0, 30.0, -12.0, 5.0, -25.0, 12.0])
    x = drawn(2, 6, 100) * 5
    found, package, best = fused.snake(fused.snakes.read(layer, CPU), x, None, 1), layer(x), fine(layer, x)
    for channel in range(6):
        ours, theirs = (error(each[:, channel], best[:, channel]) for each in (found, package))
        assert ours < max(2 * theirs, ROUNDING[torch.float32])


def test_a_phase_beyond_fp32_stays_within_the_sine(fused: Fused) -> None:
    layer = activation(channels=1)
    layer.act.alpha.data, layer.act.beta.data = torch.tensor([10.0]), torch.tensor([0.0])
    levels = torch.cat([torch.linspace(600, 2400, 61), torch.tensor([1e5, 1e8, 1e20])])
    x = levels.repeat_interleave(24).view(1, 1, -1)
    middle = fused.snake(fused.snakes.read(layer, CPU), x, None, 1).view(-1, 24)[:, 12]
    assert (middle >= levels * (1 - 1e-6)).all()
    assert (middle <= levels * (1 + 1e-6) + 1).all()


@pytest.mark.parametrize("taps", [8, 24])
def test_an_activation_of_another_form_is_not_taken(taps: int, fused: Fused) -> None:
    with pytest.raises(ValueError, match="no fused kernel"):
        fused.snakes.read(activation(up_kernel_size=taps), CPU)


def test_lengths_of_the_wrong_kind_are_refused(fused: Fused) -> None:
    snake = fused.snakes.read(activation(), CPU)
    x = drawn(2, 3, 8)
    for wrong in (torch.tensor([8, 8]), torch.tensor([8], dtype=torch.int32), torch.ones(4, dtype=torch.int32)[::2]):
        with pytest.raises(ValueError, match="snake"):
            fused.snake(snake, x, wrong, 1)
    with pytest.raises(ValueError, match="snake"):
        fused.snake(snake, drawn(2, 4, 8), None, 1)


# --- the choice -------------------------------------------------------------------------------------------------------


def test_a_machine_without_a_gpu_gets_pytorchs_functions_and_says_why_not_the_others(tmp_path: Path) -> None:
    assert choose(CPU).name == "torch"
    assert choose(torch.device("cuda"), "torch").name == "torch"
    assert choose(torch.device("cuda"), library=tmp_path / "absent.so").name == "torch"
    with pytest.raises(Misconfigured, match="this is cpu; choose torch or auto"):
        choose(CPU, "fused")
    with pytest.raises(Misconfigured, match="KERNELS=build"):
        choose(torch.device("cuda"), "fused", tmp_path / "absent.so")


def test_kernels_that_are_asked_for_and_can_not_run_are_refused_before_weights_are_read(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="the fused kernels can't be used"):
        build_engine("2", IndexTTSSettings(device="cpu", kernels="fused", dir=tmp_path))


@pytest.mark.parametrize(("content", "reason"), [(b"no library", "broken.so"), (None, "kernels.build")])
def test_a_library_that_can_not_be_loaded_costs_speed_and_no_start(
    content: bytes | None, reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    library = tmp_path / "broken.so"
    if content is not None:
        library.write_bytes(content)
    assert choose(torch.device("cuda"), library=library).name == "torch"
    assert "PyTorch's are slower" in caplog.text
    assert reason in caplog.text


def test_kernels_that_lose_the_device_are_named_before_anything_else_fails_for_them(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loses(*_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered (in farm_snake, 700)")

    monkeypatch.setattr("worker.engines.indextts.kernels.choice.examine", loses)
    with pytest.raises(Misconfigured, match=r"the fused kernels took the GPU away .*FARM_INDEXTTS_KERNELS=torch"):
        choose(torch.device("cuda"), library=library)


def test_the_examination_passes_what_is_right_and_stops_at_what_is_wrong(
    fused: Fused, monkeypatch: pytest.MonkeyPatch
) -> None:
    examine(fused, CPU)
    for name in CALLS:
        right = getattr(fused, name)
        with monkeypatch.context() as patch:
            patch.setattr(fused, name, lambda *arguments, right=right: right(*arguments) + 0.2)
            with pytest.raises(RuntimeError, match=name):
                examine(fused, CPU)


def test_an_error_of_a_launch_is_one_of_the_device(fused: Fused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fused._functions, "farm_tanh_gate", lambda *_: 1)
    with pytest.raises(RuntimeError, match="CUDA error: invalid argument") as failed:
        fused.tanh_gate(drawn(2, 4))
    assert device_failed(failed.value)


MOST = 2**31 - 1  # rows of eight numbers: a thread each, and more with a thread for each pair or a warp for each row
TOO_LARGE: dict[str, tuple[Any, ...]] = {
    "farm_snake": (None, None, None, None, None, None, 1, 2**15, 2**15, 16, 0, 0, None),
    "farm_rms_scale": (None, None, None, MOST, 8, 1e-5, 0, 0, None),
    "farm_silu_mul": (None, 8, None, 8, None, MOST, 8, 0, 0, None),
    "farm_tanh_gate": (None, None, MOST, 8, 0, 0, None),
    "farm_rotate": (None, 16, None, None, MOST, 1, 1, 8, 0, 0, None),
}


@pytest.mark.parametrize("function", TOO_LARGE)
def test_more_numbers_than_a_launch_counts_are_refused_before_anything_is_read(function: str, fused: Fused) -> None:
    arguments = list(TOO_LARGE[function])
    if function == "farm_snake":
        arguments[4] = ctypes.byref(fused.snakes.read(activation(), CPU).filters)
    assert fused._functions[function](*arguments) == -1


def test_a_batch_that_is_too_large_for_a_launch_is_no_fault_of_the_device(
    fused: Fused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So isolation.py tries its items one by one, and the worker goes on."""
    monkeypatch.setitem(fused._functions, "farm_tanh_gate", lambda *_: -1)
    with pytest.raises(ValueError, match=r"tanh_gate: a tensor of \(2, 4\) has more .* halve the batch") as refused:
        fused.tanh_gate(drawn(2, 4))
    assert not device_failed(refused.value)


def test_a_library_of_another_version_is_refused(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.engines.indextts.kernels.fused.VERSION", VERSION + 1)
    with pytest.raises(OSError, match="build the image again"):
        Fused(library, device="cpu")


# --- in flow and vocoder ----------------------------------------------------------------------------------------------


def mels(*lengths: int) -> list[Tensor]:
    return [drawn(80, length, seed=length) for length in lengths]


def test_a_vocoder_with_fused_activations_makes_the_packages_waves_in_any_company(
    fused: Fused, network: Network, package: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocoder, "_LAUNCH", {"cpu": 10**6})  # one batch, however much padding it takes
    made = Vocoder(network.vocoder, kernels=fused)
    for lengths in ((1, 2, 3, 7, 16), (6, 6), (9,)):
        waves = made.samples(mels(*lengths))
        assert worst(waves, [pieces.samples(package, mel) for mel in mels(*lengths)]) < FLOAT_NOISE
    [mel] = mels(5)
    assert worst([network.vocoder(mel[None])[0, 0]], [pieces.samples(package, mel)]) < FLOAT_NOISE


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_vocoder_in_half_precision_is_nearer_to_fp32_with_fused_activations(
    dtype: torch.dtype, fused: Fused, network: Network, record_property: Callable[[str, object], None]
) -> None:
    exact = Vocoder(network.vocoder, kernels=PLAIN).samples(mels(6, 3))

    def noise(kernels: Kernels) -> float:
        waves = Vocoder(network.vocoder, dtype=dtype, kernels=kernels).samples(mels(6, 3))
        return sum(float((wave - other).square().sum()) for wave, other in zip(waves, exact, strict=True))

    ours, theirs = noise(fused), noise(PLAIN)
    record_property("dB better", 10 * math.log10(theirs / ours))
    assert ours < theirs / 2


def test_a_vocoder_of_another_form_keeps_its_own_activations(
    fused: Fused, network: Network, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first, *_] = [layer for layer in network.vocoder.modules() if type(layer).__name__ == "Activation1d"]
    monkeypatch.setattr(first, "up_ratio", 4)
    made = Vocoder(network.vocoder, kernels=fused)
    assert not made._activations
    assert "no fused kernel" in caplog.text


def test_a_flow_with_fused_kernels_makes_the_same_mels(fused: Fused, network: Network) -> None:
    three = pieces.pieces(network, [30, 7, 55], [20, 90, 33])
    conditions = regulate(network.regulator, [each.contents for each in three], [each.frames for each in three])

    def mels(kernels: Kernels) -> list[Tensor]:
        flow = Flow(network.estimator, CPU, torch.float32, 2, kernels=kernels)
        return flow.mels(conditions, [each.voice for each in three], [each.seed for each in three])

    with torch.inference_mode():
        assert worst(mels(fused), mels(PLAIN)) < FLOAT_NOISE


def test_an_engine_says_which_kernels_it_has(fused: Fused, network: Network) -> None:
    assert Acoustic(network, 1).facts()["kernels"] == "torch"
    assert Acoustic(network, 1, kernels=fused).facts()["kernels"] == "fused"


# --- for GPUs ---------------------------------------------------------------------------------------------------------

needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc, of CUDA 12.8 or newer")


@pytest.fixture(scope="module")
def for_gpus(common: Path) -> Path:
    """For every architecture: 15 s of one core, once for all test processes."""
    folder = common / "kernels-for-gpus"
    with FileLock(folder.with_suffix(".lock")):
        place = folder / build.LIBRARY
        return place if place.exists() else build.build(folder)


@needs_nvcc
@pytest.mark.timeout(400)
def test_the_machine_code_of_every_architecture_has_every_kernel_and_keeps_to_its_registers(
    for_gpus: Path, record_property: Callable[[str, object], None]
) -> None:
    compiled = build.machine_code(for_gpus)
    kernels = {each.kernel for each in compiled}
    assert len(kernels) == 5 * 2 * 3, "five functions, for aligned rows and for others, in three types"
    for architecture in build.ARCHITECTURES:
        of = [each for each in compiled if each.architecture == architecture]
        assert {each.kernel for each in of} == kernels
        assert all(each.code > 0 for each in of)
        record_property(f"registers sm_{architecture}", {each.kernel: each.registers for each in of})
        assert max(each.registers for each in of) <= 64, "more would halve the threads that hide memory's latency"
        assert not [each for each in of if each.stack], "a thread keeps numbers in memory"


@needs_nvcc
@pytest.mark.timeout(400)
@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
def test_the_library_loads_without_a_gpu_and_a_launch_says_what_is_missing(for_gpus: Path) -> None:
    with pytest.raises(RuntimeError, match="CUDA error") as failed:
        Fused(for_gpus, device="cpu").tanh_gate(drawn(2, 4))
    assert device_failed(failed.value)


@pytest.fixture(scope="module")
def on_a_gpu(request: pytest.FixtureRequest) -> Fused:
    """The image's library, or one that is compiled here."""
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    built = build.BUILT / build.LIBRARY
    if not built.exists() and shutil.which("nvcc") is None:
        pytest.skip("needs the library of the image, or nvcc")
    return Fused(built if built.exists() else request.getfixturevalue("for_gpus"))


@pytest.mark.timeout(400)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_gpu_rounds_as_the_emulated_threads_do(on_a_gpu: Fused, dtype: torch.dtype) -> None:
    gpu = torch.device("cuda")
    for function, arguments_of in CALLS.items():
        for rows, width in ((1, 1), (3, 7), (5, 8), (33, 512), (1, 1000), (4000, 512)):
            arguments = arguments_of(rows, width, dtype)
            there = [each.to(gpu) if isinstance(each, Tensor) else each for each in arguments]
            expected = exact(function, *arguments)
            assert error(getattr(on_a_gpu, function)(*there).cpu(), expected) < ROUNDING[dtype], function
    layer = activation()
    snake = on_a_gpu.snakes.read(layer, gpu)
    for length in (1, 7, 8, 40, 1000, 4096):
        x = drawn(2, 3, length, dtype=dtype, seed=length)
        ends = torch.tensor([length, length // 2 + 1], dtype=torch.int32, device=gpu)
        found = on_a_gpu.snake(snake, x.to(gpu), ends, 1).cpu()
        for item, end in enumerate(ends.tolist()):
            assert error(found[item, :, :end], fine(layer, x[item : item + 1, :, :end])[0]) < ROUNDING[dtype]
            assert not found[item, :, end:].any()


@pytest.mark.parametrize("asked", [["--nvcc", "no-such-nvcc"], ["--nvcc", "false"]])
def test_a_compiler_that_is_missing_or_fails_ends_the_build(asked: list[str], tmp_path: Path) -> None:
    program = [sys.executable, build.__file__, "--out", str(tmp_path), *asked]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.startswith(f"error: {asked[1]} ")

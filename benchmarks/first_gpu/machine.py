"""The machine: hardware, driver, libraries, and which attentions run here."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from benchmarks.first_gpu.bench import Bench
from benchmarks.first_gpu.table import Row, not_run

_PACKAGES = ("transformers", "indextts", "indextts2-inference", "flash-attn", "triton", "librosa", "omegaconf")
_SMI = "name,driver_version,memory.total,clocks.max.sm,clocks.max.memory,power.limit,mig.mode.current,ecc.mode.current"


def facts(bench: Bench) -> Iterator[Row]:
    yield Row("cpu", _cpu(), says=f"{os.cpu_count()} cores, {len(os.sched_getaffinity(0))} of them for this process")
    yield Row("python, torch", f"{platform.python_version()}, {torch.__version__}", says=f"CUDA {torch.version.cuda}")
    found = {name: _version(name) for name in _PACKAGES}
    yield Row("packages", ", ".join(f"{name} {there}" for name, there in found.items() if there) or "none")
    if missing := [name for name in ("indextts", "transformers", "soundfile", "omegaconf") if not _there(name)]:
        yield not_run("packages that probes need", f"can't be imported: {', '.join(missing)}")
    yield Row("nvcc", shutil.which("nvcc") or "none")
    (bench.plan.out / "torch.txt").write_text(torch.__config__.show() + torch.__config__.parallel_info())
    if not bench.on_cuda:
        yield not_run("gpu", f"the probes run on {bench.device.type}")
        return
    properties = torch.cuda.get_device_properties(bench.device)
    free, total = torch.cuda.mem_get_info(bench.device)
    yield Row("gpu", properties.name, says=f"sm_{properties.major}{properties.minor}, "
              f"{properties.multi_processor_count} multiprocessors")  # fmt: skip
    yield Row("memory", total / 2**30, "GiB", f"{free / 2**30:.1f} GiB of it free")
    yield Row("architectures of this torch", " ".join(torch.cuda.get_arch_list()))
    yield from _smi(bench.plan.out)


def attentions(bench: Bench) -> Iterator[Row]:
    """Each attention of the decode against fp32 over whole histories, and what `auto` takes; then the flow's."""
    from worker.engines.indextts.decode import kv
    from worker.engines.indextts.examination.comparison import attention_ratio
    from worker.engines.indextts.kernels.choice import choose as choose_kernels
    from worker.engines.indextts.sound import spans

    try:
        yield Row(
            "kernels of flow and vocoder", choose_kernels(bench.device, "fused").name, says="each agreed with PyTorch"
        )
    except Exception as error:
        yield not_run("fused kernels of flow and vocoder", str(error).partition("\n")[0])
    heads, width = 20, 64
    dtypes = (torch.float16, torch.bfloat16, torch.float32) if bench.on_cuda else (torch.float32, torch.bfloat16)
    for dtype in dtypes:
        name = str(dtype).removeprefix("torch.")
        for wanted in kv.Wanted.__args__:  # type: ignore[attr-defined]
            try:
                attention = kv.choose(bench.device, dtype, wanted, heads=heads, width=width)
                ratio = attention_ratio(attention, heads=heads, width=width, dtype=dtype, device=bench.device)
            except Exception as error:
                yield not_run(f"{wanted} in {name}", str(error).partition("\n")[0])
            else:
                yield Row(f"{wanted} in {name}", ratio, "dB", f"is {attention.name}; against fp32 over whole histories")
        choice = spans.choose(bench.device, dtype, heads, width)
        against = "; ".join(f"{other}: {reason}" for other, reason in choice.against.items())
        yield Row(f"the flow in {name}", choice.attention.name, says=against)


def _smi(out: Path) -> Iterator[Row]:
    try:
        said = subprocess.run(
            ["nvidia-smi", f"--query-gpu={_SMI}", "--format=csv,noheader"], capture_output=True, text=True, timeout=20
        )
        whole = subprocess.run(["nvidia-smi", "-q"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield not_run("nvidia-smi", str(error))
        return
    (out / "nvidia-smi.txt").write_text(_without_serials(whole.stdout))
    yield Row("nvidia-smi", said.stdout.strip().partition("\n")[0] or said.stderr.strip(), says=_SMI)


def _without_serials(text: str) -> str:
    """What the tool says about the card, without what names this very one."""
    private = ("serial", "uuid", "pdi", "hostname")
    return "\n".join(line for line in text.splitlines() if not any(word in line.lower() for word in private))


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

"""Faults on purpose, each in a process of its own: memory that ran out, a device assert, a process that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.first_gpu.bench import Bench, clips
from benchmarks.first_gpu.table import Row, judged

_LEFT = 256 << 20  # bytes that the ballast leaves


def out_of_memory(bench: Bench) -> Iterator[Row]:
    """A stranger takes the GPU's memory while the engine has work: every clip must come all the same."""
    engine = bench.engine("2")
    asked = bench.utterances(bench.size(16, 2), 3)
    whole = clips(engine, asked)
    bench.tidy()
    free = torch.cuda.mem_get_info()[0] if bench.on_cuda else _LEFT
    ballast = torch.empty(max(0, free - _LEFT), dtype=torch.uint8, device=bench.device)
    yield Row("ballast", ballast.numel() / 2**30, "GiB", f"leaves {_LEFT >> 20} MiB")
    started = bench.now()
    found = clips(engine, asked)
    yield judged("clips beside it", found.keys() == whole.keys(), f"{len(found)} of {len(asked)}")
    yield Row("took", bench.now() - started, "s")
    del ballast
    bench.tidy()
    again = clips(engine, asked)
    yield judged("clips after it", again.keys() == whole.keys(), f"{len(again)} of {len(asked)}")
    if bench.on_cuda:
        yield Row("reserved after it", torch.cuda.memory_reserved() / 2**30, "GiB")


def device_assert(bench: Bench) -> Iterator[Row]:
    """An index out of range inside a kernel: the context is lost, and the engine must say that it was the device."""
    from worker.engine import DeviceFault
    from worker.engines.indextts.device_error import device_failed

    bench.cuda_only("a device assert")
    engine = bench.engine("2")
    asked = bench.utterances(2, 3)
    clips(engine, asked)
    vocoder = engine.parts.acoustic.usual.vocoder
    samples = vocoder.samples

    def broken(mels: Any) -> Any:
        torch.zeros(4, device=bench.device)[torch.tensor([9], device=bench.device)]
        return samples(mels)

    vocoder.samples = broken  # type: ignore[method-assign]
    try:
        made = clips(engine, asked)
    except DeviceFault as fault:
        yield judged("device assert", True, "DeviceFault", str(fault))
    except Exception as error:
        yield judged("device assert", device_failed(error), type(error).__name__, str(error).partition("\n")[0])
    else:
        yield judged("device assert", False, f"{len(made)} clips", "the fault was not noticed")


def kill(bench: Bench) -> Iterator[Row]:
    """A process that holds memory and is killed at work: the driver must have it back, and the next one must start."""
    bench.cuda_only("to see memory come back")
    before, _ = torch.cuda.mem_get_info()
    code = """
        import sys, torch
        held = torch.zeros(1 << 30, dtype=torch.uint8, device=sys.argv[1])
        print("holds", flush=True)
        while True:
            held.add_(1)
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(bench.device)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    during, _ = torch.cuda.mem_get_info()
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    after, _ = torch.cuda.mem_get_info()
    yield Row("it held", (before - during) / 2**30, "GiB")
    yield judged("came back", before - after < 64 << 20, f"{(after - during) / 2**30:.2f} GiB", "at once after SIGKILL")
    torch.zeros(1, device=bench.device).add_(1)
    yield Row("the neighbour's context", "works")

"""The decode: milliseconds a step by rows and positions, eager and as a graph; launches and the GPU's share. Then the
same beside a flow that never pauses, as in the engine under a backlog."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch

from benchmarks.first_gpu.acoustics import flow_of, ten_seconds, ways
from benchmarks.first_gpu.bench import Bench
from benchmarks.first_gpu.launches import count
from benchmarks.first_gpu.table import Row, failed, not_run
from worker.engines.indextts.decode.decoder import Decoder
from worker.engines.indextts.decode.gpt import Gpt
from worker.engines.indextts.shapes import Request, Sampling

_STEPS = 20
_CODES_PER_S = 50
_SLOTS = 64
_ROOM = 1536  # positions of a row: 900, those that follow, and the page that is kept free for each


def steps(bench: Bench) -> Iterator[Row]:
    gpt = Gpt(bench.network().gpt)
    slots = bench.size(_SLOTS, 2)
    for graph in (True, False) if bench.on_cuda else (False,):
        name = "graph" if graph else "eager"
        try:
            decoder = _decoder(gpt, slots, graph)
        except Exception as error:
            yield failed(name, f"{type(error).__name__}: {error}".partition("\n")[0])
            continue
        for rows in (1, 8, 32, slots) if not bench.tiny else (slots,):
            for positions in (150, 350, 900) if not bench.tiny else (20,):
                yield from _step(bench, decoder, gpt, name, rows, positions)
        yield from _prefill(bench, decoder, gpt, name)
        del decoder
        bench.tidy()


def beside_a_flow(bench: Bench) -> Iterator[Row]:
    """Both want the GPU, whose scheduler goes by the priority of their streams, and both want Python's lock. The fused
    kernels are launched under that lock, also while the driver's queue is full; PyTorch's own are not. So where decode
    and fused kernels slow each other down more than decode and PyTorch's, the lock is to blame."""
    gpt = Gpt(bench.network().gpt)
    slots = bench.size(_SLOTS, 2)
    decoder = _decoder(gpt, slots, bench.on_cuda)
    alone = _milliseconds(bench, decoder, gpt, slots)
    yield Row("a step alone", alone, "ms", f"{slots} rows at 350")
    frames = ten_seconds(bench)
    for precision, kernels in ways(bench):
        if precision not in ("fp16", "fp32"):
            continue
        stages = bench.stages(precision, kernels)
        work = flow_of(bench, frames, bench.voices(10, len(frames)), stages)
        seconds = bench.seconds(work, turns=bench.size(3, 1), warm=1)
        with _again_and_again(bench, work) as done:
            before, started = done(), bench.now()
            rounds = [_milliseconds(bench, decoder, gpt, slots) for _ in range(bench.size(5, 1))]
            spent, batches = bench.now() - started, done() - before
        together = sorted(rounds)[len(rounds) // 2]
        name = f"{precision}, {kernels.name} kernels"
        yield Row(f"a step beside a flow, {name}", together, "ms", f"{together / alone:.1f} times as long as alone")
        share = batches * seconds / spent
        yield Row(f"the flow beside the decode, {name}", 100 * share, "% of its speed alone", f"{batches} batches")


@contextmanager
def _again_and_again(bench: Bench, work: Callable[[], object]) -> Iterator[Callable[[], int]]:
    """In a thread with a stream of its own, as the engine finishes its clips; gives the number of turns so far."""
    turns, over = 0, threading.Event()

    def run() -> None:
        nonlocal turns
        stream = torch.cuda.Stream(bench.device) if bench.on_cuda else None
        with nullcontext() if stream is None else torch.cuda.stream(stream):
            while not over.is_set():
                work()
                if stream is not None:
                    stream.synchronize()
                turns += 1

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield lambda: turns
    finally:
        over.set()
        thread.join()


def _milliseconds(bench: Bench, decoder: Decoder, gpt: Gpt, rows: int) -> float:
    """A step, over all that can be had of rows at 350 positions."""
    decoder.clear()
    _submit(bench, decoder, gpt, rows, bench.size(350, 20))
    for _ in range(3):
        decoder.step()
    turns = bench.size(150, 10)
    started = time.perf_counter()
    for _ in range(turns):
        decoder.step()  # it waits for the step before, and for nothing of another stream
    seconds = (time.perf_counter() - started) / turns
    decoder.clear()
    return seconds * 1e3


def _decoder(gpt: Gpt, slots: int, graph: bool) -> Decoder:
    room = 2 * gpt.layers * gpt.width * gpt.dtype.itemsize * slots * _ROOM
    if gpt.device.type == "cuda":
        room = min(room, torch.cuda.mem_get_info(gpt.device)[0] // 2)
    return Decoder(gpt, slots=slots, bytes=room, graph="on" if graph else "off")


def _step(bench: Bench, decoder: Decoder, gpt: Gpt, name: str, rows: int, positions: int) -> Iterator[Row]:
    decoder.clear()
    _submit(bench, decoder, gpt, rows, positions)
    for _ in range(3):  # the prefill, and the first replays
        decoder.step()
    turns = bench.size(_STEPS, 2)
    started = bench.now()
    for _ in range(turns):
        decoder.step()
    seconds = (bench.now() - started) / turns
    told = count(bench, decoder.step, turns=bench.size(5, 1))
    at = f"{name}, {rows} rows at {positions}"
    audio = decoder.running / _CODES_PER_S / seconds
    yield Row(at, seconds * 1e3, "ms a step", f"{audio:,.0f} audio-s/s; {told.number:,.0f} {told.what}; {told.says}")
    if decoder.running != rows:
        yield not_run(f"{at}, all rows", f"only {decoder.running} found room, or did not end before their time")
    decoder.clear()


def _prefill(bench: Bench, decoder: Decoder, gpt: Gpt, name: str) -> Iterator[Row]:
    """What it costs to let newcomers in: the step that admits them."""
    for rows in (1, 4, 8) if not bench.tiny else (1,):
        decoder.clear()
        taken = []
        for _ in range(3):
            _submit(bench, decoder, gpt, rows, 100)
            started = bench.now()
            decoder.step()
            taken.append(bench.now() - started)
            decoder.clear()
        yield Row(f"{name}, a first step of {rows} new rows", min(taken) * 1e3, "ms", "prompts of 100 positions")


def _submit(bench: Bench, decoder: Decoder, gpt: Gpt, rows: int, positions: int) -> None:
    drawn = torch.Generator().manual_seed(rows)
    prompt = (0.3 * torch.randn(positions, gpt.width, generator=drawn)).to(gpt.device, gpt.dtype)
    bench.now()  # waits: the decoder reads the prompt on a stream of its own
    for row in range(rows):
        # The random model of full size seldom draws the stop code before its 495th.
        sampling = Sampling(seed=row, limit=200)
        decoder.submit(Request(row, prompt, sampling))

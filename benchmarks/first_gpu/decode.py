"""The decode alone: milliseconds a step by rows and positions, eager and as a graph; launches and the GPU's share."""

from __future__ import annotations

from collections.abc import Iterator

import torch

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

"""Where an engine's time goes, and what batching is worth: IndexTTS at batches of 1, 4, 16, 64 beside the package's own
infer() one by one, in one run, on whatever device is there.

    python -m benchmarks.engine                       the tiny random model, which shows ratios on any CPU
    python -m benchmarks.engine --full-size           the real architecture with random weights: no download, any GPU
    python -m benchmarks.engine --checkpoint FOLDER   a real checkpoint, of the version that its config.yaml says
    python -m benchmarks.engine --model 2 --model 2.5 both, one after the other, side by side at the end; needs the
                                                      official repository

A row is one batch after a warm-up: seconds of each stage (CPU seconds on a CPU, where one thread computes; wall seconds
on a GPU, which is waited for between stages), seconds of audio, and audio seconds per second. Voices are conditioned
once and not counted. `engine` is the whole engine, decode and acoustics overlapping, under a backlog of four batches.

goals: CPU, tiny: batch 16 over one by one >= 1.7.
       GPU, full size, half precision: batch 64 >= 10 x infer(), >= 60 audio seconds per second on an H100.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

from farm.speech import Manner
from tests.engine.feeds import ListFeed
from tests.indextts.checkpoint import references, write
from worker.engine import Clip, Speech, Utterance
from worker.engines.indextts.decode.decoder import Decoder
from worker.engines.indextts.decode.gpt import Gpt
from worker.engines.indextts.load.checkpoint import find_checkpoint
from worker.engines.indextts.load.factory import Options, adapt, assemble, choose_device, switch_tf32
from worker.engines.indextts.load.network import load_network
from worker.engines.indextts.shapes import HOP, SAMPLE_RATE, Codes, Network, Precisions, Request, Sampling
from worker.engines.indextts.sound.flow import Flow
from worker.engines.indextts.sound.regulator import regulate
from worker.engines.indextts.sound.vocoder import Vocoder

T = TypeVar("T")

TEXT = "The tide went out before the harbour woke, and nobody on the long grey quay had seen it go, or asked where to."
STAGES = ("prompts", "decode", "contents", "regulator", "flow", "vocoder")


def floor_of_an_h100(size: int, version: str) -> float:
    """Audio seconds per second with clips of 10 s, if nothing but memory took time in the decode (3.35 TB/s: the
    weights once a step, and each row's K and V) and nothing but arithmetic in flow and vocoder (800 TFLOP/s in bf16),
    one stage after another. Calculated, for the released architectures: 50 codes a second, and 25 in version 2.5, whose
    rows are on average 155 positions long instead of 350."""
    steps, row = (251, 5.7e-6) if version == "2.5" else (501, 12.7e-6)
    return 1 / (steps * (0.29e-3 + row * size) / (10 * size) + 1 / 678 + 1 / 5066)


@dataclass
class Clock:
    """Seconds by stage: of the CPU where it computes, else of the wall, with the GPU waited for."""

    device: torch.device
    seconds: dict[str, float] = field(default_factory=dict)

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            return time.perf_counter()
        return time.process_time()

    def measure(self, stage: str, work: Callable[[], T]) -> T:
        started = self.now()
        made = work()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + self.now() - started
        return made


class Pipeline:
    """The stages one after another, so that each can be measured."""

    def __init__(self, network: Network, voices: Sequence[str], slots: int, options: argparse.Namespace) -> None:
        gpt = Gpt(network.gpt)
        self._adapter = adapt(network, gpt)
        positions = slots * (256 + options.codes + 256)
        room = 2 * gpt.layers * gpt.width * gpt.dtype.itemsize * positions
        self._decoder = Decoder(gpt, slots=slots, bytes=room, attention=options.attention, graph=options.graph)
        self.attention = self._decoder.attention.name
        self._regulator = network.regulator
        dtype = next(network.regulator.parameters()).dtype
        self._flow = Flow(network.estimator, network.device, dtype, options.steps)
        self._vocoder = Vocoder(network.vocoder)
        self._voices = [voice for voice in self._adapter.voices(voices) if not isinstance(voice, Exception)]
        self._limit = options.codes

    @torch.inference_mode()
    def run(self, size: int, clock: Clock, first_seed: int = 0) -> float:
        """Seconds of audio of one batch."""
        ids = self._adapter.segments(TEXT, "en").ids[0]
        voices = [self._voices[number % len(self._voices)] for number in range(size)]
        prompts = clock.measure(
            "prompts",
            lambda: self._adapter.prompts([ids] * size, voices, [voice.emotion for voice in voices], ["en"] * size),
        )
        codes = clock.measure("decode", lambda: self._decode(prompts, first_seed))
        contents = clock.measure("contents", lambda: self._adapter.contents(prompts, codes))
        frames = [self._adapter.frames(len(row), 1.0) for row in codes]
        conditions = clock.measure("regulator", lambda: regulate(self._regulator, contents, frames))
        mels = clock.measure("flow", lambda: self._flow.mels(conditions, voices, [0] * size))
        waves = clock.measure("vocoder", lambda: self._vocoder.samples(mels))
        assert [len(wave) for wave in waves] == [HOP * count for count in frames]
        return sum(map(len, waves)) / SAMPLE_RATE

    def _decode(self, prompts: Sequence[torch.Tensor], first_seed: int) -> list[list[int]]:
        for number, prompt in enumerate(prompts):
            self._decoder.submit(Request(number, prompt, Sampling(seed=first_seed + number, limit=self._limit)))
        ended: dict[int, list[int]] = {}
        while self._decoder.busy:
            for outcome in self._decoder.step():
                assert isinstance(outcome, Codes), outcome
                assert isinstance(outcome.request.key, int)
                ended[outcome.request.key] = outcome.codes
        return [ended[number] for number in range(len(prompts))]


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    device = choose_device(options.device)
    half = "fp16" if device.type == "cuda" else "fp32"
    precisions = Precisions(*(options.precision or [half, half, half]))
    switch_tf32(precisions, device)
    sizes = [int(size) for size in options.batches.split(",")]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu, one thread"
    reached = [(version, bench(version, device, precisions, sizes, name, options)) for version in options.model]
    for version, speed in reached[1:] if options.full_size else []:  # the tiny models differ in width
        first, base = reached[0]
        print(f"IndexTTS-{version} at batch {max(sizes)}: {speed / base:.2f} x IndexTTS-{first}")


def bench(
    version: str, device: torch.device, precisions: Precisions, sizes: Sequence[int], name: str,
    options: argparse.Namespace,
) -> float:  # fmt: skip
    """Audio seconds per second of the largest batch."""
    what = "full size, random weights" if options.full_size else options.checkpoint or "tiny, random weights"
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.checkpoint or written(Path(scratch, "model"), version, options.full_size)
        voices = [str(path) for path in (options.voice or references(folder))]
        network = load_network(find_checkpoint(folder), device, precisions)
        version = network.version
        pipeline = Pipeline(network, voices, max(sizes), options)
        print(f"IndexTTS-{version}, {what}; {name}; torch {torch.__version__}")
        print(f"precision {precisions}; attention {pipeline.attention}")
        print(f"at most {options.codes} codes, {options.steps} Euler steps; seconds are of the "
              f"{'wall' if device.type == 'cuda' else 'CPU'}\n")  # fmt: skip
        speeds = stages(pipeline, sizes, device, options.repeat)
        backlog(network, voices, max(sizes), device, options)
        package = sequential(folder, version, voices, device, options)
    report(speeds, package, version, device, options)
    return speeds[max(speeds)]


def written(folder: Path, version: str, full_size: bool) -> Path:
    if version == "2":
        return write(folder, full_size=full_size)
    from tests.indextts import checkpoint25

    return checkpoint25.write(folder, full_size=full_size)


def stages(pipeline: Pipeline, sizes: Sequence[int], device: torch.device, repeat: int) -> dict[int, float]:
    print(
        f"{'batch':>7} {'audio s':>8} {'seconds':>8} {'audio/s':>8}   " + " ".join(f"{stage:>10}" for stage in STAGES)
    )
    speeds = {}
    for size in sizes:
        pipeline.run(size, Clock(device))
        clock, audio = Clock(device), 0.0
        for turn in range(repeat):
            audio += pipeline.run(size, clock, first_seed=turn * size)
        total = sum(clock.seconds.values())
        speeds[size] = audio / total
        shares = " ".join(f"{clock.seconds[stage] / total:>10.1%}" for stage in STAGES)
        print(f"{size:>7} {audio:>8.1f} {total:>8.2f} {audio / total:>8.2f}   {shares}", flush=True)
    return speeds


def backlog(
    network: Network, voices: Sequence[str], slots: int, device: torch.device, options: argparse.Namespace
) -> None:
    """The engine itself, joining and leaving: slots stay full, and the acoustics run beside the decode."""
    sampling = Sampling(limit=options.codes)
    engine = assemble(
        network, "benchmark",
        Options(
            slots=slots, attention=options.attention, graph=options.graph, steps=options.steps, sampling=sampling
        ),
    )  # fmt: skip
    speeches = [Speech("en", Path(voice).stem, Path(voice), Manner(seed=seed)) for seed, voice in enumerate(voices)]

    def render(count: int) -> float:
        asked = [Utterance(str(number), TEXT, speeches[number % len(speeches)]) for number in range(count)]
        clips = list(engine.render(ListFeed(asked)))
        assert all(isinstance(clip, Clip) for clip in clips), clips
        return sum(len(clip.samples) for clip in clips if isinstance(clip, Clip)) / SAMPLE_RATE

    render(1)
    clock = Clock(device)
    audio = clock.measure("engine", lambda: render(4 * slots))
    print(f" engine {audio:>8.1f} {clock.seconds['engine']:>8.2f} {audio / clock.seconds['engine']:>8.2f}   "
          f"rows {engine.facts().get('rows', '')}")  # fmt: skip
    engine.close()


def sequential(
    folder: Path, version: str, voices: Sequence[str], device: torch.device, options: argparse.Namespace
) -> float:
    """Audio seconds per second of the package's own infer(), with one beam; and with its default of three."""
    speed = 0.0
    with quiet():
        package = loaded(folder, version, device)
    said = {"max_mel_tokens": options.codes, **({"lang": "en"} if version == "2.5" else {})}
    for beams in (1, 3):
        clock, audio = Clock(device), 0.0
        for number in range(-1, options.sequential):
            torch.manual_seed(number)

            def infer() -> Any:
                with quiet():
                    return package.infer(voices[0], TEXT, None, num_beams=beams, **said)  # noqa: B023

            if number < 0:
                infer()  # conditions the voice
                continue
            rate, samples = clock.measure("infer", infer)
            audio += len(samples) / rate
        seconds = clock.seconds["infer"]
        print(f"  infer {audio:>8.1f} {seconds:>8.2f} {audio / seconds:>8.2f}   one by one, beams {beams}", flush=True)
        speed = speed or audio / seconds
    return speed


def loaded(folder: Path, version: str, device: torch.device) -> Any:
    """The package's own IndexTTS2, in its half precision on a GPU."""
    half = device.type == "cuda"
    if version == "2.5":
        from indextts.infer_v2_5 import IndexTTS2

        return IndexTTS2(str(folder / "config.yaml"), str(folder), use_bf16=half, device=str(device))
    from huggingface_hub import constants
    from indextts.infer_v2 import IndexTTS2

    cache = folder / "hf_cache"
    if cache.exists():
        constants.HF_HUB_CACHE = str(cache)
    if "aux_paths" not in signature(IndexTTS2).parameters:
        return IndexTTS2(model_dir=str(folder), device=str(device), use_fp16=half)
    files = find_checkpoint(folder)  # the official repository is told where everything lies
    auxiliary = {"w2v_bert": files.semantic, "semantic_codec": files.codec, "campplus": files.speaker}
    auxiliary["bigvgan"] = files.vocoder
    return IndexTTS2(
        cfg_path=str(files.config_file), model_dir=str(folder), device=str(device), use_fp16=half,
        aux_paths={name: str(path) for name, path in auxiliary.items()},
    )  # fmt: skip


def report(
    speeds: dict[int, float], package: float, version: str, device: torch.device, options: argparse.Namespace
) -> None:
    print()
    one, most = speeds[min(speeds)], max(speeds)
    for size, speed in speeds.items():
        share = speed / floor_of_an_h100(size, version)
        floor = f", {share:.3f} of the floor of an H100" if device.type == "cuda" else ""
        print(f"batch {size}: {speed / one:.2f} x batch {min(speeds)}, {speed / package:.2f} x infer(){floor}")
    # Of version 2.5 no CPU shows what batching gains: the tiny model's flow takes four fifths of the time.
    if version == "2" and device.type == "cpu" and not options.full_size and {1, 16} <= speeds.keys():
        ratio = speeds[16] / speeds[1]
        print(f"goal, batch 16 over one by one: {ratio:.2f} of >= 1.7: {'met' if ratio >= 1.7 else 'MISSED'}")
    if device.type == "cuda" and options.full_size:
        ratio = speeds[most] / package
        print(f"goal, batch {most} over infer(): {ratio:.1f} of >= 10: {'met' if ratio >= 10 else 'MISSED'}")
        speed = speeds[most]
        print(f"goal, audio seconds per second: {speed:.1f} of >= 60 (H100): {'met' if speed >= 60 else 'MISSED'}")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the package's progress bars, prints and warnings."""
    with warnings.catch_warnings(), open(os.devnull, "w") as nowhere:
        warnings.simplefilter("ignore")
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full-size", action="store_true", help="the real architecture with random weights")
    parser.add_argument("--model", action="append", choices=("2", "2.5"), help="once or more (default: 2)")
    parser.add_argument("--checkpoint", type=Path, help="a real checkpoint instead; needs --voice")
    parser.add_argument("--voice", type=Path, action="append", help="reference audio, once or more")
    parser.add_argument("--batches", default="1,4,16,64")
    parser.add_argument("--repeat", type=int, default=1, help="batches that are measured of each size")
    parser.add_argument("--sequential", type=int, default=4, help="utterances that infer() says")
    parser.add_argument("--codes", type=int, help="most codes of an utterance (default: 60 tiny, 700 otherwise)")
    parser.add_argument("--steps", type=int, default=25, help="Euler steps of the flow")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", nargs=3, metavar=("GPT", "S2MEL", "VOCODER"), help="fp32, tf32, bf16 or fp16")
    parser.add_argument("--attention", default="auto", choices=("auto", "flash", "torch", "sdpa"))
    parser.add_argument("--graph", default="auto", choices=("auto", "on", "off"), help="CUDA graphs for the decode")
    options = parser.parse_args()
    if options.checkpoint and not options.voice:
        parser.error("--checkpoint needs --voice, a file to speak in the voice of")
    if options.checkpoint and options.model:
        parser.error("--checkpoint says itself of which version it is; leave --model")
    options.model = options.model or ["2"]
    if options.codes is None:
        options.codes = 700 if options.full_size or options.checkpoint else 60
    return options


if __name__ == "__main__":
    sys.exit(main())

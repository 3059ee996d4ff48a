"""What the engine makes of a machine, and where its time goes: IndexTTS as a worker runs it, beside the package's own
infer() one by one, in one run, on whatever device is there.

    python -m benchmarks.engine                       the tiny random model, which shows ratios on any CPU
    python -m benchmarks.engine --full-size           the real architecture with random weights: no download, any GPU
    python -m benchmarks.engine --checkpoint FOLDER   a real checkpoint, of the version that its config.yaml says
    python -m benchmarks.engine --model 2 --model 2.5 both, one after the other, side by side at the end; needs the
                                                      official repository

Precisions, slots, attention and readers are those that a worker has by default (load/precision.py, load/factory.py).

`engine` is the whole engine under a backlog of four batches, decode and acoustics overlapping, texts put into words by
its readers: a row for each length of the references. It is what the goals are about. The rows of `batch` are the stages
one after another, each waited for, at batches of 1, 4, 16, 64; they show the share of each stage and overlap nothing.
Seconds are of the wall on a GPU, and of the CPU on a CPU, where one thread computes. Voices are conditioned once and
not counted.

goals: CPU, tiny: batch 16 over one by one >= 1.7.
       GPU, full size, references of 10 s: the engine >= 10 x infer(), and >= 60, then >= 158 audio seconds per second
       on an H100 (version 2.5: >= 180).
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import soundfile as sf
import torch

from benchmarks.original import loaded, quiet
from benchmarks.stage_by_stage import STAGES, TEXT, Clock, StageByStage
from farm.speech import Manner
from tests.engine.feeds import ListFeed
from tests.indextts.checkpoint import references, write
from worker.engine import Clip, Speech, Utterance
from worker.engines.indextts.load.checkpoint import find_checkpoint
from worker.engines.indextts.load.factory import assemble, choose_device, choose_options
from worker.engines.indextts.load.network import load_network
from worker.engines.indextts.load.precision import choose_precisions, switch_tf32
from worker.engines.indextts.settings import IndexTTSSettings
from worker.engines.indextts.shapes import SAMPLE_RATE, Network

T = TypeVar("T")

GOALS: Mapping[str, Sequence[float]] = {"2": (60, 158), "2.5": (60, 180)}  # with references of 10 s
GOAL_REFERENCE_S = 10.0


def floor_of_an_h100(size: int, version: str) -> float:
    """Audio seconds per second with clips of 10 s, if nothing but memory took time in the decode (3.35 TB/s: the
    weights once a step, and each row's K and V) and nothing but arithmetic in flow and vocoder (800 TFLOP/s in bf16),
    one stage after another. Calculated, for the released architectures: 50 codes a second, and 25 in version 2.5, whose
    rows are on average 155 positions long instead of 350."""
    steps, row = (251, 5.7e-6) if version == "2.5" else (501, 12.7e-6)
    return 1 / (steps * (0.29e-3 + row * size) / (10 * size) + 1 / 678 + 1 / 5066)


@dataclass(frozen=True, slots=True)
class Reached:
    """Audio seconds per second."""

    chain: dict[int, float]  # by batch: the stages one after another
    engine: dict[float, float]  # by the seconds of a reference
    package: float  # the fastest infer() with one beam


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    device = choose_device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu, one thread"
    reached = [(version, bench(version, device, name, options)) for version in options.model]
    for version, speed in reached[1:] if options.full_size else []:  # the tiny models differ in width
        first, base = reached[0]
        for seconds, audio in speed.engine.items():
            ratio = audio / base.engine[seconds]
            print(f"IndexTTS-{version}, references of {seconds:g} s: {ratio:.2f} x IndexTTS-{first}")


def bench(version: str, device: torch.device, name: str, options: argparse.Namespace) -> Reached:
    what = "full size, random weights" if options.full_size else options.checkpoint or "tiny, random weights"
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.checkpoint or written(Path(scratch, "model"), version, options.full_size)
        found = find_checkpoint(folder)
        settings = worker_settings(options)
        precisions = choose_precisions(found.version, settings, device)
        switch_tf32(precisions, device)
        network = load_network(found, device, precisions)
        print(f"IndexTTS-{found.version}, {what}; {name}; torch {torch.__version__}")
        print(f"at most {options.codes} codes, {options.steps} Euler steps; seconds are of the "
              f"{'wall' if device.type == 'cuda' else 'CPU'}\n")  # fmt: skip
        files = options.voice or references(folder)
        voices = {seconds: cut(files, seconds, Path(scratch)) for seconds in options.references}
        middle = voices[options.references[len(options.references) // 2]]
        chain = stages(StageByStage(network, middle, max(options.batches), options), options.batches, device, options)
        engine = backlog(network, voices, settings, device, checks=options.checkpoint is not None)
        one_by_one = sequential(folder, found.version, middle, device, options)
    reached = Reached(chain, engine, one_by_one)
    report(reached, found.version, device, options)
    return reached


def worker_settings(options: argparse.Namespace) -> IndexTTSSettings:
    """Those of a worker, but for what the command line asks."""
    gpt, s2mel, vocoder = options.precision or ("auto", "auto", "auto")
    return IndexTTSSettings(
        gpt=gpt, s2mel=s2mel, vocoder=vocoder, slots=max(options.batches), attention=options.attention,
        graph=options.graph, steps=options.steps, code_limit=max(50, options.codes), readers=options.readers,
    )  # fmt: skip


def cut(files: Sequence[Path], seconds: float, folder: Path) -> list[str]:
    """The recordings, repeated or cut to this length."""
    made = []
    for number, file in enumerate(files):
        samples, rate = sf.read(file)
        made.append(str(folder / f"{number}-{seconds:g}.wav"))
        sf.write(made[-1], np.resize(samples, round(seconds * rate)), rate)
    return made


def written(folder: Path, version: str, full_size: bool) -> Path:
    if version == "2":
        return write(folder, full_size=full_size)
    from tests.indextts import checkpoint25

    return checkpoint25.write(folder, full_size=full_size)


def stages(
    pipeline: StageByStage, sizes: Sequence[int], device: torch.device, options: argparse.Namespace
) -> dict[int, float]:
    print(
        f"{'batch':>7} {'audio s':>8} {'seconds':>8} {'audio/s':>8}   " + " ".join(f"{stage:>10}" for stage in STAGES)
    )
    speeds = {}
    for size in sizes:
        pipeline.run(size, Clock(device))
        clock, audio = Clock(device), 0.0
        for turn in range(options.repeat):
            audio += pipeline.run(size, clock, first_seed=turn * size)
        total = sum(clock.seconds.values())
        speeds[size] = audio / total
        shares = " ".join(f"{clock.seconds[stage] / total:>10.1%}" for stage in STAGES)
        print(f"{size:>7} {audio:>8.1f} {total:>8.2f} {audio / total:>8.2f}   {shares}", flush=True)
    return speeds


def backlog(
    network: Network, voices: Mapping[float, Sequence[str]], settings: IndexTTSSettings, device: torch.device,
    *, checks: bool,
) -> dict[float, float]:  # fmt: skip
    """The engine itself, joining and leaving: slots stay full, and readers and acoustics run beside the decode. With
    `checks` of takes as a worker has them, which random weights would never pass."""
    options = replace(choose_options(settings, device), checks=checks)
    engine = assemble(network, "benchmark", options)
    speeds = {}
    for seconds, files in voices.items():
        speeches = [Speech("en", Path(file).stem, Path(file), Manner(seed=seed)) for seed, file in enumerate(files)]

        def render(count: int, speeches: Sequence[Speech] = speeches) -> float:
            asked = [Utterance(str(number), TEXT, speeches[number % len(speeches)]) for number in range(count)]
            clips = list(engine.render(ListFeed(asked)))
            assert all(isinstance(clip, Clip) for clip in clips), clips
            return sum(len(clip.samples) for clip in clips if isinstance(clip, Clip)) / SAMPLE_RATE

        render(len(speeches))  # conditions the voices
        clock = Clock(device)
        audio = clock.measure("engine", partial(render, 4 * engine.capacity))
        speeds[seconds] = audio / clock.seconds["engine"]
        print(f" engine {audio:>8.1f} {clock.seconds['engine']:>8.2f} {speeds[seconds]:>8.2f}   references of "
              f"{seconds:g} s", flush=True)  # fmt: skip
    facts = {**engine.facts(), "readers": str(options.readers)}
    print(" engine: " + ", ".join(f"{name} {fact}" for name, fact in facts.items()))
    engine.close()
    return speeds


def sequential(
    folder: Path, version: str, voices: Sequence[str], device: torch.device, options: argparse.Namespace
) -> float:
    """Audio seconds per second of the package's own infer() with one beam, with its fused kernel where that is faster;
    and rows for its default of three beams."""
    speed = 0.0
    said = {"max_mel_tokens": options.codes, **({"lang": "en"} if version == "2.5" else {})}
    for fused in (False, True) if device.type == "cuda" else (False,):
        with quiet():
            package = loaded(folder, version, device, fused=fused)
        kernel = ", fused CUDA kernel" if fused else ""
        if fused and not package.use_cuda_kernel:
            print("  infer: its fused CUDA kernel could not be compiled here; that takes nvcc and ninja")
            continue
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
            print(f"  infer {audio:>8.1f} {seconds:>8.2f} {audio / seconds:>8.2f}   one by one, beams {beams}{kernel}",
                  flush=True)  # fmt: skip
            speed = max(speed, audio / seconds) if beams == 1 else speed
        package = None  # and with it the memory
    return speed


def report(reached: Reached, version: str, device: torch.device, options: argparse.Namespace) -> None:
    print()
    chain, one = reached.chain, reached.chain[min(reached.chain)]
    for size, speed in chain.items():
        share = speed / floor_of_an_h100(size, version)
        floor = f", {share:.3f} of the floor of an H100" if device.type == "cuda" else ""
        print(f"batch {size}: {speed / one:.2f} x batch {min(chain)}, {speed / reached.package:.2f} x infer(){floor}")
    for seconds, speed in reached.engine.items():
        print(f"engine, references of {seconds:g} s: {speed:.2f} audio s/s, {speed / reached.package:.2f} x infer()")
    # Of version 2.5 no CPU shows what batching gains: the tiny model's flow takes four fifths of the time.
    if version == "2" and device.type == "cpu" and not options.full_size and {1, 16} <= chain.keys():
        judge("batch 16 over one by one", chain[16] / chain[1], 1.7)
    judged = reached.engine.get(GOAL_REFERENCE_S)
    if device.type == "cuda" and options.full_size and judged:
        judge("the engine over infer()", judged / reached.package, 10)
        for goal in GOALS[version]:
            judge("audio seconds per second of the engine on an H100", judged, goal)


def judge(what: str, found: float, goal: float) -> None:
    print(f"goal, {what}: {found:.2f} of >= {goal:g}: {'met' if found >= goal else 'MISSED'}")


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full-size", action="store_true", help="the real architecture with random weights")
    parser.add_argument("--model", action="append", choices=("2", "2.5"), help="once or more (default: 2)")
    parser.add_argument("--checkpoint", type=Path, help="a real checkpoint instead; needs --voice")
    parser.add_argument("--voice", type=Path, action="append", help="reference audio, once or more")
    parser.add_argument("--batches", type=_numbers(int), default=[1, 4, 16, 64], help="default: 1,4,16,64")
    parser.add_argument("--references", type=_numbers(float), help="seconds (default: 3 tiny, 3,10,15 otherwise)")
    parser.add_argument("--readers", type=int, help="processes that put texts into words (default: a worker's)")
    parser.add_argument("--repeat", type=int, default=1, help="batches that are measured of each size")
    parser.add_argument("--sequential", type=int, default=4, help="utterances that infer() says")
    parser.add_argument("--codes", type=int, help="most codes of an utterance (default: 60 tiny, 700 otherwise)")
    parser.add_argument("--steps", type=int, default=25, help="Euler steps of the flow")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--precision", nargs=3, metavar=("GPT", "S2MEL", "VOCODER"), help="auto, fp32, tf32, bf16, fp16"
    )
    parser.add_argument("--attention", default="auto", choices=("auto", "flash", "torch", "sdpa"))
    parser.add_argument("--graph", default="auto", choices=("auto", "on", "off"), help="CUDA graphs for the decode")
    options = parser.parse_args(given)
    if options.checkpoint and not options.voice:
        parser.error("--checkpoint needs --voice, a file to speak in the voice of")
    if options.checkpoint and options.model:
        parser.error("--checkpoint says itself of which version it is; leave --model")
    options.model = options.model or ["2"]
    if options.references is None:
        options.references = [3.0, GOAL_REFERENCE_S, 15.0] if options.full_size or options.checkpoint else [3.0]
    if options.codes is None:
        options.codes = 700 if options.full_size or options.checkpoint else 60
    return options


def _numbers(kind: Callable[[str], T]) -> Callable[[str], list[T]]:
    return lambda text: [kind(each) for each in text.split(",")]


if __name__ == "__main__":
    main()

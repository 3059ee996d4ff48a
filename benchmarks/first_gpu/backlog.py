"""The engine as a worker runs it, in what `auto` deploys, under a backlog; and the package's own infer()."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.first_gpu.bench import TEXT, Bench, clips
from benchmarks.first_gpu.table import Row, not_run

_DEEP = 3  # times the slots, that wait
_GOALS = {"2": (60, 158), "2.5": (60, 180)}  # audio seconds per second on an H100


def version_2(bench: Bench) -> Iterator[Row]:
    yield from _version("2", bench)


def version_25(bench: Bench) -> Iterator[Row]:
    yield from _version("2.5", bench)


def _version(version: str, bench: Bench) -> Iterator[Row]:
    started = bench.now()
    bench.check_version(version)
    folder = bench.checkpoint(version)
    yield Row("random checkpoint", bench.now() - started, "s", str(folder.name))
    started = bench.now()
    engine = bench.engine(version)
    yield Row("start of the engine", bench.now() - started, "s", "load, examination and warm-up")
    for name, fact in engine.facts().items():
        yield Row(name, fact)
    for seconds in (10, 3, 15) if not bench.tiny else (3,):
        yield from _speed(bench, engine, seconds, _GOALS[version] if seconds == 10 else None)
    yield Row("rows", engine.facts().get("rows", "none"), says=f"of {engine.capacity} slots")


def _speed(bench: Bench, engine: Any, seconds: float, goals: tuple[int, int] | None) -> Iterator[Row]:
    asked = bench.utterances(engine.capacity * bench.size(_DEEP, 1), seconds)
    clips(engine, asked[: bench.size(4, 1)])  # conditions the voices
    started = bench.now()
    made = clips(engine, asked)
    spent = bench.now() - started
    audio = sum(len(clip.samples) for clip in made.values()) / engine.card.sample_rate
    says = f"{len(made)} utterances, {audio / len(made):.1f} s each"
    yield Row(f"backlog, references of {seconds:g} s", audio / spent, "audio-s/s", says)
    if goals and not bench.tiny:
        for goal in goals:
            met = "met" if audio / spent >= goal else "MISSED"
            yield Row(f"goal on an H100: {goal} audio-s/s", met)


def infer_2(bench: Bench) -> Iterator[Row]:
    yield from _original("2", bench)


def infer_25(bench: Bench) -> Iterator[Row]:
    yield from _original("2.5", bench)


def _original(version: str, bench: Bench) -> Iterator[Row]:
    """Audio seconds per second of the original, with and without its fused kernel for the vocoder. It is spared the
    attention that plans for each shape, too: else it would make a plan for each of its codes."""
    from benchmarks.original import loaded, quiet
    from worker.engines.indextts.sdpa import without_plans

    without_plans()

    bench.check_version(version)
    folder = bench.checkpoint(version)
    bench.close_engine()
    reference = str(bench.references(10)[0])
    for fused in (False, True):
        name = "infer(), with its fused kernel" if fused else "infer()"
        if fused and not bench.on_cuda:
            yield not_run(name, "the kernel needs a GPU and nvcc")
            continue
        with quiet():
            package = loaded(folder, version, bench.device, fused=fused)
        if fused and not getattr(package, "use_cuda_kernel", False):
            yield not_run(name, "the package could not compile it: log.txt says why")
            continue
        for beams in (1, 3) if not bench.tiny else (1,):
            yield _infer(bench, package, reference, f"{name}, beams {beams}", beams, version)
        del package
        bench.tidy()


def _infer(bench: Bench, package: Any, reference: str, name: str, beams: int, version: str) -> Row:
    from benchmarks.original import quiet

    audio, spent = 0.0, 0.0
    for number in range(bench.size(-1, 0), bench.size(3, 1)):
        torch.manual_seed(number)
        started = bench.now()
        with quiet():
            rate, samples = package.infer(
                reference, "At last!" if bench.tiny else TEXT, None, num_beams=beams,
                max_mel_tokens=bench.size(700, 30), **({"lang": "en"} if version == "2.5" else {}),
            )  # fmt: skip
        if number >= 0:  # the first conditions the voice
            spent += bench.now() - started
            audio += len(samples) / rate
    return Row(name, audio / spent, "audio-s/s", "one by one, reference of 10 s, half precision on a GPU")

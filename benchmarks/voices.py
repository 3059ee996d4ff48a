"""What each voice costs and how it is heard: processor seconds and memory of its engine, letters that the ear hears
otherwise, and DNSMOS, a network's guess of how listeners grade the sound from 1 to 5.

    python -m benchmarks.voices                                espeak and kokoro, the first voices of each language
    python -m benchmarks.voices --model kokoro --sentences 12 --voice af_heart --voice bm_george

Needs the extras of the engines and tts-farm[check], and for the last column `pip install --no-deps speechmos` (MIT; its
weights are inside, and its librosa isn't needed). Each model runs in a process of its own. Its memory is the highest
that the process had, with the processes that it started. The ear is weak in Hindi and unfair to espeak: it was trained
on people.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import soxr

from benchmarks.sentences import SENTENCES
from benchmarks.weights import look_for_ear, look_for_kokoro
from farm.settings import Settings
from tests.engine.feeds import clip
from worker.ear.ear import Ear, Heard
from worker.ear.files import ear_folder
from worker.ear.rules import Report
from worker.engine import Engine
from worker.engines import load

Samples = npt.NDArray[np.float32]

VOICES = {
    "espeak": ("en-us", "es", "it"),
    "kokoro": (
        "af_heart",
        "am_michael",
        "bf_emma",
        "bm_george",
        "ef_dora",
        "ff_siwis",
        "if_sara",
        "pf_dora",
        "hf_alpha",
    ),
}
_DNSMOS_HZ, _DNSMOS_SAMPLES = (
    16_000,
    144_160,
)  # the network hears 9.01 s; a shorter clip is repeated, as its package does
_GRADE = np.poly1d([-0.06766283, 1.11546468, 0.04602535])  # of speechmos: from the network's figure to that of people


def main() -> None:
    options = arguments()
    if options.alone:
        print(json.dumps(measured(options.alone, options.voice or VOICES[options.alone], options.sentences)))
        return
    look_for_ear(Settings.read())
    if "kokoro" in (options.model or VOICES):
        look_for_kokoro()
    print("| voice | language | clips | processor s per s of audio | letters heard otherwise | DNSMOS | memory |")
    print("|---|---|---|---|---|---|---|")
    for model in options.model or VOICES:
        voices = [word for voice in options.voice for word in ("--voice", voice)]
        own = ("--alone", model, "--sentences", str(options.sentences), *voices)
        done = subprocess.run(
            (sys.executable, "-m", "benchmarks.voices", *own), stdout=subprocess.PIPE, text=True, check=True
        )
        for row in json.loads(done.stdout.splitlines()[-1]):
            grade = f"{row['grade']:.2f}" if row["grade"] is not None else "-"
            print(
                f"| {model} {row['voice']} | {row['language']} | {row['clips']} | {row['cost']:.3f} "
                f"| {row['wrong']:.1%} | {grade} | {row['memory_mb']:.0f} MB |",
                flush=True,
            )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.voices", description="What each voice costs.")
    parser.add_argument("--model", action="append", choices=tuple(VOICES), help="one of them (all)")
    parser.add_argument("--voice", action="append", default=[], help="some of its voices")
    parser.add_argument("--sentences", type=int, default=12, help="of each voice (%(default)s)")
    parser.add_argument("--alone", choices=tuple(VOICES), help=argparse.SUPPRESS)
    return parser.parse_args()


def measured(model: str, voices: Sequence[str], sentences: int) -> list[dict[str, Any]]:
    """A row for each voice. The ear and the grades come last, so that they count neither as cost nor as memory."""
    settings = Settings.read(model=model)
    engine = load(settings)
    rate, rows, spoken = engine.card.sample_rate, [], []
    for voice in voices:
        language = engine.card.voices[voice]
        texts = texts_of(language)[:sentences]
        before = processor_s()
        clips = [clip(engine, text, voice=voice, language=language).samples for text in texts]
        audio_s = sum(map(len, clips)) / rate
        rows.append({
            "voice": voice, "language": language, "clips": len(clips), "memory_mb": memory_mb(engine),
            "cost": (processor_s() - before) / audio_s,
        })  # fmt: skip
        spoken.append((language, texts, clips))
    engine.close()
    ear = Ear.of(ear_folder(settings))
    for row, (language, texts, clips) in zip(rows, spoken, strict=True):
        answers = ear.hear([Heard(*each) for each in zip(clips, [language] * len(clips), texts, strict=True)], rate)
        row["wrong"] = float(np.mean([answer.wrong for answer in answers if isinstance(answer, Report)]))
        row["grade"] = grade(clips, rate)
    ear.close()
    return rows


def texts_of(language: str) -> Sequence[str]:
    """As many of English as there are of the others, from all over the list."""
    return SENTENCES[language] if language in SENTENCES else SENTENCES.get(language[:2], SENTENCES["en"])


def processor_s() -> float:
    """Of this process and of those that it started, with theirs that have ended."""
    own = psutil.Process()
    return sum(sum(each.cpu_times()[:4]) for each in (own, *own.children(recursive=True)))


def memory_mb(engine: Engine) -> float:
    children = sum(child.memory_info().rss for child in psutil.Process().children(recursive=True))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000 + children / 1e6


def grade(clips: Sequence[Samples], rate: int) -> float | None:
    """The mean overall grade of DNSMOS P.835; None without speechmos."""
    found = find_spec("speechmos")
    if found is None or found.origin is None:
        return None
    import onnxruntime

    network = onnxruntime.InferenceSession(Path(found.origin).parent / "dnsmos_models" / "sig_bak_ovr.onnx")
    figures = []
    for samples in clips:
        heard = soxr.resample(samples, rate, _DNSMOS_HZ).astype(np.float32)
        window = np.resize(heard, _DNSMOS_SAMPLES)[None]
        figures.append(float(_GRADE(network.run(None, {"input_1": window})[0][0][2])))
    return float(np.mean(figures))


if __name__ == "__main__":
    main()

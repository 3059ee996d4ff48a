"""How well the gate finds faults, how often it blames good clips, and what it costs: Kokoro with its real weights,
eight planted faults, and the ear as a worker runs it.

    python -m benchmarks.gate --quick                 10 sentences of one voice, some two minutes of one core
    python -m benchmarks.gate --clips FOLDER          304 good clips of four voices; FOLDER keeps clips for the next run
    python -m benchmarks.gate --clips FOLDER --every 2      152 of them, with every second sentence
    python -m benchmarks.gate --clips FOLDER --every 2 --first 1 --voices af_bella,bm_fable    the others, two voices
    python -m benchmarks.gate --clips FOLDER --languages    and how other languages are heard, good clips alone

Three of the faults are said by the engine from a text that has the fault; the same three, cut and joined out of the
samples, stand behind the mean as `spliced`, and are not part of it: many of them lack no word (benchmarks/faults.py).

A fault is found when the clip gets a warning, by the rule of the row. `sound` are the checks that need no ear
(worker/render/sound_checks.py), `told` the ear's `misread`, `letters` what is left of it without the places of words
(worker/ear/places.py) and without a missing end, `tempo` a length that is odd for the voice (worker/render/tempo.py),
`again` what rerender makes another take for. `report` is all of them but the last: what a farm with FARM_CHECK=report
says. Intervals are Wilson's, at 95 %.

goals: mean detection >= 0.95 with at most 2 % false alarms among 300 good clips or more (report); again: none
       false; at most 0.15 processor seconds for each second of good audio.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil

from benchmarks.faults import KINDS, MISREAD, misread, plant
from benchmarks.sentences import SENTENCES
from benchmarks.weights import look_for_ear, look_for_kokoro
from farm.settings import Settings
from farm.storage.folder import LocalStorage
from tests.engine.feeds import clip
from worker.ear.ear import Ear, Heard
from worker.ear.files import ear_folder
from worker.ear.rules import Report, Verdict, verdict
from worker.engine import Clip, Engine, Speech, Utterance
from worker.engines import load
from worker.render.sound_checks import checked
from worker.render.tempo import Tempo, Voice

Samples = npt.NDArray[np.float32]

RATE = 24_000  # of Kokoro
VOICES = ("af_heart", "am_michael", "bf_emma", "bm_george")
OTHER_VOICES = {
    "es": ("ef_dora", "em_alex"), "fr": ("ff_siwis",), "it": ("if_sara", "im_nicola"),
    "pt-br": ("pf_dora", "pm_alex"), "hi": ("hf_alpha", "hm_omega"),
}  # fmt: skip
SPLICED = tuple(f"{kind}, spliced" for kind in MISREAD)
FAULTY_EVERY = 8  # good clips for each of which faults are planted
FEWEST_WORDS = 6  # of a sentence with planted faults
BATCH = 4  # as the gate asks the ear
GOAL_FOUND, GOAL_FALSE, GOAL_COST = 0.95, 0.02, 0.15


@dataclass(frozen=True, slots=True)
class Case:
    kind: str  # good, one of KINDS, or one of SPLICED
    language: str
    voice: str
    text: str
    samples: Samples = field(default_factory=lambda: np.zeros(0, np.float32))


@dataclass(frozen=True, slots=True)
class Judged:
    case: Case
    report: Report
    sound: bool
    tempo: bool

    @property
    def told(self) -> bool:
        return verdict(self.report, self.case.language) is not Verdict.GOOD

    @property
    def again(self) -> bool:
        return verdict(self.report, self.case.language) is Verdict.BAD


RULES: Mapping[str, Callable[[Judged], bool]] = {
    "sound": lambda one: one.sound,
    "letters": lambda one: (
        verdict(replace(one.report, end="", lost="", held_s=0.0), one.case.language) is not Verdict.GOOD
    ),
    "told": lambda one: one.told,
    "tempo": lambda one: one.tempo,
    "told, sound": lambda one: one.told or one.sound,
    "report": lambda one: one.told or one.sound or one.tempo,
    "again": lambda one: one.again,
}


def main() -> int:
    options = arguments()
    settings = Settings.read(model="kokoro")
    look_for_kokoro()
    look_for_ear(settings)
    with tempfile.TemporaryDirectory() as scratch:
        engine = load(settings)
        folder = options.clips or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        good = list(good_clips(engine, folder, options))
        english = [case for case in good if case.language == "en"]
        faulty = list(faulty_clips(engine, folder, english, 2 if options.quick else FAULTY_EVERY))
        engine.close()
    ear = Ear.of(ear_folder(settings))
    print(ear.start())
    of_good, cost = heard(ear, english)
    of_faulty, cost_of_faulty = heard(ear, faulty)
    judged = judged_by([*english, *faulty], [*of_good, *of_faulty])
    reached = table(judged)
    misheard(judged)
    if options.languages:
        others = [case for case in good if case.language != "en"]
        languages(judged_by(others, heard(ear, others)[0]))
    memory = psutil.Process().children()[0].memory_info().rss / 1e6
    ear.close()
    cost, cost_of_faulty = cost / seconds(english), cost_of_faulty / seconds(faulty)
    print(
        f"\nthe ear: {memory:.0f} MB; processor seconds for each of {seconds(english):.0f} s of good audio: {cost:.3f},"
    )
    print(f"of {seconds(faulty):.0f} s of faulty audio: {cost_of_faulty:.3f}")
    return 0 if verdicts(reached, cost, len(english)) else 1


def seconds(cases: Sequence[Case]) -> float:
    return sum(len(case.samples) for case in cases) / RATE


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description="Faults that the gate finds.")
    parser.add_argument("--quick", action="store_true", help="10 sentences of one voice")
    parser.add_argument("--every", type=int, default=1, help="only every second, third, … sentence")
    parser.add_argument("--first", type=int, default=0, help="the sentence to begin with; 1 with --every 2: the others")
    parser.add_argument(
        "--voices", type=lambda names: tuple(names.split(",")), default=VOICES, help="English voices, with commas"
    )
    parser.add_argument("--languages", action="store_true", help="also how other languages are heard")
    parser.add_argument("--clips", type=Path, help="folder that keeps the good clips")
    return parser.parse_args()


def good_clips(engine: Engine, folder: Path, options: argparse.Namespace) -> Iterator[Case]:
    spoken = [("en", voice) for voice in (VOICES[:1] if options.quick else options.voices)]
    if options.languages:
        spoken += [(language, voice) for language, voices in OTHER_VOICES.items() for voice in voices]
    for language, voice in spoken:
        for text in SENTENCES[language][options.first :: 8 if options.quick else options.every]:
            yield said(engine, folder, Case("good", language, voice, text), text)


def said(engine: Engine, folder: Path, case: Case, text: str) -> Case:
    """The case with its clip: from the folder, where an earlier run has left it, else from the engine."""
    kind = "" if case.kind == "good" else f".{case.kind}"
    path = folder / f"{case.language}.{case.voice}.{SENTENCES[case.language].index(case.text):02d}{kind}.npy"
    if not path.exists():
        np.save(path, clip(engine, text, voice=case.voice, language=engine.card.voices[case.voice]).samples)
    return replace(case, samples=np.load(path))


def faulty_clips(engine: Engine, folder: Path, good: Sequence[Case], every: int) -> Iterator[Case]:
    long = [case for case in good if len(case.text.split()) >= FEWEST_WORDS]
    for number, case in enumerate(long[::every]):
        near = [other for other in long if other.voice == case.voice and other.text != case.text]
        other = min(near, key=lambda one: abs(len(one.samples) - len(case.samples)))
        for kind, samples in plant(case.samples, RATE, case.text, other.samples, number).items():
            yield replace(case, kind=kind if kind not in MISREAD else f"{kind}, spliced", samples=samples)
        for kind, text in misread(case.text).items():
            yield said(engine, folder, replace(case, kind=kind), text)


def heard(ear: Ear, cases: Sequence[Case]) -> tuple[list[Report], float]:
    """What the ear says of each, and its processor seconds."""
    reports: list[Report] = []
    (listener,) = psutil.Process().children()
    before = sum(listener.cpu_times()[:2])
    for first in range(0, len(cases), BATCH):
        batch = cases[first : first + BATCH]
        answers = ear.hear([Heard(case.samples, case.language, case.text) for case in batch], RATE)
        for case, report in zip(batch, answers, strict=True):
            if not isinstance(report, Report):
                raise SystemExit(f"no report of {case.text!r}: {report}")
            reports.append(report)
        if sys.stderr.isatty():
            print(f"\r{len(reports)} of {len(cases)}", end="", file=sys.stderr)
    return reports, sum(listener.cpu_times()[:2]) - before


def judged_by(cases: Sequence[Case], reports: Sequence[Report]) -> list[Judged]:
    """Tempos are those of a farm in which the ear has heard all good clips of the voice before."""
    with tempfile.TemporaryDirectory() as folder:
        tempo = Tempo(LocalStorage(folder))
        for case, report in zip(cases, reports, strict=True):
            if case.kind == "good" and verdict(report, case.language) is Verdict.GOOD:
                tempo.remember(voice_of(case), case.text, len(case.samples) / RATE)
        return [
            Judged(
                case, report, has_odd_sound(case),
                tempo.odd(voice_of(case), case.text, len(case.samples) / RATE) is not None,
            )
            for case, report in zip(cases, reports, strict=True)
        ]  # fmt: skip


def voice_of(case: Case) -> Voice:
    return Voice("", "", case.language, case.voice)


def has_odd_sound(case: Case) -> bool:
    asked = Utterance("", case.text, Speech(case.language, case.voice))
    return bool(checked(Clip("", case.samples), asked, RATE).warnings)


def table(judged: Sequence[Judged]) -> Mapping[str, tuple[float, float]]:
    """Prints it. Rule -> share of false alarms, mean share found."""
    good = [one for one in judged if one.case.kind == "good"]
    print(f"\n{len(good)} good clips, {len(judged) - len(good)} with a planted fault\n")
    print(f"| rule | false alarms | {' | '.join(KINDS)} | mean | {' | '.join(SPLICED)} |")
    print(f"|---|---|{'---|' * len(KINDS)}---|{'---|' * len(SPLICED)}")
    reached = {}
    for name, rule in RULES.items():
        of_kind = {kind: [rule(one) for one in judged if one.case.kind == kind] for kind in (*KINDS, *SPLICED)}
        found = {kind: sum(flags) / max(1, len(flags)) for kind, flags in of_kind.items()}
        wrong = sum(rule(one) for one in good)
        mean = sum(found[kind] for kind in KINDS) / len(KINDS)
        every = [flag for kind in KINDS for flag in of_kind[kind]]
        shares, spliced = (" | ".join(f"{found[kind]:.2f}" for kind in kinds) for kinds in (KINDS, SPLICED))
        false = f"{wrong} ({interval(wrong, len(good))})"
        print(f"| {name} | {false} | {shares} | {mean:.3f} ({interval(sum(every), len(every))}) | {spliced} |")
        reached[name] = (wrong / len(good), mean)
    return reached


def interval(found: int, of: int) -> str:
    """Wilson's, at 95 %, of a share."""
    z, share = 1.96, found / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return f"{max(0.0, middle - half):.3f} to {min(1.0, middle + half):.3f}"


def misheard(judged: Sequence[Judged]) -> None:
    for one in judged:
        if one.case.kind == "good" and RULES["report"](one):
            again = ", again" if one.again else ""
            print(f"false: {one.case.voice}, {one.report.wrong:.0%}{again}: {one.case.text} | {one.report.heard}")


def languages(judged: Sequence[Judged]) -> None:
    """The letters of good clips that are heard otherwise: mean, and the worst of them."""
    by_language: dict[str, list[Judged]] = defaultdict(list)
    for one in judged:
        by_language[one.case.language].append(one)
    print("\n| language | good clips | letters heard otherwise | the most | told |\n|---|---|---|---|---|")
    for language, ones in by_language.items():
        shares = [one.report.wrong for one in ones]
        told = sum(one.told for one in ones)
        print(f"| {language} | {len(ones)} | {sum(shares) / len(shares):.1%} | {max(shares):.0%} | {told} |")


def verdicts(reached: Mapping[str, tuple[float, float]], cost: float, good: int) -> bool:
    false, found = reached["report"]
    goals = {
        f"mean detection {found:.3f} >= {GOAL_FOUND}": found >= GOAL_FOUND,
        f"false alarms {false:.3f} <= {GOAL_FALSE}, of {good} good clips": false <= GOAL_FALSE,
        f"false alarms of `again` {reached['again'][0]:.3f} = 0": reached["again"][0] == 0,
        f"processor seconds {cost:.3f} <= {GOAL_COST}": cost <= GOAL_COST,
    }
    for goal, met in goals.items():
        print(f"{'met   ' if met else 'MISSED'}  {goal}")
    return all(goals.values())


if __name__ == "__main__":
    sys.exit(main())

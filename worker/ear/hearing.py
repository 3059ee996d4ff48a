"""What the ear says of clips: heard in short windows, and once more in a long one where the ear repeats itself.

Whisper was trained on windows of 30 s, and repeats itself in them less than in shorter ones. So a clip of which much
more is heard than was written gets a second hearing, and the better report counts. No other does: in a long window
Whisper smooths over more faults, and writes a phrase once that was said twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from worker.ear.comparison import compare
from worker.ear.places import held, lost
from worker.ear.rules import Report, is_loop, whisper_language
from worker.ear.spelling import folded
from worker.ear.whisper import SAMPLE_RATE, Question, Said, Whisper


class Hearing:
    def __init__(self, folder: Path) -> None:
        self._whisper = Whisper(folder)

    def reports(
        self, rate: int, clips: Sequence[Mapping[str, Any]], samples: npt.NDArray[np.float32]
    ) -> list[dict[str, Any] | None]:
        """As listener.py describes `clips`, whose samples follow each other in `samples`."""
        questions: dict[int, Question] = {}
        ends = np.cumsum([clip["samples"] for clip in clips])
        for number, (clip, own) in enumerate(zip(clips, np.split(samples, ends[:-1]), strict=True)):
            language = whisper_language(clip["language"])
            if self._whisper.knows(language):
                at_16k = soxr.resample(own, rate, SAMPLE_RATE).astype(np.float32)
                questions[number] = Question(at_16k, language, clip["text"])
        found = self._heard(questions, whole=False)
        looped = {number: questions[number] for number, report in found.items() if is_loop(report)}
        for number, again in self._heard(looped, whole=True).items():
            found[number] = min(found[number], again, key=lambda report: report.wrong)
        return [asdict(found[number]) if number in found else None for number in range(len(clips))]

    def _heard(self, questions: Mapping[int, Question], *, whole: bool) -> dict[int, Report]:
        said = self._whisper.hear(list(questions.values()), whole=whole)
        return {
            number: _report(question, answer)
            for (number, question), answer in zip(questions.items(), said, strict=True)
        }


def _report(question: Question, said: Said) -> Report:
    language = question.language
    report = compare(folded(question.written, language), folded(said.text, language), said.text)
    word, seconds = held(said.places)
    return replace(report, likelier=said.likelier, lost=lost(said.places), held=word, held_s=seconds)

"""What the ear says of clips: heard in short windows, and what sounds bad once more in a long one.

Whisper was trained on windows of 30 s, and repeats itself in them less than in shorter ones. So a clip that is bad in
the window that its length asks for gets a second hearing, and the better report counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from worker.ear.comparison import compare
from worker.ear.rules import Report, Verdict, verdict, whisper_language
from worker.ear.spelling import folded
from worker.ear.whisper import SAMPLE_RATE, Question, Whisper


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
        bad = {
            number: questions[number]
            for number, report in found.items()
            if verdict(report, questions[number].language) is Verdict.BAD
        }
        for number, again in self._heard(bad, whole=True).items():
            found[number] = min(found[number], again, key=lambda report: report.wrong)
        return [asdict(found[number]) if number in found else None for number in range(len(clips))]

    def _heard(self, questions: Mapping[int, Question], *, whole: bool) -> dict[int, Report]:
        texts = self._whisper.hear(list(questions.values()), whole=whole)
        return {
            number: compare(folded(question.written, question.language), folded(text, question.language), text)
            for (number, question), text in zip(questions.items(), texts, strict=True)
        }

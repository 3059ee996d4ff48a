"""A text and its two halves, spoken one by one: what lasts less than its halves has lost something on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from farm.prose import spans
from tests.engine import patterns
from tests.engine.feeds import render, utterance
from worker.engine import Clip, Failure
from worker.engines.espeak.engine import Espeak
from worker.engines.espeak.reading import Said

PAUSE_S = 0.7  # between two halves that were spoken as one: in no language do they differ by more than 0.53


@dataclass(frozen=True)
class Halves:
    """`trouble` is what the engine said of the text or of a half: a failure, warnings, characters not spoken."""

    whole_s: float
    halves_s: float
    requests: int
    trouble: str

    @property
    def verdict(self) -> str:
        if self.trouble:
            return "warned"
        if self.whole_s < self.halves_s - PAUSE_S:
            return "lost"
        return "longer" if self.whole_s > self.halves_s + PAUSE_S else "whole"


class Comparison:
    def __init__(self, engine: Espeak) -> None:
        self.engine = engine
        self._requests = 0
        self._speak = engine._speaker.speak
        engine._speaker.speak = self._counted  # type: ignore[method-assign]

    def close(self) -> None:
        self.engine._speaker.speak = self._speak  # type: ignore[method-assign]

    def of(self, language: str, pattern: str) -> Halves:
        return self.of_text(
            patterns.text(pattern, language, self.engine.card.languages[language].max_characters), language
        )

    def of_text(self, text: str, language: str) -> Halves:
        self._requests = 0
        whole, trouble = self._spoken(text, language)
        requests = self._requests
        cuts = list(spans(text, language, (len(text) + 1) // 2))
        half = cuts[len(cuts) // 2].start
        parts = [self._spoken(part, language) for part in (text[:half].rstrip(), text[half:])]
        troubles = [trouble, *(said for _, said in parts)]
        return Halves(whole, sum(seconds for seconds, _ in parts), requests, next(filter(None, troubles), ""))

    def _counted(self, request: Mapping[str, Any]) -> Said:
        self._requests += len(request["text"]) > 2  # the rest asks whether a character is heard
        return self._speak(request)

    def _spoken(self, text: str, language: str) -> tuple[float, str]:
        asked = utterance(self.engine, text, language=language)
        outcome = render(self.engine, [asked])["only"]
        if isinstance(outcome, Failure):
            return 0.0, str(outcome)
        assert isinstance(outcome, Clip)
        said = [str(warning) for warning in outcome.warnings]
        if outcome.spoken_characters != len(asked.text):
            said.append(f"{outcome.spoken_characters} of {len(asked.text)} characters")
        return len(outcome.samples) / self.engine.card.sample_rate, ", ".join(said)

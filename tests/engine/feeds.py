"""Feeds and short cuts for the tests of engines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from worker.engine import Clip, Engine, Failure, Speech, Utterance


class ListFeed:
    """Hands out what it was given, at most `step` at a time, and is over then."""

    def __init__(self, utterances: Iterable[Utterance], step: int | None = None) -> None:
        self._waiting = list(utterances)
        self._step = step
        self.taken: list[str] = []

    def take(self, count: int, *, wait: bool) -> Sequence[Utterance]:
        del wait  # everything is here from the beginning
        count = min(count, self._step or count)
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self.taken += [utterance.key for utterance in batch]
        return batch


def utterance(engine: Engine, text: str, key: str = "only", **speech: object) -> Utterance:
    """In the engine's English, or its first language, unless `speech` says otherwise."""
    language = str(speech.pop("language", "en" if "en" in engine.card.languages else next(iter(engine.card.languages))))
    voice = str(speech.pop("voice", engine.card.languages[language].voice if language in engine.card.languages else ""))
    return Utterance(key, text, Speech(language=language, voice=voice, **speech))  # type: ignore[arg-type]


def render(engine: Engine, utterances: Iterable[Utterance], step: int | None = None) -> dict[str, Clip | Failure]:
    results = list(engine.render(ListFeed(utterances, step)))
    assert len({result.key for result in results}) == len(results), "a key came back twice"
    return {result.key: result for result in results}


def clip(engine: Engine, text: str, **speech: object) -> Clip:
    result = render(engine, [utterance(engine, text, **speech)])["only"]
    assert isinstance(result, Clip), result
    return result

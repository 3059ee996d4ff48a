"""The emotion of an utterance: parsed from its job, and turned into one vector (D,) for the model.

    text      a language model reads eight weights out of the text; then as a vector
    vector    a sum of rows of the checkpoint by these weights; the voice's own emotion has the rest of the weight 1
    voice     the voice's vector, moved by `strength` towards that of another clip
    nothing   the voice's own emotion

The first of these that a job gives counts. The eight weights, in the model's order: happy, angry, sad, afraid,
disgusted, melancholic, surprised, calm.
"""

from __future__ import annotations

import json
import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from farm.errors import BadInput, FarmError
from worker.engines.indextts.shapes import Network, Voice
from worker.engines.indextts.voice.emotion_model import WEIGHTS, EmotionModel, EmotionModelHere, Weights

_FIELDS = {"text", "vector", "voice", "strength"}
_TEXTS_KEPT = 1024


@dataclass(frozen=True, slots=True)
class Emotion:
    """At most one of text, vector and voice is set. `strength` is within 0 and 1."""

    text: str | None = None
    vector: tuple[float, ...] | None = None
    voice: str | None = None  # whose clip: a built-in voice's name, or an uploaded one's content digest
    strength: float = 1.0

    def as_read(self, weights: tuple[float, ...]) -> Emotion:
        """The emotion of a text, as the vector that a model read in it."""
        return Emotion(vector=weights, strength=self.strength)


def parse(document: str | None) -> Emotion:
    """From an utterance's canonical JSON. Raises BadInput, which points at the wrong field."""
    if document is None:
        return Emotion()
    try:
        said = json.loads(document)
    except ValueError:
        said = None
    if not isinstance(said, dict) or not said.keys() <= _FIELDS:
        raise BadInput("the emotion is no object of text, vector, voice and strength", pointer="/emotion")
    strength = said.get("strength", 1.0)
    if not _is_number(strength) or not 0 <= strength <= 1:
        raise BadInput("the emotion's strength is no number from 0 to 1", pointer="/emotion/strength")
    text, vector, voice = said.get("text"), said.get("vector"), said.get("voice")
    if text is not None:
        return Emotion(text=_string(text, "text"), strength=strength)
    if vector is not None:
        return Emotion(vector=_weights(vector), strength=strength)
    if voice is not None:
        return Emotion(voice=_string(voice, "voice"), strength=strength)
    return Emotion()


class Emotions:
    """Emotions into vectors, for voices of one network. `model` reads emotions out of text: the package's own, in this
    process, if none is given."""

    def __init__(self, network: Network, model: EmotionModel | None = None) -> None:
        self._rows, self._speakers = network.emotion_rows, network.speaker_rows
        self.reader = EmotionReader(model or EmotionModelHere(network.emotion_model_dir, network.version))

    def vector(self, emotion: Emotion, voice: Voice, clip: torch.Tensor | None = None) -> torch.Tensor:
        """(D,). `clip` is the vector (D,) of the emotion's voice, heard as a clip. Raises like EmotionReader.read."""
        if emotion.voice is not None:
            if clip is None:
                raise ValueError("an emotion that is another voice's needs the vector of its clip")
            return voice.emotion + emotion.strength * (clip - voice.emotion)
        # The package moves all the way to the same file, heard as a clip. The detour rounds, so it is taken here too.
        own = voice.emotion + 1.0 * (voice.own_emotion - voice.emotion)
        weights = self.reader.read(emotion.text) if emotion.text is not None else emotion.vector
        return own if weights is None else self._mix(_scaled(weights, emotion.strength), voice, own)

    def _mix(self, weights: Sequence[float], voice: Voice, own: torch.Tensor) -> torch.Tensor:
        """A sum by weight: of each emotion, the row whose speaker sounds most like the voice. The voice's own emotion
        has the rest of the weight 1."""
        chosen = [
            rows[functional.cosine_similarity(voice.style[None], speakers, dim=1).argmax()]
            for rows, speakers in zip(self._rows, self._speakers, strict=True)
        ]
        share = torch.tensor(weights, device=own.device)
        return (share[:, None] * torch.stack(chosen)).sum(0) + (1 - share.sum()) * own


class EmotionReader:
    """The emotions of texts, as a model read them once. Thread-safe, but a text that is new is waited for: read_all()
    makes many known in one batch."""

    def __init__(self, model: EmotionModel) -> None:
        self._model = model
        self.together = model.together
        self._answers: OrderedDict[str, Weights] = OrderedDict()
        self._lock = threading.Lock()  # of the answers
        self._asking = threading.Lock()  # of the model

    def find(self, text: str) -> Weights | None:
        """What is known already. It waits for no model."""
        answer = self._found([text]).get(text)
        return None if isinstance(answer, FarmError) else answer

    def read(self, text: str) -> Weights:
        """Eight weights within 0 and 1.2. Raises Misconfigured without the model's files, BadInput where the model
        answers with anything but weights, Unavailable where it does not answer."""
        answer = self.read_all([text])[text]
        if isinstance(answer, FarmError):
            raise answer
        return answer

    def read_all(self, texts: Iterable[str]) -> Mapping[str, Weights | FarmError]:
        """Of each text its weights, or why there are none; that is not remembered."""
        wanted = list(dict.fromkeys(texts))
        found = self._found(wanted)
        if len(found) < len(wanted):
            with self._asking:
                found |= self._found(wanted)  # another thread may have asked meanwhile
                new = [text for text in wanted if text not in found]
                answers = dict(zip(new, self._model.answers(new) if new else [], strict=True))
            self._remember({text: answer for text, answer in answers.items() if not isinstance(answer, FarmError)})
            found |= answers
        return found

    def close(self) -> None:
        self._model.close()

    def _found(self, texts: Sequence[str]) -> dict[str, Weights | FarmError]:
        with self._lock:
            for text in texts:
                if text in self._answers:
                    self._answers.move_to_end(text)
            return {text: self._answers[text] for text in texts if text in self._answers}

    def _remember(self, answers: Mapping[str, Weights]) -> None:
        with self._lock:
            self._answers |= answers
            while len(self._answers) > _TEXTS_KEPT:
                self._answers.popitem(last=False)


def _scaled(weights: Sequence[float], strength: float) -> Sequence[float]:
    """Cut to four decimals, as the package does. At a strength of 1 the package does not cut."""
    return weights if strength == 1.0 else [int(weight * strength * 10000) / 10000 for weight in weights]


def _weights(vector: object) -> tuple[float, ...]:
    if not isinstance(vector, list) or len(vector) != WEIGHTS:
        size = f"{len(vector)} values" if isinstance(vector, list) else "no list"
        raise BadInput(f"the emotion's vector has {size}; give {WEIGHTS} weights", pointer="/emotion/vector")
    for index, weight in enumerate(vector):
        if not _is_number(weight) or weight < 0:
            raise BadInput(
                f"weight {index} of the emotion's vector is no finite number from 0 up",
                pointer=f"/emotion/vector/{index}",
            )
    return tuple(map(float, vector))


def _string(said: object, field: str) -> str:
    if not isinstance(said, str) or not said:
        raise BadInput(f"the emotion's {field} is no text, or empty", pointer=f"/emotion/{field}")
    return said


def _is_number(said: object) -> bool:
    return isinstance(said, int | float) and not isinstance(said, bool) and math.isfinite(said)

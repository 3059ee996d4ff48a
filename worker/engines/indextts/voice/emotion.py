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
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from farm.errors import BadInput, Misconfigured
from worker.engines.indextts.shapes import Network, Voice

WEIGHTS = 8
_FIELDS = {"text", "vector", "voice", "strength"}
_TEXTS_KEPT = 1024
_ANSWER_TOKENS = 256  # eight words with a number each take 70; the package would let it ramble for 32,768


@dataclass(frozen=True, slots=True)
class Emotion:
    """At most one of text, vector and voice is set. `strength` is within 0 and 1."""

    text: str | None = None
    vector: tuple[float, ...] | None = None
    voice: str | None = None  # whose clip: a built-in voice's name, or an uploaded one's content digest
    strength: float = 1.0


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
    """Emotions into vectors, for voices of one network."""

    def __init__(self, network: Network) -> None:
        self._rows, self._speakers = network.emotion_rows, network.speaker_rows
        self._reader = EmotionReader(network.emotion_model_dir, network.version)

    def vector(self, emotion: Emotion, voice: Voice, clip: torch.Tensor | None = None) -> torch.Tensor:
        """(D,). `clip` is the vector (D,) of the emotion's voice, heard as a clip. Raises like EmotionReader.read."""
        if emotion.voice is not None:
            if clip is None:
                raise ValueError("an emotion that is another voice's needs the vector of its clip")
            return voice.emotion + emotion.strength * (clip - voice.emotion)
        # The package moves all the way to the same file, heard as a clip. The detour rounds, so it is taken here too.
        own = voice.emotion + 1.0 * (voice.own_emotion - voice.emotion)
        weights = self._reader.read(emotion.text) if emotion.text is not None else emotion.vector
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
    """Reads emotions out of text with the package's language model (0.6 B parameters), which is loaded at first use.

    It answers greedily, so that the same text is the same emotion on every worker, and remembers its answers.
    Thread-safe.
    """

    def __init__(self, folder: str, version: str = "2") -> None:
        self._folder, self._version = Path(folder), version
        self._model: Any = None
        self._answers: OrderedDict[str, tuple[float, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, text: str) -> tuple[float, ...]:
        """Eight weights within 0 and 1.2. Raises Misconfigured without the model's files, BadInput where the model
        answers with anything but weights."""
        with self._lock:
            if text not in self._answers:
                self._answers[text] = self._ask(text)
                if len(self._answers) > _TEXTS_KEPT:
                    self._answers.popitem(last=False)
            self._answers.move_to_end(text)
            return self._answers[text]

    def _ask(self, text: str) -> tuple[float, ...]:
        if self._model is None:
            self._model = _load(self._folder, self._version)
        try:
            answer = tuple(float(weight) for weight in self._model.inference(text).values())
        except (AttributeError, TypeError, ValueError):  # the package takes any JSON for an object of numbers
            answer = ()
        if len(answer) != WEIGHTS or not all(map(math.isfinite, answer)):
            none = "the emotion model found no emotion in this text"
            raise BadInput(f"{none}; say it in other words, or give a vector", pointer="/emotion/text")
        return answer


def _load(folder: Path, version: str = "2") -> Any:
    if not (folder / "config.json").is_file():
        raise Misconfigured(
            f"an emotion given as text needs the language model in {folder}, which is not there; fetch it with "
            f"`hf download IndexTeam/IndexTTS-{version} --include '{folder.name}/*' --local-dir {folder.parent}`, "
            "or give the emotion as a vector or a voice"
        )
    with warnings.catch_warnings():  # whose filters the import would change for the whole process
        try:
            from indextts.emotion import QwenEmotion  # the indexed package
        except ImportError:
            from indextts.infer_v2 import QwenEmotion  # the official repository
    reader = QwenEmotion(str(folder))
    settings = reader.model.generation_config
    settings.do_sample = False
    settings.temperature = settings.top_p = settings.top_k = None
    generate = reader.model.generate
    reader.model.generate = lambda **inputs: generate(**{**inputs, "max_new_tokens": _ANSWER_TOKENS})
    return reader


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

"""The package's language model that reads emotions out of text (0.6 B parameters), here or in a process of its own.

It answers greedily, and a GPU reads eight texts in the time of one. How large a batch is decides how a GPU rounds, so
each batch has eight rows and one of few widths: the same text is the same emotion on every worker, in any company. A
CPU reads one text at a time, as the package does.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.nn.functional import pad

from farm.errors import BadInput, FarmError, Misconfigured, Unavailable
from worker.engines.indextts.aide import Aide, Ended, Late
from worker.engines.indextts.sdpa import without_plans

log = logging.getLogger(__name__)

WEIGHTS = 8
TOGETHER = 8  # texts, on a GPU
MEMORY = 5 << 29  # bytes of a GPU: weights in fp16 1.2 GB, a context of CUDA 0.5, activations and cache of eight rows
START_S = 120.0
DEADLINE_S = 30.0  # of a batch on a GPU, which takes 2 s
DEADLINE_CPU_S = 90.0  # of one text

_ANSWER_TOKENS = 256  # eight words with a number each take 70; the package would let it ramble for 32,768
_WIDTH = 64  # tokens; prompts are padded to a multiple

Weights = tuple[float, ...]  # of the eight emotions, within 0 and 1.2


class EmotionModel(Protocol):
    together: int  # texts that it reads in the time of one

    def answers(self, texts: Sequence[str]) -> list[Weights | FarmError]:
        """Of each text its weights, or the reason why there are none. Not thread-safe."""
        ...

    def close(self) -> None: ...


class EmotionModelHere:
    """In this process; loaded when first asked. `together`: texts of one batch."""

    def __init__(self, folder: str, version: str = "2", *, together: int = 1) -> None:
        self._folder, self._version, self.together = Path(folder), version, together
        self._model: Any = None

    def answers(self, texts: Sequence[str]) -> list[Weights | FarmError]:
        if self._model is None:
            try:
                self._model = load(self._folder, self._version)
            except Misconfigured as error:
                return [error] * len(texts)
        if self.together == 1:
            return [self._weights(text) for text in texts]
        by_width: dict[int, list[_Asked]] = {}
        for place, text in enumerate(texts):
            prompt = self._prompt(text)
            by_width.setdefault(-(-prompt.shape[1] // _WIDTH), []).append(_Asked(place, text, prompt))
        answers: dict[int, Weights | FarmError] = {}
        for width, asked in by_width.items():
            for start in range(0, len(asked), self.together):
                answers |= self._batch(asked[start : start + self.together], width * _WIDTH)
        return [answers[place] for place in range(len(texts))]

    def close(self) -> None:
        pass

    def _batch(self, asked: Sequence[_Asked], width: int) -> Mapping[int, Weights | FarmError]:
        rows = [*asked, *[asked[0]] * (self.together - len(asked))]
        padding = self._model.tokenizer.eos_token_id
        ids = torch.cat([pad(row.prompt, (width - row.prompt.shape[1], 0), value=padding) for row in rows])
        mask = torch.cat([pad(torch.ones_like(row.prompt), (width - row.prompt.shape[1], 0)) for row in rows])
        made = self._model.model.generate(input_ids=ids, attention_mask=mask, pad_token_id=padding)[:, width:]
        answers = {}
        for row, answer in zip(asked, made, strict=False):
            with self._generating(lambda row=row, answer=answer, **_: torch.cat([row.prompt[0], answer])[None]):
                answers[row.place] = self._weights(row.text)
        return answers

    def _prompt(self, text: str) -> torch.Tensor:
        """(1, n): the token ids that the package would show its model."""

        def seen(*, input_ids: torch.Tensor, **_: Any) -> torch.Tensor:
            raise _Seen(input_ids)

        with self._generating(seen):
            try:
                self._model.inference(text)
            except _Seen as prompt:
                return prompt.ids
        raise RuntimeError("the package's emotion model was not asked")

    @contextmanager
    def _generating(self, generate: Callable[..., torch.Tensor]) -> Iterator[None]:
        """With `generate` in place of the model's own, for the package's way of asking and reading."""
        model = self._model.model
        own, model.generate = model.generate, generate
        try:
            yield
        finally:
            model.generate = own

    def _weights(self, text: str) -> Weights | FarmError:
        try:
            answer = tuple(float(weight) for weight in self._model.inference(text).values())
        except (AttributeError, TypeError, ValueError):  # the package takes any JSON for an object of numbers
            answer = ()
        if len(answer) != WEIGHTS or not all(map(math.isfinite, answer)):
            none = "the emotion model found no emotion in this text"
            return BadInput(f"{none}; say it in other words, or give a vector", pointer="/emotion/text")
        return answer


@dataclass(frozen=True, slots=True)
class _Asked:
    place: int
    text: str
    prompt: torch.Tensor  # (1, n)


class _Seen(Exception):
    def __init__(self, ids: torch.Tensor) -> None:
        self.ids = ids


class EmotionProcess:
    """In a process of its own, which is started at the first text, and again where it ended or was late. A batch that
    it did not answer is asked text by text, so that one bad text fails alone."""

    def __init__(self, folder: str, version: str, device: torch.device) -> None:
        self._folder, self.together = Path(folder), TOGETHER if device.type == "cuda" else 1
        self._aide = Aide(
            __name__, (folder, version, self.together), start_s=START_S,
            environment={"CUDA_VISIBLE_DEVICES": _visible(device)},
        )  # fmt: skip
        self._version = version
        self._sick = False  # it answered nothing of its last batch
        there = device.type == "cuda" and (self._folder / "config.json").is_file()
        self.reserve = MEMORY if there else 0  # bytes of the GPU that the process takes once it is asked

    def answers(self, texts: Sequence[str]) -> list[Weights | FarmError]:
        if not (self._folder / "config.json").is_file():
            return [missing(self._folder, self._version)] * len(texts)
        answers: list[Weights | FarmError] = []
        for start in range(0, len(texts), self.together):
            answers += self._asked(texts[start : start + self.together])
        return answers

    def close(self) -> None:
        self._aide.close()

    def _asked(self, texts: Sequence[str]) -> list[Weights | FarmError]:
        answers: list[Weights | FarmError] = []
        try:
            answers = self._ask(texts)
        except Exception as error:
            self._start_again(error)
            if not self._sick and not (len(texts) == 1 and isinstance(error, Late)):
                self._ask_alone(texts, answers)
        answers += [self._unanswered() for _ in texts[len(answers) :]]
        self._sick = all(isinstance(answer, Unavailable) for answer in answers)
        return answers

    def _ask_alone(self, texts: Sequence[str], answers: list[Weights | FarmError]) -> None:
        """Each text by itself, until two in a row were not answered: then it is not the texts."""
        for text in texts:
            try:
                answers += self._ask([text])
            except Exception as error:
                self._start_again(error)
                answers.append(self._unanswered())
            if len(answers) > 1 and all(isinstance(answer, Unavailable) for answer in answers[-2:]):
                return

    @property
    def _deadline_s(self) -> float:
        return DEADLINE_S if self.together > 1 else DEADLINE_CPU_S

    def _unanswered(self) -> Unavailable:
        return Unavailable(
            f"the emotion model did not answer within {self._deadline_s:.0f} s; try again, or give the emotion as a "
            "vector or a voice"
        )

    def _start_again(self, error: Exception) -> None:
        """After a question that was not answered: whatever its process has met, it is not this one's device."""
        known = isinstance(error, Late | Ended)
        log.warning("the process of the emotion model is ended: %s", error if known else type(error).__name__)
        self._aide.close()

    def _ask(self, texts: Sequence[str]) -> list[Weights | FarmError]:
        said: list[Weights | str] = self._aide.ask(list(texts), self._deadline_s)
        return [BadInput(one, pointer="/emotion/text") if isinstance(one, str) else one for one in said]


def _visible(device: torch.device) -> str:
    """The value of CUDA_VISIBLE_DEVICES with which a process sees this device and no other."""
    if device.type != "cuda":
        return ""
    seen = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    index = device.index or 0
    return seen[index] if index < len(seen) else str(index)


def missing(folder: Path, version: str) -> Misconfigured:
    return Misconfigured(
        f"an emotion given as text needs the language model in {folder}, which is not there; fetch it with "
        f"`hf download IndexTeam/IndexTTS-{version} --include '{folder.name}/*' --local-dir {folder.parent}`, "
        "or give the emotion as a vector or a voice"
    )


def load(folder: Path, version: str = "2") -> Any:
    """The package's own reader, made to draw nothing. Raises Misconfigured without its files."""
    if not (folder / "config.json").is_file():
        raise missing(folder, version)
    without_plans()
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


def begin(opening: tuple[str, str, int]) -> Callable[[Sequence[str]], list[Weights | str]]:
    """Of the process: the model, loaded before it says that it is ready."""
    folder, version, together = opening
    here = EmotionModelHere(folder, version, together=together)
    here._model = load(Path(folder), version)

    def answer(texts: Sequence[str]) -> list[Weights | str]:
        with torch.inference_mode():
            return [one.message if isinstance(one, FarmError) else one for one in here.answers(texts)]

    return answer

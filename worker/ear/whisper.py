"""What a clip says, and when: Whisper base by CTranslate2, in int8, on a CPU.

        clip ── at 16 kHz, in pieces of 28 s at most ──▶ windows of 8, 16, 24 or 30 s ──▶ batches of equal windows

Whisper was trained on windows of 30 s. One of 8 s costs a sixth and hears the same words, as long as a second of it is
free: of 38 clips it heard all as in one of 10 s, while in one of 6 s it repeated itself in two. A clip always gets the
window that its own length asks for, so that its text does not depend on its neighbours in a batch.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import numpy.typing as npt
from faster_whisper.feature_extractor import FeatureExtractor
from tokenizers import Tokenizer

from farm.pronunciation import plain
from worker.ear.places import Place, places

Samples = npt.NDArray[np.float32]

SAMPLE_RATE = 16_000
_FRAME = 160  # samples
_WINDOW, _LONGEST = 800, 3000  # frames of 10 ms: the step of windows, and the window that Whisper was trained on
_FREE = 100  # frames of a window that no clip fills
_PIECE_S, _CUT_S = 28.0, 8.0  # a longer clip is cut at the quietest place of the last seconds before
_BATCH = 4
_ALIGNED = 200  # tokens of a text that is longer than any clip of one piece says
_LEAST = 1e-9  # chance of a token
_TOKENS = 16  # of a text at least, and twice those of what is written: a loop of the ear ends there


@dataclass(frozen=True, slots=True)
class Question:
    """What does this clip say? `written` bounds the length of the answer."""

    samples: Samples  # at 16 kHz
    language: str  # one of Whisper's
    written: str


@dataclass(frozen=True, slots=True)
class Said:
    text: str  # as Whisper writes it
    places: Sequence[Place] = ()  # of the words that were written; of none where the clip had to be cut
    likelier: float | None = None  # this text than the one that was written, as a logarithm; None where nothing tells


class Whisper:
    def __init__(self, folder: Path) -> None:
        self._model = ctranslate2.models.Whisper(
            str(folder), device="cpu", compute_type="int8", inter_threads=1, intra_threads=1
        )
        self._tokenizer = _tokenizer(folder / "tokenizer.json")
        self._tokens = self._tokenizer.get_vocab()
        self._features = FeatureExtractor()

    def knows(self, language: str) -> bool:
        return f"<|{language}|>" in self._tokens

    def hear(self, questions: Sequence[Question], *, whole: bool = False) -> list[Said]:
        """What each clip says. `whole`: in windows of 30 s."""
        heard: list[list[Said]] = [[] for _ in questions]
        windows: dict[int, list[tuple[int, Samples]]] = defaultdict(list)
        for number, question in enumerate(questions):
            for piece in pieces(question.samples):
                windows[_LONGEST if whole else _window(piece)].append((number, piece))
                heard[number].append(Said(""))
        at = [0] * len(questions)
        for frames, waiting in sorted(windows.items()):
            for first in range(0, len(waiting), _BATCH):
                batch = waiting[first : first + _BATCH]
                said = self._hear(frames, [(piece, questions[number]) for number, piece in batch])
                for (number, _), one in zip(batch, said, strict=True):
                    heard[number][at[number]] = one
                    at[number] += 1
        return [parts[0] if len(parts) == 1 else Said(" ".join(part.text for part in parts)) for parts in heard]

    def _hear(self, frames: int, batch: Sequence[tuple[Samples, Question]]) -> list[Said]:
        features = np.stack([self._spectrum(piece, frames) for piece, _ in batch])
        limits = [_TOKENS + 2 * len(self._written(question)) for _, question in batch]
        encoded = self._model.encode(ctranslate2.StorageView.from_array(features))
        results = self._model.generate(
            encoded,
            [self._prompt(question.language) for _, question in batch],
            beam_size=1,
            max_length=min(448, 4 + max(limits)),
        )
        heard = [result.sequences_ids[0][:limit] for result, limit in zip(results, limits, strict=True)]
        return [
            self._said(tokens, part[None], piece, question)
            for tokens, part, (piece, question) in zip(heard, np.array(encoded), batch, strict=True)
        ]

    def _said(self, heard: list[int], encoded: Samples, piece: Samples, question: Question) -> Said:
        """One clip at a time, so that nothing of it depends on its neighbours."""
        text, written = self._tokenizer.decode(heard).strip(), self._written(question)
        if not 0 < len(written) <= _ALIGNED:
            return Said(text)
        features = ctranslate2.StorageView.from_array(np.ascontiguousarray(encoded))

        def aligned(tokens: list[int]) -> Any:
            start, frames = self._prompt(question.language)[:-1], len(piece) // _FRAME
            return self._model.align(features, start, [tokens], frames)[0]

        of_written = aligned(written)
        likely = _likely(aligned(heard)) if heard else 0.0
        return Said(
            text,
            places([self._tokenizer.decode([token]) for token in written], of_written.alignments),
            likely - _likely(of_written),
        )

    def _written(self, question: Question) -> list[int]:
        text = f" {plain(question.written).strip()}"
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _spectrum(self, piece: Samples, frames: int) -> Samples:
        filled = np.pad(piece, (0, frames * _FRAME - len(piece)))
        spectrum: Samples = self._features(filled, padding=0)[:, :frames].astype(np.float32)
        return np.ascontiguousarray(spectrum)

    def _prompt(self, language: str) -> list[int]:
        tags = ("<|startoftranscript|>", f"<|{language}|>", "<|transcribe|>", "<|notimestamps|>")
        return [self._tokens[tag] for tag in tags]


def _likely(found: Any) -> float:
    """The logarithm of how likely the ear finds the text of an alignment."""
    return sum(math.log(max(_LEAST, chance)) for chance in found.text_token_probs)


def _tokenizer(path: Path) -> Tokenizer:
    """The file lacks the first of Whisper's rules, by which a blank and a t are one token; without it " the" is two."""
    rules = json.loads(path.read_text("utf-8"))
    rules["model"]["merges"].insert(0, "Ġ t")
    return Tokenizer.from_str(json.dumps(rules))


def pieces(samples: Samples) -> list[Samples]:
    """Of at most 28 s each, cut where the clip is quietest."""
    cut: list[Samples] = []
    longest, span, step = round(_PIECE_S * SAMPLE_RATE), round(_CUT_S * SAMPLE_RATE), _FRAME * 5
    while len(samples) > longest:
        last = samples[longest - span : longest]
        power = np.square(last).reshape(-1, step).mean(1)
        place = longest - span + int(power.argmin()) * step + step // 2
        cut.append(samples[:place])
        samples = samples[place:]
    return [*cut, samples]


def _window(piece: Samples) -> int:
    frames = math.ceil(len(piece) / _FRAME) + _FREE
    return min(_LONGEST, math.ceil(frames / _WINDOW) * _WINDOW)

"""The text front end of version 2, for English and Chinese, over the package's normaliser and tokenizer.

    text ── clean ── words for numbers and signs ── tokens of the vocabulary ── segments of at most 120 ── ids

A sentence gets exactly the ids that the package gives it. Four things differ, where the package does badly. A known
language is not guessed. A grammar that fails neither loses nor logs a text. Marks without a sound become silence. No
text raises.
"""

from __future__ import annotations

import re
import threading
import unicodedata
import warnings
from typing import Any

from worker.engines.indextts.shapes import Segments
from worker.engines.indextts.text.wording import Grammars, Wording

MAX_TOKENS = 120  # of a segment, as the package's own infer() cuts; the model's table of positions ends at 600

HAN = re.compile(r"[\u4e00-\u9fff]")  # the package takes a text with one of these for Chinese
_SPACE = "▁"  # as the vocabulary writes a space


class BilingualSegmenter:
    """Around the package's TextTokenizer and its TextNormalizer. Thread-safe; the same text gives the same segments.

    The normaliser comes with its grammars loaded, because building them takes 30 s to 5 minutes, once per installation.
    They are slow: 300 English characters took NeMo (the indexed package) 0.18 s on one core, and WeTextProcessing (the
    official repository) 0.31 s. `wording` runs them elsewhere; when absent, they run in this process.
    """

    def __init__(self, tokenizer: Any, wording: Wording | None = None) -> None:
        self._tokenizer = tokenizer
        self._wording = wording or Grammars(tokenizer.normalizer)
        self._boundaries = {tokenizer.bos_token_id, tokenizer.eos_token_id}
        self._unknown = tokenizer.unk_token_id
        self._lock = threading.Lock()  # the filter of warnings is the process's

    def segments(self, text: str, language: str, *, normalize: bool = True) -> Segments:
        """Of any string. `language` is a BCP 47 tag. A text in English without a Han character is read in English, and
        "1984." too, which the package reads in Chinese. Elsewhere the package guesses the language.

        There are no ids where nothing can be spoken: no text, punctuation and symbols alone, no character with a token.
        """
        text = clean(text)
        if not any(character.isalnum() for character in text):
            return Segments([], [])
        if normalize:
            english = language.partition("-")[0].lower() == "en" and not HAN.search(text)
            text = self._wording.normalize(text, "en" if english else "zh or en")
        tokens = self._tokens(text)
        with self._lock:
            parts = self._split(tokens)
        ids = {token: self._tokenizer.sp_model.PieceToId(token) for token in set(tokens)}
        unknown = [token for token in tokens if ids[token] == self._unknown]
        return Segments(
            [
                [ids[token] for token in part if ids[token] not in self._boundaries]
                for part in parts
                if any(self._is_speech(token, ids[token]) for token in part)
            ],
            list(dict.fromkeys("".join(unknown).replace(_SPACE, ""))),
        )

    def _tokens(self, text: str) -> list[str]:
        """As the package's encode() does, but also for a text of one character. The package leaves such a text as it
        is, even a digit or a small letter, and a chapter may be called "7"."""
        for prepare in self._tokenizer.pre_tokenizers:
            text = prepare(text)
        tokens: list[str] = self._tokenizer.sp_model.Encode(text, out_type=str)
        return tokens

    def _split(self, tokens: list[str]) -> list[list[str]]:
        with warnings.catch_warnings():
            # The package warns of a clause that is longer than a segment, and quotes the clause. It is cut by length.
            warnings.simplefilter("ignore")
            try:
                parts: list[list[str]] = self._tokenizer.split_segments(tokens, MAX_TOKENS)
            except Exception:  # an assertion, or a recursion without end: it was written for well-formed prose
                return [tokens[start : start + MAX_TOKENS] for start in range(0, len(tokens), MAX_TOKENS)]
        return parts

    def _is_speech(self, token: str, number: int) -> bool:
        if number in self._boundaries or number == self._unknown:
            return False
        return any(map(str.isalnum, token)) or self._tokenizer.sp_model.IsByte(number)


_GAP, _NOTHING = frozenset({"Cc", "Cs", "Zl", "Zp", "Zs"}), frozenset({"Cf"})


def clean(text: str) -> str:
    """The text on one line, without control characters, lone surrogates and characters of no width. The plain spelling
    of an utterance (farm/spelling.py) keeps joiners that its script needs; vocabularies have no token for them, and
    have é as one character. Every other sign stays, so that one without a token is reported."""
    kept: list[str] = []
    for character in text:
        category = unicodedata.category(character)
        if category not in _NOTHING:
            kept.append(" " if category in _GAP else character)
    return unicodedata.normalize("NFC", " ".join("".join(kept).split()))

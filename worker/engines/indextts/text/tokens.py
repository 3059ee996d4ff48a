"""Text as the model reads it: cleaned, put into words and into tokens by the package, cut where the package cuts.

    text ── clean ── words for numbers and signs ── pieces of the vocabulary ── segments of at most 120 ── ids

A sentence gets the ids that the package gives it, to the last one. What differs is what the package does badly: the
language is not guessed where it is known, a grammar that fails loses nothing and logs nothing of the text, marks that
nobody can pronounce become no sound, and no text raises.
"""

from __future__ import annotations

import re
import threading
import unicodedata
import warnings
from typing import Any

from worker.engines.indextts.shapes import Segments
from worker.engines.indextts.text.wording import Grammars, Wording

MAX_TOKENS = 120  # of a segment: what the package's own infer() cuts at; the model's table of positions ends at 600

HAN = re.compile(r"[\u4e00-\u9fff]")  # what the package takes for Chinese
_SPACE = "▁"  # the vocabulary's sign for it


class FrontEnd:
    """Around the package's TextTokenizer and its TextNormalizer. Thread-safe; the same text gives the same segments.

    The normaliser's grammars come loaded: building them takes 30 s to 5 minutes, once per installation. They are slow:
    300 English characters took NeMo (the indexed package) 0.18 s on one core, and WeTextProcessing (the official
    repository) 0.31 s. `wording` says where they run; in this process when absent.
    """

    def __init__(self, tokenizer: Any, wording: Wording | None = None) -> None:
        self._tokenizer = tokenizer
        self._wording = wording or Grammars(tokenizer.normalizer)
        self._boundaries = {tokenizer.bos_token_id, tokenizer.eos_token_id}
        self._unknown = tokenizer.unk_token_id
        self._lock = threading.Lock()  # the filter of warnings is the process's

    def segments(self, text: str, language: str, *, normalize: bool = True) -> Segments:
        """Of any string. `language` is a BCP 47 tag; for English without a Han character English it is, whatever the
        text looks like (the package reads "1984." as Chinese); in all else the package's guess stands.

        No ids where nothing can be spoken: no text, punctuation and symbols alone, or no character with a token.
        """
        text = clean(text)
        if not any(character.isalnum() for character in text):
            return Segments([], [])
        if normalize:
            english = language.partition("-")[0].lower() == "en" and not HAN.search(text)
            text = self._wording.normalize(text, "en" if english else "zh or en")
        pieces = self._pieces(text)
        with self._lock:
            parts = self._split(pieces)
        ids = {piece: self._tokenizer.sp_model.PieceToId(piece) for piece in set(pieces)}
        unknown = [piece for piece in pieces if ids[piece] == self._unknown]
        return Segments(
            [
                [ids[piece] for piece in part if ids[piece] not in self._boundaries]
                for part in parts
                if any(self._is_speech(piece, ids[piece]) for piece in part)
            ],
            list(dict.fromkeys("".join(unknown).replace(_SPACE, ""))),
        )

    def _pieces(self, text: str) -> list[str]:
        """As the package's encode() does, but for a text of one character, which that leaves as it is, a digit or a
        small letter too: "7" is how a chapter may be called."""
        for prepare in self._tokenizer.pre_tokenizers:
            text = prepare(text)
        pieces: list[str] = self._tokenizer.sp_model.Encode(text, out_type=str)
        return pieces

    def _split(self, pieces: list[str]) -> list[list[str]]:
        with warnings.catch_warnings():
            # That a clause was longer than a segment is said with the whole clause; it is cut by length, and that is
            # all there is to do.
            warnings.simplefilter("ignore")
            try:
                parts: list[list[str]] = self._tokenizer.split_segments(pieces, MAX_TOKENS)
            except Exception:  # an assertion, or a recursion without end: it was written for well-formed prose
                return [pieces[start : start + MAX_TOKENS] for start in range(0, len(pieces), MAX_TOKENS)]
        return parts

    def _is_speech(self, piece: str, token: int) -> bool:
        if token in self._boundaries or token == self._unknown:
            return False
        return any(map(str.isalnum, piece)) or self._tokenizer.sp_model.IsByte(token)


_GAP, _NOTHING = frozenset({"Cc", "Cs", "Zl", "Zp", "Zs"}), frozenset({"Cf"})


def clean(text: str) -> str:
    """On one line, composed (é as one character, as in vocabularies), without control characters, halves of
    surrogate pairs and what has no width. All else stays: a sign without a token is reported, not lost."""
    kept: list[str] = []
    for character in text:
        category = unicodedata.category(character)
        if category not in _NOTHING:
            kept.append(" " if category in _GAP else character)
    return unicodedata.normalize("NFC", " ".join("".join(kept).split()))

"""A lexicon: how words are said that are written otherwise. Its entries, and the limits of them.

An entry says one of four things of what is written: an alias in words, or its pronunciation in pinyin, in phones of the
CMU dictionary, or in kana. A pronunciation becomes marks (farm/pronunciation.py), for models that read these.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from farm.pronunciation import faults
from farm.wire import LanguageTag, LexiconInfo, Name

MAX_ENTRIES = 10_000
MAX_BYTES = 1_000_000  # of a lexicon, as it is sent and as it is kept
MAX_WRITTEN, MAX_SAID = 60, 120  # characters
ALPHABETS = ("pinyin", "cmu", "kana")

_LINE = r"^[^\u0000-\u001f\u007f-\u009f]*$"
Said = Annotated[str, Field(min_length=1, max_length=MAX_SAID, pattern=_LINE)]


class Entry(BaseModel):
    """One of `alias`, `pinyin`, `cmu` and `kana` is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    written: Annotated[str, Field(min_length=1, max_length=MAX_WRITTEN, pattern=_LINE)]
    alias: Said | None = None
    pinyin: Said | None = Field(None, description="syllables with their tones, one for each character: YIN2 HANG2")
    cmu: Said | None = Field(None, description="phones of the CMU dictionary: M IH1 . N AH0 T")
    kana: Said | None = Field(None, description="a reading, all in hiragana or all in katakana")
    language: LanguageTag | None = Field(None, description="of the text that it counts in; en counts in en-GB too")
    case: Literal["exact", "any"] = Field("exact", description="`any`: in capitals too")
    match: Literal["word", "prefix", "phrase"] | None = Field(
        None, description="a whole word, the beginning of words, or several words; by what is written when absent"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        said = [name for name in ("alias", *ALPHABETS) if getattr(self, name) is not None]
        if len(said) != 1:
            raise ValueError(f"{self.written!r} needs one of alias, pinyin, cmu and kana")
        if not any(map(str.isalnum, self.written)) or self.written != self.written.strip():
            raise ValueError(f"{self.written!r} needs a letter or a digit, and no space at its ends")
        if self.alias is not None and not any(map(str.isalnum, self.alias)):
            raise ValueError(f"{self.written!r} has nothing to say: its alias needs a letter or a digit")
        if self.alias is not None and not {"<", "|"}.isdisjoint(self.alias):
            raise ValueError(f"{self.written!r}: an alias is words; give a pronunciation as cmu, pinyin or kana")
        if self.match == "word" and " " in self.written:
            raise ValueError(f"{self.written!r} is more than a word; its match is phrase")
        if self.match == "prefix" and (self.alphabet or not self.written.isalnum()):
            raise ValueError(f"{self.written!r}: the beginning of words is letters and digits alone, with an alias")
        if self.alphabet and (fault := next(faults(self.spoken), None)):
            raise ValueError(f"{self.written!r}: {fault.trouble}")
        return self

    @property
    def alphabet(self) -> str | None:
        """In which its pronunciation is given."""
        return next((name for name in ALPHABETS if getattr(self, name) is not None), None)

    @property
    def spoken(self) -> str:
        """What is said in place of what is written."""
        if self.alias is not None:
            return " ".join(self.alias.split())
        said = (self.pinyin or self.cmu or self.kana or "").strip()
        syllables = said.split()
        if self.pinyin is not None and len(syllables) == len(self.written):
            return "".join(f"<{letter}|{each}>" for letter, each in zip(self.written, syllables, strict=True))
        return f"<{self.written}|{said}>"

    def counts_in(self, language: str) -> bool:
        if self.language is None:
            return True
        wanted, spoken = self.language.lower(), language.lower()
        return spoken == wanted or spoken.startswith(f"{wanted}-")


class Lexicon(BaseModel):
    """The entries of one version, in their order. Of two that are written alike, the first counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    entries: Annotated[list[Entry], Field(min_length=1, max_length=MAX_ENTRIES)]

    def to_json(self) -> str:
        """Equal lexicons are equal strings."""
        rows = [entry.model_dump(exclude_defaults=True) for entry in self.entries]
        return json.dumps({"entries": rows}, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @property
    def alphabets(self) -> list[str]:
        return sorted({entry.alphabet for entry in self.entries if entry.alphabet})


class LexiconRequest(Lexicon):
    """POST /v1/lexicons as JSON."""

    name: Name


class LexiconShown(LexiconInfo):
    """A version with its entries."""

    entries: list[Entry]


def read_entries(document: str | bytes) -> list[Entry]:
    """Of a stored lexicon, not validated again: putting it did that."""
    return [Entry.model_construct(**row) for row in json.loads(document)["entries"]]

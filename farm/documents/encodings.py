"""Bytes into characters: by the byte order mark, by what is given or declared, as strict UTF-8, and last by a guess.

A guess is shown, because it may be wrong: curly quotes of windows-1252 look like letters of windows-1257.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from charset_normalizer import from_bytes

from farm.documents.charset import is_charset
from farm.documents.refusals import refusal

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WESTERN = "cp1252"


@dataclass(frozen=True, slots=True)
class Decoded:
    text: str
    encoding: str  # as Python writes it
    origin: str  # "mark", "given", "declared", "utf-8" or "guess"


def decode(data: bytes, name: str, *, given: str | None = None, declared: str | None = None) -> Decoded:
    """Raises BadInput where nothing fits, or the given encoding does not."""
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return Decoded(_strictly(data.removeprefix(mark), name, encoding), encoding, "mark")
    if given is not None:
        return Decoded(_strictly(data, name, given), codecs.lookup(given).name, "given")
    if declared and (text := _perhaps(data, declared)) is not None:
        return Decoded(text, codecs.lookup(declared).name, "declared")
    if (text := _perhaps(data, "utf-8")) is not None:
        return Decoded(text, "utf-8", "utf-8")
    guess = from_bytes(data)
    best = guess.best()
    if best is None:
        raise refusal("unknown_encoding", f"{name} is in no encoding that can be guessed; name it in `encoding`")
    # Where two of the one-byte encodings of Latin letters fit alike, the one that is used most is the likelier.
    encoding = (
        _WESTERN
        if best.encoding.startswith("cp125")
        and any(_WESTERN in one.could_be_from_charset and one.chaos <= best.chaos for one in guess)
        else best.encoding
    )
    return Decoded(data.decode(encoding, "replace"), codecs.lookup(encoding).name, "guess")


def _strictly(data: bytes, name: str, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise refusal(
            "wrong_encoding", f"{name} is not {encoding} (byte {error.start}); name another `encoding`"
        ) from None


def _perhaps(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding) if is_charset(encoding) else None
    except UnicodeDecodeError:
        return None

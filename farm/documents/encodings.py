"""Bytes into characters: by the byte order mark, by what is given or declared, as strict UTF-8, and last by a guess.

A guess is shown, because it may be wrong: curly quotes of windows-1252 look like letters of windows-1257. What bytes
prove counts before what is declared of them: a file that somebody has converted to UTF-8 often declares what it was.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from charset_normalizer import from_bytes

from farm.documents.charset import codec, is_known, shown_by
from farm.documents.refusals import refusal
from farm.errors import BadInput

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDE_MARKS = tuple(mark for mark, encoding in MARKS if encoding != "utf-8")
_WESTERN = "cp1252"
# Those that texts are found in. Rarer ones fit anything of a few words, and only take their place.
_GUESSED = """
    cp1252 cp1250 cp1251 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 cp874 koi8_r koi8_u iso8859_2 iso8859_5 iso8859_7
    iso8859_15 cp866 cp850 mac_roman mac_cyrillic cp932 euc_jp gb18030 big5 cp949
"""
_JAPANESE, _HEBREW, _TURKISH = "euc_jp", "cp1255", "cp1254"
_HIRAGANA = re.compile("[\u3041-\u3093]")
_LETTERS = 20  # of Hebrew or Turkish
_TURKISH_ALONE = frozenset("ĞİŞğış".encode("cp1254"))  # to windows-1252 letters of Icelandic
_OF_TURKISH = _TURKISH_ALONE | frozenset("ÂÇÎÖÛÜâçîöûü".encode("cp1254"))
_PROOF = 4  # letters that are UTF-8, and no others: fewer may be by chance
_DECLARED = re.compile(
    rb"""<(?:meta[^>]{0,200}?charset|\?xml[^>]{0,60}?encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})""", re.I
)
_PROLOGUE = re.compile(r"\s*<\?xml[^>]*\?>")
_HEAD = 4096


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
        encoding = given if is_known(given) else codec(given) or given
        return Decoded(_strictly(data, name, encoding), codecs.lookup(encoding).name, "given")
    if (found := shown_by(data)) is not None:
        return Decoded(found[0], codecs.lookup(found[1]).name, "guess")
    utf_8 = _utf_8(data)
    if utf_8 is not None and len(data) - len(utf_8) >= _PROOF:
        return Decoded(utf_8, "utf-8", "utf-8")
    for said in (codec(declared), declared) if declared else ():
        if said and (text := _perhaps(data, said)) is not None:
            return Decoded(text, codecs.lookup(said).name, "declared")
    if utf_8 is None:
        utf_8 = _mended(data)
    if utf_8 is not None:
        return Decoded(utf_8, "utf-8", "utf-8")
    return _guessed(data, name)


def without_prologue(data: bytes) -> str:
    """The characters of a file of XML, which need not be those that its first line declares; a sign stands in place of
    bytes that are none."""
    try:
        text = decode(data, "the file", declared=declared_in(data)).text
    except BadInput:
        text = data.decode("utf-8", "replace")
    return _PROLOGUE.sub("", text, count=1)


def declared_rightly(data: bytes) -> bytes:
    """A file of XML, in UTF-8 where it is not in the encoding that it declares."""
    said = codec(declared_in(data) or "utf-8")
    utf_8 = _utf_8(data)
    is_said = utf_8 is not None if said == "utf-8" else utf_8 is None or len(data) - len(utf_8) < _PROOF
    return data if is_said or data.startswith(_WIDE_MARKS) else without_prologue(data).encode()


def declared_in(data: bytes) -> str | None:
    """By a page of HTML, or a file of XML."""
    found = _DECLARED.search(data[:_HEAD])
    return found[1].decode("ascii") if found else None


def _guessed(data: bytes, name: str) -> Decoded:
    for encoding, is_likely in ((_JAPANESE, _is_japanese), (_HEBREW, _is_hebrew), (_TURKISH, _is_turkish)):
        if is_likely(data):
            return Decoded(data.decode(encoding, "replace"), codecs.lookup(encoding).name, "guess")
    guess = from_bytes(data, cp_isolation=_GUESSED.split())
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


def _is_japanese(data: bytes) -> bool:
    """Whether a tenth of it is hiragana in EUC; to GB 18030 these are hiragana too, which no Chinese text has."""
    text = _perhaps(data, _JAPANESE)
    return text is not None and 10 * len(_HIRAGANA.findall(text)) > sum(not one.isascii() for one in text)


def _is_hebrew(data: bytes) -> bool:
    """Whether all letters beyond ASCII are those of Hebrew: in Russian these are all but capitals and ы ь э ю я."""
    letters = [byte for byte in data if byte >= 0xC0]
    return len(letters) >= _LETTERS and all(0xE0 <= byte <= 0xFA for byte in letters) and 0xFA in letters


def _is_turkish(data: bytes) -> bool:
    """Whether nearly all letters beyond ASCII are those of Turkish, a fifth are its alone, and ı is among them. Middle
    English has þ where that has ş, and nothing else."""
    letters = [byte for byte in data if byte >= 0xC0]
    alone = [byte for byte in letters if byte in _TURKISH_ALONE]
    own = sum(byte in _OF_TURKISH for byte in letters)
    return 5 * len(alone) >= max(_LETTERS, len(letters)) and 20 * own >= 19 * len(letters) and 0xFD in alone


def _utf_8(data: bytes) -> str | None:
    """Also where pairs of surrogates are written apart, as Java and Oracle do (CESU-8)."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeError:
        return None


def _mended(data: bytes) -> str | None:
    """UTF-8 with a few bytes, or lines, of windows-1252 in it, which somebody has pasted there; None where there are
    many."""
    broken = data.decode("utf-8", "replace").count("\ufffd") - data.count("\ufffd".encode())
    sound = sum(not character.isascii() for character in data.decode("utf-8", "ignore"))
    return data.decode("utf-8", _BYTES_OF_WINDOWS) if 2 * broken <= sound or _is_joined(data) else None


def _is_joined(data: bytes) -> bool:
    """Whether it is put together of files: a third of its lines with letters beyond ASCII is sound UTF-8."""
    lines = [line for line in data.split(b"\n") if not line.isascii()]
    sound = sum(_perhaps(line, "utf-8") is not None for line in lines)
    return bool(sound) and 3 * sound >= len(lines)


def _of_windows(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode(_WESTERN, "replace"), error.end


_BYTES_OF_WINDOWS = "farm.bytes_of_windows"
codecs.register_error(_BYTES_OF_WINDOWS, _of_windows)


def _strictly(data: bytes, name: str, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise refusal(
            "wrong_encoding", f"{name} is not {encoding} (byte {error.start}); name another `encoding`"
        ) from None


def _perhaps(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None

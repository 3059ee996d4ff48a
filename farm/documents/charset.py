"""What encoding of characters a name means, and what bytes show of theirs without a name. Apart from the readers,
because the API and the command line ask as well."""

from __future__ import annotations

import re
import unicodedata

_NOT_OF_FILES = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"})

# As browsers take these names (https://encoding.spec.whatwg.org): the larger encoding that files under them are in, and
# names that Python does not know.
_AS_BROWSERS = {
    "cp1252": "ascii us-ascii ansi_x3.4-1968 iso-8859-1 iso8859-1 iso_8859-1 latin1 latin-1 l1 x-cp1252 ansi",
    "cp1254": "iso-8859-9 iso8859-9 latin5 x-cp1254",
    "cp874": "iso-8859-11 tis-620 windows-874 dos-874",
    "cp932": "shift_jis shift-jis sjis x-sjis ms_kanji windows-31j ms932",
    "euc_jp": "x-euc-jp",
    "gb18030": "gb2312 gb_2312 gb_2312-80 gbk x-gbk chinese cp936 windows-936",
    "big5hkscs": "big5 big-5 x-x-big5 cn-big5 big5-hkscs",
    "cp949": "euc-kr ks_c_5601-1987 ks_c_5601-1989 ks_c_5601 ksc5601 ksc_5601 windows-949",
    "iso8859_8": "iso-8859-8-i logical",
    "mac_roman": "macintosh mac x-mac-roman",
    "mac_cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "koi8_r": "koi koi8",
    "utf-8": "unicode-1-1-utf-8 utf8mb4",
}
_BY_NAME = {name: codec for codec, names in _AS_BROWSERS.items() for name in names.split()}
_BY_NAME |= {f"x-cp125{digit}": f"cp125{digit}" for digit in range(9)}

_SHIFTS = ((re.compile(rb"\x1b\$\)C"), "iso2022_kr"), (re.compile(rb"\x1b\$[@B(]"), "iso2022_jp_2"),
           (re.compile(rb"~\{[\x21-\x7e]+~\}"), "hz"))  # fmt: skip
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_UNSEEN = "\u00ad\u200b\u200c\u200d\u200e\u200f\ufeff"
_SAMPLE = 4096  # characters that show whether bytes are those of a wide encoding


def is_charset(name: str) -> bool:
    return codec(name) is not None


def codec(name: str) -> str | None:
    """Python's name for the encoding, as browsers take it; None where it is none of texts."""
    known = _BY_NAME.get(name.strip().lower(), name.strip())
    return known if is_known(known) else None


def is_known(name: str) -> bool:
    """To Python, which has codecs of bytes too. Empty bytes would not ask for the codec at all."""
    try:
        b"a".decode(name)
    except UnicodeDecodeError:
        return True
    except (LookupError, ValueError, TypeError):
        return False
    return name.lower() not in _NOT_OF_FILES


def shown_by(data: bytes) -> tuple[str, str] | None:
    """The text and the encoding of bytes that are sound UTF-8 in appearance alone: those of an encoding that shifts, of
    seven bits, and those of UTF-16 and UTF-32 without a mark."""
    if b"\0" in data[: 4 * _SAMPLE]:
        return _wide(data)
    if data.isascii():
        for shift, encoding in _SHIFTS:
            if shift.search(data):
                try:
                    return data.decode(encoding), encoding
                except UnicodeDecodeError:
                    continue
    return None


def _wide(data: bytes) -> tuple[str, str] | None:
    """In the order of bytes in which white space is that of texts."""
    best: tuple[int, str, str] | None = None
    for encoding in _WIDE:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        sample = text[:_SAMPLE]
        spaces = sum(map(sample.count, " \r\n\u3000"))
        if spaces and "\0" not in text and all(map(_is_of_texts, sample)) and (best is None or spaces > best[0]):
            best = spaces, text, encoding
    return best[1:] if best else None


def _is_of_texts(character: str) -> bool:
    return character.isspace() or character in _UNSEEN or not unicodedata.category(character).startswith("C")

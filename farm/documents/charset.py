"""Whether a name is that of an encoding of characters. Apart from the readers, because the API asks as well."""

from __future__ import annotations

_NOT_OF_FILES = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"})


def is_charset(name: str) -> bool:
    """Python has codecs of bytes under such names too. Empty bytes would not ask for the codec at all."""
    try:
        b"a".decode(name)
    except UnicodeDecodeError:
        return True
    except (LookupError, ValueError, TypeError):
        return False
    return name.lower() not in _NOT_OF_FILES

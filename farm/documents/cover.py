"""What can be shown as a cover: a JPEG or PNG of a size that players take. Its head alone is read, so a picture that
would unpack to gigabytes costs nothing here."""

from __future__ import annotations

import struct

from farm.documents.metadata import Cover

MAX_COVER_BYTES = 20_000_000
MAX_COVER_PIXELS = 3_000  # a side; what shops ask for at most, and players show

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_HEAD = struct.Struct(">8sI4sII")  # signature, length and name of the first chunk, width, height
_JPEG = b"\xff\xd8"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers of a frame: ITU-T T.81, table B.1
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_SCAN, _END = 0xDA, 0xD9


def cover_of(name: str, picture: bytes, warnings: list[str]) -> Cover | None:
    """The picture of this name in its document. None, and a warning, where it is no cover."""
    if (fault := fault_of(picture)) is not None:
        warnings.append(f"the cover {name} is left out: {fault}")
        return None
    return Cover(picture, media_type_of(picture))


def media_type_of(picture: bytes) -> str:
    return "image/png" if picture.startswith(_PNG) else "image/jpeg"


def fault_of(picture: bytes) -> str | None:
    """Why the picture is no cover; None where it is one."""
    if len(picture) > MAX_COVER_BYTES:
        return f"it has {len(picture):,} bytes, and a cover at most {MAX_COVER_BYTES:,}"
    size = size_of(picture)
    if size is None or 0 in size:
        return "it is no JPEG or PNG that says how large it is"
    if max(size) > MAX_COVER_PIXELS:
        width, height = size
        return f"it has {width:,} x {height:,} pixels, and a cover at most {MAX_COVER_PIXELS:,} a side"
    return None


def size_of(picture: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, as the head of the picture says. None where it says nothing."""
    return _size_of_png(picture) if picture.startswith(_PNG) else _size_of_jpeg(picture)


def _size_of_png(picture: bytes) -> tuple[int, int] | None:
    if len(picture) < _PNG_HEAD.size:
        return None
    _, length, name, width, height = _PNG_HEAD.unpack_from(picture)
    return (width, height) if (length, name) == (13, b"IHDR") else None


def _size_of_jpeg(picture: bytes) -> tuple[int, int] | None:
    """Of the first frame, before which segments of any kind and number may stand."""
    place = len(_JPEG)
    while picture.startswith(_JPEG) and place + 9 <= len(picture) and picture[place] == 0xFF:
        marker = picture[place + 1]
        if marker == 0xFF:  # a byte that fills
            place += 1
        elif marker in _ALONE:
            place += 2
        elif marker in _FRAMES:
            height, width = struct.unpack_from(">HH", picture, place + 5)
            return width, height
        elif marker in (_SCAN, _END):
            return None
        else:
            place += 2 + int.from_bytes(picture[place + 2 : place + 4])
    return None

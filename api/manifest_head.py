"""All of a stored manifest but its segments, which are megabytes in that of a long book.

The segments stand last, on lines of their own with one blank before their name. Within a string of JSON no line ends,
and what lies deeper has more blanks, so these bytes are found nowhere else.
"""

from __future__ import annotations

import json
from typing import Any

from farm.storage import Storage

_SEGMENTS = b'\n "segments": ['
_PIECE = 1 << 18  # bytes that are read at once; a chapter has some 600


def manifest_head(storage: Storage, key: str) -> dict[str, Any]:
    """With an empty list of segments. Raises ObjectMissing."""
    head = bytearray()
    while (end := head.find(_SEGMENTS)) < 0:
        piece = storage.get(key, len(head), _PIECE)
        if not piece:
            return {**json.loads(head), "segments": []}
        head += piece
    return dict(json.loads(head[:end] + _SEGMENTS + b"]}"))

"""What a document says of itself: what an audiobook shows as its title, author and cover.

Two objects keep it, so that whoever needs the words alone does not read the picture: `to_json` has all but the bytes of
the cover, and those lie beside it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Cover:
    """A picture as the document has it, neither decoded nor changed."""

    data: bytes
    media_type: str  # image/jpeg or image/png


@dataclass(frozen=True, slots=True)
class Metadata:
    """Empty where the document does not say. All are plain text on one line, but `description`, which may have more."""

    title: str = ""
    author: str = ""  # several are joined by commas
    language: str = ""  # BCP 47
    date: str = ""  # of publication, as the document writes it: a year, or ISO 8601
    publisher: str = ""
    description: str = ""
    rights: str = ""
    subject: str = ""
    series: str = ""
    series_index: str = ""
    cover: Cover | None = None

    def to_json(self) -> str:
        """Without the bytes of the cover: its media type stands for it."""
        said: dict[str, Any] = {
            field.name: value
            for field in fields(self)
            if field.name != "cover" and (value := getattr(self, field.name))
        }
        if self.cover is not None:
            said["cover"] = self.cover.media_type
        return json.dumps(said, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, said: str | bytes, cover: bytes | None = None) -> Metadata:
        """`cover` are the bytes that were kept beside it. Fields of a later release are left out."""
        stored = json.loads(said)
        media_type = stored.pop("cover", None)
        known = {field.name for field in fields(cls)}
        picture = Cover(cover, media_type) if cover is not None and media_type else None
        return cls(**{name: value for name, value in stored.items() if name in known}, cover=picture)

"""What a document says of itself: what an audiobook shows as its title, author and cover.

Two objects keep it, so that whoever needs the words alone does not read the picture: `to_json` has all but the bytes of
the cover, and those lie beside it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import Any

MOST_CHARACTERS = 1_000  # of a field; of a description ten times as many


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

    def shortened(self) -> Metadata:
        """Every look at the document and every recording of it carries these fields, and no player shows megabytes."""
        long: dict[str, Any] = {
            field.name: value[:most].rstrip() + " …"
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), str)
            and len(value) > (most := MOST_CHARACTERS * (10 if field.name == "description" else 1))
        }
        return replace(self, **long)

    @classmethod
    def from_json(cls, said: str | bytes, cover: bytes | None = None) -> Metadata:
        """`cover` are the bytes that were kept beside it. Fields of a later release are left out."""
        stored = json.loads(said)
        media_type = stored.pop("cover", None)
        known = {field.name for field in fields(cls)}
        picture = Cover(cover, media_type) if cover is not None and media_type else None
        return cls(**{name: value for name, value in stored.items() if name in known}, cover=picture)

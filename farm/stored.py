"""What the store keeps as JSON that is opaque to it: the base of these records, and what a tenant has put."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Stored(BaseModel):
    """Read leniently: a record outlives the release that wrote it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    def to_json(self) -> str:
        return self.model_dump_json(exclude_defaults=True)


class StoredVoice(Stored):
    """A voice that a tenant uploaded. Its recording lies in storage under `voice_key` of the digest."""

    digest: str
    seconds: float = 0.0
    created_ms: int = 0
    notes: list[str] = []  # what ingesting the recording has changed or warns of
    consent: str = ""  # "true", or who agreed

    def to_json(self) -> str:
        """Every field, because an API of the release before, which may run beside this one, expects them all."""
        return json.dumps(self.model_dump(), separators=(",", ":"))


class StoredDocument(Stored):
    """A document that a tenant uploaded. `uploading`: its bytes may not be in storage yet."""

    status: Literal["uploading", "reading", "ready", "refused"] = "uploading"
    filename: str = ""
    encoding: str | None = None  # that its uploader named
    bytes: int = 0  # of the upload
    stored: int = 0  # bytes in storage, which count for the tenant
    cover_bytes: int = 0
    cover_type: str = ""
    created_ms: int = 0
    expires_ms: int = 0
    code: str = ""  # why it was refused
    message: str = ""


class LexiconVersion(Stored):
    """A version of a lexicon. Its entries lie in storage under `lexicon_key` of the digest."""

    number: int
    digest: str
    entries: int = 0
    bytes: int = 0
    alphabets: list[str] = []  # in which pronunciations are given
    created_ms: int = 0


class StoredLexicon(Stored):
    """A lexicon that a tenant put: its versions, the newest at the end."""

    versions: list[LexiconVersion]

    @classmethod
    def read(cls, stored: str) -> StoredLexicon:
        """As the store keeps it, with its bytes in front."""
        return cls.model_validate_json(stored.partition(" ")[2])

    @property
    def newest(self) -> LexiconVersion:
        return self.versions[-1]

    def version(self, number: int) -> LexiconVersion | None:
        return next((version for version in self.versions if version.number == number), None)

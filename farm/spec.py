"""What was asked of a job or a batch, resolved against the model cards, without the text.

Specs are opaque JSON to the store, and written without their defaults, because Redis keeps them: that of a plain job
has about 40 bytes. What the specs of a batch's jobs have from its defaults is kept once, in Shared.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from farm.job import Status
from farm.speech import MANNER_FIELDS, NEUTRAL, Manner
from farm.stored import Stored
from farm.wire import JobOptions, Markup, Output, Webhook

SHARED_BYTES = 200  # of a batch's defaults as JSON, from which on its jobs share them
_ALWAYS_SHARED = frozenset({"language", "voice", "uploads"})  # without them an older release refuses to read a patch

_HEARD_BY_JOBS = {
    "job.succeeded": Status.SUCCEEDED.value,
    "job.failed": Status.FAILED.value,
    "job.canceled": Status.CANCELED.value,
}


class Spec(Stored):
    """What was asked, every name resolved. `voice` is the name of a voice; those that chapters and markup name may be
    names of the cast. Voices in `uploads` are the tenant's own, by content digest as they were when the job was
    accepted, and all others are built in."""

    language: str  # as the model card writes it
    voice: str
    uploads: dict[str, str] = {}
    voices: dict[str, str] = {}  # the cast: name -> voice
    markup: Markup = "none"
    lexicons: dict[str, str] = {}  # name@version -> digest, in the order of their precedence
    manner: Manner = NEUTRAL  # its fields are stored beside the others
    target_duration_ms: int | None = None  # of the whole; those of chapters stand in the text document
    output: Output = Output()
    metadata: dict[str, str] = {}
    webhook: Webhook | None = None
    custom_id: str | None = None
    on_error: str = "fail"
    on_review: str = "deliver"
    seeds: dict[str, int] = {}  # of lines that are spoken under a seed of their own: farm.segment.line_of() -> seed
    text: str = ""  # the name of the text that an edit made; without it the text as it was accepted
    document: str = ""  # the id of the document that the text was taken from

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, stored: dict[str, Any]) -> dict[str, Any]:
        manner = {name: stored[name] for name in MANNER_FIELDS if name in stored}
        return stored | {"manner": manner} if manner else stored

    @model_serializer(mode="wrap")
    def _spread(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = written(self)
        if "manner" not in fields:
            return fields
        stored: dict[str, Any] = {}
        for name, value in fields.items():
            stored.update(value if name == "manner" else {name: value})
        return stored

    def speaker(self, name: str | None = None) -> tuple[str, bool]:
        """The voice of a chapter, or of the job: what an engine knows it by, and whether it was uploaded."""
        name = self.voice if name is None else self.voices.get(name, name)
        digest = self.uploads.get(name)
        return (name, False) if digest is None else (digest, True)

    @property
    def events(self) -> tuple[str, ...]:
        """The terminal statuses that the job's webhook wants to hear of."""
        if self.webhook is None:
            return ()
        return tuple(_HEARD_BY_JOBS[event] for event in self.webhook.events if event in _HEARD_BY_JOBS)


class BatchSpec(Stored):
    """What a batch keeps beside its lines."""

    models: list[str]  # of its jobs, for the ETA
    metadata: dict[str, str] = {}
    webhook: Webhook | None = None


SPEC_FIELDS = frozenset(Spec.model_fields) - {"manner"} | frozenset(MANNER_FIELDS)  # as they are stored


class Shared:
    """What the specs of a batch's jobs have from its defaults. It is kept once, because 70 kB of request can ask for
    3,000 jobs with defaults of 30 kB.

    The spec of a job is then a merge patch (RFC 7396, of one level): the fields that differ, and null for a field that
    this job does not have. The values are learnt from resolved orders, one by one. A patch that was made earlier stays
    right when more is learnt."""

    def __init__(self, defaults: JobOptions) -> None:
        self._unknown = (defaults.model_fields_set & SPEC_FIELDS) | _ALWAYS_SHARED
        self._fields: dict[str, Any] = dict.fromkeys(self._unknown)

    @classmethod
    def of(cls, defaults: JobOptions | None) -> Shared | None:
        """None for defaults that are so short that every job can have them for itself."""
        if defaults is None or len(defaults.model_dump_json(exclude_unset=True)) < SHARED_BYTES:
            return None
        return cls(defaults)

    def learn(self, spec: Spec, said: Collection[str]) -> None:
        """From the spec of a job whose request has the fields `said`, so that the others are the defaults'."""
        new = self._unknown - (frozenset(said) - _ALWAYS_SHARED)
        if new:
            fields = json.loads(spec.to_json())
            self._fields.update((name, fields.get(name)) for name in new)
            self._unknown -= new

    @property
    def fields(self) -> Mapping[str, Any]:
        return self._fields

    def to_json(self) -> str:
        known = {name: value for name, value in self._fields.items() if value is not None}
        return json.dumps(known, ensure_ascii=False, separators=(",", ":"))


def patch(spec: Spec, shared: Mapping[str, Any]) -> str:
    """The spec as a merge patch of the shared fields."""
    fields = json.loads(spec.to_json())
    own = {name: value for name, value in fields.items() if shared.get(name) != value}
    own.update((name, None) for name in shared if name not in fields)
    return json.dumps(own, ensure_ascii=False, separators=(",", ":"))


def merged(own: str | bytes, shared: str | bytes) -> str:
    """The spec, whole again."""
    return json.dumps(fields_of(own, json.loads(shared)), ensure_ascii=False, separators=(",", ":"))


def fields_of(own: str | bytes, shared: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a spec that is kept as a patch of the shared ones."""
    fields = {**shared, **json.loads(own)}
    return {name: value for name, value in fields.items() if value is not None}

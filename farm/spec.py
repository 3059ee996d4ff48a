"""What an accepted job is, between the API that accepts it and the desk that plans, assembles and shows it.

    Order        a validated job, ready to be accepted; every line of a batch in storage is one
    ├─ Spec      what was asked, resolved against the model cards, without the text: opaque JSON to the store
    └─ Shared    what the specs of a batch's jobs have from its defaults, kept once for all of them
    text         the chapters as one JSON document: short ones travel with accept, long ones lie in storage first
    Rendered     what a finished job has; with JobError the two kinds of outcome
    StoredVoice  an uploaded voice, as the store keeps it
    StoredLexicon  a lexicon, as the store keeps it: its entries lie in storage
    StoredDocument  an uploaded document, as the store keeps it: its tree lies in storage

Specs and outcomes are written without their defaults, because Redis keeps them: the spec of a plain job has about 40
bytes.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, Literal, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer, model_validator

from farm.audio_formats import AudioFormat
from farm.job import Lane, Status
from farm.layout import edited_text_key, text_key
from farm.quota import END_BYTES
from farm.speech import MANNER_FIELDS, NEUTRAL, Manner
from farm.wire import Chapter, JobError, JobOptions, Markup, Output, Webhook

SEGMENT_FAILED = "segment_failed"  # the error of a job that fails because one of its segments is dead
INLINE_BYTES = 8_000  # UTF-8; longer texts are written to storage before the job is accepted
SHARED_BYTES = 200  # of a batch's defaults as JSON, from which on its jobs share them
_ALWAYS_SHARED = frozenset({"language", "voice", "uploads"})  # without them an older release refuses to read a patch

_HEARD_BY_JOBS = {
    "job.succeeded": Status.SUCCEEDED.value,
    "job.failed": Status.FAILED.value,
    "job.canceled": Status.CANCELED.value,
}


class _Stored(BaseModel):
    """Read leniently: a record outlives the release that wrote it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    def to_json(self) -> str:
        return self.model_dump_json(exclude_defaults=True)


class Spec(_Stored):
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
    seeds: dict[str, int] = {}  # of lines that are spoken under a seed of their own: farm.plan.line_of() -> seed
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


class StoredVoice(_Stored):
    """A voice that a tenant uploaded. Its recording lies in storage under `voice_key` of the digest."""

    digest: str
    seconds: float = 0.0
    created_ms: int = 0
    notes: list[str] = []  # what ingesting the recording has changed or warns of
    consent: str = ""  # "true", or who agreed

    def to_json(self) -> str:
        """Every field, because an API of the release before, which may run beside this one, expects them all."""
        return json.dumps(self.model_dump(), separators=(",", ":"))


class StoredDocument(_Stored):
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


class LexiconVersion(_Stored):
    """A version of a lexicon. Its entries lie in storage under `lexicon_key` of the digest."""

    number: int
    digest: str
    entries: int = 0
    bytes: int = 0
    alphabets: list[str] = []  # in which pronunciations are given
    created_ms: int = 0


class StoredLexicon(_Stored):
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


class BatchSpec(_Stored):
    """What a batch keeps beside its lines."""

    models: list[str]  # of its jobs, for the ETA
    metadata: dict[str, str] = {}
    webhook: Webhook | None = None


SPEC_FIELDS = frozenset(Spec.model_fields) - {"manner"} | frozenset(MANNER_FIELDS)  # as they are stored


@dataclass(frozen=True, slots=True)
class LineBook:
    """What a line of a batch says of its document, whose cover lies beside the lines."""

    metadata: str  # Metadata.to_json()
    document: str  # its id
    cover_bytes: int = 0
    cover_type: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """A validated job under its id. `text` is its text document, of any length."""

    id: str
    model: str
    lane: Lane
    spec: Spec
    text: str
    characters: int
    retention_s: int
    book: LineBook | None = None  # of a line of a batch

    @property
    def stored(self) -> int:
        """Bytes that the job has in storage from its start on."""
        text = 0 if self.inline else len(self.text.encode())
        return text if self.book is None else text + len(self.book.metadata.encode()) + self.book.cover_bytes

    @property
    def inline(self) -> bool:
        """Whether the text goes to Redis with the job."""
        return len(self.text) <= INLINE_BYTES and len(self.text.encode()) <= INLINE_BYTES


# --- what the jobs of a batch share -----------------------------------------------------------------------------------


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
    return json.dumps(_merged(own, json.loads(shared)), ensure_ascii=False, separators=(",", ":"))


def _merged(own: str | bytes, shared: Mapping[str, Any]) -> dict[str, Any]:
    fields = {**shared, **json.loads(own)}
    return {name: value for name, value in fields.items() if value is not None}


# --- the text document ------------------------------------------------------------------------------------------------


class Turn(NamedTuple):
    """A stretch of a chapter's input, in characters, that an edit gave to another voice."""

    start: int
    end: int
    voice: str  # one of the cast, or a voice


class StoredChapter(Chapter):
    """A chapter as a job keeps it, with what edits have made of it."""

    turns: tuple[Turn, ...] = ()  # in their order, none over another
    left_out: bool = False  # it is kept, and not spoken


def write_text(chapters: Sequence[Chapter]) -> str:
    rows = []
    for chapter in chapters:
        row: dict[str, object] = {"input": chapter.input}
        if chapter.title:
            row["title"] = chapter.title
        if chapter.voice:
            row["voice"] = chapter.voice
        if chapter.target_duration_ms:
            row["target_duration_ms"] = chapter.target_duration_ms
        if chapter.headings:
            row["headings"] = chapter.headings
        if isinstance(chapter, StoredChapter):
            if chapter.turns:
                row["turns"] = chapter.turns
            if chapter.left_out:
                row["left_out"] = True
        rows.append(row)
    return json.dumps({"chapters": rows}, ensure_ascii=False, separators=(",", ":"))


def stored_text_key(job: str, spec: Spec) -> str:
    """Where the text of a job lies in storage, once it does."""
    return edited_text_key(job, spec.text) if spec.text else text_key(job)


def read_text(document: str | bytes) -> list[StoredChapter]:
    """The chapters, not validated again: accepting them did that."""
    return [
        StoredChapter.model_construct(
            title=row.get("title", ""),
            input=row["input"],
            voice=row.get("voice"),
            target_duration_ms=row.get("target_duration_ms"),
            headings=row.get("headings", []),
            turns=tuple(Turn(*turn) for turn in row.get("turns", ())),
            left_out=row.get("left_out", False),
        )
        for row in json.loads(document)["chapters"]
    ]


def read_spoken(document: str | bytes) -> list[StoredChapter]:
    """The chapters that are spoken. Plans, manifests and segments count these alone."""
    return [chapter for chapter in read_text(document) if not chapter.left_out]


# --- the lines of a batch ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Written:
    """The lines of a batch that were written, and what they will take once they are jobs."""

    count: int = 0
    characters: int = 0
    lines: int = 0  # bytes of specs, of texts that go to Redis, and of outboxes
    texts: int = 0  # bytes of texts and books that go to storage
    packed: int = 0  # bytes of the file, and of the covers beside it


def write_lines(orders: Iterable[Order], file: BinaryIO, shared: Shared | None = None) -> Written:
    """Writes gzipped JSON lines. The orders are consumed one by one."""
    count = characters = lines = texts = 0
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=3, mtime=0) as packed:
        for order in orders:
            spec = order.spec.to_json() if shared is None else patch(order.spec, shared.fields)
            row: dict[str, Any] = {
                "id": order.id,
                "model": order.model,
                "lane": order.lane.value,
                "spec": spec,
                "text": order.text,
                "characters": order.characters,
                "retention_s": order.retention_s,
            }
            if order.book is not None:
                row["book"] = asdict(order.book)
            packed.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
            count += 1
            characters += order.characters
            inline = len(order.text.encode()) if order.inline else 0
            lines += len(spec.encode()) + inline + (END_BYTES if order.spec.events else 0)
            texts += order.stored
    return Written(count, characters, lines, texts, file.tell())


def read_lines(file: BinaryIO, skip: int = 0, shared: Mapping[str, Any] | None = None) -> Iterator[Order]:
    """The orders from line `skip` on, so that a batch that was unfolded in part is taken up there. `shared` are the
    fields that the lines leave out."""
    with gzip.GzipFile(fileobj=file, mode="rb") as packed:
        for number, line in enumerate(packed):
            if number < skip:
                continue
            row = json.loads(line)
            yield Order(
                id=row["id"],
                model=row["model"],
                lane=Lane(row["lane"]),
                spec=Spec.model_validate(_merged(row["spec"], shared or {})),
                text=row["text"],
                characters=row["characters"],
                retention_s=row["retention_s"],
                book=LineBook(**row["book"]) if "book" in row else None,
            )


# --- how a job ended --------------------------------------------------------------------------------------------------


class Rendered(_Stored):
    """The result of a job, with storage keys where clients see URLs."""

    format: AudioFormat
    sample_rate: int
    duration_seconds: float
    bytes: int
    sha256: str
    audio_key: str
    manifest_key: str
    subtitles: dict[str, str] = {}  # kind -> key
    loudness_lufs: float | None = None
    target_duration_ms: int | None = None
    duration_error_ms: int | None = None
    needs_review: int = 0  # segments
    chapters: int = 0  # that have files of their own; 0 unless the job asked for them
    unheard: list[int] = []  # of these chapters, those without a file, because all of their segments failed
    also: dict[str, str] = {}  # kind -> key


def success(rendered: Rendered) -> str:
    return json.dumps({"result": rendered.model_dump(exclude_defaults=True)}, separators=(",", ":"))


def failure(error: JobError) -> str:
    """The outcome of a job that failed. For a dead segment the store writes the same form by itself, with the code
    SEGMENT_FAILED (farm/lua/shared/grants.lua)."""
    return error.model_dump_json(exclude_defaults=True)


def read_outcome(outcome: str) -> Rendered | JobError:
    stored = cast(dict[str, object], json.loads(outcome))
    if "result" in stored:
        return Rendered.model_validate(stored["result"])
    return JobError.model_validate(stored)

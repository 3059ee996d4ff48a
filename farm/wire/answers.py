"""What the API answers, and what a webhook's receiver gets."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import ConfigDict, Field

from farm.audio_formats import AudioFormat
from farm.job import Lane, Status
from farm.wire.fields import Answer, Markup, WebhookEvent

T = TypeVar("T")


class Problem(Answer):
    """RFC 9457 problem+json."""

    class FieldProblem(Answer):
        pointer: str
        message: str
        position: int | None = Field(None, description="in the text of the field, in characters, where it has a place")

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    request_id: str
    violated_policies: list[str] | None = Field(
        None,
        alias="violated-policies",
        description="the quotas that a 429 is about, by their names in RateLimit-Policy",
    )
    errors: list[FieldProblem] = []


class Progress(Answer):
    segments_total: int
    segments_done: int
    segments_failed: int
    cached: int
    needs_review: int = Field(0, description="of those done: segments that somebody should listen to")
    audio_seconds: float
    percent: float


class Result(Answer):
    audio_url: str
    manifest_url: str
    subtitles: dict[str, str] = {}
    format: AudioFormat
    sample_rate: int
    duration_seconds: float
    bytes: int
    sha256: str
    loudness_lufs: float | None = None
    target_duration_ms: int | None = Field(None, description="as the job asked for")
    duration_error_ms: int | None = Field(None, description="by how much the audio is longer than its target")
    needs_review: int = Field(0, description="segments that somebody should listen to; the manifest says which and why")
    chapters_url: str | None = Field(None, description="the files of single chapters, where output.per_chapter is true")
    also: dict[str, str] = Field({}, description="what output.also asked for: kind, and URL")
    expires_at: datetime


class ChapterFile(Answer):
    """A chapter of a result as a file of its own. Its levels are those of the manifest, before encoding."""

    index: int = Field(description="its number in the manifest; the first chapter is 0")
    title: str
    name: str = Field(description="for the file, like `01 The Storm.mp3`: safe on every system, sorted by its place")
    audio_url: str
    subtitles: dict[str, str] = {}
    duration_seconds: float
    bytes: int
    sha256: str
    loudness_lufs: float | None = None
    rms_dbfs: float | None = None
    true_peak_dbtp: float | None = None
    floor_dbfs: float | None = None
    passed: bool | None = Field(None, description="what output.preset asks for; null without a preset")


class JobError(Answer):
    code: str
    message: str
    segment: int | None = Field(None, description="the segment that failed the job, as the manifest numbers it")
    chapter: int | None = Field(None, description="its chapter; the first is 0")
    chapter_title: str | None = None
    start: int | None = Field(None, description="where it begins in the input of its chapter, in characters")
    end: int | None = Field(None, description="where it ends there")
    text: str | None = Field(None, description="the text of the segment")


class Job(Answer):
    id: str
    status: Status
    custom_id: str | None = None
    batch_id: str | None = None
    model: str
    voice: str | None = None
    language: str
    priority: Lane
    metadata: dict[str, str] = {}
    characters: int
    markup: Markup = "none"
    lexicons: list[str] = Field([], description="`name@version` of each, in the order of their precedence")
    seed: int = 0
    revision: int = Field(1, description="counts its edits; an edit makes the next one, and renders only what changed")
    rendered: int = Field(0, description="segments that were rendered for this revision")
    reused: int = Field(0, description="segments whose clip was there already")
    streamed: bool = Field(
        False, description="a request of /v1/audio/speech, answered while it was rendered; it has no result"
    )
    progress: Progress
    queue_position: int | None = Field(None, description="0 is next; an estimate, shown until rendering starts")
    eta_seconds: float | None = Field(None, description="an estimate from the measured speed of the workers")
    error: JobError | None = None
    result: Result | None = None
    status_url: str
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.status not in ("queued", "running", "assembling")


class EditPreview(Answer):
    """POST /v1/jobs/{id}/preview: what an edit would change, and what that would cost."""

    revision: int = Field(description="of which the edit would be made")
    segments: int = Field(description="that the next revision would have")
    rendered: int = Field(description="of these: that would be rendered; at most so many")
    reused: int = Field(description="of these: whose clip is there already")
    characters: int = Field(description="of those that would be rendered, as they are written")
    audio_seconds: float | None = Field(None, description="of these: an estimate from the job as it is")
    render_seconds: float | None = Field(
        None, description="an estimate from the measured speed of the workers, if they have no other work"
    )
    changed: list[PreviewSegment] = Field([], description="the first hundred that would be rendered")


class JobChapter(Answer):
    """A chapter of a job's text, spoken or left out."""

    number: int = Field(description="in the text, and for left_out of an edit; the first is 0")
    title: str
    characters: int
    voice: str | None = None
    left_out: bool = Field(False, description="an edit has left it out; it has no segments then")
    index: int | None = Field(None, description="its number among those that are spoken, as segments have it")
    first_segment: int | None = None
    segments: int | None = None
    offset_ms: int | None = Field(None, description="where it begins in the audio, once there is some")
    duration_ms: int | None = None


class JobRevision(Answer):
    """What was spoken of a job before it was edited, or is spoken now."""

    revision: int
    status: Status
    rendered: int
    reused: int
    result: Result | None = None
    ended_at: datetime | None = None


BatchStatus = Literal["running", "completed", "canceled"]


class Batch(Answer):
    id: str
    status: BatchStatus
    total: int
    counts: dict[str, int]
    progress: Progress
    eta_seconds: float | None = None
    metadata: dict[str, str] = {}
    status_url: str
    jobs_url: str
    created_at: datetime
    ended_at: datetime | None = None


class DocumentChapter(Answer):
    id: str
    title: str
    depth: int = Field(description="in the contents; 1 is the highest")
    characters: int = Field(description="that are spoken by the rules as they are when a job sets none")
    first_words: str
    included: bool = Field(description="whether a job that names no chapters speaks this one")
    left_out: str | None = Field(None, description="the rule that leaves it out, or `empty`")


class DocumentMetadata(Answer):
    title: str = ""
    author: str = ""
    language: str = ""
    date: str = ""
    publisher: str = ""
    description: str = ""
    rights: str = ""
    subject: str = ""
    series: str = ""
    series_index: str = ""


class DocumentCover(Answer):
    media_type: str
    bytes: int
    url: str


class Document(Answer):
    """An uploaded document, as it was read."""

    id: str
    status: Literal["reading", "ready", "refused"]
    filename: str = ""
    kind: Literal["epub", "docx", "pdf", "markdown", "html", "fb2", "text"] | None = None
    bytes: int
    metadata: DocumentMetadata = DocumentMetadata()
    cover: DocumentCover | None = None
    encoding: str | None = Field(None, description="that its characters were read in, where the file does not fix it")
    encoding_from: Literal["mark", "declared", "given", "utf-8", "guess"] | None = Field(
        None, description="where the encoding is from; a guess may be wrong: upload again with `encoding`"
    )
    warnings: list[str] = []
    chapters: list[DocumentChapter] = []
    characters: int = Field(0, description="of the chapters that are included")
    error: JobError | None = Field(None, description="why it was refused")
    document_url: str
    created_at: datetime
    expires_at: datetime


class LexiconInfo(Answer):
    """A version of a lexicon, without its entries."""

    name: str
    version: int
    ref: str = Field(description="`name@version`, for the lexicons of a job; a version never changes")
    versions: list[int]
    size: int = Field(description="of its entries")
    bytes: int
    alphabets: list[str] = Field(
        [], description="in which pronunciations are given; a job needs a model that reads them"
    )
    created_at: datetime
    notes: list[str] = Field([], description="what of an imported lexicon is not kept")


class PreviewMatch(Answer):
    """A word that a lexicon had."""

    chapter: int
    start: int = Field(description="where it begins in the input of its chapter, in characters")
    end: int
    written: str
    spoken: str
    lexicon: str = Field(description="`name@version`")


class PreviewChapter(Answer):
    title: str
    first_segment: int
    segments: int


class PreviewSegment(Answer):
    """As it would be rendered. `digest` names its clip, so two previews show which clips a change would make anew."""

    index: int
    chapter: int
    start: int = Field(description="where it begins in the input of its chapter, in characters")
    end: int
    text: str
    spoken: str | None = Field(None, description="what is said in place of the text, where that differs")
    voice: str
    character: str | None = Field(None, description="who speaks: one of the cast, or a voice that the markup names")
    pause_ms: int = Field(description="silence after it; none follows the last")
    speed: float | None = Field(None, description="where it is not the job's; so are the two that follow")
    emotion: str | None = None
    language: str | None = None
    target_ms: int | None = None
    digest: str


class Preview(Answer):
    """POST /v1/preview: what a job would speak."""

    model: str | None = None
    language: str | None = None
    voice: str | None = None
    characters: int | None = None
    chapters: list[PreviewChapter] = []
    segments: list[PreviewSegment] = []
    matches: list[PreviewMatch] = []
    refusals: list[Problem.FieldProblem] = Field(
        [], description="what the job would be refused for; without segments then"
    )


class Page(Answer, Generic[T]):
    data: list[T]
    has_more: bool
    next_cursor: str | None = None


class Attempt(Answer):
    at: datetime
    status_code: int | None = None
    error: str | None = None
    seconds: float


class Delivery(Answer):
    id: str
    event: WebhookEvent
    url: str
    status: Literal["pending", "delivered", "abandoned"]
    attempts: list[Attempt]
    next_attempt_at: datetime | None = None


class WebhookBody(Answer):
    """What a receiver gets: thin on purpose; the status URL has the rest."""

    type: WebhookEvent
    timestamp: datetime
    data: dict[str, Any]

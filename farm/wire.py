"""The shapes that travel: requests, answers, webhook events, and what a worker announces about its model.

Requests refuse unknown fields, lone surrogates, control characters and numbers that are not finite, and name the field.
The client and the CLI use the same classes, so nothing here may import more than pydantic.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import (
    AnyHttpUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    UrlConstraints,
    model_validator,
)

from farm.audio_formats import AlsoFormat, AudioFormat, SubtitleFormat
from farm.job import Lane, Status
from farm.speech import PARAMETERS

T = TypeVar("T")

MAX_CHARACTERS = 5_000_000
MAX_CHAPTERS = 2_000
MAX_BATCH_JOBS = 50_000
MAX_JSON_BYTES = 10_000_000
MAX_JSONL_BYTES = 200_000_000
MAX_VOICE_BYTES = 20_000_000
MAX_DOCUMENT_BYTES = 50_000_000
TRIM_DBFS, ROOM_TONE_DBFS = -50, -65  # where no other is asked for

_NAMED_AS_THEIR_FIELD = [name for name, field in PARAMETERS.items() if name == field.name]

# Control characters and surrogates: on one line all of them, in a text all but line breaks and tabs. One search of
# 5,000,000 characters takes 40 ms.
_NOT_IN_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NOT_IN_A_TEXT = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


def speakable(text: str) -> str:
    """Refuses what no engine could say: blank text, control characters, lone surrogates."""
    _refuse(_NOT_IN_A_TEXT, text)
    if not text or text.isspace():
        raise ValueError("is blank; there is nothing to speak")
    return text


def _refuse(forbidden: re.Pattern[str], text: str) -> None:
    """Raises ValueError with the first forbidden character and its place."""
    found = forbidden.search(text)
    if found is not None:
        code, position = ord(found[0]), found.start()
        if 0xD800 <= code <= 0xDFFF:
            raise ValueError(f"contains a lone surrogate (U+{code:04X}) at character {position}; send valid Unicode")
        raise ValueError(f"contains the control character U+{code:04X} at character {position}; remove it")


def _spoken(value: object) -> object:
    """Before pydantic reads the string: it refuses a lone surrogate too, but can't say where."""
    return speakable(value) if isinstance(value, str) else value


def _allowed(value: object) -> object:
    """As _spoken, but it may be blank."""
    if isinstance(value, str):
        _refuse(_NOT_IN_A_TEXT, value)
    return value


def _line(value: object) -> object:
    """Titles and names are text too: wide and narrow spaces, joiners, directions and new emoji belong in them."""
    if isinstance(value, str):
        _refuse(_NOT_IN_A_LINE, value)
    return value


def _number(value: object) -> object:
    """Before pydantic reads it, which would take "1" and true for 1. The document says number, and means it."""
    if isinstance(value, str | bool):
        raise ValueError("should be a number")
    return value


# The same for the document, where a surrogate can't stand; blank is what Python takes for space.
_CONTROLS = r"\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f"
_BLANKS = r"\u0009-\u000d\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_TEXT_PATTERN = f"^[^{_CONTROLS}]*[^{_CONTROLS}{_BLANKS}][^{_CONTROLS}]*$"
_LABEL_PATTERN = r"^[^\u0000-\u001f\u007f-\u009f]*$"

Text = Annotated[
    str, Field(max_length=MAX_CHARACTERS, json_schema_extra={"pattern": _TEXT_PATTERN}), BeforeValidator(_spoken)
]
Words = Annotated[
    str,
    Field(max_length=MAX_CHARACTERS, json_schema_extra={"pattern": f"^[^{_CONTROLS}]*$"}),
    BeforeValidator(_allowed),
]
Label = Annotated[str, Field(max_length=200, json_schema_extra={"pattern": _LABEL_PATTERN}), BeforeValidator(_line)]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=500)]], Field(max_length=16)
]
LanguageTag = Annotated[str, Field(max_length=20, pattern=r"^[A-Za-z]{2,4}(-[A-Za-z0-9]{1,8})*$")]
Speed = Annotated[float, Field(ge=0.5, le=2.0), BeforeValidator(_number)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1), BeforeValidator(_number)]
Weight = Annotated[float, Field(ge=0, le=1.5), BeforeValidator(_number)]
Switch = Annotated[bool, Field(strict=True)]
Milliseconds = Annotated[int, Field(ge=0, le=60_000), BeforeValidator(_number)]
ChapterNumber = Annotated[int, Field(ge=0, lt=MAX_CHAPTERS), BeforeValidator(_number)]  # the first is 0
Target = Annotated[int, Field(ge=100, le=86_400_000), BeforeValidator(_number)]  # milliseconds, up to a day


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A value is its own copy. Pydantic copies a default each time it uses one: that was three quarters of reading
        a job's spec, which every look at a job does."""
        return self


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Chapter(_Request):
    """A named part of a job; `voice` overrides the job's, and may be one of its cast."""

    title: Label = ""
    input: Text = Field(description="may hold marks like <行|XING2> for models that honour `pronunciation`")
    headings: list[Annotated[int, Field(ge=0, le=MAX_CHARACTERS), BeforeValidator(_number)]] = Field(
        [], description="where paragraphs begin that are headings, in characters; output.pause_ms.heading follows them"
    )
    voice: Name | None = None
    target_duration_ms: Target | None = Field(
        None,
        description="how long the chapter's audio is to be, with the pauses in it and without the one after it; "
        "for models that honour `duration`. The manifest says what was reached",
    )


LexiconRef = Annotated[str, Field(max_length=71, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}(@[1-9][0-9]{0,5})?$")]
Markup = Literal["none", "ssml", "tags"]
# Without the last, the document would allow names that Name refuses.
Cast = Annotated[dict[Name, Name], Field(max_length=100, json_schema_extra={"additionalProperties": False})]
NARRATOR = "narrator"  # of a cast: who speaks what no other does
Part = Literal["skip", "read"]
Shown = Literal["skip", "word", "read"]


class DocumentRules(_Request):
    """What of a document is spoken. Whole chapters that are left out by a rule are spoken when the job names them."""

    front_matter: Part = Field("skip", description="cover, title page, dedication, foreword and the like")
    back_matter: Part = Field("skip", description="afterword, appendix, about the author and the like")
    contents: Part = Field("skip", description="the table of contents, lists of figures")
    index: Part = "skip"
    bibliography: Part = "skip"
    copyright: Part = Field("skip", description="the copyright page, the imprint, the colophon")
    notes: Literal["skip", "inline", "end"] = Field(
        "skip", description="footnotes and endnotes: left out, spoken where they are referred to, or after the chapter"
    )
    headings: Part = Field("read", description="each has a segment and a pause of its own")
    tables: Shown = Field(
        "word", description="`word` says that there is one, and its caption; `read` says it row by row"
    )
    code: Shown = "word"
    image_alt: Part = Field("skip", description="the descriptions of images")
    hyphens: Literal["join", "keep"] = Field("join", description="words that are divided at the line ends of a PDF")
    running_heads: Part = Field("skip", description="what repeats on the pages of a PDF, and page numbers")


class DocumentChoice(_Request):
    """A document that was uploaded to /v1/documents, in place of a text."""

    id: Annotated[str, Field(pattern=r"^doc_[0-9a-z]{26}$")]
    chapters: Annotated[list[Annotated[str, Field(pattern=r"^c[1-9][0-9]{0,5}$")]], Field(min_length=1)] | None = Field(
        None,
        description="ids of chapters, spoken in the order of the document; those that the rules include when absent",
    )
    rules: DocumentRules = DocumentRules()


class Emotion(_Request):
    """What a model with emotions is to express: a text, eight weights, or an uploaded voice to copy it from.
    If several are given, the text counts, else the vector, else the voice."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": [name], "properties": {name: {"type": kind}}}
                for name, kind in (("text", "string"), ("vector", "array"), ("voice", "string"))
            ]
        }
    )

    text: Label | None = None
    vector: Annotated[list[Weight], Field(min_length=8, max_length=8)] | None = None
    voice: Name | None = None
    strength: Annotated[float, Field(ge=0, le=1), BeforeValidator(_number)] = 1.0

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.text is None and self.vector is None and self.voice is None:
            raise ValueError("give a text, a vector or a voice to take it from")
        return self


class Pauses(_Request):
    """Silence around segments, in milliseconds, by what lies between them."""

    segment: Milliseconds = 120
    paragraph: Milliseconds = 450
    scene: Milliseconds = Field(1200, description="at a scene break, a line like `* * *`, which is never spoken")
    heading: Milliseconds = Field(900, description="after a heading, where the chapter says which paragraphs are one")
    chapter: Milliseconds = Field(1500, description="after a chapter that another follows")
    before_chapter: Milliseconds = Field(
        0, description="before the first segment of each chapter, beside the pause of the chapter before"
    )
    end: Milliseconds = Field(0, description="after the last segment of the recording")


PresetName = Literal["acx", "podcast", "book"]


class Output(_Request):
    format: AudioFormat = "mp3"
    sample_rate: Literal[8000, 16000, 22050, 24000, 44100, 48000] | None = Field(
        None, description="Hz; the model's own rate when absent (opus has no 22050 and 44100: the next higher is used)"
    )
    loudness_lufs: Annotated[float, Field(ge=-40, le=-8), BeforeValidator(_number)] | None = Field(
        None, description="integrated loudness to reach (ITU-R BS.1770); gain stops where peaks would pass -1 dBFS"
    )
    loudness_per: Literal["recording", "chapter"] = Field(
        "recording", description="one gain for the whole recording, or one for each chapter"
    )
    pause_ms: Pauses = Pauses()
    trim_dbfs: Annotated[float, Field(ge=-80, le=-20), BeforeValidator(_number)] | None = Field(
        None,
        description="cut off what lies before and after the speech of each clip: all samples that are lower than this, "
        f"but for 20 ms; about {TRIM_DBFS}. Absent: clips are as the engine made them",
    )
    room_tone_dbfs: Annotated[float, Field(ge=-90, le=-40), BeforeValidator(_number)] | None = Field(
        None,
        description=f"RMS of a quiet noise that lies under the whole recording, about {ROOM_TONE_DBFS}, so that "
        "no pause is digital silence. Absent: pauses are digital silence",
    )
    preset: PresetName | None = Field(
        None,
        description="what a shop or platform asks for, in place of loudness_lufs: acx (RMS -23 to -18 dB, mp3 at 192 "
        "kbit/s), podcast (-16 LUFS) or book (-20 LUFS). The manifest says line by line whether the result passes",
    )
    subtitles: Annotated[list[SubtitleFormat], Field(max_length=4)] = Field(
        [], description="a file of each, with a cue for each sentence: WebVTT, SubRip, LRC, and JSON of all times"
    )
    per_chapter: Switch = Field(
        False,
        description="besides the whole recording, a file of each chapter, with its subtitles: /v1/jobs/{id}/chapters",
    )
    also: Annotated[list[AlsoFormat], Field(max_length=1)] = Field(
        [],
        description="epub: a book to be read along, EPUB 3 with Media Overlays, which marks each sentence while it is "
        "heard; with mp3, opus or m4b: /v1/jobs/{id}/readalong.epub",
    )

    @property
    def has_gain(self) -> bool:
        """Whether the recording is to have a certain loudness."""
        return self.loudness_lufs is not None or self.preset is not None

    @property
    def in_chapters(self) -> bool:
        """Whether files of single chapters are made: to be delivered, or to go into a book."""
        return self.per_chapter or bool(self.also)

    @property
    def gain_per_chapter(self) -> bool:
        return self.loudness_per == "chapter" and self.has_gain


WebhookEvent = Literal["job.succeeded", "job.failed", "job.canceled", "batch.completed"]


class Webhook(_Request):
    """Where ends are told. That of a job names an event of jobs at least; that of a batch hears of batch.completed."""

    url: Annotated[
        AnyHttpUrl,
        UrlConstraints(max_length=2000, allowed_schemes=["http", "https"]),
        Field(json_schema_extra={"pattern": r"^https?:/{2}[^/?#@\s]+"}, description="a public address"),
    ]
    events: Annotated[list[WebhookEvent], Field(min_length=1)] = [
        "job.succeeded",
        "job.failed",
        "job.canceled",
        "batch.completed",
    ]


class Narration(_Request):
    """How a text is spoken, and what becomes of it: all of a job that can be changed later."""

    voice: Name | None = Field(None, description="a built-in or uploaded voice; the language's own when absent")
    voices: Cast = Field(
        {},
        description="a cast: names that the markup and the voices of chapters may say, with the voice of each; "
        "`narrator` speaks what no other does, in place of `voice`",
    )
    markup: Markup = Field(
        "none", description="what the text is written in: `ssml`, short `tags` like [voice:anna], or nothing"
    )
    lexicons: Annotated[list[LexiconRef], Field(max_length=10)] = Field(
        [], description="how words are said: `name`, the newest when the job is accepted, or `name@3`; the first counts"
    )
    language: LanguageTag | None = Field(None, description="BCP 47; the voice's language, else English, when absent")
    speed: Speed = Field(1.0, description="2 is twice as fast")
    pitch: Annotated[float, Field(ge=-12, le=12), BeforeValidator(_number)] = Field(0.0, description="semitones")
    seed: Seed = 0
    emotion: Emotion | None = None
    normalize: Switch = Field(True, description="put numbers and signs into words; false: the text is in words already")
    checks: Switch = Field(
        True,
        description="make a clip once more that is odd for its text, and check its sound; false: keep every first take",
    )
    target_duration_ms: Target | None = Field(
        None,
        description="how long the whole audio is to be, pauses included, instead of `speed`; for models that honour "
        "`duration`. The result says by how much it was missed. With chapters, either this or theirs",
    )
    output: Output = Output()
    on_error: Literal["fail", "skip"] = Field(
        "fail", description="what a segment that can't be rendered does to the job"
    )
    on_review: Literal["deliver", "fail"] = Field(
        "deliver", description="what segments that somebody should listen to do to the job, at its end"
    )
    metadata: Metadata = Field(default_factory=dict)
    webhook: Webhook | None = None
    expires_after: Annotated[int, Field(ge=60, le=31_536_000), BeforeValidator(_number)] | None = Field(
        None, description="seconds after its end for which the result is kept; the farm's retention when absent"
    )


class JobOptions(Narration):
    """What a job may say beside its text; a batch's `defaults` are the same fields."""

    model: Name | None = Field(None, description="the farm's default model when absent")
    priority: Lane = Lane.NORMAL


_TEXTS = {"input": "string", "chapters": "array", "document": "object"}  # with their types; a job has one of them


class JobRequest(JobOptions):
    """POST /v1/jobs. One of `input`, `chapters` and `document`."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {
                    "required": [one],
                    "properties": {name: {"type": kind if name == one else "null"} for name in _TEXTS},
                }
                for one, kind in _TEXTS.items()
            ]
        }
    )

    input: Text | None = Field(
        None,
        description="this, chapters or document; may hold marks like <行|XING2> for models that honour `pronunciation`",
    )
    chapters: Annotated[list[Chapter], Field(min_length=1, max_length=MAX_CHAPTERS)] | None = None
    document: DocumentChoice | None = Field(None, description="an uploaded document, in place of both")
    custom_id: Label | None = Field(None, description="your own name for it; unique within a batch")

    @model_validator(mode="after")
    def _one_text(self) -> Self:
        if sum(text is not None for text in (self.input, self.chapters, self.document)) != 1:
            raise ValueError("give one of input, chapters and document")
        if self.chapters and sum(len(chapter.input) for chapter in self.chapters) > MAX_CHARACTERS:
            raise ValueError(f"the chapters together have more than {MAX_CHARACTERS:,} characters; split the job")
        return self

    def parts(self) -> list[Chapter]:
        return (
            self.chapters if self.chapters is not None else [Chapter.model_construct(title="", input=self.input or "")]
        )


class BatchRequest(_Request):
    """POST /v1/batches as JSON. `defaults` fill in what a job does not say."""

    jobs: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MAX_BATCH_JOBS)]
    defaults: JobOptions | None = None
    webhook: Webhook | None = None
    metadata: Metadata = Field(default_factory=dict)


class Problem(_Answer):
    """RFC 9457 problem+json."""

    class FieldProblem(_Answer):
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


class Progress(_Answer):
    segments_total: int
    segments_done: int
    segments_failed: int
    cached: int
    needs_review: int = Field(0, description="of those done: segments that somebody should listen to")
    audio_seconds: float
    percent: float


class Result(_Answer):
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


class ChapterFile(_Answer):
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


class JobError(_Answer):
    code: str
    message: str
    segment: int | None = Field(None, description="the segment that failed the job, as the manifest numbers it")
    chapter: int | None = Field(None, description="its chapter; the first is 0")
    chapter_title: str | None = None
    start: int | None = Field(None, description="where it begins in the input of its chapter, in characters")
    end: int | None = Field(None, description="where it ends there")
    text: str | None = Field(None, description="the text of the segment")


class Job(_Answer):
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


class SegmentEdit(_Request):
    """Other words for one sentence, another voice, or both."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": ["text"], "properties": {"text": {"type": "string"}}}, {"required": ["voice"]}]
        }
    )

    index: Annotated[int, Field(ge=0, le=10**6), BeforeValidator(_number)]
    text: Words | None = Field(
        None,
        description="in place of what stands there, in the job's markup; empty: it is left out. Absent: it stays",
    )
    voice: Name | None = Field(
        None,
        description="who speaks it: one of the cast or a voice; null: who speaks what is around it. Absent: it stays",
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.text is None and not self.says_voice:
            raise ValueError("give a text, a voice, or both")
        return self

    @property
    def says_voice(self) -> bool:
        return "voice" in self.model_fields_set


_NEW_TEXTS = ("segments", *_TEXTS)  # an edit has at most one of them


class JobEdit(Narration):
    """PATCH /v1/jobs/{id}. What it sets is changed, and everything else stays: fields as a whole, of `output` those
    that it names. The text by sentences, or all of it anew."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"properties": {name: {"type": "null"} for name in _NEW_TEXTS if name != one}} for one in _NEW_TEXTS
            ]
        }
    )

    segments: Annotated[list[SegmentEdit], Field(min_length=1, max_length=1_000)] | None = Field(
        None, description="other words or voices for some sentences, by their numbers in this revision"
    )
    left_out: Annotated[list[ChapterNumber], Field(max_length=MAX_CHAPTERS)] | None = Field(
        None,
        description="chapters that are not spoken, by their numbers in /v1/jobs/{id}/contents; all others are. "
        "They are kept, and can be taken in again",
    )
    input: Text | None = Field(None, description="all of the text anew; this, chapters, document or segments")
    chapters: Annotated[list[Chapter], Field(min_length=1, max_length=MAX_CHAPTERS)] | None = None
    document: DocumentChoice | None = Field(
        None, description="other chapters of an uploaded document, or by other rules"
    )

    @model_validator(mode="after")
    def _one_text(self) -> Self:
        if len(self.changed & set(_NEW_TEXTS)) > 1:
            raise ValueError("give at most one of segments, input, chapters and document")
        if self.left_out is not None and self.renews_text:
            raise ValueError("left_out is about the chapters that the job has; leave it out, or the new text")
        if self.chapters and sum(len(chapter.input) for chapter in self.chapters) > MAX_CHARACTERS:
            raise ValueError(f"the chapters together have more than {MAX_CHARACTERS:,} characters; split the job")
        return self

    @property
    def renews_text(self) -> bool:
        return any(getattr(self, name) is not None for name in _TEXTS)

    @property
    def changed(self) -> frozenset[str]:
        """The fields that it sets. A text that is null is none."""
        texts = {name for name in (*_NEW_TEXTS, "left_out") if getattr(self, name) is None}
        return frozenset(self.model_fields_set - texts)


class SegmentRetry(_Request):
    """POST /v1/jobs/{id}/segments/{n}/retry."""

    seed: Seed | None = Field(None, description="of the new take; the one after the segment's when absent")


class EditPreview(_Answer):
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


class JobChapter(_Answer):
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


class JobRevision(_Answer):
    """What was spoken of a job before it was edited, or is spoken now."""

    revision: int
    status: Status
    rendered: int
    reused: int
    result: Result | None = None
    ended_at: datetime | None = None


BatchStatus = Literal["running", "completed", "canceled"]


class Batch(_Answer):
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


class DocumentChapter(_Answer):
    id: str
    title: str
    depth: int = Field(description="in the contents; 1 is the highest")
    characters: int = Field(description="that are spoken by the rules as they are when a job sets none")
    first_words: str
    included: bool = Field(description="whether a job that names no chapters speaks this one")
    left_out: str | None = Field(None, description="the rule that leaves it out, or `empty`")


class DocumentMetadata(_Answer):
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


class DocumentCover(_Answer):
    media_type: str
    bytes: int
    url: str


class Document(_Answer):
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


class LexiconInfo(_Answer):
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


class PreviewMatch(_Answer):
    """A word that a lexicon had."""

    chapter: int
    start: int = Field(description="where it begins in the input of its chapter, in characters")
    end: int
    written: str
    spoken: str
    lexicon: str = Field(description="`name@version`")


class PreviewChapter(_Answer):
    title: str
    first_segment: int
    segments: int


class PreviewSegment(_Answer):
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


class Preview(_Answer):
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


class Page(_Answer, Generic[T]):
    data: list[T]
    has_more: bool
    next_cursor: str | None = None


class Attempt(_Answer):
    at: datetime
    status_code: int | None = None
    error: str | None = None
    seconds: float


class Delivery(_Answer):
    id: str
    event: WebhookEvent
    url: str
    status: Literal["pending", "delivered", "abandoned"]
    attempts: list[Attempt]
    next_attempt_at: datetime | None = None


class Voice(_Answer):
    name: str
    kind: Literal["builtin", "uploaded"]
    models: list[str]
    language: str | None = None
    digest: str | None = None
    seconds: float | None = None
    created_at: datetime | None = None
    notes: list[str] = []


class Language(_Answer):
    """A language of a model: the segment limit that planning keeps to, and the voice of a job that names none."""

    max_characters: int
    voice: str | None = None


class Model(_Answer):
    """A model card: what a render worker announces, and what requests are validated against."""

    name: str
    revision: str = Field(description="changes whenever the same input would sound different")
    sample_rate: int
    languages: dict[str, Language]
    voices: dict[str, str] = Field(description="built-in voice -> its language")
    uploaded_voices: bool = Field(description="whether it can speak with an uploaded voice")
    parameters: list[str] = Field(
        description=f"what it honours of a request: {', '.join(_NAMED_AS_THEIR_FIELD)}; duration is "
        "target_duration_ms, pronunciation the marks in a text that say how a word is pronounced"
    )

    def language_for(self, tag: str) -> str | None:
        """The language that a tag asks for, as the card writes it: itself, else its primary subtag, else the first of
        its regions."""
        by_lower = {name.lower(): name for name in self.languages}
        lower = tag.lower()
        primary = lower.partition("-")[0]
        if found := by_lower.get(lower) or by_lower.get(primary):
            return found
        if lower == primary:  # `en` where the card knows en-us and en-gb: the first it names
            return next((name for low, name in by_lower.items() if low.startswith(primary + "-")), None)
        return None


class Worker(_Answer):
    """A worker's heartbeat."""

    id: str
    kind: Literal["render", "desk"]
    model: str | None = None
    device: str | None = None
    started_at: datetime
    seen_at: datetime
    segments: int = 0
    segments_per_second: float = 0.0
    real_time_factor: float | None = Field(None, description="seconds of work per second of audio; lower is faster")
    batch_mean: float | None = None
    capacity: int | None = None
    idle_share: float | None = Field(None, description="share of the time under backlog in which the engine waited")
    memory_bytes: int = 0
    storage_mark: str | None = Field(None, description="birth mark of the storage that it sees; absent if it sees none")
    facts: dict[str, str] = Field({}, description="what its engine tells of itself: precision, attention, memory")


class Queue(_Answer):
    """GET /v1/queue."""

    class Depth(_Answer):
        ready: dict[Lane, int]
        leased: int
        segments_per_second: float
        workers: int

    jobs: dict[Status, int]
    models: dict[str, Depth]
    due: dict[str, int]
    workers: list[Worker]


class WebhookBody(_Answer):
    """What a receiver gets: thin on purpose; the status URL has the rest."""

    type: WebhookEvent
    timestamp: datetime
    data: dict[str, Any]

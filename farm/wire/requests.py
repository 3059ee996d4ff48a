"""What a job, a batch and a preview are asked for with."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AnyHttpUrl, BeforeValidator, ConfigDict, Field, UrlConstraints, model_validator

from farm.audio_formats import AlsoFormat, AudioFormat, SubtitleFormat
from farm.job import Lane
from farm.wire.choices import at_least_one, exactly_one
from farm.wire.fields import (
    MAX_BATCH_JOBS,
    MAX_CHAPTERS,
    MAX_CHARACTERS,
    ROOM_TONE_DBFS,
    TRIM_DBFS,
    Label,
    LanguageTag,
    LexiconRef,
    Markup,
    Metadata,
    Milliseconds,
    Name,
    Request,
    Seed,
    Speed,
    Switch,
    Target,
    Text,
    WebhookEvent,
    Weight,
    number,
)


class Chapter(Request):
    """A named part of a job; `voice` overrides the job's, and may be one of its cast."""

    title: Label = ""
    input: Text = Field(description="may hold marks like <行|XING2> for models that honour `pronunciation`")
    headings: list[Annotated[int, Field(ge=0, le=MAX_CHARACTERS), BeforeValidator(number)]] = Field(
        [], description="where paragraphs begin that are headings, in characters; output.pause_ms.heading follows them"
    )
    voice: Name | None = None
    target_duration_ms: Target | None = Field(
        None,
        description="how long the chapter's audio is to be, with the pauses in it and without the one after it; "
        "for models that honour `duration`. The manifest says what was reached",
    )


# Without the last, the document would allow names that Name refuses.
Cast = Annotated[dict[Name, Name], Field(max_length=100, json_schema_extra={"additionalProperties": False})]
NARRATOR = "narrator"  # of a cast: who speaks what no other does
Part = Literal["skip", "read"]
Shown = Literal["skip", "word", "read"]


class DocumentRules(Request):
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


class DocumentChoice(Request):
    """A document that was uploaded to /v1/documents, in place of a text."""

    id: Annotated[str, Field(pattern=r"^doc_[0-9a-z]{26}$")]
    chapters: Annotated[list[Annotated[str, Field(pattern=r"^c[1-9][0-9]{0,5}$")]], Field(min_length=1)] | None = Field(
        None,
        description="ids of chapters, spoken in the order of the document; those that the rules include when absent",
    )
    rules: DocumentRules = DocumentRules()


class Emotion(Request):
    """What a model with emotions is to express: a text, eight weights, or an uploaded voice to copy it from.
    If several are given, the text counts, else the vector, else the voice."""

    model_config = ConfigDict(json_schema_extra=at_least_one("text", "vector", "voice"))

    text: Label | None = None
    vector: Annotated[list[Weight], Field(min_length=8, max_length=8)] | None = None
    voice: Name | None = None
    strength: Annotated[float, Field(ge=0, le=1), BeforeValidator(number)] = 1.0

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.text is None and self.vector is None and self.voice is None:
            raise ValueError("give a text, a vector or a voice to take it from")
        return self


class Pauses(Request):
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


class Output(Request):
    format: AudioFormat = "mp3"
    sample_rate: Literal[8000, 16000, 22050, 24000, 44100, 48000] | None = Field(
        None, description="Hz; the model's own rate when absent (opus has no 22050 and 44100: the next higher is used)"
    )
    loudness_lufs: Annotated[float, Field(ge=-40, le=-8), BeforeValidator(number)] | None = Field(
        None, description="integrated loudness to reach (ITU-R BS.1770); gain stops where peaks would pass -1 dBFS"
    )
    loudness_per: Literal["recording", "chapter"] = Field(
        "recording", description="one gain for the whole recording, or one for each chapter"
    )
    pause_ms: Pauses = Pauses()
    trim_dbfs: Annotated[float, Field(ge=-80, le=-20), BeforeValidator(number)] | None = Field(
        None,
        description="cut off what lies before and after the speech of each clip: all samples that are lower than this, "
        f"but for 20 ms; about {TRIM_DBFS}. Absent: clips are as the engine made them",
    )
    room_tone_dbfs: Annotated[float, Field(ge=-90, le=-40), BeforeValidator(number)] | None = Field(
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


class Webhook(Request):
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


class Narration(Request):
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
    pitch: Annotated[float, Field(ge=-12, le=12), BeforeValidator(number)] = Field(0.0, description="semitones")
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
    expires_after: Annotated[int, Field(ge=60, le=31_536_000), BeforeValidator(number)] | None = Field(
        None, description="seconds after its end for which the result is kept; the farm's retention when absent"
    )


class JobOptions(Narration):
    """What a job may say beside its text; a batch's `defaults` are the same fields."""

    model: Name | None = Field(None, description="the farm's default model when absent")
    priority: Lane = Lane.NORMAL


TEXTS = ("input", "chapters", "document")  # a job has one of them


class JobRequest(JobOptions):
    """POST /v1/jobs. One of `input`, `chapters` and `document`."""

    model_config = ConfigDict(json_schema_extra=exactly_one(*TEXTS))

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


class BatchRequest(Request):
    """POST /v1/batches as JSON. `defaults` fill in what a job does not say."""

    jobs: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MAX_BATCH_JOBS)]
    defaults: JobOptions | None = None
    webhook: Webhook | None = None
    metadata: Metadata = Field(default_factory=dict)

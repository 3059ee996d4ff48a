"""The shapes of a result as the document has them: segments, the manifest, the times of subtitles."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Segment(BaseModel):
    """One segment: where it stands in the text, and once the job has succeeded, where in the audio."""

    index: int
    chapter: int
    start: int
    end: int
    text: str
    voice: str
    digest: str
    attempts: int = 0
    error: str | None = None
    cached: bool | None = None
    offset_ms: int | None = None
    duration_ms: int | None = None
    target_ms: int | None = None
    spoken: str | None = Field(None, description="what is said in place of the text, where markup says so")
    character: str | None = Field(None, description="who speaks: one of the cast, or a voice that the markup names")
    speed: float | None = Field(None, description="where it is not the job's; so are the two that follow")
    emotion: str | None = None
    language: str | None = None
    seed: int | None = Field(None, description="that a retry of the segment chose")
    warnings: list[str] = []
    needs_review: bool = Field(False, description="one of the warnings asks somebody to listen")
    audio_url: str | None = Field(None, description="its clip alone; in lists, where the clip is there")


class ManifestSegment(Segment):
    model_config = ConfigDict(extra="allow")

    offset_frames: int | None = None
    frames: int | None = None
    pause_ms: int | None = None


class ManifestChapterFile(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str
    bytes: int
    sha256: str
    duration_seconds: float
    offset_frames: int = Field(description="where the file begins in the whole recording")
    frames: int


class ManifestChapter(BaseModel):
    model_config = ConfigDict(extra="allow")

    title: str
    first_segment: int
    segments: int
    offset_ms: int
    duration_ms: int
    loudness_lufs: float | None = None
    rms_dbfs: float | None = None
    true_peak_dbtp: float | None = None
    peak_dbfs: float | None = None
    floor_dbfs: float | None = None
    gain_db: float | None = Field(None, description="where each chapter has a gain of its own")
    file: ManifestChapterFile | None = Field(None, description="where the job asked for output.per_chapter")


class ManifestCheck(BaseModel):
    model_config = ConfigDict(extra="allow")

    check: str = Field(description="loudness or rms, true_peak, floor, minutes, silence_before, …")
    wanted: str
    value: float | str | None = Field(description="measured before encoding; null for silence")
    passed: bool
    note: str | None = None


class ManifestFile(BaseModel):
    chapter: int | None = Field(description="null for the whole recording, which is judged where one gain serves it")
    passed: bool
    checks: list[ManifestCheck]


class ManifestPreset(BaseModel):
    """Whether the recording is what `output.preset` asks for."""

    name: str
    passed: bool = Field(description="whether all files pass every check")
    files: list[ManifestFile]


class ManifestSpeaker(BaseModel):
    voices: list[str]
    segments: int
    characters: int
    duration_ms: int


class ManifestWaveform(BaseModel):
    """How the audio looks, to be drawn without decoding it. It stands before the chapters, in the first 8 kB."""

    samples_per_pair: int = Field(description="frames that a pair stands for; the last pair may stand for less")
    bits: int
    length: int = Field(description="pairs, 1,500 at most")
    data: str = Field(description="base64 of the pairs: lowest and highest sample, signed bytes, 127 is full scale")


class ManifestHeld(BaseModel):
    """What the audio file holds beside its sound."""

    chapters: int = Field(description="that a player shows")
    cover: bool
    note: str = Field(description="why something is not in it; else empty")


class ManifestReadAlong(BaseModel):
    """The file of output.also: epub."""

    bytes: int
    sha256: str
    book: Literal["source", "plain"] = Field(description="the document of the job, or one of ours of its text")
    times: Literal["exact", "estimated"] = Field(description="whether every sentence has the times of a whole segment")
    marked: int = Field(description="sentences that the book marks while they are heard")
    unmarked: int = Field(description="sentences that are heard with another, or not at all")
    note: str = Field("", description="why the book is not the document")


class ManifestAlso(BaseModel):
    epub: ManifestReadAlong | None = None


class Manifest(BaseModel):
    """For the document alone: a stored manifest is sent as it is, and later ones may say more."""

    model_config = ConfigDict(extra="allow")

    job: str
    job_revision: int | None = Field(None, description="counts the edits of the job; `revision` is the model's")
    rendered: int | None = Field(None, description="segments that were rendered for this result")
    reused: int | None = Field(None, description="segments whose clip was there already")
    model: str
    language: str
    format: str
    sample_rate: int
    duration_seconds: float
    revision: str | None = None
    frames: int | None = None
    bytes: int | None = None
    sha256: str | None = None
    loudness_lufs: float | None = Field(None, description="integrated, as written (ITU-R BS.1770); null for silence")
    rms_dbfs: float | None = Field(None, description="of all samples, pauses too")
    true_peak_dbtp: float | None = Field(None, description="with three points between each two samples")
    peak_dbfs: float | None = Field(None, description="of the samples")
    floor_dbfs: float | None = Field(None, description="RMS of the quietest half second; null for digital silence")
    source_loudness_lufs: float | None = Field(None, description="of the clips, before the gain")
    gain_db: float | None = Field(None, description="of the whole recording; null where each chapter has one")
    waveform: ManifestWaveform | None = None
    file: ManifestHeld | None = None
    preset: ManifestPreset | None = None
    also: ManifestAlso | None = Field(None, description="the files that output.also asked for")
    warnings: int | None = None
    needs_review: int | None = Field(None, description="segments that somebody should listen to")
    chapters: list[ManifestChapter]
    cast: dict[str, ManifestSpeaker] | None = Field(None, description="who speaks how much, where several do")
    segments: list[ManifestSegment]


class SubtitleCue(BaseModel):
    start_ms: int
    end_ms: int
    text: str
    lines: list[str] = Field(description="the text as a screen shows it, two at most")
    segment: int
    chapter: int
    times: Literal["exact", "estimated"]


class SubtitleTimes(BaseModel):
    """subtitles.json, for the document alone."""

    language: str
    times: Literal["exact", "estimated"] = Field(description="whether every cue has the times of a whole segment")
    cues: list[SubtitleCue]

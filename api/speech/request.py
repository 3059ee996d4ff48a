"""The body of POST /v1/audio/speech, and the order that it becomes.

Members that the farm does not know are taken, because clients of other servers send theirs; the answer names them in
X-Farm-Ignored. So nothing is left out in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from api.admission import Catalog
from api.problems import invalid
from api.speech.aliases import Aliases
from farm.audio_formats import AUDIO_FORMATS, AudioFormat
from farm.errors import BadInput, FieldError, NotFound
from farm.order import Order
from farm.speech import Parameter
from farm.wire import Emotion, JobRequest, LanguageTag, Output, Seed, Speed, Text

SpeechFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]

PCM_RATE = 24_000  # Hz; clients of `pcm` have this number hard-coded
MEDIA_TYPES: Mapping[SpeechFormat, str] = {
    **{name: AUDIO_FORMATS[name].media_type for name in ("mp3", "wav", "flac", "opus")},
    "aac": "audio/aac",
    "pcm": "audio/pcm",
}
_LIKE: Mapping[SpeechFormat, AudioFormat] = {"aac": "mp3", "pcm": "wav"}  # by the size that limits a job
_NAMED = 20  # unknown members that the answer names
_NAME_CHARACTERS = 40

_Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class VoiceById(BaseModel):
    """How OpenAI's client names a voice that was uploaded."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: _Name


def _by_its_id(value: object) -> object:
    return value["id"] if isinstance(value, dict) and isinstance(value.get("id"), str) else value


def _with_nulls(schema: dict[str, Any]) -> None:
    """Says of every member but the text that it may be null."""
    for name, member in schema["properties"].items():
        if name not in schema["required"] and {"type": "null"} not in member.get("anyOf", ()):
            said = {key: member.pop(key) for key in ("title", "description", "default") if key in member}
            schema["properties"][name] = {"anyOf": [member, {"type": "null"}], **said}


class SpeechRequest(BaseModel):
    """POST /v1/audio/speech. A member that is null counts as absent."""

    model_config = ConfigDict(
        extra="allow", frozen=True, allow_inf_nan=False, json_schema_extra=lambda schema: _with_nulls(schema)
    )

    input: Text = Field(description="the text, as long as that of a job")
    model: _Name | None = Field(None, description="a model of GET /v1/models or an alias; the farm's own when absent")
    voice: Annotated[_Name | None, BeforeValidator(_by_its_id, json_schema_input_type=_Name | VoiceById | None)] = (
        Field(None, description="a voice of GET /v1/audio/voices or an alias, or {id}; the language's own when absent")
    )
    response_format: SpeechFormat = Field("mp3", description="pcm: 24,000 Hz, 16 bit little-endian, mono, no header")
    speed: Speed = 1.0
    stream_format: Literal["audio", "sse"] = "audio"
    instructions: str | None = Field(None, description="how to speak, for models that honour emotion")
    language: LanguageTag | None = Field(None, description="BCP 47; not a member of OpenAI's API")
    seed: Seed = Field(0, description="not a member of OpenAI's API")
    emotion: Emotion | None = Field(None, description="as of a job; not a member of OpenAI's API")

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        return {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data

    @property
    def ignored(self) -> str:
        """The members that the farm does not know, as the value of a header."""
        names = sorted(self.model_extra or ())
        shown = [quote(name[:_NAME_CHARACTERS], safe=" !#$&'()*+./:;=?@[]^_`{|}~") for name in names[:_NAMED]]
        return ", ".join([*shown, "..."] if len(names) > _NAMED else shown)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request that can be rendered."""

    order: Order
    format: SpeechFormat
    events: bool  # server-sent events instead of bare audio
    ignored: str


def check_format(format: SpeechFormat) -> None:
    """Raises BadInput for a format whose encoder is not installed."""
    if format == "aac" and find_spec("av") is None:
        others = ", ".join(name for name in MEDIA_TYPES if name != "aac")
        raise BadInput(
            f"this farm has no encoder for aac; its operator can install tts-farm[aac]. Ask for one of {others}",
            code="format_not_installed",
            pointer="/response_format",
        )


def wanted(request: SpeechRequest, catalog: Catalog, aliases: Aliases, retention_s: int) -> Wanted:
    """Raises BadInput with the wrong fields named, NotFound for a model that is not known, Unavailable while the farm
    does not know its own model."""
    check_format(request.response_format)
    name = aliases.model(request.model, catalog.cards)
    if name is not None and name not in catalog.cards and name != catalog.default_model:
        raise unknown_model(request.model or name, catalog.cards, name)
    card = catalog.cards.get(name or catalog.default_model)
    voices = {*card.voices, *(catalog.uploads if card.uploaded_voices else ())} if card is not None else set()
    emotion = request.emotion
    if request.instructions is not None and request.instructions.strip():
        if card is not None and Parameter.EMOTION not in card.parameters:
            raise BadInput(
                f"model {card.name!r} takes no instructions, because it does not honour emotion; leave them out",
                code="not_honoured",
                pointer="/instructions",
            )
        emotion = _instructed(request.instructions, emotion)
    asked = _job(
        input=request.input,
        model=name,
        language=request.language,
        speed=request.speed,
        seed=request.seed,
        emotion=emotion,
        priority=catalog.highest,
        output=Output(format=_LIKE.get(request.response_format) or request.response_format),
    )
    # Not checked as a name of a job: who asks for a voice that can't be one hears which voices there are.
    asked = asked.model_copy(update={"voice": aliases.voice(request.voice, voices)})
    order = replace(catalog.admit(asked), retention_s=retention_s)
    return Wanted(order, request.response_format, request.stream_format == "sse", request.ignored)


def _job(**fields: Any) -> JobRequest:
    try:
        return JobRequest(**fields)
    except ValidationError as error:
        raise invalid(error) from None


def _instructed(instructions: str, emotion: Emotion | None) -> Emotion:
    if emotion is not None and emotion.text is not None:
        why = "instructions and emotion.text say the same; send one of them"
        fields = [FieldError(pointer, why) for pointer in ("/instructions", "/emotion/text")]
        raise BadInput(why, code="conflicting_fields", fields=fields)
    said = {**(emotion.model_dump(exclude_unset=True) if emotion is not None else {})}
    try:
        return Emotion.model_validate({**said, "text": " ".join(instructions.split())})
    except ValidationError as error:
        fault = invalid(error)
        message = fault.fields[0].message if fault.fields else fault.message
        raise BadInput(f"instructions: {message}", pointer="/instructions") from None


class UnknownModel(NotFound):
    code = "unknown_model"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.fields = (FieldError("/model", message),)


def unknown_model(asked: str, cards: Iterable[str], meant: str | None = None) -> UnknownModel:
    """`meant` is the name that an alias stands for."""
    known = ", ".join(sorted(cards)) or "none so far"
    if meant is not None and asked != meant:
        return UnknownModel(f"FARM_SPEECH_ALIASES maps {asked!r} to {meant!r}, which no worker serves; known: {known}")
    return UnknownModel(f"model {asked[:80]!r} is not known here; known: {known}")

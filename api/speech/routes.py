"""The routes of /v1/audio, as clients of OpenAI's API call them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from api.answers import form_of, json_response, require_json
from api.openapi import answer_header, events, json_body, problem, text_field
from api.problems import parse
from api.speech.answer import SpeechAnswer
from api.speech.narration import Narration
from api.speech.request import MEDIA_TYPES, SpeechRequest, Wanted, wanted
from api.speech.studio import studio_of
from api.state import state_of, tenant_of, trace_of
from api.voices import all_voices, drop, keep, voice_form
from farm.errors import BadInput, FieldError

router = APIRouter(prefix="/v1/audio", tags=["speech"])

_LARGE_BYTES = 64_000  # from here on a body is parsed off the event loop

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_SPOKEN: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The audio, as it is rendered. A connection that is cut before its end means a failure",
        "content": dict.fromkeys(MEDIA_TYPES.values(), _BYTES) | events("As sse")["content"],
        "headers": {
            "X-Farm-Job": answer_header("the job behind it"),
            "X-Farm-Ignored": answer_header("members of the request that this farm does not know"),
        },
    },
    400: problem("What is wrong, and with which field"),
    429: problem("So many speech requests of yours are under way already"),
}


@router.post(
    "/speech",
    response_class=Response,
    responses=_SPOKEN,
    openapi_extra={"requestBody": json_body("SpeechRequest", {"model": "tts-1", "input": "Hello.", "voice": "alloy"})},
)
async def speak(request: Request) -> Response:
    """Speaks a text at once, over the interactive lane, as OpenAI's API does. The audio comes as it is rendered. When
    its client leaves, the work ends."""
    state, tenant, studio = state_of(request), tenant_of(request), studio_of(request)
    state.check_room()
    require_json(request)
    body = await request.body()
    catalog = await state.catalog(tenant)

    def read() -> Wanted:
        return wanted(parse(SpeechRequest, body), catalog, studio.aliases, studio.retention_s)

    read_already = read() if len(body) < _LARGE_BYTES else await state.blocking(read)
    narration = Narration(state, tenant, read_already, studio, trace_of(request))
    await narration.begin()
    return SpeechAnswer(narration)


# --- what there is to choose from -------------------------------------------------------------------------------------


class ListedVoice(BaseModel):
    id: str
    name: str
    language: str | None = None
    models: list[str]
    kind: Literal["builtin", "uploaded"]


class VoiceList(BaseModel):
    voices: list[ListedVoice] | list[str]


class NamedModel(BaseModel):
    id: str


class NamedModels(BaseModel):
    models: list[NamedModel]


@router.get("/voices", response_model=VoiceList)
async def list_voices(
    request: Request, legacy: Annotated[bool, Query(description="names alone, as some clients expect them")] = False
) -> Response:
    """Every voice at once, in the shape that clients of such servers agree on. OpenAI itself has no such list."""
    every = await all_voices(request)
    if legacy:
        return json_response(VoiceList(voices=[voice.name for voice in every]))
    shown = [
        ListedVoice(id=voice.name, name=voice.name, language=voice.language, models=voice.models, kind=voice.kind)
        for voice in every
    ]
    return json_response(VoiceList(voices=shown))


@router.get("/models", response_model=NamedModels)
async def list_models(request: Request) -> Response:
    """The names of the models, as Open WebUI asks for them."""
    cards = await state_of(request).cards.get()
    return json_response(NamedModels(models=[NamedModel(id=name) for name in sorted(cards)]))


# --- voices, as OpenAI's client uploads and deletes them --------------------------------------------------------------


class KeptVoice(BaseModel):
    id: str
    name: str
    created_at: int
    object: Literal["audio.voice"] = "audio.voice"
    type: Literal["audio_sample"] = "audio_sample"


class DroppedVoice(BaseModel):
    id: str
    deleted: bool = True
    object: Literal["audio.voice.deleted"] = "audio.voice.deleted"


_BAD: dict[int | str, dict[str, Any]] = {400: problem("What is wrong, and with which field")}


@router.post(
    "/voices",
    response_model=KeptVoice,
    responses=_BAD,
    openapi_extra=voice_form(
        "audio_sample",
        "what requests call it; its id is the same",
        type=text_field("the only one", const="audio_sample"),
    ),
)
async def keep_voice(request: Request) -> Response:
    """Stores a reference recording, as POST /v1/voices does."""
    state_of(request).check_room()
    async with form_of(request) as form:
        if form.get("type", "audio_sample") != "audio_sample":
            raise BadInput("must be audio_sample: voices are made from a recording here", pointer="/type")
        try:
            name, stored = await keep(request, form, "audio_sample")
        except BadInput as error:  # of the recording, which is called `audio` on the farm's own route
            error.fields = tuple(
                FieldError("/audio_sample" if field.pointer == "/audio" else field.pointer, field.message)
                for field in error.fields
            )
            raise
    return json_response(KeptVoice(id=name, name=name, created_at=stored.created_ms // 1000))


@router.delete("/voices/{name}", response_model=DroppedVoice)
async def drop_voice(request: Request, name: str) -> Response:
    """Deletes an uploaded voice, as DELETE /v1/voices/{name} does."""
    await drop(request, name)
    return json_response(DroppedVoice(id=name))

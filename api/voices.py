"""Voices: those that are built into models, and reference recordings that a tenant uploads."""

from __future__ import annotations

import re
import time
from typing import Annotated, Any, cast

from fastapi import APIRouter, Query, Request, Response
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData, UploadFile

from api.answers import form_of, json_response
from api.decoder import Decoder
from api.leaving import unless_left
from api.openapi import OVER_QUOTA, binary, file_answers, file_field, form_body, problem, text_field
from api.problems import invalid
from api.state import AppState, state_of, tenant_of
from api.stored_object import stored_object
from api.views import moment
from farm.errors import BadInput, Conflict, NotFound
from farm.layout import voice_key
from farm.store import quotas, registry
from farm.store.registry import MOST_VOICES
from farm.stored import StoredVoice
from farm.wake import DESK_QUEUE
from farm.wire import Name, Page, Voice

router = APIRouter(prefix="/v1/voices", tags=["voices"])

_NAME: TypeAdapter[str] = TypeAdapter(Name)
_WORDS = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_YES = frozenset({"true", "yes"})
_NAME_LETTERS = 3  # of the longest word in the name of the person who agreed
_REFUSALS = frozenset(
    {"false", "no", "none", "null", "nope", "off", "nobody", "not", "never", "neither", "nor", "without", "unknown"}
    | {"refuse", "refuses", "refused", "refusal", "deny", "denies", "denied", "decline", "declines", "declined"}
    | {"don't", "doesn't", "didn't", "won't", "can't", "disagree", "disagrees", "nein", "non", "nej", "niet", "нет"}
)
_CONSENT_LENGTH = 500


def voice_form(audio: str, named: str, **optional: dict[str, Any]) -> dict[str, Any]:
    """The document of a form with a voice, whose recording is the field `audio`."""
    said = "`true`, or who agreed: the speaker has agreed to be imitated"
    required = {
        "name": {**_NAME.json_schema(), "description": named},
        audio: file_field("WAV, FLAC, MP3 or Ogg; 1 to 60 s, better 5 to 15 s, of one person speaking"),
        "consent": text_field(said, minLength=1, maxLength=_CONSENT_LENGTH),
    }
    kinds = {
        audio: ("audio/wav", "audio/flac", "audio/mpeg", "audio/ogg"),
        "name": ("text/plain",),
        "consent": ("text/plain",),
    }
    return form_body(required, optional, kinds)


@router.post(
    "",
    status_code=201,
    response_model=Voice,
    responses=OVER_QUOTA,
    openapi_extra=voice_form("audio", "what jobs call it"),
)
async def add(request: Request) -> Response:
    """Stores a reference recording under its content's digest. A name that exists already speaks with the new recording
    from now on; jobs that were accepted before keep the old one."""
    state_of(request).check_room()
    async with form_of(request) as form:
        name, stored = await keep(request, form)
    shown = _uploaded(name, stored, await _cloning_models(state_of(request)))
    return json_response(shown, 201, {"Location": f"/v1/voices/{name}"})


async def keep(request: Request, form: FormData, audio_field: str = "audio") -> tuple[str, StoredVoice]:
    """Stores the voice of a form, whose recording is the field `audio_field`. Raises BadInput, TooLarge, Conflict or
    QuotaExceeded."""
    state, tenant = state_of(request), tenant_of(request)
    cards = await state.cards.get()
    name, audio, consent = _fields(form, audio_field)
    if any(name in card.voices for card in cards.values()):
        raise Conflict(f"{name!r} is a built-in voice; choose another name", code="name_taken")
    await _check_limit(state, tenant, name)
    decoding = decoder_of(request).reference(tenant, audio.file, audio.filename or "the recording")
    reference = await unless_left(request.receive, decoding)
    key, size = voice_key(tenant, reference.digest), len(reference.flac)
    await state.store.run(quotas.room(tenant, characters=0, bytes=size, records=0))
    await state.blocking(state.storage.put, key, reference.flac, "audio/flac")
    stored = StoredVoice(
        digest=reference.digest,
        seconds=round(reference.seconds, 3),
        created_ms=round(time.time() * 1000),
        notes=list(reference.notes),
        consent=consent,
    )
    if not await state.store.run(registry.put_voice(tenant, name, stored.to_json(), bytes=size)):
        raise _too_many()
    if await state.blocking(state.storage.head, key) is None:  # swept, because the voice came long after it
        await state.blocking(state.storage.put, key, reference.flac, "audio/flac")
    state.waker.wake(DESK_QUEUE)
    return name, stored


@router.get("", response_model=Page[Voice])
async def list_voices(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
    after: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """The tenant's own and the built-in ones, by name."""
    every = await all_voices(request)
    rest = [voice for voice in every if after is None or voice.name > after]
    more = len(rest) > limit
    return json_response(
        Page[Voice](data=rest[:limit], has_more=more, next_cursor=rest[limit - 1].name if more else None)
    )


@router.get("/{name}", response_model=Voice)
async def show(request: Request, name: str) -> Response:
    voice = next((voice for voice in await all_voices(request) if voice.name == name), None)
    if voice is None:
        raise _unknown(name)
    return json_response(voice)


_RECORDING = file_answers(binary("audio/flac")) | {
    409: problem("The voice is built in, and has no recording"),
    410: problem("The recording is no longer in storage"),
}


@router.get("/{name}/audio", response_class=Response, responses=_RECORDING)
async def audio(request: Request, name: str) -> Response:
    """The recording of an uploaded voice, as the farm keeps it: mono FLAC."""
    tenant = tenant_of(request)
    stored = (await state_of(request).store.run(registry.voices(tenant))).get(name)
    if stored is None:
        if any(name in card.voices for card in (await state_of(request).cards.get()).values()):
            raise Conflict(f"{name!r} is a built-in voice, and has no recording", code="built_in")
        raise _unknown(name)
    key = voice_key(tenant, StoredVoice.model_validate_json(stored).digest)
    lost = f"the recording of {name!r} is no longer in storage; upload the voice again"
    return await stored_object(request, key, filename=f"{name}.flac", media_type="audio/flac", lost=lost)


@router.delete("/{name}", status_code=204)
async def delete(request: Request, name: str) -> Response:
    """The name and its recordings; earlier ones as soon as no open job needs them any more. Open jobs that still need
    the last one fail, and say so."""
    await drop(request, name)
    return Response(status_code=204)


async def drop(request: Request, name: str) -> None:
    """Deletes a voice of the tenant. Raises NotFound."""
    state, tenant = state_of(request), tenant_of(request)
    dropped = await state.store.run(registry.drop_voice(tenant, name))
    if dropped is None:
        raise _unknown(name)
    digest = StoredVoice.model_validate_json(dropped).digest
    others = await state.store.run(registry.voices(tenant))
    if all(StoredVoice.model_validate_json(other).digest != digest for other in others.values()):
        await state.blocking(state.storage.delete, voice_key(tenant, digest))
    state.waker.wake(DESK_QUEUE)


def decoder_of(request: Request) -> Decoder:
    return cast(Decoder, request.app.state.decoder)


def _fields(form: FormData, audio_field: str) -> tuple[str, UploadFile, str]:
    """Returns name, recording and consent."""
    audio = form.get(audio_field)
    if not isinstance(audio, UploadFile):
        raise BadInput("is required: a file with 1 to 60 s of speech", pointer=f"/{audio_field}")
    try:
        name = _NAME.validate_python(form.get("name"))
    except ValidationError as error:
        raise invalid(error, "/name") from None
    consent = form.get("consent")
    if not isinstance(consent, str) or not _is_consent(consent):
        raise BadInput(
            "must be `true`, or name the person who agreed, in at most 500 characters; only a speaker who has "
            "agreed may be imitated",
            code="consent_required",
            pointer="/consent",
        )
    return name, audio, consent.strip()


def _is_consent(said: str) -> bool:
    """`true`, or a short statement with a name in it and without a word of refusal."""
    words = _WORDS.findall(said[: _CONSENT_LENGTH + 1].lower())
    if len(said) > _CONSENT_LENGTH or not _REFUSALS.isdisjoint(words):
        return False
    return not _YES.isdisjoint(words) or any(len(word) >= _NAME_LETTERS for word in words)


async def _check_limit(state: AppState, tenant: str, name: str) -> None:
    """Before anything is decoded or stored; `put_voice` has the last word."""
    voices = await state.store.run(registry.voices(tenant))
    if name not in voices and len(voices) >= MOST_VOICES:
        raise _too_many()


def _too_many() -> Conflict:
    return Conflict("you have as many voices as a tenant can have; delete some first", code="too_many_voices")


async def all_voices(request: Request) -> list[Voice]:
    """The tenant's own and the built-in ones, by name."""
    state = state_of(request)
    every: dict[str, Voice] = {}
    for card in (await state.cards.get()).values():
        for name, language in card.voices.items():
            models = [*every[name].models, card.name] if name in every else [card.name]
            every[name] = Voice(name=name, kind="builtin", models=models, language=language)
    cloning = await _cloning_models(state)
    for name, stored in (await state.store.run(registry.voices(tenant_of(request)))).items():
        every.setdefault(name, _uploaded(name, StoredVoice.model_validate_json(stored), cloning))
    return sorted(every.values(), key=lambda voice: voice.name)


async def _cloning_models(state: AppState) -> list[str]:
    return [card.name for card in (await state.cards.get()).values() if card.uploaded_voices]


def _uploaded(name: str, stored: StoredVoice, models: list[str]) -> Voice:
    return Voice(
        name=name,
        kind="uploaded",
        models=models,
        digest=stored.digest,
        seconds=stored.seconds,
        created_at=moment(stored.created_ms),
        notes=stored.notes,
    )


def _unknown(name: str) -> NotFound:
    return NotFound(f"there is no voice {name[:80]!r}; GET /v1/voices lists those that there are")

"""Lexicons: how words are said. Each has versions that never change, as JSON or PLS 1.0."""

from __future__ import annotations

import hashlib
import re
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import TypeAdapter, ValidationError

from api.answers import json_response, require_plain
from api.openapi import OVER_QUOTA, ref
from api.problems import UnsupportedMediaType, invalid, parse
from api.state import AppState, state_of, tenant_of
from api.views import moment
from farm.errors import BadInput, Conflict, NotFound, ObjectMissing, TooLarge
from farm.layout import lexicon_key
from farm.lexicon.entries import MAX_BYTES, Lexicon, LexiconRequest, LexiconShown, read_entries
from farm.lexicon.pls import MEDIA_TYPES, read_pls, write_pls
from farm.store import lexicons, quotas
from farm.stored import LexiconVersion, StoredLexicon
from farm.wire import LexiconInfo, Name, Page

MOST_VERSIONS = 100  # of a lexicon
_TRIES = 8  # where others put the same lexicon at the same time
_NAME: TypeAdapter[str] = TypeAdapter(Name)

router = APIRouter(prefix="/v1/lexicons", tags=["lexicons"])


_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": ref("LexiconRequest"),
            "example": {"name": "names", "entries": [{"written": "Nguyen", "alias": "win"}]},
        },
        **{kind: {"schema": {"type": "string"}} for kind in MEDIA_TYPES},
    },
}


@router.post(
    "",
    status_code=201,
    response_model=LexiconInfo,
    responses={
        200: {"model": LexiconInfo, "description": "The newest version is the same; no other is made"},
        **OVER_QUOTA,
    },
    openapi_extra={"requestBody": _BODY},
)
async def put(
    request: Request,
    named: Annotated[
        Name | None, Query(alias="name", description="of a lexicon in PLS; JSON has it in the body")
    ] = None,
) -> Response:
    """A new version of a lexicon, of at most 10,000 entries and 1 MB. JSON, or PLS 1.0 with its name in the query."""
    state, tenant = state_of(request), tenant_of(request)
    state.check_room()
    name, lexicon, notes = await state.blocking(_read, _kind(request), await _body(request), named)
    document = lexicon.to_json().encode()
    if len(document) > MAX_BYTES:
        raise _too_large()
    digest = hashlib.sha256(document).hexdigest()
    await state.store.run(quotas.room(tenant, characters=0, bytes=len(document), records=0))
    key = lexicon_key(tenant, digest)
    for _ in range(_TRIES):
        old = (await state.store.run(lexicons.every(tenant))).get(name, "")
        stored = StoredLexicon.read(old) if old else StoredLexicon(versions=[])
        if stored.versions and stored.newest.digest == digest:
            return json_response(_info(name, stored, stored.newest, notes))
        await state.blocking(state.storage.put, key, document, "application/json")
        version = _next(name, stored, lexicon, digest, len(document))
        changed = StoredLexicon(versions=[*stored.versions, version])
        size = sum(each.bytes for each in changed.versions)
        done = await state.store.run(lexicons.put(tenant, name, changed.to_json(), bytes=size, old=old))
        if done == 0:
            raise Conflict(
                "you have as many lexicons as a tenant can have; delete some first", code="too_many_lexicons"
            )
        if done == 1:
            if await state.blocking(state.storage.head, key) is None:  # deleted with another lexicon of these entries
                await state.blocking(state.storage.put, key, document, "application/json")
            location = {"Location": f"/v1/lexicons/{name}@{version.number}"}
            return json_response(_info(name, changed, version, notes), 201, location)
    raise Conflict(f"lexicon {name!r} is changed by others all the time; try again", code="lexicon_changed")


@router.get("", response_model=Page[LexiconInfo])
async def list_lexicons(request: Request) -> Response:
    """The newest version of each, by name."""
    every = await state_of(request).store.run(lexicons.every(tenant_of(request)))
    found = [(name, StoredLexicon.read(every[name])) for name in sorted(every)]
    shown = [_info(name, stored, stored.newest) for name, stored in found]
    return json_response(Page[LexiconInfo](data=shown, has_more=False))


@router.get(
    "/{name}",
    response_model=LexiconShown,
    responses={200: {"content": {MEDIA_TYPES[0]: {"schema": {"type": "string"}}}}},
)
async def show(request: Request, name: str, format: Literal["json", "pls"] = "json") -> Response:
    """The entries of the newest version, or of `name@3`."""
    state, tenant = state_of(request), tenant_of(request)
    plain, stored, version = await _find(state, tenant, name)
    try:
        document = await state.blocking(state.storage.get, lexicon_key(tenant, version.digest))
    except ObjectMissing:
        raise NotFound(f"the entries of lexicon {name} are no longer in storage; put it again") from None
    entries = await state.blocking(read_entries, document)
    if format == "pls":
        return Response(await state.blocking(write_pls, entries), media_type=MEDIA_TYPES[0])
    info = _info(plain, stored, version)
    return json_response(LexiconShown(**info.model_dump(), entries=entries))


@router.delete("/{name}", status_code=204)
async def delete(request: Request, name: str) -> Response:
    """The lexicon with all its versions. Jobs that are planned need it no more; others fail, and say so."""
    state, tenant = state_of(request), tenant_of(request)
    dropped = await state.store.run(lexicons.drop(tenant, name))
    if dropped is None:
        raise unknown(name)
    left = (await state.store.run(lexicons.every(tenant))).values()
    kept = {version.digest for stored in left for version in StoredLexicon.read(stored).versions}
    gone = {version.digest for version in StoredLexicon.read(dropped).versions} - kept
    await state.blocking(state.storage.delete, *(lexicon_key(tenant, digest) for digest in gone))
    return Response(status_code=204)


def unknown(name: str) -> NotFound:
    return NotFound(f"there is no lexicon {name[:80]!r}; GET /v1/lexicons lists those that there are")


async def _find(state: AppState, tenant: str, name: str) -> tuple[str, StoredLexicon, LexiconVersion]:
    """By `name` or `name@version`."""
    plain, _, number = name.partition("@")
    old = (await state.store.run(lexicons.every(tenant))).get(plain)
    if old is None:
        raise unknown(name)
    stored = StoredLexicon.read(old)
    if "@" not in name:
        return plain, stored, stored.newest
    version = stored.version(int(number)) if re.fullmatch("[0-9]{1,6}", number) else None
    if version is None:
        raise unknown(name)
    return plain, stored, version


def _kind(request: Request) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and kind not in MEDIA_TYPES:
        raise UnsupportedMediaType(
            f"send JSON as application/json, or PLS as {MEDIA_TYPES[0]}, not {kind or 'without a type'!r}"
        )
    require_plain(request)
    return kind


async def _body(request: Request) -> bytes:
    body = await request.body()
    if len(body) > MAX_BYTES:
        raise _too_large()
    return body


def _read(kind: str, body: bytes, name: str | None) -> tuple[str, Lexicon, list[str]]:
    """Name, entries, and notes on what is not kept."""
    if kind == "application/json":
        said = parse(LexiconRequest, body)
        return said.name, Lexicon(entries=said.entries), []
    try:
        named = _NAME.validate_python(name)
    except ValidationError:
        raise BadInput("name: a lexicon in PLS has its name in the query: ?name=…", pointer="/name") from None
    rows, lines, notes = read_pls(body)
    try:
        return named, Lexicon.model_validate({"entries": rows}), notes
    except ValidationError as error:
        place = error.errors()[0]["loc"]
        line = f"line {lines[place[1]]}: " if len(place) > 1 and isinstance(place[1], int) else ""
        raise BadInput(line + invalid(error).message, code="bad_lexicon", pointer="") from None


def _next(name: str, stored: StoredLexicon, lexicon: Lexicon, digest: str, size: int) -> LexiconVersion:
    if len(stored.versions) >= MOST_VERSIONS:
        raise Conflict(
            f"lexicon {name!r} has {MOST_VERSIONS} versions; delete it, or go on under another name",
            code="too_many_versions",
        )
    return LexiconVersion(
        number=stored.newest.number + 1 if stored.versions else 1, digest=digest, entries=len(lexicon.entries),
        bytes=size, alphabets=lexicon.alphabets, created_ms=round(time.time() * 1000),
    )  # fmt: skip


def _too_large() -> TooLarge:
    return TooLarge(f"a lexicon has at most {MAX_BYTES:,} bytes; divide it in two, a job takes ten", pointer="")


def _info(name: str, stored: StoredLexicon, version: LexiconVersion, notes: list[str] | None = None) -> LexiconInfo:
    said: dict[str, Any] = version.model_dump(include={"bytes", "alphabets"})
    return LexiconInfo(
        name=name, version=version.number, ref=f"{name}@{version.number}",
        versions=[each.number for each in stored.versions], created_at=moment(version.created_ms), notes=notes or [],
        size=version.entries, **said,
    )  # fmt: skip

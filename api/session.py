"""Signing in and out with a browser: an API key, sent once, becomes the cookie of a session."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from api.answers import json_response
from api.browser_sessions import COOKIE, SECONDS, Sessions
from api.gate import Principal
from api.state import principal_of

router = APIRouter(prefix="/v1/session", tags=["session"])

_FRESH = {"Cache-Control": "no-store"}


class Session(BaseModel):
    """Whether this browser is let in. A farm without API keys lets its own machine in without a session."""

    signed_in: bool
    tenant: str | None = None
    operator: bool = False
    expires_at: datetime | None = None


@router.get("", response_model=Session)
async def show(request: Request) -> Response:
    """Whether this browser is signed in, and until when. Answers also those who are not."""
    principal = cast(Principal | None, request.scope["principal"])
    if principal is None:
        return json_response(Session(signed_in=False), headers=_FRESH)
    found = await _sessions(request).find(request.headers.get("cookie", ""))
    shown = _shown(principal, found[1] if found else None)
    return json_response(shown, headers=_FRESH)


@router.post("", response_model=Session, status_code=201)
async def sign_in(request: Request) -> Response:
    """Takes the API key as every request does, and sets the cookie of a session: it lasts 12 hours, and no longer than
    the key. A farm without keys needs no sign-in and sets none."""
    principal = principal_of(request)
    if principal.key is None:
        return json_response(_shown(principal, None), 201)
    value, ends = await _sessions(request).open(request.scope["key_digest"])
    answer = json_response(_shown(principal, ends), 201)
    answer.set_cookie(COOKIE, value, SECONDS, httponly=True, samesite="strict", secure=_is_https(request))
    return answer


@router.delete("", status_code=204)
async def sign_out(request: Request) -> Response:
    """Ends the session of the cookie."""
    await _sessions(request).close(request.headers.get("cookie", ""))
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=_is_https(request))
    return answer


def _sessions(request: Request) -> Sessions:
    return cast(Sessions, request.app.state.sessions)


def _is_https(request: Request) -> bool:
    """Behind a proxy that ends TLS, the browser's own Origin knows more than we do."""
    return request.url.scheme == "https" or request.headers.get("origin", "").lower().startswith("https://")


def _shown(principal: Principal, ends_ms: int | None) -> Session:
    ends = None if ends_ms is None else datetime.fromtimestamp(ends_ms / 1000, UTC)
    return Session(signed_in=True, tenant=principal.tenant, operator=principal.operator, expires_at=ends)

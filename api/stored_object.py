"""An object of the storage as an answer: by a redirect to a presigned URL, or as the file itself, with Range, where
storage is a folder."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from api.head import is_head
from api.problems import Gone
from api.state import state_of
from api.stored_file import stored_file


async def stored_object(request: Request, key: str, *, filename: str, media_type: str | None, lost: str) -> Response:
    """`filename` is what a browser saves it as. Raises Gone, which says `lost`, where there is no such object."""
    state = state_of(request)
    url = await state.blocking(state.storage.url, key, filename=filename)
    if url is not None:
        if not is_head(request):
            return RedirectResponse(url, 307, {"Cache-Control": "no-store"})
        held = await state.blocking(state.storage.head, key)  # the URL is signed for a GET alone
        if held is None:
            raise Gone(lost)
        return Response(None, 200, {"Content-Length": str(held.size), "Accept-Ranges": "bytes"}, media_type)
    path = await state.blocking(state.storage.path, key)
    try:
        found = await state.blocking(path.stat) if path is not None else None
    except FileNotFoundError:
        found = None
    if path is None or found is None:
        raise Gone(lost)
    return stored_file(request, path, found, media_type, filename)

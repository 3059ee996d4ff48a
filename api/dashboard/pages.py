"""The dashboard at /: plain files, sent as they lie here, under a Content-Security-Policy that runs no other script.

The files say nothing of this farm, so they need no key; what they show comes from the API, which does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response

from api.state import AppState, state_of
from farm.errors import FarmError, NotFound

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class _File:
    data: bytes
    media_type: str
    tag: str


def install(app: FastAPI) -> None:
    files = dict(_files(resources.files("api.dashboard")))
    headers = {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",  # asked for each time, and sent only when it is another: see the ETag
    }

    async def send(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        file = files.get(name)
        if file is None:
            raise NotFound(f"the dashboard has no file {name[:80]!r}; it begins at /")
        presigned = await _presigned(state_of(request))
        tagged = {**headers, "Content-Security-Policy": policy(presigned), "ETag": file.tag}
        if file.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=tagged)
        return Response(file.data, 200, tagged, file.media_type)

    app.add_route("/", send, methods=["GET"], include_in_schema=False)
    app.add_route("/dashboard/{name:path}", send, methods=["GET"], include_in_schema=False)


async def _presigned(state: AppState) -> str | None:
    """A URL such as those at which audio lies, signed here without asking anybody."""
    try:
        return await state.blocking(state.storage.url, "dashboard", filename="dashboard")
    except FarmError:
        return None  # the pages come all the same, and say what is wrong


def policy(presigned: str | None) -> str:
    """`presigned` is a URL of the storage's host, where audio and manifests are fetched; None for a folder."""
    elsewhere = "" if presigned is None else " {0.scheme}://{0.netloc}".format(urlsplit(presigned))
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        f"media-src 'self' blob:{elsewhere}; connect-src 'self'{elsewhere}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'"
    )


def _files(folder: Traversable, under: str = "") -> Iterator[tuple[str, _File]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{under}{entry.name}/")
            continue
        media_type = _TYPES.get(PurePosixPath(entry.name).suffix)
        if media_type is not None:
            data = entry.read_bytes()
            yield under + entry.name, _File(data, media_type, f'"{hashlib.sha256(data).hexdigest()[:32]}"')

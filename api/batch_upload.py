"""What a request to accept a batch brings: its jobs one by one, as JSON or as lines, and what it says beside them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from fastapi import Request
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import UploadFile

from api.answers import form_of, require_json, require_plain
from api.body import JSONL_TYPES
from api.json_width import check_width
from api.openapi import ref
from api.problems import invalid, parse, without_bom
from api.state import AppState
from farm.errors import BadInput, TooLarge
from farm.wire import MAX_JSON_BYTES, BatchRequest, JobRequest, Metadata

_CHUNK = 1_000_000  # bytes that are collected before they go to the file
_DOCUMENT = re.compile(rb'"document"|\\u00[67]')  # JSON may write its letters as escapes
OPTIONS = {
    "defaults": ref("JobOptions"),
    "webhook": ref("BatchWebhook"),
    "metadata": TypeAdapter(Metadata).json_schema(),
}  # name -> schema; what a batch says beside its jobs


@dataclass(frozen=True, slots=True)
class Entry:
    """One job of an upload: its `name` for people ("line 3") and its `pointer` for programs."""

    name: str
    pointer: str
    read: Callable[[], JobRequest]
    may_name_document: bool


@dataclass(frozen=True, slots=True)
class Upload:
    """A batch as it came: its jobs are not read yet."""

    entries: Callable[[], Iterator[Entry]]
    envelope: BatchRequest  # defaults, webhook and metadata; its jobs are read through `entries`
    digest: str


async def receive(request: Request, state: AppState, folder: Path) -> Upload:
    """Reads the body, lines into a file of the folder. Its jobs are read when they are asked for, as often as needed.
    Raises BadInput for a body that is no batch as a whole."""
    require_plain(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    query = dict(request.query_params)
    if kind in JSONL_TYPES:
        digest = await _save(request.stream(), state, folder / "lines")
        return _upload_of_lines(folder / "lines", query, digest)
    query = {name: value for name, value in query.items() if name in OPTIONS}
    beside, said = _options(query)
    if kind == "multipart/form-data":
        async with form_of(request) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise BadInput("the form needs a file with one job per line", pointer="/file")
            options = query | {name: value for name, value in form.items() if isinstance(value, str)}
            digest = await _save(_chunks(file), state, folder / "lines")
        return _upload_of_lines(folder / "lines", options, digest)
    require_json(request)
    body = await request.body()
    batch = await state.blocking(parse, BatchRequest, body)
    digest = hashlib.sha256(b"batch\n" + body).hexdigest()
    if query:
        batch = beside.model_copy(update={name: getattr(batch, name) for name in batch.model_fields_set})
        digest = hashlib.sha256(f"{digest}\n{said}".encode()).hexdigest()
    return Upload(lambda: _objects(batch), batch, digest)


async def _save(chunks: AsyncIterator[bytes], state: AppState, path: Path) -> str:
    """Saves the upload to a file, in few large writes off the event loop. Returns the content's digest."""
    digest = hashlib.sha256(b"lines\n")
    gathered = bytearray()

    def write(data: bytes) -> None:
        digest.update(data)
        with path.open("ab") as file:
            file.write(data)

    async for chunk in chunks:
        gathered += chunk
        if len(gathered) >= _CHUNK:
            await state.blocking(write, bytes(gathered))
            gathered.clear()
    await state.blocking(write, bytes(gathered))
    return digest.hexdigest()


async def _chunks(file: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await file.read(_CHUNK):
        yield chunk


def _upload_of_lines(path: Path, options: dict[str, str], digest: str) -> Upload:
    checked, said = _options(options)
    return Upload(lambda: _lines(path), checked, hashlib.sha256(f"{digest}\n{said}".encode()).hexdigest())


def _options(options: dict[str, str]) -> tuple[BatchRequest, str]:
    """The options of an upload, each of which travels beside the jobs as JSON; and all of them in one text."""
    envelope: dict[str, Any] = {}
    for name, value in options.items():
        check_width(value.encode(errors="replace"))
        try:
            envelope[name] = json.loads(value.removeprefix("\ufeff"))
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{name} is not valid JSON: {error}", pointer=f"/{name}", code="malformed_json") from None
    try:
        checked = BatchRequest.model_validate({**envelope, "jobs": [{}]})
    except ValidationError as error:
        raise invalid(error) from None
    return checked, json.dumps(envelope, sort_keys=True)


def _objects(batch: BatchRequest) -> Iterator[Entry]:
    for index, job in enumerate(batch.jobs):

        def read(job: dict[str, Any] = job) -> JobRequest:
            try:
                return JobRequest.model_validate(job)
            except ValidationError as error:
                raise invalid(error) from None

        yield Entry(f"job {index + 1}", f"/jobs/{index}", read, "document" in job)


def _lines(path: Path) -> Iterator[Entry]:
    """Every line that is not blank, numbered as an editor numbers it."""
    with path.open("rb") as file:
        for number in count(1):
            line = file.readline(MAX_JSON_BYTES + 1)
            if not line:
                return
            if number == 1:
                line = without_bom(line)
            if len(line) > MAX_JSON_BYTES:
                raise TooLarge(f"line {number} is longer than {MAX_JSON_BYTES:,} bytes", pointer=f"/jobs/{number - 1}")
            if line.strip():
                named = _DOCUMENT.search(line) is not None
                yield Entry(f"line {number}", f"/jobs/{number - 1}", partial(parse, JobRequest, line), named)

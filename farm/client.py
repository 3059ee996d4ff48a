"""The Python client of a farm's HTTP API: needs httpx and the wire shapes, nothing else of the farm.

    with Farm("http://127.0.0.1:8000") as farm:
        job = farm.submit(JobRequest(input="It was a dark and stormy night."))
        job = farm.wait(job.id)
        farm.audio(job.id, Path("night.mp3"))

After a 503 or a lost connection, a request is sent again if that is safe: reads are, and submissions carry an
Idempotency-Key. The client waits for a farm that has answered before, and gives up at once on one that never has.

    Refused          the farm said no: status, code, and the fields that it names
    Unreachable      no farm answers at this URL
    Misaddressed     the URL, the key or a proxy's variable is wrong: nothing was sent
    Broken           the download differs from the stored object
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import httpx
from pydantic import BaseModel, ValidationError

from farm.errors import BadInput, FarmError, FieldError, Misconfigured
from farm.http_pool import open_pool
from farm.job import is_batch
from farm.wire import Batch, Delivery, Job, JobOptions, JobRequest, Model, Page, Problem, Queue, Voice, Webhook

T = TypeVar("T")
Answer = TypeVar("Answer", bound=BaseModel)

DEFAULT_URL = "http://127.0.0.1:8000"
LONG_POLL_S = 30.0  # the API allows 60; proxies like to cut idle connections at 60
PAGE = 100
_STRANGER = "what answers at FARM_URL is no farm, or another version of one; correct FARM_URL"
_IDEMPOTENCY_KEY = re.compile(r"(?=.{1,255}\Z)[!-~]([ -~]*[!-~])?")


class Refused(FarmError):
    """The farm's problem+json (RFC 9457) as an exception; `fields` are what it points at."""

    def __init__(self, problem: Problem, retry_after: float | None = None) -> None:
        super().__init__(problem.detail, code=problem.code)
        self.status = problem.status
        self.retryable = problem.retryable
        self.request_id = problem.request_id
        self.fields = tuple(FieldError(item.pointer, item.message) for item in problem.errors)
        self.retry_after = retry_after


class Unreachable(FarmError):
    status = 503
    code = "unreachable"
    retryable = True


class Misaddressed(Misconfigured, Unreachable):
    retryable = False


class Broken(FarmError):
    code = "download_broken"
    retryable = True


class Farm:
    """A connection pool to one farm. Requests that may be repeated are, for up to `patience` seconds."""

    def __init__(self, url: str = DEFAULT_URL, api_key: str | None = None, *, patience: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self._patience = patience
        self._met = False
        self._wrong: Misaddressed | None = None  # raised by every request
        try:
            self._http = open_pool(self.url, api_key)
        except Misconfigured as error:
            self._http, self._wrong = httpx.Client(trust_env=False), Misaddressed(error.message)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- jobs -----------------------------------------------------------------------------------------------------

    def submit(self, request: JobRequest, *, idempotency_key: str | None = None) -> Job:
        """Returns once the job is durable. The same key with the same request is the same job."""
        return self._post("/v1/jobs", Job, body=_said(request), key=_key(idempotency_key))

    def job(self, id: str, *, wait: float = 0.0) -> Job:
        """The job as it is now, or as soon as it ends within `wait` seconds."""
        return self._get(_job(id), Job, wait=wait)

    def jobs(
        self, *, status: str | None = None, batch: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> Iterator[Job]:
        """Newest first, page by page."""
        named = {f"metadata[{key}]": value for key, value in (metadata or {}).items()}
        return self._pages("/v1/jobs", Job, status=status, batch=batch, **named)

    def watch(self, id: str, *, every: float = 1.0) -> Iterator[Job]:
        """The job now and about every so many seconds, until and including its end."""
        job = self.job(id)
        yield job
        while not job.ended:
            job = self.job(id, wait=every)
            yield job

    def wait(self, id: str, timeout: float | None = None) -> Job:
        """The job at its end, whatever end that is. Raises TimeoutError; the job goes on then."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = LONG_POLL_S if deadline is None else deadline - time.monotonic()
            job = self.job(id, wait=max(0.0, min(LONG_POLL_S, left)))
            if job.ended:
                return job
            if left <= 0:
                raise TimeoutError(f"{id} is {job.status} after {timeout:g} s; it goes on")

    def cancel(self, id: str) -> Job:
        return self._post(f"{_job(id)}/cancel", Job)

    def retry(self, id: str) -> Job:
        """Renders what is missing of a failed, canceled or incomplete job."""
        return self._post(f"{_job(id)}/retry", Job)

    def delete(self, id: str) -> None:
        """The record and its objects."""
        self._persist(lambda: self._once("DELETE", _job(id)))

    def audio(self, id: str, target: Path) -> Path:
        """Saves the finished audio under `target`, whole or not at all."""
        result = self.job(id).result
        return self.download(f"{_job(id)}/audio", target, sha256=result.sha256 if result else None)

    def subtitles(self, id: str, target: Path) -> Path:
        """As .vtt or .srt, by the suffix of `target`, which the job must have asked for."""
        return self.download(f"{_job(id)}/subtitles{target.suffix}", target)

    def manifest(self, id: str) -> dict[str, Any]:
        """The manifest: each segment's place in the audio and in the text, its digest and its attempts."""
        answer = self._persist(lambda: self._once("GET", f"{_job(id)}/manifest", follow_redirects=True))
        return dict(answer.json())

    def deliveries(self, id: str) -> list[Delivery]:
        """The webhooks of a job or a batch, and how they went."""
        owner = _batch(id) if is_batch(id) else _job(id)
        return list(self._pages(f"{owner}/deliveries", Delivery))

    # --- batches --------------------------------------------------------------------------------------------------

    def submit_batch(
        self,
        jobs: Iterable[JobRequest],
        *,
        defaults: JobOptions | None = None,
        webhook: Webhook | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Batch:
        """All of them or none: a wrong job is named by its place."""
        body = _envelope(defaults, webhook, metadata) | {"jobs": [_said(job) for job in jobs]}
        return self._post("/v1/batches", Batch, body=body, key=_key(idempotency_key))

    def submit_lines(
        self,
        lines: Path,
        *,
        defaults: JobOptions | None = None,
        webhook: Webhook | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Batch:
        """A batch from a JSON Lines file, one job a line; streamed, up to 200 MB."""
        headers = {
            "Content-Type": "application/jsonl",
            "Idempotency-Key": _key(idempotency_key),
        }
        params = {name: json.dumps(value) for name, value in _envelope(defaults, webhook, metadata).items()}

        def upload() -> httpx.Response:
            with lines.open("rb") as content:
                return self._once("POST", "/v1/batches", content=content, headers=headers, params=params)

        return _read(Batch, self._persist(upload))

    def batch(self, id: str, *, wait: float = 0.0) -> Batch:
        return self._get(_batch(id), Batch, wait=wait)

    def batch_jobs(self, id: str) -> Iterator[Job]:
        """In the order of the batch."""
        return self._pages(f"{_batch(id)}/jobs", Job)

    def cancel_batch(self, id: str) -> Batch:
        return self._post(f"{_batch(id)}/cancel", Batch)

    def delete_batch(self, id: str) -> None:
        """The batch is gone at once; its jobs and their objects go soon after."""
        self._persist(lambda: self._once("DELETE", _batch(id)))

    # --- the farm -------------------------------------------------------------------------------------------------

    def voices(self) -> list[Voice]:
        return list(self._pages("/v1/voices", Voice))

    def add_voice(self, name: str, audio: Path, *, consent: str) -> Voice:
        """Uploads 1 to 60 seconds of speech. `consent` says who agreed to it."""
        recording = audio.read_bytes()
        answer = self._persist(
            lambda: self._once(
                "POST",
                "/v1/voices",
                data={"name": name, "consent": consent},
                files={"audio": (audio.name, recording)},
            )
        )
        return _read(Voice, answer)

    def remove_voice(self, name: str) -> None:
        self._persist(lambda: self._once("DELETE", f"/v1/voices/{quote(name, safe='')}"))

    def models(self) -> list[Model]:
        return list(self._pages("/v1/models", Model))

    def queue(self) -> Queue:
        return self._get("/v1/queue", Queue)

    def health(self) -> dict[str, Any]:
        """What /readyz says. Raises Refused while the farm could not render a job."""
        return dict(self._persist(lambda: self._once("GET", "/readyz")).json())

    # --- requests -------------------------------------------------------------------------------------------------

    def download(self, path: str, target: Path, *, sha256: str | None = None) -> Path:
        """Downloads into a file beside the target, which takes the target's name once it is complete and has the
        digest."""
        if not target.name:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        part = target.with_name(f".{secrets.token_hex(8)}.part")  # short, however long the target's name is

        def receive() -> Path:
            digest = hashlib.sha256()
            with self._http.stream("GET", path, follow_redirects=True) as answer, part.open("wb") as file:
                if not answer.is_success:
                    answer.read()
                    raise _refusal(answer)
                for chunk in answer.iter_bytes():
                    digest.update(chunk)
                    file.write(chunk)
            if sha256 is not None and digest.hexdigest() != sha256:
                raise Broken(f"{path} arrived with another SHA-256 than {sha256}; download it again")
            return part.replace(target)

        try:
            return self._persist(receive)
        except OSError as error:  # of the file system: a full disk names no file, and `part` is not what was asked for
            raise OSError(error.errno, error.strerror, str(target)) from error
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def _get(self, path: str, shape: type[Answer], *, wait: float = 0.0) -> Answer:
        options: dict[str, Any] = {"params": {"wait": f"{wait:g}"}, "timeout": wait + 30} if wait else {}
        return _read(shape, self._persist(lambda: self._once("GET", path, **options)))

    def _post(self, path: str, shape: type[Answer], *, body: Any = None, key: str | None = None) -> Answer:
        options: dict[str, Any] = {} if body is None else {"json": body}
        if key is not None:
            options["headers"] = {"Idempotency-Key": key}
        answer = self._persist(lambda: self._once("POST", path, **options), repeatable=key is not None)
        return _read(shape, answer)

    def _pages(self, path: str, shape: type[Answer], **filters: str | None) -> Iterator[Answer]:
        params = {name: value for name, value in filters.items() if value is not None} | {"limit": str(PAGE)}
        while True:
            answer = self._persist(lambda: self._once("GET", path, params=params))
            page = _read(Page[shape], answer)  # type: ignore[valid-type]
            yield from page.data
            if not page.has_more or page.next_cursor is None:
                return
            params["after"] = page.next_cursor

    def _once(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = self._http.request(method, path, **options)
        if not answer.is_success:
            raise _refusal(answer)
        return answer

    def _persist(self, attempt: Callable[[], T], *, repeatable: bool = True) -> T:
        """Repeats a request, with growing, jittered pauses, within the patience. Retry-After is obeyed."""
        if self._wrong is not None:
            raise self._wrong
        deadline = time.monotonic() + self._patience
        pause = 0.1
        tries = 0
        while True:
            tries += 1
            try:
                result = attempt()
            except httpx.LocalProtocolError:
                raise BadInput(
                    "this can't be sent as HTTP: a header is malformed, or a file changed while it was read"
                ) from None
            except (httpx.DecodingError, httpx.TooManyRedirects):
                raise Misaddressed(_STRANGER) from None
            except httpx.TransportError as error:
                trouble: FarmError = self._unreachable(error)
                unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                again, least = self._met and (repeatable or unsent), 0.0
            except Refused as refusal:
                self._met = True
                trouble = refusal
                # Our own first attempt, whose answer was lost, may still hold the key.
                again = refusal.retryable or (tries > 1 and refusal.code == "idempotency_key_in_use")
                least = refusal.retry_after or 0.0
            except Broken as broken:
                trouble, again, least = broken, tries == 1, 0.0
            else:
                self._met = True
                return result
            delay = max(least, pause * random.uniform(0.5, 1.0))
            if not again or time.monotonic() + delay > deadline:
                raise trouble
            time.sleep(delay)
            pause = min(5.0, pause * 2)

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        return Unreachable(
            f"no answer from {_shown(self.url)} ({error or type(error).__name__}): is the farm running? "
            "Start it with `farm up`, or say where it is with FARM_URL"
        )


def _key(given: str | None) -> str:
    """A random key where none is given. Raises BadInput for one that no header can hold; an empty one is mostly a
    variable that is not set, and taking it for none would make two jobs of one order."""
    if given is None:
        return secrets.token_urlsafe(16)
    if not _IDEMPOTENCY_KEY.fullmatch(given):
        raise BadInput("an idempotency key must be 1 to 255 printable ASCII characters, without blanks at its ends")
    return given


def _shown(url: str) -> str:
    """Without a password in it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _job(id: str) -> str:
    return f"/v1/jobs/{quote(id, safe='')}"


def _batch(id: str) -> str:
    return f"/v1/batches/{quote(id, safe='')}"


def _said(request: BaseModel) -> dict[str, Any]:
    """The fields that the caller set; the farm chooses the others."""
    return request.model_dump(mode="json", exclude_unset=True)


def _envelope(
    defaults: JobOptions | None, webhook: Webhook | None, metadata: Mapping[str, str] | None
) -> dict[str, Any]:
    """The fields of a batch beside its jobs."""
    envelope: dict[str, Any] = {}
    if defaults is not None:
        envelope["defaults"] = _said(defaults)
    if webhook is not None:
        envelope["webhook"] = _said(webhook)
    if metadata:
        envelope["metadata"] = dict(metadata)
    return envelope


def _read(shape: type[Answer], answer: httpx.Response) -> Answer:
    try:
        return shape.model_validate_json(answer.content)
    except ValidationError:
        raise Misaddressed(_STRANGER) from None


def _refusal(answer: httpx.Response) -> Refused:
    try:
        problem = Problem.model_validate_json(answer.content)
    except ValidationError:  # a proxy or the storage answered
        problem = Problem(
            title=answer.reason_phrase,
            status=answer.status_code,
            detail=f"{answer.request.method} {answer.url.copy_with(query=None)} answered {answer.status_code} "
            f"{answer.reason_phrase}".rstrip(),
            code="http_error",
            retryable=answer.status_code in (429, 502, 503, 504),
            request_id=answer.headers.get("x-request-id", ""),
        )
    seconds = answer.headers.get("retry-after", "")
    return Refused(problem, float(seconds) if seconds.isdigit() else None)

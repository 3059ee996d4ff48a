"""Requests to a farm, as its client sends them: again where that is safe. Answers are wire shapes, or exceptions.

Refused          the farm said no: status, code, and the fields that it names
Unreachable      no farm answers at this URL
Misaddressed     the URL, the key or a proxy's variable is wrong: nothing was sent
Broken           the download differs from the stored object
"""

from __future__ import annotations

import errno
import hashlib
import os
import random
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx
from pydantic import BaseModel, ValidationError

from farm.errors import BadInput, FarmError, FieldError, Misconfigured
from farm.http_pool import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, open_pool
from farm.wire import Page, Problem

T = TypeVar("T")
Answer = TypeVar("Answer", bound=BaseModel)

DEFAULT_URL = "http://127.0.0.1:8000"
PAGE = 100
_STRANGER = "what answers at FARM_URL is no farm, or another version of one; correct FARM_URL"


class Refused(FarmError):
    """The farm's problem+json (RFC 9457) as an exception; `fields` are what it points at."""

    def __init__(self, problem: Problem, retry_after: float | None = None) -> None:
        super().__init__(problem.detail, code=problem.code)
        self.status = problem.status
        self.retryable = problem.retryable
        self.request_id = problem.request_id
        self.fields = tuple(FieldError(item.pointer, item.message, item.position) for item in problem.errors)
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


class Exchange:
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

    def download(
        self, path: str, target: Path, *, sha256: str | None = None, read_timeout: float | None = None
    ) -> Path:
        """Downloads into a file beside the target, which takes the target's name once it is complete and has the
        digest. `read_timeout`: seconds that the next bytes may take."""
        if not target.name:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        part = target.with_name(f".{secrets.token_hex(8)}.part")  # short, however long the target's name is

        def receive() -> Path:
            digest = hashlib.sha256()
            waits = httpx.Timeout(read_timeout or READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
            get = self._http.stream("GET", path, follow_redirects=True, timeout=waits)
            with get as answer, part.open("wb") as file:
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
        return read_answer(shape, self._persist(lambda: self._once("GET", path, **options)))

    def _post(self, path: str, shape: type[Answer], **options: Any) -> Answer:
        return self._change("POST", path, shape, **options)

    def _change(
        self, method: str, path: str, shape: type[Answer], *, body: Any = None, key: str | None = None,
        revision: int | None = None,
    ) -> Answer:  # fmt: skip
        """`revision`: the change is made of this one, and refused where there is another by now."""
        options: dict[str, Any] = {} if body is None else {"json": body}
        headers = {"Idempotency-Key": key, "If-Match": None if revision is None else f'"{revision}"'}
        options["headers"] = {name: value for name, value in headers.items() if value is not None}
        answer = self._persist(lambda: self._once(method, path, **options), repeatable=key is not None)
        return read_answer(shape, answer)

    def _pages(self, path: str, shape: type[Answer], **filters: str | None) -> Iterator[Answer]:
        params = {name: value for name, value in filters.items() if value is not None} | {"limit": str(PAGE)}
        while True:
            answer = self._persist(lambda: self._once("GET", path, params=params))
            page = read_answer(Page[shape], answer)  # type: ignore[valid-type]
            yield from page.data
            if not page.has_more or page.next_cursor is None:
                return
            params["after"] = page.next_cursor

    def _once(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = self._http.request(method, path, **options)
        if not answer.is_success:
            raise _refusal(answer)
        return answer

    def _leads_to(self, path: str) -> str:
        """The URL to which a path redirects, which is not asked for."""

        def ask() -> str:
            answer = self._http.get(path)
            if answer.next_request is None:
                raise _refusal(answer)
            return str(answer.next_request.url)

        return self._persist(ask)

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


def _shown(url: str) -> str:
    """Without a password in it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def read_answer(shape: type[Answer], answer: httpx.Response) -> Answer:
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

"""The log of every process of the farm: to stderr, one line an event, as text or as JSON (FARM_LOG_FORMAT).

    ids      request_id, job_id, batch_id, trace_id: those that `about` and `note` have set, or that `extra` gives to
             one event
    never    a text, an API key, a secret, a presigned query

Two things keep the last promise. What an exception of a library says is cut down to that which can't be a text, because
some quote their input (`said`). And whatever looks like a key or a secret, or is one of this process, is hidden in the
finished line, wherever it comes from.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

from pydantic import ValidationError

from farm.errors import FarmError
from farm.redis_address import RedisAddress
from farm.settings import Settings

IDS = ("request_id", "job_id", "batch_id", "trace_id")

_CHATTER = {  # loggers of libraries, and the level from which on they are heard: below, they show headers and bodies
    "botocore": logging.INFO, "boto3": logging.INFO, "s3transfer": logging.INFO, "urllib3": logging.INFO,
    "httpx": logging.WARNING, "httpcore": logging.INFO, "hpack": logging.INFO,  # httpx names each URL with its query
    "kombu": logging.INFO, "amqp": logging.INFO, "multipart": logging.INFO, "python_multipart": logging.INFO,
    "celery.worker.strategy": logging.WARNING, "celery.app.trace": logging.WARNING,  # a line per wake-up says nothing
}  # fmt: skip
_HIDDEN = "[hidden]"
_SHORTEST_SECRET = 8
_SECRET_VARIABLES = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
)  # fmt: skip
_SECRET_HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")  # name=value, with commas between
_LOOKS_SECRET = (
    r"\bfk_[\w-]{16,}",  # an API key
    r"\bwhsec_[\w+/=-]{8,}",  # the secret of webhooks
    r"(?<=\?)[^\s\"'<>\\]*(?:X-Amz-|Signature=)[^\s\"'<>\\]*",  # the query of a presigned URL
    r"(?<=farm_session=)[\w.-]+",  # the cookie of a browser's session
    r"(?i:(?<=bearer )|(?<=basic ))[\w.~+/=-]{8,}",
    r"(?<=://)[^\s/@\"'\\]*:[^\s/@\"'\\]+(?=@)",  # user and password of an address
)
_QUOTES = re.compile(r"(['\"])")
_QUOTES_THEMSELVES = ("'", '"')
_ONE_WORD = re.compile(r"[\w.:/+\[\]<>-]{0,24}", re.ASCII)  # between quotes: a name, and no text
_LONGEST_MESSAGE = 300  # characters of what a library says
_CONTROL = {code: f"\\x{code:02x}" for code in range(32)} | {10: "\\n", 13: "\\r", 9: "\\t"}
_BREAKS = {code: f"\\u{code:04x}" for code in (*range(127, 160), 0x2028, 0x2029)}  # that JSON leaves as they are

_about: ContextVar[dict[str, str] | None] = ContextVar("about", default=None)


@contextmanager
def about(**ids: str | None) -> Iterator[None]:
    """Every event of this thread or task until then has these ids, beside those that hold already."""
    token = _about.set({**(_about.get() or {}), **{name: id for name, id in ids.items() if id}})
    try:
        yield
    finally:
        _about.reset(token)


def note(**ids: str | None) -> None:
    """Adds ids to the `about` that holds: those of which one hears only while it holds."""
    holding = _about.get()
    if holding is not None:
        holding.update((name, id) for name, id in ids.items() if id)


def ids_of(owner: str) -> dict[str, str]:
    """Of a job, a batch, or a delivery of one of them; none of anything else."""
    owner = owner.partition(".")[0]
    kind = owner.partition("_")[0]
    return {f"{kind}_id": owner} if kind in ("job", "batch") else {}


# --- set up -----------------------------------------------------------------------------------------------------------


def begin(part: str) -> None:
    """Before the settings are read: the format alone counts, and a wrong one is complained of later. A process that has
    handlers already is not ours to set up."""
    if not logging.getLogger().handlers:
        _use(part, os.environ.get("FARM_LOG_FORMAT", "").lower(), logging.INFO, _secrets())


def configure(settings: Settings, part: str) -> None:
    """`part` is the name of the process in JSON: api, render, desk."""
    _use(part, settings.log_format, settings.log_level, _secrets(settings))
    for name, level in _CHATTER.items():
        logging.getLogger(name).setLevel(level)
    _hook()


def of_child(part: str) -> None:
    """For a process that serves another one, and has none of its settings but the format."""
    begin(part)
    _hook()


def is_json() -> bool:
    ours = _ours()
    return ours is not None and isinstance(ours.formatter, Json)


def last_words(message: str) -> None:
    """Why a process ends: a line for whoever sits before a terminal, an event in JSON."""
    if is_json():
        logging.getLogger().critical("%s", message)
    else:
        print(message, file=sys.stderr, flush=True)  # noqa: T201


def _use(part: str, format: str, level: int | str, secrets: Collection[str]) -> None:
    """Handlers of others, such as those of tests, stay as they are."""
    root, ours = logging.getLogger(), _ours()
    if ours is None:
        ours = _Handler()
        root.addHandler(ours)
    ours.setFormatter(Json(secrets, part) if format == "json" else Text(secrets))
    root.setLevel(level)
    logging.captureWarnings(format == "json")


def _ours() -> _Handler | None:
    return next((handler for handler in logging.getLogger().handlers if isinstance(handler, _Handler)), None)


def _hook() -> None:
    """Python prints what nobody catches with all that it quotes."""
    sys.excepthook = _uncaught
    threading.excepthook = lambda lost: _uncaught(lost.exc_type, lost.exc_value, lost.exc_traceback)


def _secrets(settings: Settings | None = None) -> set[str]:
    """What must not be shown, as far as this process knows it."""
    found = [os.environ.get(name) for name in _SECRET_VARIABLES]
    for name in _SECRET_HEADERS:
        found += [header.partition("=")[2].strip() for header in os.environ.get(name, "").split(",")]
    if settings is not None:
        found += [settings.webhook_secret, settings.api_key, *_passwords(settings)]
    return {secret for secret in found if secret and len(secret) >= _SHORTEST_SECRET}


def _passwords(settings: Settings) -> Iterator[str]:
    with suppress(FarmError):  # a wrong address, because of which the process is about to end
        yield RedisAddress.read(settings.redis_url, "").password
        yield RedisAddress.read(settings.broker, "").password


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is not None and not issubclass(kind, (KeyboardInterrupt, SystemExit)):
        logging.getLogger().critical("an error that nobody expected", exc_info=(kind, error, trace))


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:
        """Nowhere to write to. Python's own way prints what the event was made of, secrets included."""


# --- formats ----------------------------------------------------------------------------------------------------------


class _Formatter(logging.Formatter, ABC):
    def __init__(self, secrets: Collection[str] = ()) -> None:
        super().__init__()
        literal = (re.escape(secret) for secret in sorted(secrets, key=len, reverse=True))
        self._secret = re.compile("|".join((*literal, *_LOOKS_SECRET)))

    def format(self, record: logging.LogRecord) -> str:
        return self._secret.sub(_HIDDEN, self._line(record))

    @abstractmethod
    def _line(self, record: logging.LogRecord) -> str: ...

    def formatException(self, ei: Any) -> str:
        return "\n".join(_traceback(ei[1])) if ei[1] is not None else ""


class Text(_Formatter):
    """For a terminal. What an event says has no line breaks or control characters; a traceback may follow."""

    def _line(self, record: logging.LogRecord) -> str:
        message = _message(record)
        ids = " ".join(f"{name}={id}" for name, id in _ids_of(record).items() if id not in message)
        head = f"{self.formatTime(record)} {record.levelname} {record.name}: {_plain(message)}"
        parts = [f"{head} ({ids})" if ids else head]
        if record.exc_info:
            parts.append(self.formatException(record.exc_info))
        return "\n".join(parts)


class Json(_Formatter):
    """For a collector of logs."""

    def __init__(self, secrets: Collection[str] = (), part: str = "") -> None:
        super().__init__(secrets)
        self._part = part

    def _line(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        event: dict[str, object] = {
            "time": time.replace("+00:00", "Z"), "level": record.levelname, "part": self._part,
            "logger": record.name, "message": _message(record), **_ids_of(record), "pid": record.process,
        }  # fmt: skip
        if record.exc_info and record.exc_info[1] is not None:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event, ensure_ascii=False).translate(_BREAKS)


def _ids_of(record: logging.LogRecord) -> Mapping[str, str]:
    """Those of the event before those of its thread or task."""
    holding = _about.get() or {}
    found = {name: getattr(record, name, None) or holding.get(name) for name in IDS}
    return {name: str(id) for name, id in found.items() if id}


def _message(record: logging.LogRecord) -> str:
    """With what may be said of exceptions in their places."""
    args: Any = record.args
    if isinstance(args, tuple):
        args = tuple(_Said(arg) if isinstance(arg, BaseException) else arg for arg in args)
    message = said(record.msg) if isinstance(record.msg, BaseException) else str(record.msg)
    try:
        return message % args if args else message
    except (TypeError, ValueError, KeyError):
        return f"{message} (with words that do not fit it)"


def _plain(message: str) -> str:
    """On one line, and harmless to a terminal: a part of a request may stand in it."""
    return message.translate(_CONTROL).translate(_BREAKS)


# --- exceptions -------------------------------------------------------------------------------------------------------


def said(error: BaseException) -> str:
    """What may be logged of an exception: a sentence of the farm whole; of a library's what is no quotation."""
    if isinstance(error, FarmError):
        return error.message
    if isinstance(error, ValidationError):
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        fields = ", ".join(
            sorted({f"{item['loc'][0] if item['loc'] else 'the whole'} ({item['type']})" for item in wrong})
        )
        message = f"{error.error_count()} wrong in {error.title}: {fields}"
    elif isinstance(error, UnicodeError):
        message = getattr(error, "reason", "")
    elif isinstance(error, OSError) and error.strerror:
        message = error.strerror + (f": {error.filename}" if isinstance(error.filename, str) else "")
    else:
        message = _without_quotations(str(error))
    kind = type(error).__name__
    return f"{kind}: {message[:_LONGEST_MESSAGE]}" if message else kind


def _without_quotations(message: str) -> str:
    """With … for all between two quotes but single words. Quotes don't tell what they enclose, because an apostrophe is
    one too, so what stands between two quotations goes as well."""
    first, *others = _QUOTES.split(message)
    last = others.pop() if others else ""
    kept = (part if part in _QUOTES_THEMSELVES or _ONE_WORD.fullmatch(part) else "…" for part in others)
    return "".join((first, *kept, last))


class _Said:
    """In the place of an exception among the arguments of an event, for %s and %r alike."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __str__(self) -> str:
        return said(self._error)

    __repr__ = __str__


def _traceback(error: BaseException) -> Iterator[str]:
    """As Python prints it, the cause first, with `said` in the place of messages."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _traceback(before)
        yield "which led to:"
    yield "Traceback (most recent call last):"
    yield "".join(traceback.format_tb(error.__traceback__)).rstrip("\n")
    yield said(error)
    for number, part in enumerate(getattr(error, "exceptions", ()), 1):
        yield f"part {number}:"
        yield from _traceback(part)

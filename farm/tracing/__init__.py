"""Spans of the steps of a job, for a collector of OpenTelemetry.

    a job            request ─ accept ─ plan ─ render ─ assemble ─ deliver      one trace, that of the request
                                               passage, each of a long job
    a speech request request ─ plan ─ accept ─ render                           the same
    a render batch   render batch                                              a trace of its own, linked to its jobs

A traceparent of W3C Trace Context, which the record of a job keeps, joins them across processes. Everything is off
unless OpenTelemetry's own variables name a collector (OTEL_EXPORTER_OTLP_ENDPOINT). Then nothing of it is imported. No
span holds a text, or the message of an error.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol
from urllib.parse import urlsplit

from farm import logs

log = logging.getLogger(__name__)

Value = str | int | float | bool

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<ids>(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(?P<more>-.*)?"
)


class Span(Protocol):
    @property
    def traceparent(self) -> str | None:
        """By which other processes continue its trace."""

    def set(self, **attributes: Value) -> None: ...
    def end(self) -> None: ...


class Tracing(Protocol):
    """The spans of one process. Names of attributes get the prefix "farm."."""

    @property
    def on(self) -> bool: ...

    def step(
        self, name: str, *, parent: str | None = None, links: Sequence[str] = (), **attributes: Value
    ) -> AbstractContextManager[Span]:
        """A span of what is done within, marked as failed by an exception. `parent` and `links` are traceparents;
        without a parent it belongs to the current span, or begins a trace."""

    def begin(self, name: str, *, links: Sequence[str] = (), **attributes: Value) -> Span:
        """A trace of one span, which lasts until its `end`."""

    def past(self, name: str, *, parent: str, began_ns: int, ended_ns: int, **attributes: Value) -> None:
        """A span that is over. Times are nanoseconds of Unix time."""

    def current(self) -> str | None:
        """The traceparent of the current span."""

    def of_fastapi(self) -> Mapping[str, Any]:
        """What `FastAPI(telemetry=…)` is to do."""

    def close(self) -> None:
        """Sends what is left, for some seconds at most."""


def unix_ns(at_ms: float, clock_ms: float) -> int:
    """A time by Redis's clock, which says `clock_ms` now, by the clock of this machine: nanoseconds of Unix time, and
    never in the future."""
    return time.time_ns() - max(0, round((clock_ms - at_ms) * 1e6))


class _Nothing:
    traceparent = None

    def set(self, **attributes: Value) -> None:
        pass

    def end(self) -> None:
        pass


class _Off:
    """Does nothing."""

    on = False

    def step(
        self, name: str, *, parent: str | None = None, links: Sequence[str] = (), **attributes: Value
    ) -> AbstractContextManager[Span]:
        return nullcontext(NOTHING)

    def begin(self, name: str, *, links: Sequence[str] = (), **attributes: Value) -> Span:
        return NOTHING

    def past(self, name: str, *, parent: str, began_ns: int, ended_ns: int, **attributes: Value) -> None:
        pass

    def current(self) -> str | None:
        return None

    def of_fastapi(self) -> Mapping[str, Any]:
        return {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}

    def close(self) -> None:
        pass


NOTHING: Span = _Nothing()
OFF: Tracing = _Off()


def opened(part: str) -> Tracing:
    """As the environment has it. `part` names the service, unless OTEL_SERVICE_NAME does. Call it after a fork: it
    starts a thread."""
    if not _is_wanted(os.environ):
        return OFF
    try:
        from farm.tracing.otel import Otel
    except ImportError:
        log.warning(
            "%s is set, but nothing is traced: OpenTelemetry is not installed; install tts-farm[otel]",
            _first(os.environ, _ENDPOINTS)[0],
        )
        return OFF
    return Otel.exporting(part)


def _is_wanted(environment: Mapping[str, str]) -> bool:
    name, endpoint = _first(environment, _ENDPOINTS)
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() or "otlp"
    if not endpoint or exporter == "none" or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    how, protocol = _first(environment, _PROTOCOLS)
    url = urlsplit(endpoint)
    if exporter != "otlp":
        reason = f"OTEL_TRACES_EXPORTER is {exporter}, and the farm knows otlp alone"
    elif protocol and protocol != "http/protobuf":
        reason = f"{how} is {protocol}, and the farm speaks http/protobuf alone"
    elif url.scheme not in ("http", "https") or not url.hostname:
        reason = f"{name} is no http:// or https:// address"
    else:
        return True
    log.warning("nothing is traced: %s", reason)
    return False


def _first(environment: Mapping[str, str], names: Sequence[str]) -> tuple[str, str]:
    """The first of the variables that says something, and what; an empty one is an absent one."""
    return next(((name, value) for name in names if (value := environment.get(name, "").strip())), (names[-1], ""))


def read_traceparent(given: bytes | None) -> str | None:
    """The header of a request, as this version writes it; None for a malformed one, which W3C Trace Context ignores."""
    found = _TRACEPARENT.fullmatch(given.decode("latin-1").strip()) if given else None
    if found is None or (found["version"] == "00" and found["more"]):
        return None
    return f"00-{found['ids']}"


def trace_id(traceparent: str | None) -> str | None:
    return None if traceparent is None else traceparent[3:35]


@contextmanager
def step_of(tracing: Tracing, name: str, owner: str, trace: str | None, **attributes: Value) -> Iterator[Span]:
    """A step in the trace of a job or batch, and in the log the id of that trace. Where it was accepted without a trace
    there is no span: its steps would be traces of one span each."""
    ids = logs.ids_of(owner)
    logs.note(trace_id=trace_id(trace), **ids)
    if trace is None:
        yield NOTHING
        return
    with tracing.step(name, parent=trace, links=(), **ids, **attributes) as span:
        yield span

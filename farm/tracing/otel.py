"""The spans of `farm.tracing` by OpenTelemetry's SDK (the extra `otel`), sent by OTLP over HTTP in a thread."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import requests
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from farm.tracing import Span, Value

_CLOSE_S = 3.0  # for a collector that hangs; what is not sent by then is lost
_UNTRACED = ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/dashboard/", "/v1/listen/")
_ENDLESS = "/events"  # a stream of hours is no request that anybody waits for


class Otel:
    on = True

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        provider.add_span_processor(_WithoutQueries())
        self._tracer = provider.get_tracer("tts-farm", version("tts-farm"))

    @classmethod
    def exporting(cls, part: str) -> Otel:
        """To the collector, with the sampler and the resource that the environment names."""
        for name in [name for name, value in os.environ.items() if name.startswith("OTEL_") and not value.strip()]:
            del os.environ[name]  # of a compose file: the specification says that an empty one counts as absent
        provider = TracerProvider(resource=_resource(part), shutdown_on_exit=False)
        session = requests.Session()
        session.trust_env = False  # no proxy or netrc of the environment decides in the farm
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(session=session)))
        return cls(provider)

    @contextmanager
    def step(
        self, name: str, *, parent: str | None = None, links: Sequence[str] = (), **attributes: Value
    ) -> Iterator[Span]:
        span = self._tracer.start_span(
            name, _context(parent), links=_links(links), attributes=_named(attributes), kind=SpanKind.INTERNAL
        )
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield _Span(span)
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise

    def begin(self, name: str, *, links: Sequence[str] = (), **attributes: Value) -> Span:
        return _Span(self._tracer.start_span(name, Context(), links=_links(links), attributes=_named(attributes)))

    def past(self, name: str, *, parent: str, began_ns: int, ended_ns: int, **attributes: Value) -> None:
        span = self._tracer.start_span(name, _context(parent), attributes=_named(attributes), start_time=began_ns)
        span.end(ended_ns)

    def current(self) -> str | None:
        return _traceparent(trace.get_current_span().get_span_context())

    def of_fastapi(self) -> Mapping[str, Any]:
        """Its `logs` would send the messages of exceptions, in which texts stand."""
        return {
            "tracer_provider": self._provider, "tracing": True, "metrics": False, "logs": False,
            "operation_spans": False, "auto_configure": False, "exclude": _is_untraced,
        }  # fmt: skip

    def close(self) -> None:
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(_CLOSE_S)


class _Span:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str | None:
        return _traceparent(self._span.get_span_context())

    def set(self, **attributes: Value) -> None:
        self._span.set_attributes(_named(attributes))

    def end(self) -> None:
        self._span.end()


class _WithoutQueries(SpanProcessor):
    """A query has a tenant's words: names, metadata, part of a custom_id."""

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        if "url.query" in (span.attributes or {}):
            span.set_attribute("url.query", "REDACTED")


def _is_untraced(scope: MutableMapping[str, Any]) -> bool:
    path = str(scope.get("path", ""))
    return path == "/" or path.startswith(_UNTRACED) or path.endswith(_ENDLESS)


def _resource(part: str) -> Resource:
    """OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over the farm's own words."""
    own = {"service.version": version("tts-farm"), "service.instance.id": str(uuid.uuid4())}
    named = {"service.name": f"tts-farm-{part}", "service.namespace": "tts-farm"}
    given = Resource.create()
    told = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "") + (
        "service.name=" if "OTEL_SERVICE_NAME" in os.environ else ""
    )
    return given.merge(Resource({name: value for name, value in (own | named).items() if f"{name}=" not in told}))


def _context(traceparent: str | None) -> Context | None:
    """None: the current one."""
    return None if traceparent is None else trace.set_span_in_context(NonRecordingSpan(_remote(traceparent)), Context())


def _links(traceparents: Sequence[str]) -> list[Link]:
    return [Link(_remote(one)) for one in traceparents]


def _remote(traceparent: str) -> SpanContext:
    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


def _traceparent(context: SpanContext) -> str | None:
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _named(attributes: Mapping[str, Value]) -> dict[str, Value]:
    return {f"farm.{name}": value for name, value in attributes.items()}

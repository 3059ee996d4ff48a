"""When something is traced, and that otherwise nothing of OpenTelemetry is loaded."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys

import pytest

from farm.tracing import OFF, opened, read_traceparent, trace_id
from tests.patience import patient

GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (GOOD, GOOD),
        (f" {GOOD} ", GOOD),
        (GOOD.replace("-01", "-00"), GOOD.replace("-01", "-00")),
        (f"cc{GOOD[2:]}-what-may-come", GOOD),
        (f"{GOOD}-more", None),
        (GOOD.replace("00-", "ff-", 1), None),
        (GOOD.upper(), None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01", None),
        (GOOD[:-3], None),
        ("", None),
        ("job\n", None),
    ],
)
def test_a_traceparent_is_read_as_w3c_has_it_or_ignored(given: str, kept: str | None) -> None:
    assert read_traceparent(given.encode()) == kept
    assert trace_id(kept) == (None if kept is None else "4bf92f3577b34da6a3ce929d0e0e4736")


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "zipkin"}, "zipkin"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "_PROTOCOL is grpc"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "c:4318"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is no http://"),
    ],
)
def test_nothing_is_traced_without_a_collector_that_can_be_spoken_to(
    environment: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert opened("api") is OFF
    assert [says in line.getMessage() for line in caplog.records] == ([True] if says else [])


def test_a_collector_without_the_extra_is_said_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "farm.tracing.otel", None)
    with caplog.at_level(logging.WARNING):
        assert opened("desk") is OFF
    assert "install tts-farm[otel]" in caplog.text


def test_a_collector_that_never_answers_does_not_hold_up_the_end_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own: the exporter's thread would try again for ten minutes, beside all later tests."""
    program = """
import time
from farm.tracing import opened, otel
otel._CLOSE_S = 0.05
tracing = opened("api")
with tracing.step("plan"):
    pass
began = time.monotonic()
tracing.close()
print(time.monotonic() - began)
"""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{listening.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600")
        command = [sys.executable, "-c", program]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=patient(60), check=True)
    assert float(ran.stdout) < 15  # OpenTelemetry's own end takes 30 s


def test_off_no_part_imports_opentelemetry() -> None:
    """In a fresh interpreter that has none of it, with the modules and the calls of the real processes. FastAPI can't
    do without its small half. redis-py takes all of it by itself where it finds it."""
    program = """
import sys

class Missing:
    names = ("opentelemetry",)

    def find_spec(self, name, path=None, target=None):
        if name.startswith(self.names):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
import worker.app
from farm.tracing import OFF, opened
assert opened("desk") is OFF
Missing.names = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto")
from api.app import create_app
from farm.settings import Settings
assert not create_app(Settings())._native_telemetry.enabled()
print([name for name in sys.modules if name.startswith(Missing.names) or name == "farm.tracing.otel"])
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=patient(60), check=False
    )
    assert (ran.stdout, ran.returncode) == ("[]\n", 0), ran.stderr

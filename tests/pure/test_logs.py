"""One event is one line, and no line has a text, a key, a secret or a presigned query, in either format."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import unicodedata
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from farm import logs
from farm.errors import BadInput, StorageUnavailable
from farm.settings import Settings
from farm.storage import open_storage

FORMATS = {"text": logs.Text(), "json": logs.Json()}
TEXT = "the heron that stood in the reeds before the tide"
KEY = "fk_" + "Zk9_" * 10
SECRETS = {
    "an API key": KEY,
    "a bearer": "Authorization: Bearer abcdef0123456789xyz",
    "a webhook secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "a presigned query": "https://bucket.example.com/a.mp3?X-Amz-Credential=who&X-Amz-Signature=abcdef012345",
    "a presigned query of version 2": "https://bucket.example.com/a.mp3?AWSAccessKeyId=who&Signature=abcdef012345",
    "a password of Redis": "redis://:abcdef012345@redis:6379/0",
    "user and password": "amqp://who:abcdef012345@broker/",
    "the cookie of a session": "farm_session=abcdef012345.abcdef-012345_xyz",
}  # fmt: skip
HARMLESS = ["redis://redis:6379/0", "https://example.com/a?b=c", "job_3vq0abc", "http://127.0.0.1:8000/v1/jobs?limit=1"]


def record(message: object, *args: object, error: BaseException | None = None, **extra: str) -> logging.LogRecord:
    found = (type(error), error, error.__traceback__) if error is not None else None
    made = logging.LogRecord("farm.part", logging.INFO, "part.py", 1, message, args, found)  # type: ignore[arg-type]
    made.__dict__.update(extra)
    return made


def raised(act: Any) -> BaseException:
    try:
        act()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


@settings(max_examples=30)
@given(st.text(), st.text())
@example("\x85", "\u2028\x1b\x7f\r\n")
def test_an_event_of_any_words_is_one_line(message: str, said: str) -> None:
    event = record("%s: %s", message, said)
    text = FORMATS["text"].format(event)
    assert not any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in text)
    line = FORMATS["json"].format(event)
    assert len(line.splitlines()) == 1
    assert json.loads(line)["level"] == "INFO"


def test_a_json_event_keeps_the_words_as_they_are() -> None:
    event = json.loads(FORMATS["json"].format(record("a\nb \x1b[31m “ü”")))
    assert event["message"] == "a\nb \x1b[31m “ü”"


def test_a_traceback_is_a_part_of_its_event_in_json_and_follows_it_in_text() -> None:
    event = record("lost", error=raised(lambda: {}["a"]))
    assert "KeyError: 'a'" in json.loads(FORMATS["json"].format(event))["exception"]
    first, *others = FORMATS["text"].format(event).splitlines()
    assert first.endswith("INFO farm.part: lost")
    assert others[0] == "Traceback (most recent call last):"


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("said", SECRETS.values(), ids=SECRETS)
def test_what_looks_like_a_secret_is_hidden_wherever_it_stands(said: str, format: str) -> None:
    for event in (record("%s", said), record("it broke: %r", ValueError(said)), record("x", error=ValueError(said))):
        line = FORMATS[format].format(event)
        assert "abcdef" not in line
        assert KEY[4:] not in line
        assert "MfKQ9r8" not in line


@pytest.mark.parametrize("said", HARMLESS)
def test_what_is_no_secret_stays(said: str) -> None:
    assert all(said in formatter.format(record("%s", said)) for formatter in FORMATS.values())


class Model(BaseModel):
    pitch: int


QUOTING = {
    "a failed validation": lambda: Model.model_validate({"pitch": TEXT}),
    "a number": lambda: int(TEXT),
    "a missing entry": lambda: {}[TEXT],
    "an encoding": lambda: (TEXT + "ü").encode("ascii"),
    "a message of its own": lambda: exec("raise RuntimeError(f'can not say {text!r}')", {"text": TEXT}),
    "an attribute": lambda: getattr(Path(), TEXT),
}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("act", QUOTING.values(), ids=QUOTING)
def test_an_exception_of_a_library_does_not_quote_the_text_it_failed_at(act: Any, format: str) -> None:
    error = raised(act)
    assert "heron" in f"{error}{error.args}"
    for event in (record("%s", error), record("failed: %r", error), record("failed", error=error), record(error)):
        line = FORMATS[format].format(event)
        assert "heron" not in line
        assert type(error).__name__ in line


def test_the_cause_of_an_exception_does_not_quote_either() -> None:
    def act() -> None:
        try:
            int(TEXT)
        except ValueError as error:
            raise StorageUnavailable("the bucket can't be reached") from error

    line = FORMATS["json"].format(record("failed", error=raised(act)))
    assert "heron" not in line
    assert "the bucket can't be reached" in line
    assert "which led to" in line


def test_words_that_do_not_fit_their_event_are_no_traceback_with_all_of_them() -> None:
    assert FORMATS["text"].format(record("%s of %s", KEY)).endswith("%s of %s (with words that do not fit it)")


def test_a_sentence_of_the_farm_and_the_name_of_a_file_stay_whole() -> None:
    assert logs.said(BadInput("it is 'as long a quotation as there may be', and ours")).startswith("it is 'as long")
    missing = raised(Path("/nowhere/at/all/and/long/enough.flac").read_bytes)
    assert logs.said(missing) == "FileNotFoundError: No such file or directory: /nowhere/at/all/and/long/enough.flac"


def test_ids_hold_within_and_end_with_it() -> None:
    formatter = FORMATS["json"]
    with logs.about(request_id="req_1", trace_id=None):
        logs.note(job_id="job_1")
        inside = json.loads(formatter.format(record("x", trace_id="t")))
    outside = json.loads(formatter.format(record("x")))
    assert {name: inside.get(name) for name in logs.IDS} == {
        "request_id": "req_1", "job_id": "job_1", "batch_id": None, "trace_id": "t",
    }  # fmt: skip
    assert not outside.keys() & set(logs.IDS)


def test_in_text_only_ids_are_added_that_the_sentence_lacks() -> None:
    with logs.about(request_id="req_1", job_id="job_1"):
        assert FORMATS["text"].format(record("job job_1 is accepted")).endswith("job_1 is accepted (request_id=req_1)")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """JSON at DEBUG, as a process of the farm has it, and everything put back afterwards."""
    root, levels = logging.getLogger(), {name: logging.getLogger(name).level for name in logs._CHATTER}
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    before, level = list(root.handlers), root.level
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "a=1, authorization=canary of the collector")
    logs.configure(Settings(log_format="json", log_level="DEBUG", webhook_secret="plain but secret"), "api")
    ours = logs._ours()
    assert ours is not None
    stream = io.StringIO()
    ours.setStream(stream)
    yield stream
    logging.captureWarnings(False)
    root.handlers[:], root.level = before, level
    for name, former in levels.items():
        logging.getLogger(name).setLevel(former)


def test_a_configured_process_writes_warnings_and_last_words_as_events_too(written: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("an old way", DeprecationWarning, stacklevel=1)
    logs.last_words("no key: plain but secret, canary-secret, canary of the collector")
    sys.excepthook(ValueError, ValueError("unexpected"), None)
    events = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [event["level"] for event in events] == ["WARNING", "CRITICAL", "CRITICAL"]
    assert events[1]["message"] == "no key: [hidden], [hidden], [hidden]"
    assert events[2]["exception"].endswith("ValueError: unexpected")
    assert {event["part"] for event in events} == {"api"}


def test_presigning_leaves_no_query_in_a_log_even_at_debug(
    written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """botocore's own debug lines have the signature and what it signs."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "canary-key")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    url = open_storage(Settings(storage_url="s3://bucket")).url("results/job_1/a.mp3")
    assert url is not None
    assert "X-Amz-Signature=" in url
    logging.getLogger("farm").info("sent to %s", url)
    said = written.getvalue()
    assert "results/job_1/a.mp3?[hidden]" in said
    assert "X-Amz-Signature" not in said
    assert "canary" not in said

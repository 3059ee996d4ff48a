"""The step after an attempt, and the record of past attempts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.webhooks.schedule import ATTEMPTS_KEPT, JITTER, SCHEDULE_S, Answer, Record, Step, next_step, retry_after_s
from farm.wire import Attempt

NOW = datetime(2030, 1, 1, tzinfo=UTC)
FRESH = Record(event="job.succeeded", url="https://hooks.example.com/")
REFUSALS = st.none() | st.integers(300, 599).filter(lambda code: code != 410)
RANDOM = st.floats(0, 1, exclude_max=True)


def answer(code: int | None, retry_after: float | None = None) -> Answer:
    return Answer(Attempt(at=NOW, status_code=code, error="it went wrong", seconds=0.1), retry_after)


def taken(record: Record, code: int | None) -> tuple[Record, Step]:
    step = next_step(record, answer(code), lambda: 0.0)
    return record.after(answer(code), step), step


@given(st.lists(st.tuples(REFUSALS, RANDOM), min_size=len(SCHEDULE_S), max_size=len(SCHEDULE_S)))
def test_a_receiver_that_always_fails_is_tried_ten_times_in_three_days(
    failures: list[tuple[int | None, float]],
) -> None:
    record = FRESH
    waits = []
    for code, random in failures:
        assert record.status == "pending"
        step = next_step(record, answer(code), iter([random]).__next__)
        record = record.after(answer(code), step)
        waits.append(step.again_ms)

    assert record.status == "abandoned"
    assert waits.pop() is None
    for wait_ms, planned_s in zip(waits, SCHEDULE_S[1:], strict=True):
        assert wait_ms is not None
        assert planned_s * 1000 <= wait_ms <= planned_s * 1000 * (1 + JITTER)
    assert all(earlier < later for earlier, later in pairwise(SCHEDULE_S))


@given(st.integers(200, 299), st.integers(0, len(SCHEDULE_S) - 1))
def test_any_2xx_delivers_at_any_attempt(code: int, failed_before: int) -> None:
    assert next_step(FRESH.model_copy(update={"tries": failed_before}), answer(code), lambda: 0.5) == Step("delivered")


def test_a_receiver_that_is_gone_is_not_asked_again() -> None:
    assert next_step(FRESH, answer(410), lambda: 0.5) == Step("abandoned")


@given(st.floats(0, allow_nan=False), st.integers(0, len(SCHEDULE_S) - 2), RANDOM)
def test_retry_after_lengthens_a_wait_up_to_a_day_and_never_shortens_it(
    wish: float, failed_before: int, random: float
) -> None:
    record = FRESH.model_copy(update={"tries": failed_before})
    asked = next_step(record, answer(429, wish), lambda: random).again_ms
    unasked = next_step(record, answer(429), lambda: random).again_ms
    assert asked is not None
    assert unasked is not None
    assert asked == max(unasked, round(min(wish, 86_400) * 1000))


def test_a_repeated_delivery_starts_the_schedule_over_and_keeps_its_attempts() -> None:
    record, step = taken(FRESH, 410)
    assert step.status == "abandoned"
    record, step = taken(record, 500)
    assert step == Step("pending", again_ms=5000)
    record, step = taken(record, 200)
    assert step.status == "delivered"
    record, step = taken(record, None)
    assert step == Step("pending", again_ms=5000)
    assert [attempt.status_code for attempt in record.attempts] == [410, 500, 200, None]


def test_a_long_url_is_left_to_the_owner_of_the_webhook() -> None:
    for url, kept in (("https://example.com/" + "x" * 1900, False), ("https://example.com/hook", True)):
        record = Record.read("{}", ending="failed", url=url)
        assert (url in record.to_json()) is kept
        assert Record.read(record.to_json(), ending="failed", url=url) == record


def test_a_record_survives_the_store_and_stays_small() -> None:
    record = FRESH
    for code in range(300, 350):
        record = record.after(answer(code), Step("pending", again_ms=1))
        record = Record.read(record.model_dump_json(), ending="failed", url="https://elsewhere.example.com/")
    assert record.url == FRESH.url
    assert record.event == "job.succeeded"
    assert record.tries == 50
    assert [attempt.status_code for attempt in record.attempts] == list(range(350 - ATTEMPTS_KEPT, 350))


@pytest.mark.parametrize(
    ("ending", "event"),
    [
        ("succeeded", "job.succeeded"),
        ("failed", "job.failed"),
        ("canceled", "job.canceled"),
        ("completed", "batch.completed"),
    ],
)
def test_a_delivery_that_was_never_tried_is_pending_under_the_events_public_name(ending: str, event: str) -> None:
    shown = Record.read("{}", ending=ending, url=FRESH.url).shown("job_1.0", NOW)
    assert (shown.id, shown.event, shown.url, shown.status) == ("job_1.0", event, FRESH.url, "pending")
    assert shown.attempts == []
    assert shown.next_attempt_at == NOW


def test_a_delivery_is_shown_as_pending_while_a_redelivery_is_due() -> None:
    record, _ = taken(FRESH, 200)
    assert record.shown("job_1.0", None).status == "delivered"
    assert record.shown("job_1.0", NOW).status == "pending"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("9" * 400, float("inf")),
        ("Tue, 01 Jan 2030 00:01:00 GMT", 60),
        ("Tue, 01 Jan 2030 00:01:00 -0000", 60),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0),
        ("-1", None),
        ("soon", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2030 00:00:00 +99999999999999", None),
        ("", None),
        ("٣", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after_s(value, NOW) == seconds


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+( [A-Z+-]\w+)?"))
def test_any_retry_after_header_is_survived(value: str) -> None:
    seconds = retry_after_s(value, NOW)
    assert seconds is None or seconds >= 0


def test_the_schedule_spans_three_days() -> None:
    assert timedelta(days=3) < timedelta(seconds=sum(SCHEDULE_S)) < timedelta(days=4)

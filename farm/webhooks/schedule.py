"""The life of one webhook delivery, without any I/O: its attempts so far, and the next step.

    pending ── 2xx ──> delivered
       │  └─ anything else: due again by SCHEDULE_S
       └─ 410 Gone, or the schedule is over ──> abandoned

The record is the opaque JSON that the store keeps in the outbox. A person may ask for a delivery again after it ended:
the delivery keeps its id and its past attempts, and starts the schedule over.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from farm.wire import Attempt, Delivery, WebhookEvent

# Seconds between an attempt and the one before it: the example of Standard Webhooks, three days in all.
SCHEDULE_S = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
JITTER = 0.2  # a wait is up to this share longer, so that deliveries do not all meet a receiver at once when it is back
ATTEMPTS_KEPT = 20
URL_KEPT = 200  # characters; a shorter URL stays in the record, where releases before this one expect it
GONE = 410

DeliveryStatus = Literal["pending", "delivered", "abandoned"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one attempt. `retry_after_s` is the receiver's wish, None where it has none."""

    attempt: Attempt
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """The next step: the delivery's status, and the milliseconds until it is due again while it is pending."""

    status: DeliveryStatus
    again_ms: int | None = None


class Record(BaseModel):
    """The outbox record: the fields of farm.wire.Delivery that the store itself does not keep."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    event: WebhookEvent
    url: str
    revision: int = 1  # of the job, that ended
    status: DeliveryStatus = "pending"
    tries: int = 0  # attempts since it became pending
    attempts: tuple[Attempt, ...] = ()  # the newest ATTEMPTS_KEPT

    @classmethod
    def read(cls, text: str, *, ending: str, url: str) -> Self:
        """From the store's JSON, which names no event before the first attempt. `ending` is the store's word for it
        (succeeded, failed, canceled; completed for a batch), `url` that of the owner's webhook."""
        owner = "batch" if ending == "completed" else "job"
        return cls.model_validate({"event": f"{owner}.{ending}", "url": url, **json.loads(text)})

    def to_json(self) -> str:
        """Without a long URL: the owner has it, and the 50,000 jobs of a batch may share one of 2 kB."""
        left_out = {"url"} if len(self.url) > URL_KEPT else set()
        return self.model_dump_json(exclude=left_out if self.revision > 1 else {*left_out, "revision"})

    def after(self, answer: Answer, step: Step) -> Self:
        return self.model_copy(
            update={
                "status": step.status,
                "tries": self.tries + 1 if step.status == "pending" else 0,
                "attempts": (*self.attempts, answer.attempt)[-ATTEMPTS_KEPT:],
            }
        )

    def shown(self, delivery: str, next_attempt_at: datetime | None) -> Delivery:
        """As the API shows it. A delivery that is due again is pending, even if it had ended."""
        return Delivery(
            id=delivery,
            event=self.event,
            url=self.url,
            status=self.status if next_attempt_at is None else "pending",
            attempts=list(self.attempts),
            next_attempt_at=next_attempt_at,
        )


def next_step(record: Record, answer: Answer, random: Callable[[], float]) -> Step:
    """Decides by the status code, the tries so far and the receiver's wish. `random` returns numbers in [0, 1)."""
    code = answer.attempt.status_code
    if code is not None and 200 <= code < 300:
        return Step("delivered")
    tries = record.tries + 1
    if code == GONE or tries == len(SCHEDULE_S):
        return Step("abandoned")
    wait_s = SCHEDULE_S[tries] * (1 + JITTER * random())
    if answer.retry_after_s is not None:
        wait_s = max(wait_s, min(answer.retry_after_s, SCHEDULE_S[-1]))
    return Step("pending", again_ms=round(wait_s * 1000))


def retry_after_s(value: str, now: datetime) -> float | None:
    """A Retry-After header (RFC 9110: seconds, or an HTTP date) in seconds from now; None when it is neither."""
    if value.isascii() and value.isdigit():
        return float(value) if len(value) < 10 else math.inf
    try:
        moment = parsedate_to_datetime(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, OverflowError):  # a year, an hour or a zone of twenty digits
        return None

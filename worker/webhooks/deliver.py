"""Takes a webhook from the outbox to its receiver: builds the payload, posts it once, and records the answer.

A payload is thin: it names the event and the job or batch. The status URL in it has the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from farm.errors import Misconfigured, StoreUnavailable
from farm.failed_segment import lacks_place, located
from farm.job import Status, is_batch
from farm.outcome import Rendered, read_outcome
from farm.settings import Settings
from farm.spec import BatchSpec, Spec
from farm.storage import Storage
from farm.store import Store, batches, jobs, outbox, quotas, registry, tasks
from farm.tracing import OFF, Span, Tracing, step_of
from farm.webhooks.addresses import allowed_networks
from farm.webhooks.schedule import Answer, Record, next_step
from farm.webhooks.secrets import secret_for
from farm.wire import Attempt, JobError, Webhook, WebhookBody
from worker.webhooks.post import OWN_FAULT, Message, Sender

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Owner:
    """The job or batch that a delivery reports on."""

    webhook: Webhook
    tenant: str
    trace: str | None
    ended_ms: int | None
    data: Mapping[str, object]  # of the payload


@dataclass(frozen=True, slots=True)
class _Unsigned:
    """A message, and whose secrets sign it."""

    id: str
    url: str
    body: bytes
    tenant: str
    generations: Sequence[int]  # newest first
    traceparent: str | None = None  # of this attempt, by which its receiver continues the trace

    def signed_by(self, master: str) -> Message:
        secrets = tuple(secret_for(self.tenant, master, generation) for generation in self.generations)
        return Message(self.id, self.url, self.body, secrets, self.traceparent)


class Deliverer:
    def __init__(
        self, store: Store, storage: Storage, settings: Settings, random: Callable[[], float], tracing: Tracing = OFF
    ) -> None:
        self._store, self._storage, self._settings, self._random = store, storage, settings, random
        self._tracing = tracing
        allow, keyless = allowed_networks(settings.webhook_allow), allowed_networks(settings.webhook_allow_keyless)
        self._sender = Sender(allow)
        self._keyless_sender = Sender((*allow, *keyless)) if keyless else None

    def deliver(self, task: tasks.Task) -> None:
        """One attempt. A delivery whose owner was deleted meanwhile is dropped."""
        owner_id = task.id.rpartition(".")[0]
        delivery = next((one for one in self._store.run(outbox.deliveries(owner_id)) or () if one.id == task.id), None)
        owner = self._owner(owner_id)
        if delivery is None or owner is None:
            self._store.run(tasks.done(task))
            return
        with step_of(self._tracing, "deliver", owner_id, owner.trace, event=delivery.event) as span:
            self._attempted(task, delivery, owner, span)

    def _attempted(self, task: tasks.Task, delivery: outbox.DeliveryRecord, owner: _Owner, span: Span) -> None:
        record = Record.read(delivery.record, ending=delivery.event, url=str(owner.webhook.url))
        now = self._store.run(registry.clock())  # a desk's own clock may be wrong, and a receiver refuses 5 minutes
        ended = now if owner.ended_ms is None else datetime.fromtimestamp(owner.ended_ms / 1000, UTC)
        edited = {"revision": record.revision} if record.revision > 1 else {}
        data = {**owner.data, **edited, "status": delivery.event}
        body = WebhookBody(type=record.event, timestamp=ended, data=data)
        generations = self._store.run(quotas.secret_generations(owner.tenant, round(now.timestamp() * 1000)))
        unsigned = _Unsigned(
            task.id, record.url, body.model_dump_json().encode(), owner.tenant, generations, span.traceparent
        )
        answer = self._attempt(self.sender(), unsigned, now)
        step = next_step(record, answer, self._random)
        kept = record.after(answer, step).to_json()
        self._store.run(outbox.delivered(task, kept, step.again_ms, outcome=step.status))
        code = answer.attempt.status_code or "no answer"
        span.set(status=step.status, answer=str(code))
        log.info("webhook %s is %s: %s", task.id, step.status, code)  # the URL is its owner's secret

    def sender(self) -> Sender:
        """The one that may reach what is allowed now."""
        if self._keyless_sender is None or self._store.run(registry.closed()):
            return self._sender
        return self._keyless_sender

    def _attempt(self, sender: Sender, unsigned: _Unsigned, now: datetime) -> Answer:
        """Any error is in the answer, the farm's own too, so that no delivery is tried for ever."""
        try:
            if self._settings.webhook_secret is None:
                raise Misconfigured("it can't be signed; the farm's operator can set FARM_WEBHOOK_SECRET for the desk")
            return sender.attempt(unsigned.signed_by(self._settings.webhook_secret), now)
        except Misconfigured as error:
            log.error("webhook %s: %s", unsigned.id, error)
            return Answer(Attempt(at=now, error=error.message, seconds=0.0))
        except Exception:
            log.exception("webhook %s failed in the farm itself", unsigned.id)
            return Answer(Attempt(at=now, error=OWN_FAULT, seconds=0.0))

    def _owner(self, owner: str) -> _Owner | None:
        """None when the job or batch is deleted, or has no webhook."""
        base = (self._settings.public_url or self._settings.url).rstrip("/")
        if is_batch(owner):
            batch = self._store.run(batches.record(owner))
            return None if batch is None else _of_batch(batch, base)
        job = self._store.run(jobs.record(owner))
        return None if job is None else _of_job(self._explained(job), base)

    def _explained(self, job: jobs.JobRecord) -> jobs.JobRecord:
        """With the place of the segment that failed the job."""
        outcome = located(self._storage, job) if lacks_place(job) else None
        if outcome is None or job.outcome is None:
            return job
        with suppress(StoreUnavailable):
            self._store.run(jobs.explain(job.id, job.outcome, outcome))
        return replace(job, outcome=outcome)


def _of_job(job: jobs.JobRecord, base: str) -> _Owner | None:
    spec = Spec.model_validate_json(job.spec)
    if spec.webhook is None:
        return None
    data: dict[str, object] = {
        "id": job.id, "batch_id": job.batch, "custom_id": spec.custom_id, "metadata": spec.metadata,
        "status_url": f"{base}/v1/jobs/{job.id}", "error": _error(job), "needs_review": _for_review(job),
    }  # fmt: skip
    return _Owner(
        spec.webhook, job.tenant, job.trace, job.ended_ms, {name: value for name, value in data.items() if value}
    )


def _error(job: jobs.JobRecord) -> dict[str, object] | None:
    error = read_outcome(job.outcome) if job.outcome and job.status is Status.FAILED else None
    return error.model_dump(exclude_none=True) if isinstance(error, JobError) else None


def _for_review(job: jobs.JobRecord) -> int:
    """Segments of its result that somebody should listen to."""
    outcome = read_outcome(job.outcome) if job.outcome and job.status is Status.SUCCEEDED else None
    return outcome.needs_review if isinstance(outcome, Rendered) else 0


def _of_batch(batch: batches.BatchRecord, base: str) -> _Owner | None:
    spec = BatchSpec.model_validate_json(batch.spec)
    if spec.webhook is None:
        return None
    data: dict[str, object] = {
        "id": batch.id, "total": batch.total, "counts": {str(status): n for status, n in batch.counts.items() if n},
        "metadata": spec.metadata, "status_url": f"{base}/v1/batches/{batch.id}", "needs_review": batch.review,
    }  # fmt: skip
    return _Owner(
        spec.webhook, batch.tenant, batch.trace, batch.ended_ms, {name: value for name, value in data.items() if value}
    )

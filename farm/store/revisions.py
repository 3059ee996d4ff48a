"""Verbs on revisions: an edit makes the next one of an ended job, and the results of earlier ones go after their time.

    revision 1     what was accepted
    revision n+1   what an edit made of revision n: spec and text as a whole, under the id and in the batch of the job

A job has one revision that counts, and its record is of that one. Of an earlier revision that had succeeded its result
is kept until the end of its own retention.
"""

from __future__ import annotations

from dataclasses import dataclass

from farm.errors import Conflict, NotFound, Outdated
from farm.job import Status
from farm.outcome import Rendered, read_outcome
from farm.spec import Spec
from farm.store.call import Call, command, words
from farm.store.jobs import idempotency_field, read_accepted
from farm.store.quotas import is_refusal, refuse
from farm.store.tasks import Task


@dataclass(frozen=True, slots=True)
class Change:
    """What a job becomes: the spec as a whole. `text_bytes` is how much longer its text in storage gets, None where the
    text stays."""

    job: str
    tenant: str
    of: int  # the revision that it was made of
    spec: Spec
    characters: int
    retention_s: int
    text_bytes: int | None = None
    idempotency_key: str | None = None
    request_digest: str = ""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is kept of an earlier revision."""

    number: int
    ended_ms: int
    expires_ms: int
    total: int  # segments
    rendered: int
    reused: int
    outcome: str

    @property
    def result(self) -> Rendered:
        found = read_outcome(self.outcome)
        assert isinstance(found, Rendered)  # only a result is kept
        return found


def revise(change: Change) -> Call[int | None]:
    """failed | canceled | succeeded -> queued, as the next revision, whose number it returns; None where the same key
    made it before. Its clips that are in storage are found there.

    Raises Outdated when `of` is no longer its revision, NotFound, Conflict while the job is open or once it has
    expired, BadInput as accept does, and QuotaExceeded."""
    spec = change.spec

    def read(answer: list[bytes] | None) -> int | None:
        if answer is None:
            raise NotFound(f"there is no job {change.job!r}; it may have been deleted, or be past its retention")
        if is_refusal(answer):
            refuse(answer)
        if answer[0] == b"changed":
            raise outdated(change.job, int(answer[1]))
        if answer[0] == b"revised":
            return int(answer[1])
        if answer[0] in (b"again", b"reused"):
            read_accepted(answer)
            return None
        raise cannot_change(change.job, Status(answer[0].decode()))

    return Call(
        "revise",
        (
            *(change.job, change.tenant, change.of, spec.to_json(), change.characters, change.retention_s),
            *(spec.on_error, ",".join(spec.events)),
            "" if change.text_bytes is None else change.text_bytes,
            *(idempotency_field(change.tenant, change.idempotency_key), change.request_digest),
        ),
        read,
        lasting=True,
    )


def outdated(job: str, number: int) -> Outdated:
    return Outdated(
        f"job {job} is at revision {number} by now; look at it, and make your change of that one (If-Match: {number})"
    )


def cannot_change(job: str, status: Status) -> Conflict:
    if status is Status.EXPIRED:
        return Conflict(f"job {job} has expired, and its text is gone; submit it anew", code="expired")
    if status is Status.SUCCEEDED:
        return Conflict(f"job {job} was streamed to its client, and has no result to change", code="streamed")
    return Conflict(
        f"job {job} is {status}; wait for its end with ?wait= on its status URL, or cancel it, and change it then",
        code="not_ended",
    )


def earlier(job: str) -> Call[dict[int, Earlier]]:
    """Those whose result is kept, by their number, the oldest first."""

    def read(answer: list[bytes]) -> dict[int, Earlier]:
        found = (_read_earlier(int(number), kept) for number, kept in words(answer).items())
        return {each.number: each for each in sorted(found, key=lambda each: each.number)}

    return command("HGETALL", f"f:past:{job}", read=read)


def retire(task: Task) -> Call[bool]:
    """The result of an earlier revision is gone. False when the token is late, or the job has ended its time."""
    job, number = owner_of(task)
    return Call("retire", (job, number, task.token), bool)


def owner_of(task: Task) -> tuple[str, int]:
    """The job and the number of the revision that a task is about."""
    job, number = task.id.rsplit(".", 1)
    return job, int(number)


def _read_earlier(number: int, kept: str) -> Earlier:
    ended, expires, _, total, rendered, reused, outcome = kept.split(" ", 6)
    return Earlier(number, int(ended), int(expires), int(total), int(rendered), int(reused), outcome)

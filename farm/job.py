"""The states of a job, the moves between them, and the numbers of scheduling, without any I/O.

One table, TRANSITIONS, has every legal move. The Lua scripts get the same table, docs/states.md is printed from it, and
a test tries every pair of a status and a verb on the real store.

    python -m farm.job        prints docs/states.md
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Status(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    ASSEMBLING = "assembling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


class Lane(StrEnum):
    """The three lanes of a model, highest first."""

    INTERACTIVE = "interactive"
    NORMAL = "normal"
    BULK = "bulk"


class Due(StrEnum):
    """The kinds of timed work of the desk. A lease on such work moves its due time forward."""

    BATCH = "batch"
    PLAN = "plan"
    PASSAGE = "passage"  # join and encode a stretch of a long job while the rest is rendered
    ASSEMBLE = "assemble"
    DELIVER = "deliver"
    EXPIRE = "expire"
    RETIRE = "retire"  # delete the result of an earlier revision
    PURGE = "purge"
    DELETE = "delete"  # delete the jobs of a deleted batch, then the batch
    SWEEP = "sweep"  # delete the recordings of a tenant that nobody needs any more
    DOCUMENT = "document"  # read an uploaded document; delete it once its time is over
    DRAFT = "draft"  # delete what was written to storage for a job or batch that was never accepted


_SENTENCES: Mapping[Status, str] = MappingProxyType(
    {
        Status.QUEUED: "Accepted and durable; the desk has not planned it yet.",
        Status.RUNNING: "Planned into segments, which wait for a render worker or are being rendered.",
        Status.ASSEMBLING: "Every segment is settled; the desk joins the clips into the result.",
        Status.SUCCEEDED: "The result is in storage.",
        Status.FAILED: "It ended without a result; the error says why, and retry renders only what is missing.",
        Status.CANCELED: "Its owner stopped it; retry takes it up again.",
        Status.EXPIRED: "Its retention is over: the audio is gone, the record stays a while.",
    }
)

OPEN = frozenset({Status.QUEUED, Status.RUNNING, Status.ASSEMBLING})
ENDED = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELED, Status.EXPIRED})

# verb -> {from: to}. `complete` happens inside settle, fail and rescue, when the last segment is done or dead.
# `retry` of a succeeded job is legal only when it has dead segments (on_error "skip").
TRANSITIONS: Mapping[str, Mapping[Status, Status]] = MappingProxyType(
    {
        "plan": MappingProxyType({Status.QUEUED: Status.RUNNING}),
        "complete": MappingProxyType({Status.RUNNING: Status.ASSEMBLING}),
        "redo": MappingProxyType({Status.ASSEMBLING: Status.RUNNING}),
        "finish": MappingProxyType({Status.ASSEMBLING: Status.SUCCEEDED}),
        "abort": MappingProxyType(dict.fromkeys(OPEN, Status.FAILED)),
        "cancel": MappingProxyType(dict.fromkeys(OPEN, Status.CANCELED)),
        "retry": MappingProxyType(dict.fromkeys((Status.FAILED, Status.CANCELED, Status.SUCCEEDED), Status.QUEUED)),
        "revise": MappingProxyType(dict.fromkeys((Status.FAILED, Status.CANCELED, Status.SUCCEEDED), Status.QUEUED)),
        "expire": MappingProxyType(dict.fromkeys((Status.SUCCEEDED, Status.FAILED, Status.CANCELED), Status.EXPIRED)),
    }
)

MAX_ATTEMPTS = 3  # lost attempts after which a segment is dead
QUARANTINE_AFTER = 2  # lost attempts after which a segment is claimed alone, so that it takes no neighbours with it
TURN = 8  # segments of a tenant's turn
SHARE = 7  # turns that lanes above a waiting lane get before it gets one, so it gets an eighth

DEFAULT_TENANT = "default"  # of a farm without API keys; its webhooks are signed with the operator's own secret

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """`job_` or `batch_` and 80 random bits in 16 characters. An id is short because many Redis keys contain it."""
    bits = secrets.randbits(80)
    return prefix + "_" + "".join(_ALPHABET[bits >> shift & 31] for shift in range(0, 80, 5))


def is_batch(id: str) -> bool:
    """Whether an id names a batch and not a job."""
    return id.startswith("batch_")


def main() -> None:
    print("# States of a job\n\nPrinted by `python -m farm.job` from the table in `farm/job.py`; a test keeps it so.\n")
    print("| status | meaning |\n|---|---|")
    for status in Status:
        print(f"| `{status}` | {status.sentence} |")
    print("\n```mermaid\nstateDiagram-v2\n    [*] --> queued: accept")
    for verb, moves in TRANSITIONS.items():
        for start in Status:
            if start in moves:
                print(f"    {start} --> {moves[start]}: {verb}")
    print("    expired --> [*]: forget\n```")


if __name__ == "__main__":
    main()

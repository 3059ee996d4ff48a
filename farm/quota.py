"""Quotas: what a tenant may have at most, what it has, and the refusal of a request that would be too much.

    requests     that bring work or data, in a minute          refused with 429; waiting helps
    characters   of jobs that have not ended                   refused with 429; waiting helps
    bytes        stored: records, texts, clips, results, …     refused with 429; deleting helps
    records      those of the bytes that lie in Redis; told as `bytes`, because Redis is only a smaller place
    segments     being rendered at the same time               never refused: more of them wait in the queue
    running_jobs whose first segment was handed out, and       the same
                 whose last one is not settled
    lane         the highest one                               a higher `priority` is a wrong field

The store checks and counts the first four in the scripts that accept (farm/lua/shared/quota.lua), and holds back
segments and jobs where it hands them out (farm/lua/claim.lua).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from farm.errors import FarmError

MINUTE_MS = 60_000
NO_LIMIT = -1
LARGEST = 10**15 - 1  # an integer of a structured field (RFC 9651) has 15 digits


class Quota(StrEnum):
    """What the store counts, in its order."""

    REQUESTS = "requests"
    CHARACTERS = "characters"
    BYTES = "bytes"
    RECORDS = "records"

    @property
    def policy(self) -> Quota:
        """The name under which clients hear of it."""
        return Quota.BYTES if self is Quota.RECORDS else self


_PLACE: Mapping[Quota, int] = MappingProxyType({quota: place for place, quota in enumerate(Quota)})

# Of every tenant of a farm with API keys, where `farm keys limit` has said nothing else. A Redis of 1 GB takes no new
# work from 800 MB on, so one tenant leaves the others more than half of it.
DEFAULTS: Mapping[Quota, int] = MappingProxyType(
    {
        Quota.REQUESTS: 600,
        Quota.CHARACTERS: 20_000_000,
        Quota.BYTES: 100_000_000_000,
        Quota.RECORDS: 300_000_000,
    }
)

# What the store counts for things whose size it does not see. Measured upper bounds, except for clips.
RECORD_BYTES = 2_048  # of a job or batch in Redis, without its spec and text
END_BYTES = 2_048  # of one end in the outbox, with the record of ten attempts
CLIP_BYTES_PER_MS = 24  # FLAC of speech, 16 bit, 22,050 Hz: some half of 44 (estimated)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a tenant has and what it may have at most, as a script of the store answers it: the four counts in the order
    of `Quota`, their four limits (-1: none), and the milliseconds that are left of the minute of `requests`."""

    numbers: Sequence[int]

    def used(self, quota: Quota) -> int:
        return self.numbers[_PLACE[quota]]

    def most_of(self, quota: Quota) -> int | None:
        most = self.numbers[_PLACE[quota] + len(_PLACE)]
        return None if most < 0 else most

    @property
    def reset_ms(self) -> int:
        return self.numbers[-1]


class QuotaExceeded(FarmError):
    """The request would take its tenant over a quota. Nothing of it was accepted or counted."""

    status = 429
    code = "quota_exceeded"

    def __init__(self, standing: Standing, violated: Sequence[Quota], asked: Mapping[Quota, int]) -> None:
        self.standing = standing
        self.violated = tuple(violated)
        hopeless = [quota for quota in violated if not self._passes(quota, asked)]
        self.retryable = not hopeless
        super().__init__("; ".join(self._sentence(quota, asked) for quota in violated))

    @property
    def policies(self) -> list[str]:
        return list(dict.fromkeys(str(quota.policy) for quota in self.violated))

    @property
    def retry_after_s(self) -> int:
        """A guess, except for `requests`: characters are freed whenever a job ends."""
        if not self.retryable:
            return 120
        only_requests = self.violated == (Quota.REQUESTS,)
        return max(1, -(-self.standing.reset_ms // 1000)) if only_requests else 30

    def _passes(self, quota: Quota, asked: Mapping[Quota, int]) -> bool:
        """Whether time alone makes room for what was asked."""
        return quota.policy is not Quota.BYTES and asked[quota] <= (self.standing.most_of(quota) or 0)

    def _sentence(self, quota: Quota, asked: Mapping[Quota, int]) -> str:
        most, used, more = self.standing.most_of(quota) or 0, self.standing.used(quota), asked[quota]
        if quota is Quota.REQUESTS:
            return f"this tenant may send {most:,} requests a minute that bring work; wait for the next minute"
        where = "characters in the queue" if quota is Quota.CHARACTERS else "bytes stored"
        where = "bytes of records of jobs" if quota is Quota.RECORDS else where
        fact = f"this tenant has {used:,} of at most {most:,} {where}, and the request brings {more:,}"
        if quota is Quota.CHARACTERS:
            return f"{fact}; " + ("wait until some jobs have ended" if more <= most else "send less in one request")
        return f"{fact}; delete jobs, batches or voices, or ask the operator for more (`farm keys limit`)"

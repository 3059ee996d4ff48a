"""The counters that the store keeps for /metrics. They only grow, from the birth of the farm on.

    accepted characters   model, lane            jobs, and the characters of their texts
    ended                 model, lane, status    ends of jobs: succeeded, failed, canceled
    settled cached        model                  segments that have their clip; of these, found in storage
    review                model                  of these, with a clip that somebody should listen to
    again                 model                  further takes that were made because of what an ear heard
    audio_ms              model                  milliseconds of these clips
    lost dead             model                  attempts that segments lost; segments that lost all of theirs
    rescued retried                              segments taken back from lost workers; jobs taken up again
    webhook               outcome                attempts by what came of them: delivered, pending, abandoned
    wait                  model, lane            histogram: from acceptance to the first claim of a segment
    whole                 lane, status           histogram: from acceptance to the first end
    warned                model, code            clips that an engine made, with a warning of that code
    render                model                  histogram: from the engine's start on a segment to its clip

The store has each under its words, joined by "|" (farm/lua/shared/keys.lua, count_up). A histogram has a field for each
bucket, by its number from 1, and "ms" for the sum.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# Upper bounds. A line of speech takes 50 ms, a book may wait for a day.
BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)


@dataclass(frozen=True, slots=True)
class Histogram:
    counts: tuple[int, ...]  # of each bucket of BUCKETS_S, and of what is longer than all
    seconds: float

    @classmethod
    def of(cls, fields: Mapping[str, int]) -> Histogram:
        counts = tuple(fields.get(str(number), 0) for number in range(1, len(BUCKETS_S) + 2))
        return cls(counts, fields.get("ms", 0) / 1000)


@dataclass(frozen=True, slots=True)
class Tally:
    fields: Mapping[tuple[str, ...], int]

    @classmethod
    def read(cls, fields: Mapping[str, str]) -> Tally:
        return cls({tuple(name.split("|")): int(count) for name, count in fields.items()})

    def counts(self, name: str) -> dict[tuple[str, ...], int]:
        """Of one counter: its labels -> its count."""
        return {
            labels: count for (first, *rest), count in self.fields.items() if first == name for labels in [tuple(rest)]
        }

    def histograms(self, name: str) -> dict[tuple[str, ...], Histogram]:
        """Of one histogram: its labels -> its buckets."""
        found: dict[tuple[str, ...], dict[str, int]] = {}
        for (*labels, bucket), count in self.counts(name).items():
            found.setdefault(tuple(labels), {})[bucket] = count
        return {labels: Histogram.of(fields) for labels, fields in found.items()}


def in_buckets(seconds: Iterable[float]) -> str:
    """Spans as one argument of a verb: "<bucket>:<count>,…,ms:<sum>"; "" for none."""
    spans = list(seconds)
    if not spans:
        return ""
    counts = Counter(bisect_left(BUCKETS_S, span) + 1 for span in spans)
    sums = [*((str(bucket), count) for bucket, count in sorted(counts.items())), ("ms", round(1000 * sum(spans)))]
    return ",".join(f"{name}:{count}" for name, count in sums)

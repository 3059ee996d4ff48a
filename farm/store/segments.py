"""Verbs on segments: render workers claim, begin, settle, fail and release them under leases; keepers rescue them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from farm.store.call import Argument, Call, pairs
from farm.store.tally import in_buckets

MOST = 1000  # segments of one call: Lua can't unpack more than some 8,000 values
_LONGEST_ERROR = 1000  # characters
_NONE: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease on segments: job id -> segment indices, in the order of rendering. `revisions` has the revision of each
    job that was edited."""

    token: str
    segments: Mapping[str, Sequence[int]]
    quarantined: bool = False  # its one segment has cost workers before: render it with nothing beside it
    revisions: Mapping[str, int] = field(default_factory=dict)

    def revision(self, job: str) -> int:
        return self.revisions.get(job, 1)

    def __len__(self) -> int:
        return sum(len(indices) for indices in self.segments.values())


@dataclass(frozen=True, slots=True)
class Renewal:
    """`held` is False when the lease is gone. `unwanted` has its jobs that no longer run, as after a cancel."""

    held: bool
    unwanted: frozenset[str]


@dataclass(frozen=True, slots=True)
class Settled:
    """A clip that is in storage now."""

    job: str
    index: int
    milliseconds: int
    cached: bool = False  # storage had it already
    review: bool = False  # somebody should listen to it


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of the clips, in their order, and of their jobs."""

    counted: list[bool]
    became_due: int  # of the desk: jobs to be assembled, passages to be made


@dataclass(frozen=True, slots=True)
class Rescued:
    """The work of one sweep. With `grace`, the sweep before was longer ago than a lease: then `leases` were extended
    and nothing was taken back (farm/lua/rescue.lua says why). Otherwise `leases` had expired."""

    segments: int
    leases: int
    grace: bool


def claim(model: str, *, want: int, worker: str, lease_ms: int, express: bool = False) -> Call[Grant | None]:
    """Claims up to `want` ready segments under one lease, by turns of lanes, tenants and jobs; a quarantined segment is
    claimed alone. `express` claims interactive work only, and nothing while a lower lane is owed its turn. None when
    there is nothing to claim."""
    if not 0 < want <= MOST:
        raise ValueError(f"claim 1 to {MOST} segments, not {want}")

    def read(answer: list[Any]) -> Grant | None:
        if len(answer) < 3:
            return None
        token, quarantined, *rest = answer
        jobs = [job.decode() for job in rest[::3]]
        revisions = {job: number for job, number in zip(jobs, rest[1::3], strict=True) if number > 1}
        return Grant(token.decode(), dict(zip(jobs, rest[2::3], strict=True)), bool(quarantined), revisions)

    return Call("claim", (model, want, worker, lease_ms, int(express)), read)


def begin(token: str, segments: Mapping[str, Sequence[int]]) -> Call[dict[str, list[int]]]:
    """The engine starts on these segments of a grant. Only a begun segment loses an attempt with its worker. Returns
    the segments that may start; the others are no longer held, or no longer wanted."""
    return Call("begin", (token, *_by_job(segments)), lambda answer: dict(pairs(answer)))


def renew(token: str, lease_ms: int) -> Call[Renewal]:
    def read(answer: list[bytes] | None) -> Renewal:
        return Renewal(answer is not None, frozenset(job.decode() for job in answer or ()))

    return Call("renew", (token, lease_ms), read)


def settle(
    token: str, clips: Sequence[Settled], rendered_s: Sequence[float] = (), warned: Mapping[str, int] = _NONE,
    again: int = 0,
) -> Call[Settlement]:  # fmt: skip
    """Counts clips that are in storage. Of those that the engine made, for /metrics, `rendered_s` are the seconds that
    it took for each, `warned` says how many have a warning of each code, and `again` how many further takes were made
    because of what an ear heard. A segment counts once, for the first sender, with or without a lease, because a clip
    is named by its content; of a job that was edited, with its lease only. A segment that its job does not have never
    counts. The last segment of a passage, or of a job, makes that due, and the caller wakes the desk."""
    if len(clips) > MOST:
        raise ValueError(f"settle at most {MOST} clips at once, not {len(clips)}")
    positions: dict[str, list[int]] = defaultdict(list)
    for position, clip in enumerate(clips):
        if clip.index < 0 or clip.milliseconds < 0:
            raise ValueError(f"neither index nor milliseconds of a clip can be negative: {clip}")
        positions[clip.job].append(position)
    codes = ",".join(f"{code}:{count}" for code, count in warned.items())
    by_job, order = list[Any](), list[int]()
    for job, at in positions.items():
        at.sort(key=lambda position: clips[position].index)  # of neighbours the store writes the bits together
        group = [clips[position] for position in at]
        by_job.append(
            (
                job,
                [clip.index for clip in group],
                [clip.milliseconds for clip in group],
                _places(clip.cached for clip in group),
                _places(clip.review for clip in group),
            )
        )
        order += at

    def read(answer: list[int]) -> Settlement:
        became_due, *late = answer
        counted = [True] * len(clips)
        for number in late:
            counted[order[number - 1]] = False
        return Settlement(counted, became_due)

    # As one argument: four for each clip cost the server a tenth of a settle, and its sender more.
    return Call("settle", (token, in_buckets(rendered_s), codes, again, json.dumps(by_job)), read)


def fail(token: str, job: str, index: int, error: str) -> Call[bool]:
    """Counts an error of the engine as one lost attempt of a segment, which is then ready again, quarantined or dead. A
    dead segment fails its job with the outcome {"code": "segment_failed", "segment": i, "message": error}, unless the
    job skips errors. False when the lease does not hold the segment."""
    return Call("fail", (token, job, index, error[:_LONGEST_ERROR]), bool)


def release(token: str, segments: Mapping[str, Sequence[int]] | None = None) -> Call[int]:
    """Gives segments back, all of the grant when None, without a lost attempt. A quarantined one stays quarantined.
    Returns how many may be claimed again."""
    if segments is None:
        return Call("release", (token, 1), int)
    return Call("release", (token, 0, *_by_job(segments)), int)


def rescue(lease_ms: int, limit: int = 50) -> Call[Rescued]:
    """Takes the segments of expired leases back. A begun segment loses an attempt ("worker lost"), the others do not.
    Handles at most `limit` leases, or some 500 segments; call it until it finds none."""

    def read(answer: list[int]) -> Rescued:
        segments, leases, grace = answer
        return Rescued(segments, leases, bool(grace))

    return Call("rescue", (lease_ms, limit), read)


def _places(chosen: Iterable[bool]) -> list[int]:
    """The places of those that are chosen, from 1 as Lua counts."""
    return [place for place, one in enumerate(chosen, start=1) if one]


def _by_job(segments: Mapping[str, Sequence[int]]) -> list[Argument]:
    """job, count, segment…, job, count, segment…"""
    args: list[Argument] = []
    for job, indices in segments.items():
        args += (job, len(indices), *indices)
    return args

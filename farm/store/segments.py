"""Verbs of rendering: segments are claimed under leases, begun, settled, failed, given back and rescued."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from farm.store.call import Argument, Call, pairs

MOST = 1000  # segments of one call: Lua can't unpack more than some 8,000 values
_LONGEST_ERROR = 1000  # characters


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease on segments: job id -> segment indices, in the order in which they should be rendered."""

    token: str
    segments: Mapping[str, Sequence[int]]
    quarantined: bool = False  # one segment that has cost workers before: render it with nothing beside it

    def __len__(self) -> int:
        return sum(len(indices) for indices in self.segments.values())


@dataclass(frozen=True, slots=True)
class Renewal:
    """`held` is False when the lease is gone. `unwanted` are jobs of it that no longer run (canceled, failed)."""

    held: bool
    unwanted: frozenset[str]


@dataclass(frozen=True, slots=True)
class Settled:
    """A clip that is in storage now."""

    job: str
    index: int
    milliseconds: int
    cached: bool = False  # storage had it already


@dataclass(frozen=True, slots=True)
class Rescued:
    """The work of one sweep. With `grace`, the sweep before was longer ago than a lease: then `leases` were extended
    and nothing was taken back (farm/lua/rescue.lua says why). Otherwise `leases` had expired."""

    segments: int
    leases: int
    grace: bool


def claim(model: str, *, want: int, worker: str, lease_ms: int, express: bool = False) -> Call[Grant | None]:
    """Up to `want` ready segments by turns of lane, tenant and job, under one lease; a quarantined one alone. `express`
    claims interactive work only, as far as waiting lanes below are not owed."""
    if not 0 < want <= MOST:
        raise ValueError(f"claim 1 to {MOST} segments, not {want}")

    def read(answer: list[Any]) -> Grant | None:
        return Grant(answer[0].decode(), dict(pairs(answer[2:])), bool(answer[1])) if len(answer) > 2 else None

    return Call("claim", (model, want, worker, lease_ms, int(express)), read)


def begin(token: str, segments: Mapping[str, Sequence[int]]) -> Call[dict[str, list[int]]]:
    """The engine starts on these segments of a grant: only begun ones burn an attempt when their worker is lost.
    Returns those that may start; missing ones are no longer held or no longer wanted."""
    return Call("begin", (token, *_by_job(segments)), lambda answer: dict(pairs(answer)))


def renew(token: str, lease_ms: int) -> Call[Renewal]:
    def read(answer: list[bytes] | None) -> Renewal:
        return Renewal(answer is not None, frozenset(job.decode() for job in answer or ()))

    return Call("renew", (token, lease_ms), read)


def settle(token: str, clips: Sequence[Settled]) -> Call[list[bool]]:
    """Clips are in storage. Counts each segment once, from whoever is first, with or without a lease: a clip is named
    by its content. Returns per clip whether it counted; one that its job does not have never counts. The last one makes
    the job due for assembly."""
    if len(clips) > MOST:
        raise ValueError(f"settle at most {MOST} clips at once, not {len(clips)}")
    positions: dict[str, list[int]] = defaultdict(list)
    for position, clip in enumerate(clips):
        if clip.index < 0 or clip.milliseconds < 0:
            raise ValueError(f"neither index nor milliseconds of a clip can be negative: {clip}")
        positions[clip.job].append(position)
    args: list[Argument] = [token]
    for job, at in positions.items():
        args += (job, len(at))
        for position in at:
            clip = clips[position]
            args += (clip.index, clip.milliseconds, int(clip.cached))
    order = [position for at in positions.values() for position in at]

    def read(answer: list[int]) -> list[bool]:
        counted = [False] * len(clips)
        for position, one in zip(order, answer, strict=True):
            counted[position] = one == 1
        return counted

    return Call("settle", tuple(args), read)


def fail(token: str, job: str, index: int, error: str) -> Call[bool]:
    """The engine's failure of one segment: one attempt burnt; ready again, alone from the second on, or dead. Needs the
    lease. A dead segment fails its job (outcome: {"code": "segment_failed", "segment": i, "message": error}) unless the
    job skips errors."""
    return Call("fail", (token, job, index, error[:_LONGEST_ERROR]), bool)


def release(token: str, segments: Mapping[str, Sequence[int]] | None = None) -> Call[int]:
    """Gives segments (all when None) back without a lost attempt; a quarantined one stays quarantined. Returns how many
    may be claimed again."""
    if segments is None:
        return Call("release", (token, 1), int)
    return Call("release", (token, 0, *_by_job(segments)), int)


def rescue(lease_ms: int, limit: int = 50) -> Call[Rescued]:
    """Takes expired leases back: begun segments burn an attempt ("worker lost"), others do not. At most `limit` leases
    at once, or some 500 segments; call it until it finds none."""

    def read(answer: list[int]) -> Rescued:
        segments, leases, grace = answer
        return Rescued(segments, leases, bool(grace))

    return Call("rescue", (lease_ms, limit), read)


def _by_job(segments: Mapping[str, Sequence[int]]) -> list[Argument]:
    """job, count, segment…, job, count, segment…"""
    args: list[Argument] = []
    for job, indices in segments.items():
        args += (job, len(indices), *indices)
    return args

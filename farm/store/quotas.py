"""Verbs on quotas: what a tenant may have, what it has, and the secrets of its webhooks by generation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from farm.job import Lane
from farm.quota import Quota, QuotaExceeded, Standing
from farm.store.call import CONSTANTS, Call, command, nothing

_RECOUNTED = 500  # jobs of one call, in which Redis is busy for a few milliseconds
_RECOUNT_S = 86_400


@dataclass(frozen=True, slots=True)
class Account:
    """A tenant's quotas: those that refuse, and those that hold back."""

    standing: Standing
    segments: int  # in hand now; 0 without a limit, because only then they are counted
    most_segments: int | None
    running_jobs: int  # under way now, with and without a limit
    most_running_jobs: int | None
    lane: Lane | None  # the highest one; None for all


def account(tenant: str) -> Call[Account]:
    def read(answer: list[Any]) -> Account:
        standing, segments, running_jobs, most_segments, most_jobs, lane = answer
        return Account(
            Standing(standing),
            segments,
            None if most_segments is None else int(most_segments),
            running_jobs,
            None if most_jobs is None else int(most_jobs),
            None if lane is None else Lane(lane.decode()),
        )

    return Call("standing", (tenant,), read)


def limit(tenant: str, limits: Mapping[str, int | str | None]) -> Call[None]:
    """Sets limits of a tenant: those of `Quota`, `segments`, `running_jobs`, and `lane`. None: as for every tenant."""
    flat = [part for name, value in limits.items() for part in (name, "" if value is None else value)]
    return Call("limit", (tenant, *flat), nothing)


def room(tenant: str, *, characters: int, bytes: int, records: int) -> Call[None]:
    """A look before slow work. Raises QuotaExceeded when the request would be refused now."""
    return Call("room", (tenant, characters, bytes, records), lambda answer: refuse(answer) if answer else None)


def forget(tenant: str) -> Call[None]:
    """The limits and counts of a tenant that has nothing left. The generation of its secret stays: a tenant of the same
    name must not get back a secret that was rotated away."""
    return Call("forget_quota", (tenant,), nothing)


def weigh_voices(tenant: str, bytes: int) -> Call[None]:
    """The recordings that a tenant has in storage, in place of those that were counted."""
    return Call("weigh_voices", (tenant, bytes), nothing)


# --- counting once more -----------------------------------------------------------------------------------------------


def recounted() -> Call[bool]:
    """Whether the quotas were compared with all jobs lately."""
    return command("EXISTS", "f:counted", read=bool)


def note_recount() -> Call[None]:
    return command("SET", "f:counted", "", "EX", _RECOUNT_S, read=nothing)


def tenants(cursor: int, kind: str) -> Call[tuple[int | None, list[str]]]:
    """Some tenants that have a `list` of jobs, or `voices`, and the cursor of the next call, None at the end. Looks at
    every key of the farm."""

    def read(answer: list[Any]) -> tuple[int | None, list[str]]:
        following, keys = answer
        return int(following) or None, [key.decode().removeprefix(f"f:{kind}:") for key in keys]

    return command("SCAN", cursor, "MATCH", f"f:{kind}:*", "COUNT", 1000, read=read)


def recount(tenant: str, after: str = "-inf") -> Call[str | None]:
    """Corrects what some jobs of a tenant count for, oldest first. Returns where the next call begins, None at the end.
    Safe at any time and any number of times."""
    return Call("recount", (tenant, after, _RECOUNTED), lambda answer: None if answer is None else answer.decode())


# --- secrets of webhooks ----------------------------------------------------------------------------------------------


def rotate_secret(tenant: str) -> Call[int]:
    """The number of the new generation, which signs from now on; those before it sign for a day more."""
    return Call("rotate_secret", (tenant,), int)


def secret_generations(tenant: str, now_ms: int) -> Call[list[int]]:
    """The generations that sign at this time of Redis's clock, newest first: the latest, and those that were replaced
    less than a day ago."""

    def read(answer: list[bytes]) -> list[int]:
        began = {int(generation): int(at) for generation, at in zip(answer[::2], answer[1::2], strict=True)}
        overlap = int(str(CONSTANTS["SECRET_OVERLAP_MS"]))
        replaced = {generation - 1 for generation, at in began.items() if at > now_ms - overlap}
        return sorted({max(began, default=0), *replaced}, reverse=True)

    return command("ZRANGE", f"f:secrets:{tenant}", 0, -1, "WITHSCORES", read=read)


# --- answers of the scripts that accept -------------------------------------------------------------------------------


def is_refusal(answer: Any) -> bool:
    return isinstance(answer, list) and answer[:1] == [b"quota"]


def refuse(answer: list[Any]) -> None:
    """Raises QuotaExceeded for the answer of a script that refused."""
    _, standing, asked, violated = answer
    quotas = tuple(Quota)
    raise QuotaExceeded(
        Standing(standing),
        [quotas[number - 1] for number in violated],
        {quota: int(more) for quota, more in zip(quotas, asked, strict=True)},
    )

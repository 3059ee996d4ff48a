"""Verbs on what is known besides work: voices, API keys, models, workers; and how much work there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from farm.job import Due, Lane, Status
from farm.store.call import Call, command, nothing, pairs, word, word_or_none, words


@dataclass(frozen=True, slots=True)
class Backlog:
    jobs: Mapping[Status, int]
    ready: Mapping[str, Mapping[Lane, int]]  # model -> lane -> ready segments
    quarantined: Mapping[str, int]  # model -> quarantined segments that wait
    leased: Mapping[str, int]  # model -> leased segments
    due: Mapping[Due, int]  # entries that are due now


def clock() -> Call[datetime]:
    """The time by the clock of Redis, which is the one that all of a farm share; in UTC."""

    def read(answer: list[bytes]) -> datetime:
        seconds, microseconds = answer
        return datetime.fromtimestamp(int(seconds), UTC) + timedelta(microseconds=int(microseconds))

    return command("TIME", read=read)


def backlog() -> Call[Backlog]:
    return Call("backlog", tuple(due.value for due in Due), _read_backlog)


def ping() -> Call[None]:
    """Whether Redis answers, and still holds the farm that was opened."""
    return command("PING", read=nothing)


def put_voice(tenant: str, name: str, voice: str, limit: int = 1000) -> Call[bool]:
    """`voice` is opaque JSON. False when the tenant has `limit` voices already."""
    return Call("put_voice", (tenant, name, voice, limit), bool, lasting=True)


def drop_voice(tenant: str, name: str) -> Call[str | None]:
    """The JSON it had."""
    return Call("drop_voice", (tenant, name), word_or_none, lasting=True)


def voices(tenant: str) -> Call[dict[str, str]]:
    return command("HGETALL", f"f:voices:{tenant}", read=words)


def put_key(digest: str, tenant: str, name: str) -> Call[bool]:
    """An API key by its SHA-256. False when the name is taken."""
    return Call("put_key", (name, digest, tenant), bool)


def drop_key(name: str) -> Call[bool]:
    return command("HDEL", "f:keys", name, read=bool)


def keys() -> Call[dict[str, dict[str, str]]]:
    """name -> {digest, tenant, created_ms}."""

    def read(answer: Any) -> dict[str, dict[str, str]]:
        found = {}
        for name, value in words(answer).items():
            digest, created_ms, tenant = value.split(" ", 2)
            found[name] = {"digest": digest, "tenant": tenant, "created_ms": created_ms}
        return found

    return command("HGETALL", "f:keys", read=read)


def announce(model: str, card: str) -> Call[None]:
    """A model card (JSON) becomes what requests are validated against; it outlives its worker."""
    return Call("announce", (model, card), nothing)


def models() -> Call[dict[str, str]]:
    return command("HGETALL", "f:models", read=words)


def beat(worker: str, heartbeat: str | None, ttl_ms: int) -> Call[None]:
    """A worker's heartbeat (JSON), gone after `ttl_ms` unless repeated; None takes it away."""
    return Call("beat", (worker, ttl_ms, heartbeat or ""), nothing)


def workers() -> Call[list[str]]:
    """Heartbeats of the workers that are alive; forgets the others."""
    return Call("workers", (), lambda answer: [word(heartbeat) for heartbeat in answer])


def lock(name: str, holder: str, ttl_ms: int) -> Call[bool]:
    """Takes or keeps a named lock (the keeper's)."""
    return Call("lock", (name, holder, ttl_ms), bool)


def _read_backlog(answer: list[Any]) -> Backlog:
    counts, ready_flat, quarantined, leased, due = answer
    jobs = words(counts)
    ready: dict[str, dict[Lane, int]] = {}
    for field, count in words(ready_flat).items():
        model, lane = field.rsplit(":", 1)
        ready.setdefault(model, dict.fromkeys(Lane, 0))[Lane(lane)] = int(count)
    return Backlog(
        jobs={status: int(jobs.get(status, 0)) for status in Status},
        ready=ready,
        quarantined={model: count for model, count in pairs(quarantined) if count},
        leased={model: count for model, count in pairs(leased) if count},
        due=dict(zip(Due, due, strict=True)),
    )

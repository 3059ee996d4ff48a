"""Verbs on voices, API keys, models, workers and locks, and a count of the work that waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from farm.job import Due, Lane, Status
from farm.store.call import Call, command, nothing, pairs, word, word_or_none, words
from farm.store.quotas import is_refusal, refuse
from farm.store.tally import Tally

MOST_VOICES = 1000  # of a tenant


@dataclass(frozen=True, slots=True)
class Backlog:
    jobs: Mapping[Status, int]
    ready: Mapping[str, Mapping[Lane, int]]  # model -> lane -> ready segments
    quarantined: Mapping[str, int]  # model -> quarantined segments that wait
    leased: Mapping[str, int]  # model -> leased segments
    due: Mapping[Due, int]  # timed work that is due now
    tally: Tally  # what /metrics counts


@dataclass(frozen=True, slots=True)
class ApiKey:
    digest: str  # SHA-256 of the key
    tenant: str
    created_ms: int
    operator: bool = False  # sees the whole farm


@dataclass(frozen=True, slots=True)
class Access:
    keys: dict[str, ApiKey]  # by name
    closed: bool  # as `closed` says
    lanes: Mapping[str, Lane]  # tenant -> the highest lane that it may use, where it may not use all


def clock() -> Call[datetime]:
    """The time in UTC by the clock of Redis, which all parts of a farm share."""

    def read(answer: list[bytes]) -> datetime:
        seconds, microseconds = answer
        return datetime.fromtimestamp(int(seconds), UTC) + timedelta(microseconds=int(microseconds))

    return command("TIME", read=read)


def backlog() -> Call[Backlog]:
    return Call("backlog", tuple(due.value for due in Due), _read_backlog)


def own_queue(tenant: str) -> Call[dict[str, dict[Lane, int]]]:
    """The ready segments of one tenant: model -> lane -> segments."""

    def read(answer: list[Any]) -> dict[str, dict[Lane, int]]:
        return {
            model: {lane: int(count or 0) for lane, count in zip(Lane, counts, strict=True)}
            for model, counts in pairs(answer)
        }

    return Call("own_queue", (tenant,), read)


def ping() -> Call[None]:
    """Succeeds when Redis answers and still holds the farm that was opened."""
    return command("PING", read=nothing)


def put_voice(tenant: str, name: str, voice: str, limit: int = MOST_VOICES, *, bytes: int = 0) -> Call[bool]:
    """`voice` is opaque JSON; its recording has so many bytes. False when the tenant has `limit` voices already. Makes
    Due.SWEEP of the tenant due. Raises QuotaExceeded."""

    def read(answer: Any) -> bool:
        if is_refusal(answer):
            refuse(answer)
        return bool(answer)

    return Call("put_voice", (tenant, name, voice, limit, bytes), read, lasting=True)


def drop_voice(tenant: str, name: str) -> Call[str | None]:
    """The JSON of the voice that was dropped; None when there was none. Makes Due.SWEEP of the tenant due."""
    return Call("drop_voice", (tenant, name), word_or_none, lasting=True)


def voices(tenant: str) -> Call[dict[str, str]]:
    return command("HGETALL", f"f:voices:{tenant}", read=words)


def put_key(digest: str, tenant: str, name: str, *, operator: bool = False) -> Call[bool]:
    """Stores the SHA-256 of an API key under a name, and closes the farm to those without a key. The same key again may
    become an operator's, or no longer be one. False when another key has the name."""
    return Call("put_key", (name, digest, tenant, int(operator)), bool)


def drop_key(name: str) -> Call[bool]:
    """The farm stays closed when this was the last key."""
    return Call("drop_key", (name,), bool)


def closed() -> Call[bool]:
    """Whether a key was ever made, so that the farm answers nobody without one. Keys of before there was that note
    count as well."""
    return command("EXISTS", "f:closed", "f:keys", read=bool)


def open_without_keys() -> Call[None]:
    return command("DEL", "f:closed", read=nothing)


def keys() -> Call[dict[str, ApiKey]]:
    """name -> key."""
    return Call("keys", (), lambda answer: _read_access(answer).keys)


def access() -> Call[Access]:
    """Who may enter, and what tenants may ask for: what the API looks at for each request."""
    return Call("keys", (), _read_access)


def storage_mark() -> Call[str | None]:
    """The birth mark of the farm's storage, as farm/storage_mark.py explains it. None until a part has seen one."""
    return command("GET", "f:storage", read=word_or_none)


def keep_storage_mark(mark: str) -> Call[None]:
    """Unless there is one."""
    return command("SET", "f:storage", mark, "NX", read=nothing)


def adopt_storage_mark(mark: str | None) -> Call[None]:
    """None: the next part to start decides."""
    return (
        command("DEL", "f:storage", read=nothing) if mark is None else command("SET", "f:storage", mark, read=nothing)
    )


def announce(model: str, card: str) -> Call[None]:
    """Publishes a model card (JSON). Requests are validated against it, also after its worker has gone."""
    return Call("announce", (model, card), nothing)


def models() -> Call[dict[str, str]]:
    return command("HGETALL", "f:models", read=words)


def beat(worker: str, heartbeat: str | None, ttl_ms: int) -> Call[None]:
    """Publishes a worker's heartbeat (JSON) for `ttl_ms`; None removes it."""
    return Call("beat", (worker, ttl_ms, heartbeat or ""), nothing)


def workers() -> Call[list[str]]:
    """The heartbeats of the workers that are alive. Those of dead workers are removed."""
    return Call("workers", (), lambda answer: [word(heartbeat) for heartbeat in answer])


def ends(place: str) -> Call[str | None]:
    """The latest ends of the workers of one place (JSON, opaque to the store); None where none is known."""
    return command("GET", f"f:ends:{place}", read=word_or_none)


def keep_ends(place: str, stored: str, ttl_ms: int) -> Call[None]:
    return command("SET", f"f:ends:{place}", stored, "PX", ttl_ms, read=nothing)


def lock(name: str, holder: str, ttl_ms: int) -> Call[bool]:
    """Takes or keeps a named lock for `ttl_ms`. False while somebody else holds it."""
    return Call("lock", (name, holder, ttl_ms), bool)


def unlock(name: str) -> Call[None]:
    """Gives a lock back before its time. Only for its holder."""
    return command("DEL", f"f:lock:{name}", read=nothing)


def _read_access(answer: list[Any]) -> Access:
    stored, operators, closed, lanes = answer
    names = {word(name) for name in operators}
    keys = {}
    for name, value in words(stored).items():
        digest, created_ms, tenant = value.split(" ", 2)
        keys[name] = ApiKey(digest, tenant, int(created_ms), name in names)
    return Access(keys, bool(closed), {tenant: Lane(lane) for tenant, lane in words(lanes).items()})


def _read_backlog(answer: list[Any]) -> Backlog:
    counts, ready_flat, quarantined, leased, due, tally = answer
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
        tally=Tally.read(words(tally)),
    )

"""Voices, API keys, models, workers, locks, and how much work there is."""

from __future__ import annotations

from farm.job import Due, Lane, Status
from farm.store import (
    announce,
    backlog,
    beat,
    drop_key,
    drop_voice,
    keys,
    lock,
    models,
    put_key,
    put_voice,
    voices,
    workers,
)
from tests.store.clocked import Farm


def test_voices_belong_to_a_tenant(farm: Farm) -> None:
    assert farm.run(put_voice("ann", "narrator", '{"v": 1}'))
    assert farm.run(put_voice("ann", "narrator", '{"v": 2}'))
    assert (farm.run(voices("ann")), farm.run(voices("bob"))) == ({"narrator": '{"v": 2}'}, {})
    assert farm.run(drop_voice("ann", "narrator")) == '{"v": 2}'
    assert farm.run(drop_voice("ann", "narrator")) is None


def test_a_tenant_has_a_limit_of_voices(farm: Farm) -> None:
    assert farm.run(put_voice("ann", "one", "{}", limit=1))
    assert not farm.run(put_voice("ann", "two", "{}", limit=1))
    assert farm.run(put_voice("ann", "one", '{"new": 1}', limit=1)), "replacing needs no room"


def test_api_keys_are_known_by_name(farm: Farm) -> None:
    assert farm.run(put_key("digest", "ann b", "laptop"))
    assert farm.run(put_key("digest", "ann b", "laptop")), "sent twice over a lost connection"
    assert not farm.run(put_key("other", "bob", "laptop"))
    expected = {"digest": "digest", "tenant": "ann b", "created_ms": str(farm.clock.now)}
    assert farm.run(keys()) == {"laptop": expected}
    assert farm.run(drop_key("laptop"))
    assert not farm.run(drop_key("laptop"))


def test_a_model_outlives_its_worker(farm: Farm) -> None:
    farm.run(announce("espeak", '{"r": 1}'))
    farm.run(announce("espeak", '{"r": 2}'))
    farm.clock.forward(10**9)
    assert farm.run(models()) == {"espeak": '{"r": 2}'}


def test_a_worker_is_alive_while_it_beats(farm: Farm) -> None:
    farm.run(beat("w1", "one", 1000))
    farm.run(beat("w2", "two", 3000))
    farm.clock.forward(1000)
    assert farm.run(workers()) == ["two"]
    assert farm.redis.hkeys("f:beats") == [b"w2"]
    farm.run(beat("w2", None, 3000))
    assert farm.run(workers()) == []


def test_a_lock_has_one_holder_who_may_keep_it(farm: Farm) -> None:
    assert farm.run(lock("keeper", "me", 60_000))
    assert farm.run(lock("keeper", "me", 60_000))
    assert not farm.run(lock("keeper", "other", 60_000))
    assert 0 < farm.redis.pttl("f:lock:keeper") <= 60_000
    farm.redis.delete("f:lock:keeper")
    assert farm.run(lock("keeper", "other", 60_000))


def test_the_backlog_counts_what_waits_and_what_is_under_way(farm: Farm) -> None:
    farm.running("job_a", 3)
    farm.suspect("job_a", 0)
    farm.running("job_b", 40, lane=Lane.BULK)
    farm.accept("job_c")
    farm.claim(), farm.claim()
    found = farm.run(backlog())
    assert {status: count for status, count in found.jobs.items() if count} == {Status.RUNNING: 2, Status.QUEUED: 1}
    assert found.ready == {"m": {Lane.INTERACTIVE: 0, Lane.NORMAL: 0, Lane.BULK: 8}}
    assert (found.solo, found.leased) == ({}, {"m": 33})
    assert found.due == {**dict.fromkeys(Due, 0), Due.PLAN: 1}

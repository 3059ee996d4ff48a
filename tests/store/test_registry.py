"""Voices, API keys, models, workers, locks, and the count of waiting work."""

from __future__ import annotations

import pytest

from farm.job import Due, Lane, Status
from farm.store import batches, jobs, registry, tasks
from tests.store.clocked import Farm


def test_voices_belong_to_a_tenant(farm: Farm) -> None:
    assert farm.run(registry.put_voice("ann", "narrator", '{"v": 1}'))
    assert farm.run(registry.put_voice("ann", "narrator", '{"v": 2}'))
    assert (farm.run(registry.voices("ann")), farm.run(registry.voices("bob"))) == ({"narrator": '{"v": 2}'}, {})
    assert farm.run(registry.drop_voice("ann", "narrator")) == '{"v": 2}'
    assert farm.run(registry.drop_voice("ann", "narrator")) is None


def test_a_tenant_has_a_limit_of_voices(farm: Farm) -> None:
    assert farm.run(registry.put_voice("ann", "one", "{}", limit=1))
    assert not farm.run(registry.put_voice("ann", "two", "{}", limit=1))
    assert farm.run(registry.put_voice("ann", "one", '{"new": 1}', limit=1)), "replacing needs no room"


def test_a_changed_voice_makes_a_sweep_of_its_tenant_due(farm: Farm) -> None:
    for change in (registry.put_voice("a.b/c", "v", "{}"), registry.drop_voice("a.b/c", "v")):
        farm.run(change)
        assert farm.run(tasks.done(farm.task(Due.SWEEP, "a.b/c")))
    farm.run(registry.drop_voice("a.b/c", "v"))
    assert farm.run(tasks.take([Due.SWEEP], want=9, lease_ms=1000)) == []


def test_a_look_at_the_specs_of_open_jobs_sees_what_their_batch_shares(farm: Farm) -> None:
    shared = batches.NewBatch("batch_a", "ann", 3, "{}", retention_s=3600, shared='{"uploads":{"v":"d2"}}')
    farm.run(batches.accept(shared))
    farm.accept("job_1", spec='{"uploads":{"v":"d1"}}')
    farm.accept("job_2", spec="{}", batch="batch_a", shares=True)
    farm.accept("job_3", spec='{"uploads":{"v":"d3"}}')
    farm.accept("job_4", spec='{"uploads":{"v":"d4"}}', tenant="bob")
    farm.run(jobs.cancel("job_3", "ann"))
    every = ["d1", "d2", "d3", "d4"]
    assert farm.run(jobs.mentions("ann", every, first=0, count=9)) == (3, {"d1", "d2"})
    assert farm.run(jobs.mentions("ann", every, first=1, count=1)) == (1, {"d2"})
    assert farm.run(batches.unfolding("ann")) == 1


def test_api_keys_are_known_by_name(farm: Farm) -> None:
    assert farm.run(registry.put_key("digest", "ann b", "laptop"))
    assert farm.run(registry.put_key("digest", "ann b", "laptop")), "sent twice over a lost connection"
    assert not farm.run(registry.put_key("other", "bob", "laptop"))
    assert farm.run(registry.keys()) == {"laptop": registry.ApiKey("digest", "ann b", farm.clock.now)}
    assert farm.run(registry.drop_key("laptop"))
    assert not farm.run(registry.drop_key("laptop"))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_farm_that_ever_had_a_key_is_closed_until_it_is_opened(farm: Farm, legacy: bool) -> None:
    assert not farm.run(registry.closed())
    farm.run(registry.put_key("digest", "ann", "laptop"))
    assert farm.run(registry.closed())
    if legacy:  # its key was made when there was no such note
        farm.redis.delete("f:closed")
        assert farm.run(registry.closed())
    farm.run(registry.drop_key("laptop"))
    assert farm.run(registry.closed())
    farm.run(registry.open_without_keys())
    assert not farm.run(registry.closed())


def test_a_model_outlives_its_worker(farm: Farm) -> None:
    farm.run(registry.announce("espeak", '{"r": 1}'))
    farm.run(registry.announce("espeak", '{"r": 2}'))
    farm.clock.forward(10**9)
    assert farm.run(registry.models()) == {"espeak": '{"r": 2}'}


def test_a_worker_is_alive_while_it_beats(farm: Farm) -> None:
    farm.run(registry.beat("w1", "one", 1000))
    farm.run(registry.beat("w2", "two", 3000))
    farm.clock.forward(1000)
    assert farm.run(registry.workers()) == ["two"]
    assert farm.redis.hkeys("f:beats") == [b"w2"]
    farm.run(registry.beat("w2", None, 3000))
    assert farm.run(registry.workers()) == []


def test_a_lock_has_one_holder_and_the_holder_can_keep_it(farm: Farm) -> None:
    assert farm.run(registry.lock("keeper", "me", 60_000))
    assert farm.run(registry.lock("keeper", "me", 60_000))
    assert not farm.run(registry.lock("keeper", "other", 60_000))
    assert 0 < farm.redis.pttl("f:lock:keeper") <= 60_000
    farm.redis.delete("f:lock:keeper")
    assert farm.run(registry.lock("keeper", "other", 60_000))


def test_the_backlog_counts_waiting_and_leased_work(farm: Farm) -> None:
    farm.running("job_a", 3)
    farm.quarantine("job_a", 0)
    farm.running("job_b", 40, lane=Lane.BULK)
    farm.accept("job_c")
    farm.claim(), farm.claim()
    found = farm.run(registry.backlog())
    assert {status: count for status, count in found.jobs.items() if count} == {Status.RUNNING: 2, Status.QUEUED: 1}
    assert found.ready == {"m": {Lane.INTERACTIVE: 0, Lane.NORMAL: 0, Lane.BULK: 8}}
    assert (found.quarantined, found.leased) == ({}, {"m": 33})
    assert found.due == {**dict.fromkeys(Due, 0), Due.PLAN: 1}

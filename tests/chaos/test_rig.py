"""The rig itself: an undisturbed farm keeps every promise, and the ledger and the rig notice a broken one."""

from __future__ import annotations

import threading

import pytest

from farm.layout import audio_key
from tests.chaos.crowd import Crowd
from tests.chaos.ledger import Ledger
from tests.chaos.rig import MAXMEMORY, Rig
from tests.patience import patient

TEXT = "\n\n".join(
    f"The {n}th keeper of the light wrote everything down, and {n} ships lay in the roads." for n in range(40)
)


def test_an_undisturbed_farm_keeps_every_promise(ledger: Ledger) -> None:
    ledger.learn(TEXT)
    submitted = {ledger.submit(TEXT, tenant=tenant).id for tenant in ("ann", "bob", "ann")}
    assert len(submitted) == 3
    assert submitted <= {job.id for job in ledger.check()}


def test_a_text_is_learnt_once_in_a_session(rig: Rig, ledger: Ledger) -> None:
    ledger.learn(TEXT)
    jobs = rig.redis.zcard("f:list:ann")
    with Ledger(rig) as another:
        assert another.learn(TEXT) == ledger.learn(TEXT)
    assert rig.redis.zcard("f:list:ann") == jobs


def test_the_ledger_notices_other_audio(ledger: Ledger) -> None:
    ledger._undisturbed[TEXT] = "0" * 64
    ledger.submit(TEXT)
    with pytest.raises(AssertionError, match="sounds different"):
        ledger.check()


def test_the_ledger_notices_leftovers(rig: Rig, ledger: Ledger) -> None:
    ledger.check_leftovers()
    rig.redis.zadd("f:lease", {"nobody": 1})
    assert ledger.leftovers() == ["lease b'nobody'"]
    rig.redis.zrem("f:lease", "nobody")
    rig.storage().put(audio_key("job_x", "1", ".wav"), b"")
    with pytest.raises(AssertionError, match="objects of no job"):
        ledger.check_leftovers(within=0)
    rig.storage().delete(audio_key("job_x", "1", ".wav"))


def test_the_rig_notices_a_fault_that_was_not_mended(rig: Rig) -> None:
    assert rig.unmended() == []
    rig.freeze("desk")
    assert rig.unmended() == ["desk does not run"]
    rig.thaw("desk")
    with rig.redis_line.during(rig.redis_line.hang):
        assert "hangs=True" in "".join(rig.unmended())
    rig.redis.config_set("maxmemory", MAXMEMORY // 2)
    assert rig.unmended() == [f"maxmemory is {MAXMEMORY // 2}"]
    rig.redis.config_set("maxmemory", MAXMEMORY)
    assert rig.unmended() == []


def test_a_fault_lasts_until_each_user_has_an_answer(rig: Rig, ledger: Ledger) -> None:
    asked, answered, over = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        asked.set()
        assert answered.wait(patient(10))

    def fault() -> None:
        crowd.outlast(0)
        over.set()

    with Crowd(rig, ledger) as crowd, crowd.asking([lambda: crowd.ask("GET", "/v1/queue"), hang]):
        lasting = threading.Thread(target=fault)
        lasting.start()
        try:
            assert asked.wait(patient(10))
            assert not over.wait(0.5), "the fault was over before a request in it was answered"
        finally:
            answered.set()
        assert over.wait(patient(10))
        lasting.join()

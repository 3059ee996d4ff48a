"""The rig itself: undisturbed it keeps every promise, and the ledger notices when one is broken."""

from __future__ import annotations

import pytest

from tests.chaos.ledger import Ledger
from tests.chaos.rig import Rig

TEXT = "\n\n".join(
    f"The {n}th keeper of the light wrote everything down, and {n} ships lay in the roads." for n in range(40)
)


def test_an_undisturbed_farm_keeps_every_promise(ledger: Ledger) -> None:
    ledger.learn(TEXT)
    for tenant in ("ann", "bob"):
        ledger.submit(TEXT, tenant=tenant)
    assert len(ledger.check()) == 3


def test_the_ledger_notices_other_audio(ledger: Ledger) -> None:
    ledger._undisturbed[TEXT] = "0" * 64
    ledger.submit(TEXT)
    with pytest.raises(AssertionError, match="sounds different"):
        ledger.check()


def test_the_ledger_notices_what_is_left_over(rig: Rig, ledger: Ledger) -> None:
    ledger.check_leftovers()
    rig.redis.zadd("f:lease", {"nobody": 1})
    assert ledger.leftovers() == ["lease b'nobody'"]
    rig.redis.zrem("f:lease", "nobody")
    rig.storage().put("results/job_x/1/audio.wav", b"")
    with pytest.raises(AssertionError, match="objects of no job"):
        ledger.check_leftovers()
    rig.storage().delete("results/job_x/1/audio.wav")

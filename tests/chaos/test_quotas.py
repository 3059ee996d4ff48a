"""Quotas of a farm whose API is killed at work: in the end they count what a scan over all jobs finds."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import pytest

from farm.client import Farm, Refused, Unreachable
from farm.errors import FarmError
from farm.quota import NO_LIMIT
from farm.store import Store, quotas
from farm.wire import JobRequest
from tests.chaos.lengths import length
from tests.chaos.progress import until
from tests.chaos.rig import Rig
from tests.store.quota_scan import counted, scanned

MOST = 3_000  # characters that wait
CLIENTS = 4


@pytest.mark.parametrize("seed", range(length(2, full=20)))
def test_the_counts_are_those_of_a_scan_however_often_the_api_is_killed(rig: Rig, seed: int) -> None:
    dice = random.Random(seed)
    with closing(Store.connect(rig.direct_redis_url)) as store:
        store.run(quotas.limit("ann", {"characters": MOST, "requests": NO_LIMIT, "segments": 5, "running_jobs": 2}))
        with ThreadPoolExecutor(CLIENTS) as crowd:
            seeds = [dice.randrange(10**6) for _ in range(CLIENTS)]
            busy = [crowd.submit(act, rig, number) for number in seeds]
            rig.replaced("api", rig.kill("api"))
            for each in busy:
                each.result()
        assert counted(store, "ann")["characters"] <= MOST
        looks = Looks(store)
        until(looks.agree, 30, "counts that a scan finds too", every=0.05, seen=lambda: looks.found)
        store.run(
            quotas.limit("ann", {"characters": None, "requests": NO_LIMIT, "segments": None, "running_jobs": None})
        )
        with rig.client("ann") as ann:
            until(lambda: answers(ann), 30, "the API to answer again")
            for batch in list(ann.batches()):  # also those of which no job is there: not yet, or no more
                ann.delete_batch(batch.id)
            for job in list(ann.jobs()):
                with suppress(Refused):  # a job of such a batch
                    ann.delete(job.id)
            until(lambda: not list(ann.jobs()), 30, "all jobs to be deleted", every=0.2)
        until(lambda: not rig.redis.keys("f:b:*"), 30, "all batches to be deleted", every=0.2)
        assert set(counted(store, "ann").values()) == {0}


def act(rig: Rig, seed: int) -> None:
    """One client, whose requests get lost now and then."""
    dice = random.Random(seed)
    with rig.client("ann", patience=5.0) as ann:
        for _ in range(12):
            with suppress(Unreachable, Refused, FarmError):
                step(ann, dice)


def step(ann: Farm, dice: random.Random) -> None:
    text = "The tide went out. " * dice.randint(1, 30)
    match dice.choice(["job", "job", "batch", "cancel", "retry", "delete"]):
        case "job":
            ann.submit(JobRequest(input=text))
        case "batch":
            ann.submit_batch([JobRequest(input=text)] * dice.randint(1, 4))
        case verb:
            known = list(ann.jobs())[:10]
            if known:
                job = dice.choice(known).id
                {"cancel": ann.cancel, "retry": ann.retry, "delete": ann.delete}[verb](job)


def answers(ann: Farm) -> bool:
    with suppress(Unreachable):
        return bool(ann.health())
    return False


class Looks:
    """The farm may go on between two looks: then the next look decides."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.found: object = None  # by the last look

    def agree(self) -> bool:
        try:
            before, found, after = counted(self.store, "ann"), scanned(self.store, "ann"), counted(self.store, "ann")
        except (AssertionError, KeyError) as unlike:
            self.found = repr(unlike)
            return False
        self.found = before, found, after
        return before == found == after

"""The store is compared with its model, and the comparison must notice bugs that are planted into the Lua.

WALK_STEPS makes the walk longer (`make nightly`: 50,000 steps), WALK_SEED takes another one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing

import pytest
import redis

from tests.store.clocked import Clock, Farm
from tests.store.store_walk import Walk

STEPS = int(os.environ.get("WALK_STEPS", "2000"))
SEED = int(os.environ.get("WALK_SEED", "40"))
# One of their walks meets every bug, mostly the first: of eighteen seeds these need the fewest steps for all bugs.
HUNTING_SEEDS, HUNTING_STEPS = (8, 9, 26, 20, 13), 700

VERBS = (
    "redo",
    "retry",
    "revise",
    "retire",
    "expire",
    "forget_batch",
    "drop_batch",
    "cancel_jobs",
    "redeliver",
    "fail",
    "passage_done",
    "put_document",
    "note_document",
    "drop_document",
    "put_lexicon",
    "drop_lexicon",
)  # the rarest
QUOTAS = ("quota_exceeded", "held back")

# what is wrong: (Lua file, its text, its text with the bug)
BUGS = {
    "a lost worker's unbegun segments burn an attempt": ("rescue", "give_back(job, waiting)", "begun = held.segments"),
    "a quarantined segment that comes back is ready": ("shared/grants", "number(lost[x]) >= QUARANTINE_AFTER", "false"),
    "a late settle leaves the ready bit": ("settle", "call('SETBIT', 'f:r:' .. job, segment, 0) == 1", "false"),
    "a rescued segment that is done is rendered again": (
        "shared/grants",
        "call('GETBIT', 'f:d:' .. job, segment) == 0",
        "true",
    ),
    "a task that is scheduled again keeps its old token": (
        "shared/due",
        "call('HDEL', 'f:due:token', kind .. ':' .. id)",
        "",
    ),
    "retry leaves the segments with their old holders": ("shared/revisions", "remove_from_grants(job)", ""),
    "a streamed job waits for the desk": ("shared/jobs", "if record[5] then", "if false then"),
    "a job that has ended still counts as queued": ("shared/jobs", "use(at.tenant, -record[6], 0, 0)", ""),
    "a canceled batch still counts for its lines": ("shared/jobs", "release_lines(batch, record[4])", ""),
    "a deleted job still counts for its bytes": (
        "forget",
        "use(record[2], 0, -number(record[5])",
        "use(record[2], 0, 0",
    ),
    "a segment that is rendered again still counts as one to listen to": (
        "redo",
        "cached = 'f:c:' .. job, review = 'f:l:' .. job",
        "cached = 'f:c:' .. job",
    ),
    "a settled segment stays in its tenant's hand": ("settle", "let_go(token, tenant, k)", ""),
    "a job that no longer runs counts as under way": ("shared/jobs", "to == 'running' and 'SADD' or 'SREM'", "'SADD'"),
    "a job that was begun does not count as under way": (
        "claim",
        "job_room_of(tenant) - call('SADD', 'f:running:' .. tenant, job)",
        "job_room_of(tenant)",
    ),
    "a job begins although its tenant has enough under way": (
        "claim",
        "if job_room_of(tenant) > 0 then",
        "if true then",
    ),
    "a tenant with enough jobs under way gets none of them": ("claim", "'WEIGHTS', 1, 0)[1]", "'WEIGHTS', 1, 0)[0]"),
    "a minute of requests never ends": ("shared/quota", "s[1], s[9] = 0, t", ""),
    "a job is assembled before its passages are made": ("shared/jobs", "if record[6] then", "if false then"),
    "a canceled job leaves its passages due": ("shared/jobs", "drop_passages(job, t)", ""),
    "a dead segment holds its passage up": ("shared/grants", "pass(job, {segment}, t)", ""),
    "a passage is made twice where a dead segment comes late": ("settle", "not was_dead and segment or nil", "segment"),
    "a batch counts a retried job's segments twice": ("shared/revisions", "tally(batch, sum, ", "number("),
    "a late clip of an earlier revision counts": ("settle", "hands and not hands[k]", "false"),
    "a result that was retired still counts for its bytes": ("retire", "string.match(kept, '^%d+ %d+ (%d+)')", "0"),
    "an edit leaves the retention of the result as it was": ("shared/revisions", "unschedule('expire', job, t)", ""),
    "an expired job keeps its earlier results": ("expire", "drop_revisions(job, t)", "0"),
    "an edited job still shares its batch's defaults": ("revise", "call('HDEL', key, 'shares')", ""),
    "a document that is uploaded again counts twice": ("shared/quota", "bytes - bytes_of(stored)", "bytes"),
    "a document that is dropped stays due": ("drop_document", "unschedule('document', task, now())", ""),
    "a document that is noted keeps its bytes of before": ("note_document", "bytes - bytes_of(old)", "0"),
    "a late desk drops a document that was uploaded again": (
        "drop_document",
        "not holds('document', task, token)",
        "false",
    ),
    "a lexicon replaces what somebody else has put": ("shared/quota", "(stored or '') ~= old", "false"),
    "a lexicon that is dropped still counts for its bytes": ("shared/quota", "-bytes_of(stored)", "0"),
}


@pytest.mark.timeout(1200)
def test_after_a_random_walk_every_key_is_as_in_the_model(farm: Farm) -> None:
    walk = Walk(farm, SEED)
    walk.run(STEPS)
    assert {verb for verb in (*VERBS, *QUOTAS) if not walk.hits[verb]} == set()


@pytest.mark.parametrize("bug", BUGS)
def test_the_walk_notices_when(bug: str, redis_url: str) -> None:
    verb, good, bad = BUGS[bug]

    def lua(name: str) -> str:
        text = Clock.lua(name)
        assert name != verb or good in text
        return text.replace(good, bad, 1) if name == verb else text

    with pytest.raises(AssertionError, match="step"):
        _hunt(redis_url, lua)


def _hunt(redis_url: str, lua: Callable[[str], str]) -> None:
    for seed in HUNTING_SEEDS:
        with redis.Redis.from_url(redis_url) as client:
            client.flushdb()
        with closing(Farm(redis_url, lua)) as farm:
            Walk(farm, seed).run(HUNTING_STEPS)

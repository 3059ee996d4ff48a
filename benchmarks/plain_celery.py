"""Rendering by plain Celery, for comparison: one message per segment, acknowledged late, and what else its
documentation recommends for work that must not be lost.

    celery -A benchmarks.plain_celery worker -P prefork -c 1

Settings come from PLAIN_BROKER_URL, PLAIN_STORAGE_URL and PLAIN_VISIBILITY_S.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import redis
from celery import Celery

from farm.settings import Settings
from farm.sound.flac import encode
from farm.storage import Storage, open_storage
from worker.engine import Clip, Speech, Utterance
from worker.engines.espeak.engine import Espeak

DONE = "plain:done"

app = Celery("plain", broker=os.environ.get("PLAIN_BROKER_URL", "redis://"))
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        # Above the longest task, and short: nothing that a dead worker held comes back before it is over.
        "visibility_timeout": float(os.environ.get("PLAIN_VISIBILITY_S", "3600")),
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "socket_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 5,
    },
)

_tools: tuple[Espeak, Storage, redis.Redis] | None = None


class _One:
    """A feed of one utterance."""

    def __init__(self, utterance: Utterance) -> None:
        self._left = [utterance]

    def take(self, count: int, *, wait: bool) -> Sequence[Utterance]:
        taken, self._left = self._left, []
        return taken


@app.task
def render(index: int, text: str) -> None:
    global _tools
    if _tools is None:  # in the pool's process
        storage = open_storage(Settings(storage_url=os.environ["PLAIN_STORAGE_URL"]))
        _tools = Espeak(), storage, redis.Redis.from_url(os.environ["PLAIN_BROKER_URL"])
    engine, storage, done = _tools
    utterance = Utterance(str(index), text, Speech("en", "en-us"))
    (clip,) = engine.render(_One(utterance))
    assert isinstance(clip, Clip)
    storage.put(f"segments/{index}.flac", encode(clip.samples, engine.card.sample_rate, ()), "audio/flac")
    done.rpush(DONE, index)

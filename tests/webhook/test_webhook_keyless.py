"""Networks that a farm without keys may reach: the embedded farm's own machine."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from farm.settings import Settings
from farm.storage import LocalStorage
from farm.store import Store, registry
from tests.webhook.listener import Listener, answers
from worker.webhooks.deliver import Deliverer
from worker.webhooks.post import Message


def test_a_desk_no_longer_posts_to_them_once_there_is_a_key(
    redis_url: str, tmp_path: Path, listen: Callable[..., Listener], to: Callable[[str], Message]
) -> None:
    listener = listen(answers(204))
    settings = Settings(redis_url=redis_url, webhook_allow_keyless=("127.0.0.0/8",))
    with closing(Store.connect(redis_url)) as store:
        deliverer = Deliverer(store, LocalStorage(tmp_path), settings, random.random)
        first = deliverer.sender().attempt(to(listener.url), datetime.now(UTC))
        store.run(registry.put_key("0" * 64, "ann", "ann"))
        second = deliverer.sender().attempt(to(listener.url), datetime.now(UTC))
    assert (first.attempt.status_code, second.attempt.status_code) == (204, None)
    assert "FARM_WEBHOOK_ALLOW" in (second.attempt.error or "")
    assert len(listener.requests) == 1

"""The examples in docs/webhooks.md are run as they stand."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

from farm.webhooks.addresses import allowed_networks
from farm.webhooks.schedule import SCHEDULE_S

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
SECRET = "whsec_" + "c2VjcmV0" * 4


def test_the_receiver_in_the_documentation_takes_each_event_once_and_no_forgery() -> None:
    done: list[Any] = []
    seen: set[str] = set()

    def first_time(delivery: str) -> bool:
        new = delivery not in seen
        seen.add(delivery)
        return new

    names: dict[str, Any] = {"SECRET": SECRET, "first_time": first_time, "work_later": done.append}
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(snippet, names)

    now = datetime.now(UTC)
    headers = {
        "webhook-id": "job_1.0",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("job_1.0", now, '{"type":"job.failed"}'),
    }
    assert names["receive"](headers, b'{"type":"job.failed"}') == 204
    assert names["receive"](headers, b'{"type":"job.failed"}') == 204
    assert names["receive"](headers, b'{"type":"job.succeeded"}') == 401
    assert names["receive"]({**headers, "webhook-signature": "nonsense"}, b'{"type":"job.failed"}') == 401
    assert done == [{"type": "job.failed"}]


def test_the_documented_schedule_is_the_real_one() -> None:
    units = {"s": 1, "min": 60, "h": 3600}
    (sentence,) = re.findall(r"tried again (.*?) after", PAGE, re.DOTALL)
    stated = [int(number) * units[unit] for number, unit in re.findall(r"(\d+) (s|min|h)\b", sentence)]
    assert (0, *stated) == SCHEDULE_S


def test_the_networks_in_the_documentation_are_networks() -> None:
    (value,) = re.findall(r"FARM_WEBHOOK_ALLOW=(\S+?)`", PAGE)
    assert len(allowed_networks(value.split(","))) == 2

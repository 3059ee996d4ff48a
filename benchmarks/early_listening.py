"""What listening to a job while it is rendered costs the API: python -m benchmarks.early_listening [--hours 1]

The embedded farm renders a text of that length. A listener waits for the first clip, and then follows the playlist to
its end. Afterwards an API of its own answers polls of the whole list, first without having seen it before.

Goals: the first clip is listed at most 1 s after it was settled, and a poll of an hour costs at most 5 ms of processor
time. Beside that stand what the list costs where it has to be made again, and what a fragment costs.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import psutil
import redis

from benchmarks.listeners import api
from farm.client import Farm
from farm.embedded.supervisor import Local
from farm.wire import JobRequest

SENTENCE = "The clerk wrote one more line into the long book of the house, and nobody in the street saw him do it. "
SENTENCE_S = 6.0  # about, by eSpeak
GOAL_LISTED_S, GOAL_POLL_MS = 1.0, 5.0
POLLS, FRAGMENTS = 200, 100


def main() -> int:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--hours", type=float, default=1.0)
    text = SENTENCE * round(given.parse_args().hours * 3600 / SENTENCE_S)
    with tempfile.TemporaryDirectory() as folder, Local(Path(folder)) as local:
        with Farm(local.url) as farm:
            farm.wait(farm.submit(JobRequest(input="A first line, so that every process has started.")).id, timeout=60)
            job = farm.submit(JobRequest(input=text)).id
            listed_at = first_listed(farm.listen(job))
            late_s = listed_at - first_settled(local.redis_url, job)
            farm.wait(job, timeout=600)
        with api(local.redis_url, urlsplit(local.storage_url).path) as (port, process):
            return measured(f"http://127.0.0.1:{port}", process, job, late_s)


def first_listed(url: str) -> float:
    """When the playlist had its first clip, by the clock of this machine."""
    with httpx.Client(trust_env=False, timeout=60) as client:
        while client.get(url).status_code != httpx.codes.OK:
            pass
    return time.time()


def first_settled(redis_url: str, job: str) -> float:
    with redis.Redis.from_url(redis_url) as store:
        entries = store.xrange("f:settled")
    return next(int(id.split(b"-")[0]) / 1000 for id, fields in entries if fields[b"o"] == job.encode())


def measured(url: str, process: psutil.Process, job: str, late_s: float) -> int:
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        client.get("/readyz")
        address = client.get(f"/v1/jobs/{job}/stream.m3u8").next_request.url  # type: ignore[union-attr]
        before = processor_s(process)
        listed = client.get(address).text
        anew_ms = 1000 * (processor_s(process) - before)
        poll_ms = each_ms(process, [str(address)] * POLLS, client)
        names = re.findall(r"^\S+\.m4s$", listed, re.MULTILINE)
        fragment_ms = each_ms(process, [urljoin(str(address), name) for name in names[:FRAGMENTS]], client)
    seconds = sum(map(float, re.findall(r"#EXTINF:([\d.]+)", listed)))
    per_hour_ms = poll_ms * 3600 / seconds
    whole = "whole" if listed.endswith("#EXT-X-ENDLIST\n") else "a part"
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{seconds / 3600:.2f} hours, {whole}: {len(names):,} fragments, {len(listed):,} bytes of playlist")
    print(f"first clip listed after it was settled: {late_s:.3f} s (goal <= {GOAL_LISTED_S:g})")
    print(f"processor time of a poll, for an hour: {per_hour_ms:.2f} ms (goal <= {GOAL_POLL_MS:g})")
    print(f"of the list made anew: {anew_ms:.0f} ms; of a fragment: {fragment_ms:.2f} ms")
    return 0 if late_s <= GOAL_LISTED_S and per_hour_ms <= GOAL_POLL_MS else 1


def each_ms(process: psutil.Process, urls: list[str], client: httpx.Client) -> float:
    before = processor_s(process)
    for url in urls:
        client.get(url).raise_for_status()
    return 1000 * (processor_s(process) - before) / len(urls)


def processor_s(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return float(spent.user + spent.system)


if __name__ == "__main__":
    raise SystemExit(main())

"""What a ZIP archive of a batch costs the API: python -m benchmarks.archive [--gigabytes 1]

Eight jobs are rendered by the embedded farm; then their audio files are made as large as is asked for. An API of its
own sends the archive twice: to a client that reads it, and to ten that read nothing of theirs after the first bytes.

Goal: the memory of its process grows by at most 20 MB. Beside that stand the seconds, and a download of one of the
files, whose bytes the API sends without looking at them.
"""

from __future__ import annotations

import argparse
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from benchmarks.listeners import api
from farm.client import Farm
from farm.embedded.supervisor import Local
from farm.layout import RESULTS
from farm.wire import JobRequest

JOBS, STALLED = 8, 10
GOAL_MB = 20
_LOOK_S = 0.01


def main() -> int:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--gigabytes", type=float, default=1.0)
    size = round(given.parse_args().gigabytes * 1e9)
    with tempfile.TemporaryDirectory() as folder, Local(Path(folder)) as local:
        with Farm(local.url) as farm:
            batch = farm.submit_batch(JobRequest(input=f"Line {number}.") for number in range(JOBS))
            while farm.batch(batch.id, wait=30).ended_at is None:
                pass
        storage = Path(urlsplit(local.storage_url).path)
        for audio in (storage / RESULTS).glob("*/*/audio.*"):
            os.truncate(audio, size // JOBS)
        with api(local.redis_url, str(storage)) as (port, process):
            return measured(port, process, batch.id)


def measured(port: int, process: psutil.Process, batch: str) -> int:
    path = f"/v1/batches/{batch}/archive.zip"
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
        job = client.get(f"/v1/batches/{batch}/jobs").json()["data"][0]["id"]
        received(client, f"/v1/jobs/{job}/audio")
        before = process.memory_info().rss
        began = time.perf_counter()
        length, grown = growth(process, before, lambda: received(client, path))
        took = time.perf_counter() - began
        began = time.perf_counter()
        plain = received(client, f"/v1/jobs/{job}/audio")
        alone = time.perf_counter() - began
    _, stalling = growth(process, process.memory_info().rss, lambda: stall(port, path))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, an archive of {length:,} bytes")
    print(f"MB a second: {length / took / 1e6:,.0f}, of a file alone {plain / alone / 1e6:,.0f}")
    print(f"MB that the API grew by: {grown / 1e6:.1f} (goal <= {GOAL_MB})")
    print(f"with {STALLED} clients that stall: {stalling / 1e6:.1f}")
    return 0 if grown <= GOAL_MB * 1e6 else 1


def received(client: httpx.Client, path: str) -> int:
    with client.stream("GET", path) as answer:
        answer.raise_for_status()
        return sum(len(chunk) for chunk in answer.iter_raw())


def growth(process: psutil.Process, before: int, act: Callable[[], int]) -> tuple[int, int]:
    """What `act` returns, and by how many bytes the process was larger meanwhile than before."""
    most, over = before, threading.Event()

    def look() -> None:
        nonlocal most
        while not over.wait(_LOOK_S):
            most = max(most, process.memory_info().rss)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        found = act()
    finally:
        over.set()
        looking.join()
    return found, most - before


def stall(port: int, path: str) -> int:
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(STALLED)]
    for client in clients:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        client.recv(1000)
    time.sleep(2)  # in which the API would read on, if it did not wait for its clients
    for client in clients:
        client.close()
    return len(clients)


if __name__ == "__main__":
    raise SystemExit(main())

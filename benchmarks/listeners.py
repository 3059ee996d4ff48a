"""What a thousand idle event streams cost: python -m benchmarks.listeners [--listeners 1000] [--rounds 5]

    memory of the API process for each listener                                        goal: at most 60 KB
    jobs accepted a second with them and without, alternating                          goal: at least 0.8
    one event to all of them: until the last has it                                    goal: at most 1 s, 99 of 100

The listeners follow one job, and read in the process that loads, which shares the cores with the API.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import psutil
import uvloop

from benchmarks.accept import CARD, free_port, load, wait_for
from benchmarks.redis_server import redis_server
from farm.store import Store, registry

GOAL_KB, GOAL_RATIO, GOAL_S = 60, 0.8, 1.0
_CLIENTS, _SECONDS = 32, 3.0


class Crowd:
    """Open streams of one job."""

    def __init__(self, port: int, job: str) -> None:
        self._port, self._job = port, job
        self._streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def open(self, count: int) -> None:
        request = f"GET /v1/jobs/{self._job}/events HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n\r\n".encode()
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(request)
            self._streams.append((reader, writer))
        for reader, _ in self._streams:
            while b"event: state" not in await reader.readline():
                pass

    async def hear(self, status: str) -> list[float]:
        """When each of them has an event of this status."""

        async def one(reader: asyncio.StreamReader) -> float:
            while f'"status":"{status}"'.encode() not in await reader.readline():
                pass
            return time.perf_counter()

        return await asyncio.gather(*(one(reader) for reader, _ in self._streams))

    def close(self) -> None:
        for _, writer in self._streams:
            writer.close()


@contextmanager
def api(redis_url: str, storage: str) -> Iterator[tuple[int, psutil.Process]]:
    port = free_port()
    environment = {
        "FARM_PORT": str(port), "FARM_REDIS_URL": redis_url, "FARM_STORAGE_URL": f"file://{storage}",
        "FARM_LOG_LEVEL": "WARNING",
    }  # fmt: skip
    running = subprocess.Popen([sys.executable, "-m", "api"], env={**os.environ, **environment})
    try:
        wait_for(port)
        yield port, psutil.Process(running.pid)
    finally:
        running.terminate()
        running.wait()


async def accepted(port: int, seconds: float) -> float:
    """Jobs a second."""
    took, every = await load(port, _CLIENTS, seconds, None)
    return len(every) / took


async def measure(port: int, process: psutil.Process, listeners: int, rounds: int) -> int:
    base = f"http://127.0.0.1:{port}/v1/jobs"
    async with httpx.AsyncClient() as client:
        job = (await client.post(base, json={"input": "One."})).json()["id"]
    await accepted(port, 1.0)  # warms up
    with_them: list[float] = []
    without: list[float] = []
    kilobytes: list[float] = []
    for _ in range(rounds):
        without.append(await accepted(port, _SECONDS))
        before = process.memory_info().rss
        crowd = Crowd(port, job)
        await crowd.open(listeners)
        kilobytes.append((process.memory_info().rss - before) / 1024 / listeners)
        with_them.append(await accepted(port, _SECONDS))
        crowd.close()
        await asyncio.sleep(1)  # until the API has seen them leave
    crowd = Crowd(port, job)
    await crowd.open(listeners)
    hearing = asyncio.create_task(crowd.hear("canceled"))
    await asyncio.sleep(0.1)
    told = time.perf_counter()
    async with httpx.AsyncClient() as client:
        await client.post(f"{base}/{job}/cancel")
    late = sorted(heard - told for heard in await hearing)[int(0.99 * listeners)]
    crowd.close()
    ratio = statistics.median(one / other for one, other in zip(with_them, without, strict=True))
    print(f"{os.cpu_count()} cores, {listeners:,} listeners, {rounds} rounds")
    good = [
        _said("accepted a second with them over without", ratio, f">= {GOAL_RATIO}", ratio >= GOAL_RATIO),
        _said(
            "KB of the API process for each, in the first round", kilobytes[0], f"<= {GOAL_KB}", kilobytes[0] <= GOAL_KB
        ),
        _said("seconds until 99 of 100 have one event", late, f"<= {GOAL_S:g}", late <= GOAL_S),
    ]
    return 0 if all(good) else 1


def _said(what: str, figure: float, goal: str, good: bool) -> bool:
    print(f"{what}: {figure:.2f}, goal {goal}: {'met' if good else 'MISSED'}")
    return good


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--listeners", type=int, default=1000)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="farm-listeners-"))
        redis_url = stack.enter_context(redis_server())
        store = Store.connect(redis_url)
        store.run(registry.announce(CARD.name, CARD.model_dump_json()))
        store.close()
        port, process = stack.enter_context(api(redis_url, folder))
        return uvloop.run(measure(port, process, chosen.listeners, chosen.rounds))


if __name__ == "__main__":
    sys.exit(main())

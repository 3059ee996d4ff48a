"""What accepting a job costs: POST /v1/jobs against an empty FastAPI handler, and what quotas add to it, same server,
same load, side by side.

python -m benchmarks.accept                 32 clients on keep-alive connections, 5 rounds of 4 s each, alternating
python -m benchmarks.accept --rounds 2 --seconds 2

    empty     a handler that does nothing
    accept    a farm without keys
    free      a farm with keys, for a tenant without limits
    limited   the same farm, for a tenant with every limit set, none of which is reached

Goals: at least 0.30 of the empty handler's requests per second, a 99th percentile under 100 ms, and for a limited
tenant at least 0.95 of a free one's. The last ratio is told by the CPU of API and Redis too, which other work on the
machine disturbs less. Redis writes its append-only file as in production. The load generator shares the cores, which
costs all the same per request.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvicorn
import uvloop
from fastapi import FastAPI

from benchmarks.redis_server import redis_server
from farm.quota import NO_LIMIT, Quota
from farm.store import Store, quotas, registry
from farm.wire import Language, Model

GOAL_RATIO, GOAL_P99_MS, GOAL_LIMITED = 0.30, 100, 0.95
KEYS = {"free": "fk_free", "limited": "fk_limited"}  # tenant -> key
BODY = b'{"input":"It was a dark and stormy night; the rain fell in torrents.","output":{"format":"flac"}}'
CARD = Model(
    name="espeak",
    revision="benchmark",
    sample_rate=22050,
    languages={"en-us": Language(max_characters=300, voice="en-us")},
    voices={"en-us": "en-us"},
    uploaded_voices=False,
    parameters=["speed", "pitch"],
)
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Round:
    per_second: float
    seconds: list[float]  # of every request
    cpu_us: float  # of the API and its Redis, for one request

    def percentile_ms(self, share: float) -> float:
        return sorted(self.seconds)[int(share * (len(self.seconds) - 1))] * 1000


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--clients", type=int, default=32)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=4.0)
    options.add_argument("--empty", type=int, metavar="PORT", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.empty:
        serve_empty(chosen.empty)
        return 0
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="farm-accept-"))
        ports = {"empty": free_port(), "accept": free_port(), "keys": free_port()}
        servers: dict[str, list[int]] = {}  # the processes behind each port
        empty = process(sys.executable, "-m", "benchmarks.accept", "--empty", str(ports["empty"]))
        servers["empty"] = [stack.enter_context(empty)]
        for name in ("accept", "keys"):
            redis_url = stack.enter_context(redis_server())
            redis_pid = prepare(redis_url, keys=name == "keys")
            api_pid = stack.enter_context(
                process(
                    *(sys.executable, "-m", "api"),
                    FARM_PORT=str(ports[name]),
                    FARM_REDIS_URL=redis_url,
                    FARM_STORAGE_URL=f"file://{folder}/{name}",
                    FARM_LOG_LEVEL="WARNING",
                )
            )
            servers[name] = [redis_pid, api_pid]
        for port in ports.values():
            wait_for(port)
        loaded = {"empty": "empty", "accept": "accept", "free": "keys", "limited": "keys"}
        rounds: dict[str, list[Round]] = {name: [] for name in loaded}
        for number in range(chosen.rounds + 1):
            # Forwards and backwards by turns, so that none always comes after the same one.
            for name, server in list(loaded.items())[:: 1 if number % 2 else -1]:
                seconds = chosen.seconds if number else 1.0
                before = cpu_s(servers[server])
                took, every = uvloop.run(load(ports[server], chosen.clients, seconds, KEYS.get(name)))
                spent = cpu_s(servers[server]) - before
                measured = Round(len(every) / took, every, spent / len(every) * 1e6)
                if number:  # the first one warms up
                    rounds[name].append(measured)
    return report(rounds, chosen.clients)


def prepare(redis_url: str, *, keys: bool) -> int:
    """The pid of this Redis."""
    store = Store.connect(redis_url)
    store.run(registry.announce(CARD.name, CARD.model_dump_json()))
    if keys:
        for tenant, key in KEYS.items():
            store.run(registry.put_key(hashlib.sha256(key.encode()).hexdigest(), tenant, tenant))
        store.run(quotas.limit("free", dict.fromkeys(Quota, NO_LIMIT)))
        far: dict[str, int | str | None] = dict.fromkeys(Quota, 10**14)
        store.run(quotas.limit("limited", {**far, "segments": 10**6, "lane": "normal"}))
    pid = int(store.info()["process_id"])
    store.close()
    return pid


def cpu_s(pids: list[int]) -> float:
    """Seconds that these processes had of a processor so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def report(rounds: dict[str, list[Round]], clients: int) -> int:
    ratio = statistics.median(
        accept.per_second / empty.per_second for accept, empty in zip(rounds["accept"], rounds["empty"], strict=True)
    )
    print(f"{os.cpu_count()} cores, {clients} clients, median of {len(rounds['empty'])} rounds\n")
    print(f"{'':8}{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}{'CPU us':>10}")
    for name, measured in rounds.items():
        speed = statistics.median(one.per_second for one in measured)
        p50, p99 = (statistics.median(one.percentile_ms(share) for one in measured) for share in (0.5, 0.99))
        print(f"{name:8}{speed:12.0f}{p50:10.1f}{p99:10.1f}{statistics.median(one.cpu_us for one in measured):10.0f}")
    p99 = statistics.median(one.percentile_ms(0.99) for one in rounds["accept"])
    good = ratio >= GOAL_RATIO and p99 < GOAL_P99_MS
    bounds = f"p99 {p99:.0f} ms (goal < {GOAL_P99_MS})"
    print(f"\naccept / empty: {ratio:.2f} (goal >= {GOAL_RATIO:.2f}), {bounds}: {_met(good)}")
    pairs = [
        limited.per_second / free.per_second for limited, free in zip(rounds["limited"], rounds["free"], strict=True)
    ]
    share = statistics.median(pairs)
    cheap = share >= GOAL_LIMITED
    print(
        f"limited / free: {share:.3f} (goal >= {GOAL_LIMITED:.2f}), {min(pairs):.3f} to {max(pairs):.3f}: {_met(cheap)}"
    )
    cpu = statistics.median(
        free.cpu_us / limited.cpu_us for limited, free in zip(rounds["limited"], rounds["free"], strict=True)
    )
    print(f"the same by CPU: {cpu:.3f}")
    return 0 if good and cheap else 1


def _met(good: bool) -> str:
    return "met" if good else "MISSED"


# --- the load ---------------------------------------------------------------------------------------------------------


class Client(asyncio.Protocol):
    """Sends one request after the other on one connection. Raw, because a client library costs more than the server."""

    def __init__(self, request: bytes, until: float) -> None:
        self._request, self._until = request, until
        self._answer = bytearray()
        self._sent = 0.0
        self.seconds: list[float] = []
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        self._answer.clear()
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, found, body = bytes(self._answer).partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or length is None or len(body) < int(length.group(1)):
            return
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 202")):
            self.over.set_exception(RuntimeError(f"not accepted: {self._answer!r}"))
            self._transport.close()
            return
        now = time.perf_counter()
        self.seconds.append(now - self._sent)
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


async def load(port: int, clients: int, seconds: float, key: str | None) -> tuple[float, list[float]]:
    """How long it took, and the seconds of every request."""
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {key}\r\n" if key else ""
    request = head.encode() + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    crowd = [
        (await loop.create_connection(lambda: Client(request, started + seconds), "127.0.0.1", port))[1]
        for _ in range(clients)
    ]
    async with asyncio.timeout(seconds + 30):
        await asyncio.gather(*(client.over for client in crowd))
    took = time.perf_counter() - started
    every = [second for client in crowd for second in client.seconds]
    return took, every


# --- what is loaded ---------------------------------------------------------------------------------------------------


def serve_empty(port: int) -> None:
    app = FastAPI()

    @app.post("/v1/jobs")
    async def empty() -> dict[str, str]:
        return {}

    uvicorn.run(app, port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning")


@contextmanager
def process(*command: str, **environment: str) -> Iterator[int]:
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, **environment})
    try:
        yield running.pid
    finally:
        running.terminate()
        running.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(port: int, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())

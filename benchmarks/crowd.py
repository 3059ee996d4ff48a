"""Many kinds of clients at once on one embedded farm: python -m benchmarks.crowd [--seconds 60]

    200  poll the status of one of the latest jobs, once a second each
     32  submit a line, once a second each
     50  listen to events: 48 follow one of the latest jobs to its end, then another; 2 follow the whole farm
      4  stream speech, a text of 60 segments, one after the other

Goals: no errors; a status is answered within 150 ms, 99 of 100; no pause between two pieces of a stream of speech is
longer than 1 s. The time to the first piece is printed, and is no pause. An error is an answer that is no 2xx, a
connection that breaks, or a stream that ends before its end. The clients share the cores with the farm; the load of the
machine, which others may cause, stands beside the figures.

--every 0 makes clients ask again at once: then the farm's queue grows for as long as the load lasts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import uvloop

from benchmarks.speech import long_text
from farm.embedded.supervisor import Local

POLLING, SUBMITTING, LISTENING, WHOLE_FARM, SPEAKING = 200, 32, 50, 2, 4
GOAL_STATUS_MS, GOAL_GAP_S = 150, 1.0
_LATEST = 500  # jobs that are polled and followed
_WARM_S = 3.0  # not counted: the first requests find code and caches cold
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_ENDED = re.compile(rb'"status":"(succeeded|failed|canceled)"')
_LAST_CHUNK = b"0\r\n\r\n"


@dataclass
class Figures:
    """Seconds of each kind of request, and what went wrong."""

    status: list[float] = field(default_factory=list)
    accept: list[float] = field(default_factory=list)
    first_audio: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)  # the longest of each stream of speech
    ended: list[float] = field(default_factory=list)  # from the acceptance of a job to the event of its end
    events: int = 0
    errors: Counter[str] = field(default_factory=Counter)


class Crowd:
    def __init__(self, port: int, every: float, figures: Figures) -> None:
        self._port, self._every = port, every
        self.figures = figures
        self._latest: deque[tuple[str, float]] = deque(maxlen=_LATEST)  # job, and when it was accepted
        self._begun = asyncio.Event()
        self._numbers = count(time.time_ns() % 10**9)  # no two runs alike: a clip from the cache would not be rendered
        self._random = random.Random(1)

    async def run(self, seconds: float) -> None:
        kinds: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (SUBMITTING, self._submit), (POLLING, self._poll), (LISTENING - WHOLE_FARM, self._follow),
            (WHOLE_FARM, self._listen), (SPEAKING, self._speak),
        ]  # fmt: skip
        clients = [asyncio.create_task(self._again(act)) for number, act in kinds for _ in range(number)]
        await asyncio.sleep(_WARM_S)
        self.figures = Figures()
        await asyncio.sleep(seconds)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    async def _again(self, act: Callable[[], Awaitable[None]]) -> None:
        """A client that went wrong is counted and begins anew."""
        await asyncio.sleep(self._random.random() * max(self._every, 0.1))
        while True:
            try:
                await act()
            except (OSError, EOFError, ValueError, asyncio.IncompleteReadError) as error:
                self.figures.errors[f"{act.__name__.strip('_')}: {error or type(error).__name__}"] += 1
                await asyncio.sleep(0.1)

    # --- the clients --------------------------------------------------------------------------------------------------

    async def _submit(self) -> None:
        async with self._connected() as wire:
            while True:
                body = json.dumps({"input": f"The tide of day {next(self._numbers)} brings something back."}).encode()
                began = time.perf_counter()
                job = json.loads(await wire.ask("POST", "/v1/jobs", body))
                self.figures.accept.append(time.perf_counter() - began)
                self._latest.append((job["id"], began))
                self._begun.set()
                await asyncio.sleep(self._every)

    async def _poll(self) -> None:
        async with self._connected() as wire:
            while True:
                job, _ = await self._one()
                began = time.perf_counter()
                await wire.ask("GET", f"/v1/jobs/{job}")
                self.figures.status.append(time.perf_counter() - began)
                await asyncio.sleep(self._every)

    async def _follow(self) -> None:
        job, accepted = await self._one(latest=True)
        async with self._connected() as wire:
            async for piece in wire.stream("GET", f"/v1/jobs/{job}/events"):
                self.figures.events += piece.count(b"\nevent: ")
                if _ENDED.search(piece):
                    self.figures.ended.append(time.perf_counter() - accepted)
                    return
        raise EOFError("an event stream ended")

    async def _listen(self) -> None:
        async with self._connected() as wire:
            async for piece in wire.stream("GET", "/v1/events"):
                self.figures.events += piece.count(b"\nevent: ")
        raise EOFError("the farm's event stream ended")

    async def _speak(self) -> None:
        async with self._connected() as wire:
            body = json.dumps({"input": long_text(), "response_format": "wav"}).encode()
            began = last = time.perf_counter()
            first, longest, tail = 0.0, 0.0, b""
            async for piece in wire.stream("POST", "/v1/audio/speech", body):
                now = time.perf_counter()
                first, longest = (first, max(longest, now - last)) if first else (now - began, 0.0)
                last, tail = now, (tail + piece)[-len(_LAST_CHUNK) :]
                if tail == _LAST_CHUNK:
                    break
            if tail != _LAST_CHUNK:
                raise EOFError("a stream of speech was cut")
            self.figures.first_audio.append(first)
            self.figures.gaps.append(longest)

    async def _one(self, *, latest: bool = False) -> tuple[str, float]:
        await self._begun.wait()
        return self._latest[-1] if latest else self._random.choice(self._latest)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Wire]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            yield Wire(reader, writer, self._port)
        finally:
            writer.close()


class Wire:
    """One connection. Raw, because a client library costs more than the server. ValueError: no 2xx."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        self._reader, self._writer, self._port = reader, writer, port

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        head = await self._asked(method, path, body)
        length = _LENGTH.search(head)
        if length is None:
            raise ValueError(f"{method} {path.split('/')[2]}: no length")
        return await self._reader.readexactly(int(length[1]))

    async def stream(self, method: str, path: str, body: bytes = b"") -> AsyncIterator[bytes]:
        """Pieces of the body as they come, with the marks of their chunks, until the connection ends."""
        await self._asked(method, path, body)
        while piece := await self._reader.read(1 << 16):
            yield piece

    async def _asked(self, method: str, path: str, body: bytes) -> bytes:
        """The head of the answer."""
        said = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
        said += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        self._writer.write(said.encode() + b"\r\n" + body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 2"):
            raise ValueError(f"{method} {path.split('/')[2]}: {head.split(b' ', 2)[1].decode()}")
        return head


def report(figures: Figures, seconds: float, load: float) -> int:
    print(
        f"{os.cpu_count()} cores, {seconds:g} s; load of the machine {load:.1f} before, {os.getloadavg()[0]:.1f} after"
    )
    print(f"{'':34}{'number':>8}{'p50 ms':>10}{'p99 ms':>10}{'longest':>10}")
    for name, values in (
        ("a status", figures.status), ("an acceptance", figures.accept),
        ("the first audio of a stream", figures.first_audio), ("the longest pause of each stream", figures.gaps),
        ("from acceptance to event of end", figures.ended),
    ):  # fmt: skip
        print(f"{name:34}{len(values):8}" + "".join(f"{1000 * of(values, share):10.0f}" for share in (0.5, 0.99, 1.0)))
    print(f"events heard: {figures.events:,}")
    for what, number in figures.errors.most_common(10):
        print(f"  {number} times {what}")
    errors = figures.errors.total()
    p99, gap = 1000 * of(figures.status, 0.99), of(figures.gaps, 1.0)
    good = (
        _said("errors", errors, "0", errors == 0),
        _said("status, p99 in ms", p99, f"<= {GOAL_STATUS_MS}", p99 <= GOAL_STATUS_MS),
        _said("longest pause of a stream in s", gap, f"<= {GOAL_GAP_S:g}", gap <= GOAL_GAP_S),
    )
    return 0 if all(good) else 1


def of(values: Sequence[float], share: float) -> float:
    """A quantile. Nothing measured is no good figure."""
    return sorted(values)[int(share * (len(values) - 1))] if values else float("inf")


def _said(what: str, figure: float, goal: str, good: bool) -> bool:
    print(f"{what}: {figure:.3g}, goal {goal}: {'met' if good else 'MISSED'}")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two requests of a client")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="farm-crowd-") as folder, Local(Path(folder)) as local:
        load = os.getloadavg()[0]
        crowd = Crowd(int(local.url.rpartition(":")[2]), chosen.every, Figures())
        uvloop.run(crowd.run(chosen.seconds))
    return report(crowd.figures, chosen.seconds, load)


if __name__ == "__main__":
    sys.exit(main())

"""The whole farm on one machine: a real Redis, the API, render workers and a desk, as supervised child processes.

    with Local(Path("data")) as farm:
        Farm(farm.url).submit(...)

The children are the entry points of a production farm; the supervisor gives them their settings. Everything that must
survive a restart lies in the data folder:

    redis/      the append-only file          webhook.secret  signs webhooks, made once
    storage/    plans, clips, audio, voices   logs/           one per child
    run/        the socket of Redis, pid files, the lock, farm.json (where Redis, storage and the API are, for
                `farm doctor` and `farm keys`)
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import IO, Self

from farm.client import Farm, Refused, Unreachable
from farm.embedded.child import Child, Program
from farm.embedded.data_folder import prepare, private, readable, webhook_secret, write
from farm.embedded.orphans import MARK, hold, new_mark, sweep
from farm.embedded.port import free_port, is_loopback, refuse_taken
from farm.embedded.redis_server import SOCKET, executable, lock_data, place_socket, remove_socket, write_conf
from farm.embedded.running import FILE, Running, alive
from farm.errors import FarmError, Misconfigured, Unavailable
from farm.layout import MARK as BIRTH_MARK
from farm.store import Store, registry
from farm.wire import Worker

READY_S = 120.0  # for each of Redis, the API and the workers: a first start may read a large append-only file
DRAIN_S = 30.0  # for the batch in flight
CLOSE_S = 10.0
LOOPBACK = ("127.0.0.0/8", "::1/128")


class Local:
    """`port` 0 takes a free port, `workers` None as many as the engine can use here. `environment` is added to the
    environment of this process, and wins over it."""

    def __init__(
        self,
        data: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        model: str = "espeak",
        workers: int | None = 1,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.data = readable(data.resolve())
        self.run_folder = self.data / "run"
        self._host = host
        self._kept = None if port else free_port(host)
        self._port = port if self._kept is None else self._kept.number
        self._socket = self.run_folder / SOCKET
        self._model = model
        self._workers = workers
        self._render: tuple[str, ...] = ()
        self._given = {**os.environ, **(environment or {})}
        self._children: dict[str, Child] = {}
        self._former: frozenset[str] = frozenset()  # workers of a farm that was killed on this folder
        self._mark = ""
        self._lock: IO[str] | None = None
        self._redis_lock: IO[str] | None = None
        self._warden: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self._failure: FarmError | None = None

    @property
    def url(self) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}"

    @property
    def redis_url(self) -> str:
        return f"unix://{self._socket}?db=0"

    @property
    def storage_url(self) -> str:
        return (self.data / "storage").as_uri()

    @property
    def _webhook_allow_keyless(self) -> tuple[str, ...]:
        """A farm that serves one person may post to that person's own programs. With keys it has tenants, and could
        reach for each of them whatever listens on this machine."""
        return LOOPBACK if is_loopback(self._host) and "FARM_WEBHOOK_ALLOW" not in self._given else ()

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Returns when the farm can render a job. If it can't be started, stops everything and raises Misconfigured."""
        prepare(self.data)
        self._lock = self._take_lock()
        try:
            sweep(self.data)
            self._redis_lock = lock_data(self.data)
            self._mark = new_mark(self.data)
            self._warden = self._start_warden()
            refuse_taken(self._host, self._port)
            self._socket = place_socket(self.run_folder)
            self._add("redis", (executable(self.data), str(write_conf(self.data, self._socket))))
            self._until("Redis answers", self._redis_answers)
            self._children["redis"].prove()
            self._refuse_strangers()
            self._know_own_storage()
            self._former = self._beating()
            self._add("api", _module("api"))
            workers = self._engine()["workers"] if self._workers is None else self._workers
            self._render = tuple("render" if n == 0 else f"render-{n + 1}" for n in range(int(workers)))
            for name in self._render:
                self._add(name, _module("worker", "render"))
            self._add("desk", _module("worker", "desk"))
            with Farm(self.url, patience=0) as farm:
                self._until("the API is ready", farm.health)
            self._children["api"].prove()
            self._until("every worker sends a heartbeat", self._workers_alive, lambda: self._engine()["start_s"])
            for child in self._children.values():
                child.prove()
            running = Running(self.url, self.redis_url, self.storage_url, os.getpid(), self._webhook_allow_keyless)
            write(self.run_folder / FILE, json.dumps(asdict(running)))
        except BaseException:
            self.stop()
            raise
        return self

    def wait(self) -> None:
        """Waits until `interrupt`. Raises Misconfigured when a child was given up."""
        self._ended.wait()
        if self._failure is not None:
            raise self._failure

    def interrupt(self) -> None:
        """Makes `wait` return; may be called from a signal handler."""
        self._ended.set()

    def hurry(self) -> None:
        """Kills the workers that `stop` would let finish. Their segments go to other workers when the lease is over."""
        for name, child in self._children.items():
            if name not in ("api", "redis"):
                child.signal(signal.SIGKILL)

    def stop(self, drain: float = DRAIN_S) -> None:
        """Stops the workers first, so that they finish the batch in flight and give the rest back; then the API; then
        Redis."""
        (self.run_folder / FILE).unlink(missing_ok=True)
        workers = [child for name, child in self._children.items() if name not in ("api", "redis")]
        _end(workers, drain)
        for name in ("api", "redis"):
            _end([self._children[name]] if name in self._children else [], CLOSE_S)
        self._children.clear()
        if self._warden is not None:
            self._warden.communicate(b"all is stopped", timeout=CLOSE_S)
            self._warden = None
        if self._redis_lock is not None:
            remove_socket(self.run_folder)
        for lock in (self._redis_lock, self._lock):
            if lock is not None:
                lock.close()
        self._redis_lock = self._lock = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- children: redis, api, render, render-2, …, desk ----------------------------------------------------------

    @property
    def names(self) -> list[str]:
        return list(self._children)

    def pid(self, name: str) -> int | None:
        return self._children[name].pid

    def log(self, name: str) -> Path:
        return self._children[name].log

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int | None:
        """Signals the child, which is started again as after any death. Returns the pid that it had."""
        return self._children[name].signal(number)

    def replaced(self, name: str, old: int | None, timeout: float = 30) -> int:
        """Waits for the successor of the process `old`; returns its pid."""
        return self._children[name].replaced(old, timeout)

    def _add(self, name: str, command: tuple[str, ...]) -> None:
        inherits = (self._redis_lock.fileno(),) if name == "redis" and self._redis_lock is not None else ()
        program = Program(name, command, self._environment() | {MARK: f"{self._mark} {name}"}, inherits)
        self._children[name] = child = Child(program, self.run_folder, self.data / "logs", self._give_up)
        child.start()

    def _give_up(self, error: FarmError) -> None:
        self._failure = error
        self._ended.set()

    def _environment(self) -> dict[str, str]:
        given = self._given
        own = {
            "FARM_HOST": self._host,
            "FARM_PORT": str(self._port),
            "FARM_URL": self.url,
            "FARM_DATA_DIR": str(self.data),
            "FARM_REDIS_URL": self.redis_url,
            "FARM_STORAGE_URL": self.storage_url,
            "FARM_MODEL": self._model,
            "FARM_WEBHOOK_SECRET": given.get("FARM_WEBHOOK_SECRET") or webhook_secret(self.data),
            "FARM_WEBHOOK_ALLOW_KEYLESS": ",".join(self._webhook_allow_keyless),
            "PYTHONUNBUFFERED": "1",
        }
        return {name: value for name, value in given.items() if name != "FARM_BROKER_URL"} | own

    # --- readiness --------------------------------------------------------------------------------------------------

    def _until(self, what: str, holds: Callable[[], object], longer: Callable[[], float] = lambda: 0.0) -> None:
        """Asks ten times a second, for READY_S, and then on for the seconds that `longer` returns, if these are more.
        A child that is given up ends the wait at once."""

        def patience() -> Iterator[float]:
            yield READY_S
            yield longer()

        started = time.monotonic()
        seen = "no answer"
        for seconds in patience():
            while time.monotonic() < started + seconds:
                if self._ended.wait(0.1):
                    raise self._failure or Misconfigured(f"stopped before {what}")
                try:
                    holds()
                    return
                except Unreachable:
                    seen = "no answer"
                except (Refused, Unavailable) as error:
                    seen = str(error)
        waited = time.monotonic() - started
        raise Misconfigured(f"waited {waited:.0f} s until {what}: {seen}; look into {self.data / 'logs'}")

    def _engine(self) -> dict[str, float]:
        """Seconds that a worker of this model may take to start, and the workers that it can use on this machine. The
        table of engines knows them, which farm/ can't import, so a program of worker/ is asked, where that matters."""
        asked = subprocess.run(
            (*_module("worker.engines"), self._model),
            env=self._environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        known = json.loads(asked.stdout) if asked.returncode == 0 else {}
        return {"start_s": known.get("start_s", 0.0), "workers": known.get("workers", 1)}

    def _refuse_strangers(self) -> None:
        if not is_loopback(self._host) and not self._has_keys():
            raise Misconfigured(
                f"--host {self._host} lets other machines in, and this farm has no API key yet; first run `farm up` "
                "without --host, make a key in another terminal with `farm keys create NAME`, and start it again"
            )

    def _has_keys(self) -> bool:
        with closing(Store.connect(self.redis_url)) as store:
            return bool(store.run(registry.keys()))

    def _know_own_storage(self) -> None:
        """The folder beside Redis is the farm's storage, even after somebody has emptied it to make room."""
        mark = self.data / "storage" / BIRTH_MARK
        with closing(Store.connect(self.redis_url)) as store:
            store.run(registry.adopt_storage_mark(mark.read_text() if mark.exists() else None))

    def _redis_answers(self) -> None:
        Store.connect(self.redis_url).close()

    def _workers_alive(self) -> None:
        """A render worker sends heartbeats once its engine is loaded and its model announced."""
        alive = len(self._beating() - self._former)
        if alive <= len(self._render):
            raise Unavailable(f"{alive} of {len(self._render) + 1} workers are alive")

    def _beating(self) -> frozenset[str]:
        with closing(Store.connect(self.redis_url)) as store:
            return frozenset(Worker.model_validate_json(beat).id for beat in store.run(registry.workers()))

    # --- start --------------------------------------------------------------------------------------------------------

    def _start_warden(self) -> subprocess.Popen[bytes]:
        with open(self.data / "logs" / "warden.log", "ab", opener=private) as log:
            return subprocess.Popen(
                (sys.executable, "-P", "-m", "farm.embedded.orphans", str(self.data)),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _take_lock(self) -> IO[str]:
        deadline = time.monotonic() + 2 * CLOSE_S  # the warden of a killed supervisor holds it while it sweeps
        while True:
            lock = hold(self.data)
            if lock is not None:
                lock.write(str(os.getpid()))
                lock.flush()
                return lock
            holder = (self.run_folder / "lock").read_text() or "?"
            if alive(holder) or time.monotonic() > deadline:
                raise Misconfigured(
                    f"a farm runs on {self.data} already (pid {holder}); use it, stop it with `kill {holder}`, "
                    "or give this one another folder with --data"
                )
            self._ended.wait(0.1)


def _module(*words: str) -> tuple[str, ...]:
    # -P: a folder "api" in the user's working folder must not be imported in place of ours.
    return (sys.executable, "-P", "-m", *words)


def _end(children: list[Child], grace: float) -> None:
    deadline = time.monotonic() + grace
    for child in children:
        child.end()
    for child in children:
        child.join(deadline)

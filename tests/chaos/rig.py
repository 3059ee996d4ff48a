"""The embedded farm, set up so that every part of it can be broken. All its processes are the real ones, and they reach
Redis and S3 through a proxy.

    with Rig(tmp_path) as rig:
        rig.kill("render")                      # the supervisor starts it again
        rig.freeze("render"); rig.thaw("render")
        rig.redis_line.hang()
        rig.redis.config_set("maxmemory", 1)    # by a connection of the test's own, past the proxy
        rig.unmended()                          # ["maxmemory is 1"]: what a test has not mended

Two tenants have API keys, `ann` and `bob`; `rig.client("ann")` speaks for one of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Self

import psutil
import redis

from farm.client import Farm
from farm.embedded.supervisor import Local
from farm.quota import NO_LIMIT
from farm.settings import Settings
from farm.storage import Storage, open_storage
from farm.store import Store, quotas, registry
from tests.chaos.proxy import CALM, Proxy
from tests.patience import patient
from tests.s3_server import S3Server

TENANTS = ("ann", "bob")
LEASE_S = 2.0  # on a quiet machine; a busy one would let living workers miss it
MAXMEMORY = 1 << 30  # bytes, as farm/embedded/supervisor.py configures it
_LATER = """
import os, sys, time
while os.path.exists(sys.argv[1]):
    time.sleep(0.02)  # a file that goes away tells nobody
os.execv(sys.argv[2], sys.argv[2:])
"""


class Rig(Local):
    """`stands_in`: child -> the command that runs in its place, such as a worker with another engine. `lease_s` is the
    farm's lease, which bounds on recovery have to include."""

    def __init__(
        self,
        data: Path,
        *,
        s3: S3Server | None = None,
        workers: int = 1,
        environment: Mapping[str, str] | None = None,
        stands_in: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self._s3 = s3
        self.s3_line = Proxy(s3.port) if s3 is not None else None
        bucket: dict[str, str] = {}
        if s3 is not None and self.s3_line is not None:
            bucket = {**s3.environment, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.s3_line.port}"}
        self.scratch = data / "scratch"
        self.scratch.mkdir(parents=True, exist_ok=True)
        given = {
            "FARM_LEASE_SECONDS": f"{patient(LEASE_S):.2f}", "TMPDIR": str(self.scratch),
            "FARM_WEBHOOK_ALLOW": "127.0.0.0/8",  # it has keys, and its receivers listen here
            **bucket, **(environment or {}),
        }  # fmt: skip
        self.lease_s = float(given["FARM_LEASE_SECONDS"])
        super().__init__(data, workers=workers, environment=given)
        self._stands_in = stands_in or {}
        self.stocked: set[tuple[str, float]] = set()  # text, pitch: their clips are in storage
        self._hold = data / "hold"  # while this file is there, Redis is not started again
        self.redis_line = Proxy(self._socket)
        self.redis = redis.Redis(unix_socket_path=str(self._socket), socket_timeout=10)

    @property
    def redis_url(self) -> str:
        return f"redis://127.0.0.1:{self.redis_line.port}/0"

    @property
    def direct_redis_url(self) -> str:
        return f"unix://{self._socket}?db=0"

    @property
    def direct_broker_url(self) -> str:
        return f"unix://{self._socket}?db=1"

    @property
    def storage_url(self) -> str:
        return super().storage_url if self._s3 is None else f"s3://{self._s3.bucket}/{self.data.name}"

    def storage(self) -> Storage:
        """The farm's storage, past the proxy."""
        if self._s3 is not None:
            os.environ.update(self._s3.environment)
        return open_storage(Settings(storage_url=self.storage_url))

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        super().start()
        with closing(Store.connect(self.direct_redis_url)) as store:
            for tenant in TENANTS:
                digest = hashlib.sha256(_key(tenant).encode()).hexdigest()
                store.run(registry.put_key(digest, tenant, tenant, operator=True))  # tests look at the workers
                store.run(quotas.limit(tenant, {"requests": NO_LIMIT}))
        return self

    def client(self, tenant: str = "ann", *, patience: float = 60.0) -> Farm:
        return Farm(self.url, _key(tenant), patience=patience)

    def authorization(self, tenant: str = "ann") -> dict[str, str]:
        return {"Authorization": f"Bearer {_key(tenant)}"}

    def stop(self, drain: float = 30.0) -> None:
        for name in self.names:
            with suppress(ProcessLookupError):
                self.kill(name, signal.SIGCONT)
        for line in (self.redis_line, self.s3_line):
            if line is not None:
                line.heal()
        super().stop(drain)

    def __exit__(self, *_: object) -> None:
        super().__exit__(*_)
        self.redis.close()
        for line in (self.redis_line, self.s3_line):
            if line is not None:
                line.close()

    # --- workers ------------------------------------------------------------------------------------------------------

    def render_workers(self) -> int:
        """How many have said lately that they are alive."""
        beats = self.redis.hvals("f:beats")
        return sum(json.loads(beat)["kind"] == "render" for beat in beats)

    def forget_workers(self) -> None:
        """The living say so again within two seconds, and the dead are no longer counted."""
        self.redis.delete("f:beats", "f:alive")

    # --- faults -------------------------------------------------------------------------------------------------------

    def replaced(self, name: str, old: int | None, timeout: float = 30) -> int:
        return super().replaced(name, old, patient(timeout))

    def unmended(self) -> list[str]:
        """The faults that a test has left behind."""
        left = [f"{name} does not run" for name in self.names if not self._runs(name)]
        lines = [line for line in (self.redis_line, self.s3_line) if line is not None]
        left += [f"the line to {line.target}: {line.weather()}" for line in lines if line.weather() != CALM]
        try:
            info = self.redis.info()
        except redis.RedisError as error:
            return [*left, f"Redis does not answer: {error}"]
        left += [f"Redis is a {info['role']}"] if info["role"] != "master" else []
        left += [f"maxmemory is {info['maxmemory']}"] if info["maxmemory"] != MAXMEMORY else []
        return left

    def _runs(self, name: str) -> bool:
        with suppress(psutil.NoSuchProcess):
            family = self.family(name)
            return bool(family) and all(process.status() != psutil.STATUS_STOPPED for process in family)
        return False

    def freeze(self, name: str) -> int:
        """The child and all that it started stand still. Returns its pid."""
        return self._tell(name, signal.SIGSTOP)

    def thaw(self, name: str) -> int:
        return self._tell(name, signal.SIGCONT)

    def family(self, name: str) -> list[psutil.Process]:
        """The child and its descendants."""
        pid = self.pid(name)
        if pid is None:
            return []
        try:
            process = psutil.Process(pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    @contextmanager
    def redis_down(self) -> Iterator[None]:
        """kill -9; it is started again at the end."""
        self._hold.touch()
        self.kill("redis")
        try:
            yield
        finally:
            self._hold.unlink()

    def terminate(self) -> None:
        """SIGTERM to every child at once, and none is started again."""
        for child in self._children.values():
            child.end()
        self.stop()

    def processes(self) -> list[psutil.Process]:
        """Whatever runs on this folder: the children, their descendants, orphans."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.pid != os.getpid() and process.environ().get("FARM_DATA_DIR") == str(self.data):
                    found.append(process)
        return found

    def logged(self, name: str, words: str) -> int:
        """How often the child's log has these words."""
        return self.log(name).read_text(errors="replace").count(words)

    def _tell(self, name: str, number: signal.Signals) -> int:
        family = self.family(name)
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        return family[0].pid

    def _add(self, name: str, command: tuple[str, ...]) -> None:
        if name == "redis":
            # A file that may grow no further is an error to Redis, as a full disk is, and not a signal that ends it:
            # Python ignores SIGXFSZ, and what it is replaced by inherits that.
            command = (sys.executable, "-c", _LATER, str(self._hold), *command)
        super()._add(name, self._stands_in.get(name, command))


class Stopwatch:
    """Seconds since it was made, for bounds on recovery."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began


def _key(tenant: str) -> str:
    return f"fk_{tenant}_of_the_rig"

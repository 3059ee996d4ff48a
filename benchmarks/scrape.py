"""What a scrape of /metrics costs Redis, in a small farm and in a large one: python -m benchmarks.scrape

two farms side by side, asked in turns: 10,000 segments and 10,000,000. Goal: the ratio of their costs at most 1.2
"""

from __future__ import annotations

import os
from statistics import median

import redis

from benchmarks.redis_server import redis_server
from benchmarks.store import Bench
from farm.store import Store, registry

SMALL, LARGE = (1, 10_000), (200, 50_000)  # jobs, and segments of each
ROUNDS, SCRAPES = 21, 50


def main() -> None:
    with redis_server(aof=False) as small, redis_server(aof=False) as large:
        farms = [Bench(Store.connect(url), redis.Redis.from_url(url)) for url in (small, large)]
        for farm, (jobs, segments) in zip(farms, (SMALL, LARGE), strict=True):
            farm.fill(jobs, segments)
            for _ in range(50):
                farm.claim()
        taken: list[list[float]] = [[], []]
        for _ in range(ROUNDS):
            for farm, costs in zip(farms, taken, strict=True):
                costs.append(_microseconds(farm))
        few, many = (median(costs) for costs in taken)
        print(f"Redis {farms[0].redis.info('server')['redis_version']}, {os.cpu_count()} cores")
        print(
            f"of a scrape, microseconds of Redis, median of {ROUNDS}: 10,000 segments {few:.0f}, 10,000,000 {many:.0f}"
        )
        print(f"ratio {many / few:.2f} of <= 1.2: {'met' if many / few <= 1.2 else 'MISSED'}")


def _microseconds(farm: Bench) -> float:
    farm.redis.config_resetstat()
    for _ in range(SCRAPES):
        farm.store.run(registry.backlog())
        farm.store.run(registry.workers())
    calls = farm.redis.info("commandstats")
    return float(sum(stat["usec"] for name, stat in calls.items() if name.startswith("cmdstat_eval"))) / SCRAPES


if __name__ == "__main__":
    main()

"""A profile of the engine at work, for chrome://tracing or Perfetto, and the kernels that take most of the time."""

from __future__ import annotations

import gzip
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks.first_gpu.bench import Bench, clips
from benchmarks.first_gpu.launches import on_gpu, union
from benchmarks.first_gpu.table import Row, judged

_SECONDS = 2.0
_NAMED = 12


def profile(bench: Bench) -> Iterator[Row]:
    import torch.profiler

    engine = bench.engine("2")
    asked = bench.utterances(engine.capacity * bench.size(2, 1), 10 if not bench.tiny else 3)
    activity = torch.profiler.ProfilerActivity.CUDA if bench.on_cuda else torch.profiler.ProfilerActivity.CPU
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(clips, engine, asked)
        time.sleep(bench.size(3, 0))  # until decode and acoustics both run
        with torch.profiler.profile(activities=[activity]) as profiled:
            time.sleep(_SECONDS if not bench.tiny else 0.2)  # the length of the profile
        if not bench.tiny:
            yield judged("the work outlasts the profile", not work.done(), "yes" if not work.done() else "NO")
        work.result()
    raw = bench.plan.out / "trace.json"
    profiled.export_chrome_trace(str(raw))
    with raw.open("rb") as plain, gzip.open(f"{raw}.gz", "wb") as packed:
        shutil.copyfileobj(plain, packed)
    raw.unlink()
    yield Row("trace", "trace.json.gz", says="open it in Perfetto")
    if not bench.on_cuda:
        return
    events = [event for event in profiled.events() if on_gpu(event)]
    spans = sorted((event.time_range.start, event.time_range.end) for event in events)
    yield Row("GPU busy", 100 * union(spans) / 1e6 / _SECONDS, "%", f"{len(spans) / _SECONDS:,.0f} kernels a second")
    times: Counter[str] = Counter()
    for event in events:
        times[event.name] += event.time_range.elapsed_us()
    for name, spent in times.most_common(_NAMED):
        yield Row(name[:46], 100 * spent / 1e6 / _SECONDS, "% of the time")

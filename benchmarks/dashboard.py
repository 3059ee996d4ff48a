"""What the dashboard costs a browser: python -m benchmarks.dashboard [--jobs 10000] [--rounds 5] [--minutes 60]

    the page of jobs, from its address to its rows, without a cache; beside a farm of 50 jobs      goal: at most 1 s
    what the page keeps of an hour of events, for the list of jobs and for the overview            goal: at most 10 MB
    all files but hls.js, compressed                                                               goal: at most 150 kB

Needs Chromium (/usr/bin/chromium, or FARM_TEST_CHROMIUM). The hour passes in minutes: the clock of the page is moved,
its timers run, its requests are real. A second of the hour has 12 events of progress and the 4 states of one job.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.accept import CARD
from benchmarks.listeners import api
from benchmarks.redis_server import redis_server
from farm.job import DEFAULT_TENANT, Lane
from farm.spec import Spec
from farm.store import Store, jobs, registry

GOAL_S, GOAL_MB, GOAL_KB = 1.0, 10.0, 150.0
CHROMIUM = os.environ.get("FARM_TEST_CHROMIUM", "/usr/bin/chromium")
FILES = Path(__file__).parents[1] / "api" / "dashboard"
_FEW = 50
_STEP_S = 5
_STATES = ("queued", "running", "assembling", "succeeded")

# When the first row was painted, in milliseconds from the beginning of the navigation.
_ROWS = """new MutationObserver((_, observer) => {
    if (!document.querySelector('tbody tr')) return;
    observer.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => { window.rowsAt = performance.now(); }));
}).observe(document, { childList: true, subtree: true });"""

# The page's event stream, to be spoken into, and how many of its requests are on their way.
_WATCH = """window.asking = 0;
const ask = window.fetch;
window.fetch = (...given) => { window.asking++; return ask(...given).finally(() => { window.asking--; }); };
const Source = window.EventSource;
window.EventSource = class extends Source { constructor(...given) { super(...given); window.source = this; } };"""

_SPEAK = """events => { for (const [kind, id, data] of events)
    window.source.dispatchEvent(new MessageEvent(kind, { data, lastEventId: id })); }"""


@contextmanager
def farm(count: int) -> Iterator[tuple[str, list[str]]]:
    """The address of an API whose farm has so many jobs, and some of their ids."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="farm-dashboard-"))
        redis_url = stack.enter_context(redis_server())
        store = Store.connect(redis_url)
        store.run(registry.announce(CARD.name, CARD.model_dump_json()))
        ids = [f"job_{number:08d}" for number in range(count)]
        for number, id in enumerate(ids):
            spec = Spec(
                language="en", voice="en-us", custom_id=f"Chapter {number}", metadata={"book": f"Volume {number % 40}"}
            )
            job = jobs.NewJob(id, DEFAULT_TENANT, CARD.name, Lane.NORMAL, spec.to_json(), "Night.", 6, 3600)
            store.run(jobs.accept(job))
        store.close()
        port, _ = stack.enter_context(api(redis_url, folder))
        yield f"http://127.0.0.1:{port}", ids[-_FEW:]


def seconds_to_rows(browser: Browser, url: str, rounds: int) -> tuple[float, float]:
    """Medians: until the first paint, and until the rows are painted."""
    paints, rows = [], []
    for _ in range(rounds):
        context = browser.new_context(base_url=url)
        page = context.new_page()
        page.add_init_script(_ROWS)
        page.goto("/#/jobs")
        page.wait_for_function("() => window.rowsAt", timeout=60_000)
        rows.append(page.evaluate("window.rowsAt") / 1000)
        paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000)
        context.close()
    return statistics.median(paints), statistics.median(rows)


def megabytes_kept(browser: Browser, url: str, where: str, ids: list[str], minutes: int) -> float:
    context = browser.new_context(base_url=url)
    page = context.new_page()
    page.clock.install()
    page.add_init_script(_WATCH)
    page.goto(f"/{where}")
    _pass(page, 30, [])
    before = _heap(page)
    for second in range(0, 60 * minutes, _STEP_S):
        _pass(page, _STEP_S, [event for at in range(second, second + _STEP_S) for event in _events(at, ids)])
    grown = _heap(page) - before
    context.close()
    return grown


def _events(second: int, ids: list[str]) -> Iterator[tuple[str, str, str]]:
    """kind, id and data of the events of a second, as the farm sends them."""
    for number in range(12):
        progress = {
            "segments_total": 900, "segments_done": second % 900, "segments_failed": 0, "cached": number,
            "audio_seconds": second / 3, "percent": second % 900 / 9,
        }  # fmt: skip
        running = {"object": "job", "id": ids[number % 3], "status": "running", "progress": progress}
        yield "progress", "", json.dumps(running)
    for number, status in enumerate(_STATES):
        at = f"2026-01-01T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}+00:00"
        job = {"object": "job", "id": ids[second % len(ids)], "status": status, "batch_id": None, "at": at}
        yield "status", f"{1_796_000_000_000 + second}-{number}", json.dumps(job)


def _pass(page: Page, seconds: int, events: list[tuple[str, str, str]]) -> None:
    page.evaluate(_SPEAK, events)
    page.clock.run_for(1000 * seconds)
    page.wait_for_function("() => !window.asking", polling=5)


def _heap(page: Page) -> float:
    """Megabytes of the page's objects, those of its document too, that can't be collected."""
    session = page.context.new_cdp_session(page)
    for _ in range(3):
        session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")
    session.detach()
    parts = ("usedSize", "embedderHeapUsedSize", "backingStorageSize")
    return sum(float(used.get(part, 0)) for part in parts) / 1e6


def _said(what: str, figure: float, unit: str, goal: float) -> bool:
    print(f"{what}: {figure:.2f} {unit}, goal <= {goal:g}: {'met' if figure <= goal else 'MISSED'}", flush=True)
    return figure <= goal


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--jobs", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--minutes", type=int, default=60)
    chosen = options.parse_args()
    arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"]
    good = []
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with sync_playwright() as playwright, ExitStack() as stack:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, timeout=180_000)
        stack.callback(browser.close)
        few, _ = stack.enter_context(farm(_FEW))
        url, ids = stack.enter_context(farm(chosen.jobs))
        seconds_to_rows(browser, few, 1)  # warms up
        for count, address in ((_FEW, few), (chosen.jobs, url)):
            paint, rows = seconds_to_rows(browser, address, chosen.rounds)
            print(f"first paint with {count:,} jobs: {paint:.2f} s")
            good.append(_said(f"rows with {count:,} jobs", rows, "s", GOAL_S))
        for name, where in (("the list of jobs", "#/jobs"), ("the overview", "#/")):
            kept = megabytes_kept(browser, url, where, ids, chosen.minutes)
            good.append(_said(f"{chosen.minutes} minutes of events on {name}", kept, "MB", GOAL_MB))
    files = [file for file in FILES.rglob("*") if file.suffix in (".html", ".css", ".js") and file.name != "hls.js"]
    size = sum(len(gzip.compress(file.read_bytes())) for file in files) / 1000
    good.append(_said("all files but hls.js, compressed", size, "kB", GOAL_KB))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())

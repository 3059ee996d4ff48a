"""Starts a worker, or gets a model's files ahead of the first start.

python -m worker render              the Celery commands of worker/app.py, spelt out
python -m worker desk
python -m worker fetch indextts-2
python -m worker fetch ear               of FARM_CHECK
"""

from __future__ import annotations

import gc

gc.disable()  # until the role is made: imports leave little garbage, and looking for it takes a fifth of their time

from farm import environment, logs

logs.begin("worker")
environment.drop_strange()

import argparse
import sys

from celery import signals

from farm.errors import EXIT_MISCONFIGURED, FarmError, Misconfigured
from farm.scratch import sweep
from farm.settings import Settings
from farm.start import check_forms
from farm.wake import DESK_QUEUE, render_queue
from worker.ear.files import ear_folder
from worker.ear.files import fetch as fetch_ear
from worker.engines import fetch
from worker.health import Health


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m worker", description="Starts one worker of the farm.")
    parser.add_argument(
        "role", choices=("render", "desk", "fetch"),
        help="render: runs the engine; desk: plans, assembles, delivers; fetch: gets a model's files and ends",
    )  # fmt: skip
    parser.add_argument("model", nargs="?", help="whose files to fetch, or ear (default: FARM_MODEL)")
    parser.add_argument("--processes", type=int, default=2, help="of a desk worker (default: %(default)s)")
    options = parser.parse_args()
    if options.role == "fetch":
        gc.enable()
    try:
        settings = Settings.read()
        if options.role == "fetch" and options.model == "ear":
            logs.configure(settings, "fetch")
            fetch_ear(ear_folder(settings))
            return 0
        if options.role == "fetch":
            fetch(options.model or settings.model, settings)
            return 0
        if options.model is not None:
            parser.error(f"{options.role} takes no model; set FARM_MODEL={options.model}")
        check_forms(settings)  # all of them at once, before Celery takes its part of them
        sweep()
        if options.role == "render":
            pool = ["-Q", render_queue(settings.model), "-P", "threads", "-c", "1"]
        else:
            pool = ["-Q", DESK_QUEUE, "-P", "prefork", "-c", str(options.processes)]
        from worker.app import app, lost_threads  # reads the settings, which may be wrong

        health = Health(options.role, lost_threads)
        signals.worker_ready.connect(lambda **_: health.ready(), weak=False)
        signals.worker_shutting_down.connect(lambda **_: health.draining(), weak=False)
        health.start()
        quiet = ["--without-gossip", "--without-mingle"]  # workers tell each other nothing: Redis knows it all
        no_banner = ["--quiet"] if settings.log_format == "json" else []
        app.worker_main([*no_banner, "worker", *pool, "-l", settings.log_level, *quiet, "-n", f"{options.role}@%h"])
    except FarmError as error:
        logs.last_words(f"error: {error.message}")
        return EXIT_MISCONFIGURED if isinstance(error, Misconfigured) else 1


if __name__ == "__main__":
    sys.exit(main())

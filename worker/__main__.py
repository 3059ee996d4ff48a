"""`python -m worker render` and `python -m worker desk`: the Celery commands of worker/app.py, spelt out."""

from __future__ import annotations

import argparse
import sys

from farm.errors import EXIT_MISCONFIGURED, FarmError, Misconfigured
from farm.settings import Settings
from farm.wake import DESK_QUEUE, render_queue


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m worker", description="Starts one worker of the farm.")
    parser.add_argument(
        "role", choices=("render", "desk"), help="render: runs the engine; desk: plans, assembles, delivers"
    )
    parser.add_argument("--processes", type=int, default=2, help="of a desk worker (default: %(default)s)")
    options = parser.parse_args()
    try:
        settings = Settings.read()
        if options.role == "render":
            pool = ["-Q", render_queue(settings.model), "-P", "threads", "-c", "1"]
        else:
            pool = ["-Q", DESK_QUEUE, "-P", "prefork", "-c", str(options.processes)]
        from worker.app import app  # reads the settings, which may be wrong

        app.worker_main(
            [
                "worker",
                *pool,
                "-l",
                settings.log_level,
                "--without-gossip",
                "--without-mingle",
                "-n",
                f"{options.role}@%h",
            ]
        )
    except FarmError as error:
        print(f"error: {error.message}", file=sys.stderr)  # noqa: T201
        return EXIT_MISCONFIGURED if isinstance(error, Misconfigured) else 1


if __name__ == "__main__":
    sys.exit(main())

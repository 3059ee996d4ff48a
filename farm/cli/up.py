"""`farm up`: the embedded farm in the foreground, until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path
from types import FrameType

from farm.cli import reaper
from farm.cli.screen import OK, needs, remark
from farm.client import DEFAULT_URL
from farm.errors import BadInput, Misconfigured
from farm.settings import Settings

_FOLLOW_S = 0.2


def up(given: argparse.Namespace) -> int:
    with needs("local"):
        from farm.embedded.port import HIGHEST
        from farm.embedded.supervisor import Local
    settings = Settings.read()
    if given.workers is not None and given.workers < 0:
        raise BadInput("--workers must be 0 or more")
    if given.port is not None and not 0 <= given.port <= HIGHEST:
        raise BadInput(f"--port {given.port}: give a number up to {HIGHEST}, or 0 for a free port")
    if reaper.is_needed():
        reaper.stand_between()
    local = Local(
        Path(given.data or settings.data_dir),
        host=given.host or settings.host,
        port=settings.port if given.port is None else given.port,
        model=given.model or settings.model,
        workers=given.workers,
    )
    asked = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            local.hurry()
        asked.set()
        local.interrupt()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves SIGHUP, and & of a script SIGINT
            signal.signal(number, stop)
    remark("starting Redis, the API and the workers ...")
    try:
        with local:
            remark(_banner(local.url, local.data))
            if given.verbose:
                threading.Thread(target=_show_logs, args=(local.data / "logs", asked), daemon=True).start()
            local.wait()
            remark("stopping: workers finish the batch in hand (Ctrl-C again: at once) ...")
    except Misconfigured:
        if not asked.is_set():
            raise
    remark("stopped")
    return OK


def _banner(url: str, data: Path) -> str:
    elsewhere = () if url == DEFAULT_URL else (f"  first   export FARM_URL={url}",)
    return "\n".join(
        (
            "The farm is ready.",
            "",
            f"  API     {url}",
            f"  docs    {url}/docs",
            f"  data    {data}",
            f"  logs    {data / 'logs'}",
            "",
            *elsewhere,
            "  try     farm narrate book.txt -o book.mp3",
            "  check   farm doctor",
            "  stop    Ctrl-C",
        )
    )


def _show_logs(folder: Path, over: threading.Event) -> None:
    """Prints all that the children log from now on, each line with its child's name."""
    ends = {path: path.stat().st_size for path in folder.glob("*.log")}
    while not over.wait(_FOLLOW_S):
        for path in sorted(folder.glob("*.log")):
            with path.open("rb") as log:
                log.seek(ends.get(path, 0))
                text = log.read()
                ends[path] = log.tell()
            for row in text.decode(errors="replace").splitlines():
                remark(f"{path.stem:>8} | {row}")

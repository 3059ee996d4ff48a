"""A process that writes a read-along into an EPUB of a stranger, within limits of memory and time.

    desk -> process   one line of JSON, the order: paths of the source, the audio and the target, and the sentences
    process -> desk   one line of JSON: {"marked": n}, or {"unfit": why} where the book can't be read along

It has nothing of the farm's settings, and one book to do.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from farm.errors import BadInput
from worker.child_process import ChildProcess, bare_environment, limit
from worker.readalong.overlay import Heard
from worker.readalong.source_book import Narration, Unfit, write_source_book

MEMORY_BYTES = 1 << 30  # of addresses
CPU_S = 60
_PATIENCE = 5  # times the CPU seconds, on a machine that has other work as well
_LOOK_S = 0.25  # between two looks whether the book is still wanted


def write_apart(
    target: Path, source: Path, narration: Narration, heard: Sequence[Heard], check: Callable[[], None], *,
    memory_bytes: int = MEMORY_BYTES, cpu_s: int = CPU_S,
) -> int:  # fmt: skip
    """As write_source_book. Raises Unfit too where the process did not survive the book, and what `check` raises, which
    is called all the while and ends the process."""
    child = ChildProcess([sys.executable, "-m", __name__, str(memory_bytes), str(cpu_s)], bare_environment())
    end = time.monotonic() + _PATIENCE * cpu_s
    order = {
        "target": str(target), "source": str(source),
        "narration": asdict(narration) | {"audio": {number: str(path) for number, path in narration.audio.items()}},
        "heard": [asdict(each) for each in heard],
    }  # fmt: skip
    try:
        with contextlib.suppress(BrokenPipeError):  # then it ended, and the answer is missing as well
            child.ask(order)
        while not child.answers_within(_LOOK_S):
            check()
            if time.monotonic() > end:
                raise Unfit(f"the document took longer than {_PATIENCE * cpu_s} s")
        answer = child.answer()
    except EOFError:
        limits = f"{cpu_s} s of a processor or {memory_bytes >> 20} MB of memory"
        raise Unfit(f"the document crashed its reader, or took more than {limits}") from None
    finally:
        child.kill()
    if "unfit" in answer:
        raise Unfit(answer["unfit"])
    return int(answer["marked"])


# --- the process itself -----------------------------------------------------------------------------------------------


def main() -> None:
    limit(*map(int, sys.argv[1:3]))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints belongs into the log
    order = json.loads(sys.stdin.buffer.readline() or b"{}")
    if order:  # else the desk has gone
        answers.write(json.dumps(_answer(order)) + "\n")
        answers.flush()


def _answer(order: dict[str, Any]) -> dict[str, Any]:
    said = order["narration"]
    audio = {int(number): Path(path) for number, path in said.pop("audio").items()}
    heard = [Heard(**each) for each in order["heard"]]
    try:
        source = Path(order["source"]).read_bytes()
        marked = write_source_book(Path(order["target"]), source, Narration(**said, audio=audio), heard)
    except Unfit as error:
        return {"unfit": str(error)}
    except BadInput as error:
        return {"unfit": error.message}
    except MemoryError:
        return {"unfit": "the document takes too much memory"}
    return {"marked": marked}


if __name__ == "__main__":
    main()

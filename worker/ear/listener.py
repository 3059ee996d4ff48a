"""The process that hears: `python -m worker.ear.listener FOLDER`.

    listener -> worker   once, at start: {"libraries"}, or {"error"}
    worker -> listener   one line of JSON, {"rate", "clips": [{"samples", "language", "text"}]}, and the samples of all
                         clips, float32
    listener -> worker   one line of JSON, {"reports": [a Report, or null for a language that Whisper does not know]}

A process of its own, because an ear may loop, crash or take all memory, and the clips must not go with it. It yields to
everything else on the machine (nice), so that a check takes cores from an engine only where none is free, and it ends
with its standard input, even where it loops.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from farm import logs
from worker.child_process import end_with_parent

_NICE = 10
LIBRARIES = ("ctranslate2", "faster-whisper", "tokenizers", "whisper-normalizer", "text2num", "rapidfuzz")


def main() -> None:
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # prints of the libraries belong into the log
    logs.begin("ear")
    end_with_parent()
    _yield()
    try:
        from worker.ear.hearing import Hearing

        hearing = Hearing(Path(sys.argv[1]))
    except (ImportError, OSError, RuntimeError) as error:
        _send(replies, {"error": f"{type(error).__name__}: {error}"})
        return
    with suppress(BrokenPipeError):  # the worker has gone
        _send(replies, {"libraries": " ".join(f"{name} {version(name)}" for name in LIBRARIES)})
        for line in sys.stdin.buffer:
            asked = json.loads(line)
            samples = np.frombuffer(sys.stdin.buffer.read(4 * sum(clip["samples"] for clip in asked["clips"])), "<f4")
            _send(replies, {"reports": hearing.reports(asked["rate"], asked["clips"], samples)})


def _yield() -> None:
    """Linux may weigh sessions and not processes (autogroup). Then the niceness of this session, which has this process
    alone, is what counts against the engine's."""
    os.nice(_NICE)
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICE))


def _send(replies: BinaryIO, head: dict[str, Any]) -> None:
    replies.write(json.dumps(head).encode() + b"\n")


if __name__ == "__main__":
    main()

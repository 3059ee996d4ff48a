"""A process that reads one document of a stranger, so that a parser that crashes, loops or grows takes nothing along.

    desk -> process   one line of JSON, {"filename", "encoding", "bytes"}, and the bytes of the document
    process -> desk   one line of JSON, {"tree": n, "view": m, "cover": k, "cover_type"}, and n + m + k bytes;
                      or {"code", "message"} where the document is refused

It has a limit of memory and of time, nothing of the farm's settings, and one document to do.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from farm.documents.reader import read_document, refuse_unread
from farm.documents.view import view_of
from farm.errors import BadInput
from worker.child_process import ChildProcess, bare_environment, limit

MEMORY_BYTES = 1 << 30  # of addresses
CPU_S = 60
_PATIENCE = 5  # times the CPU seconds, on a machine that has other work as well
_LOOK_S = 0.25  # between two looks whether the document is still wanted


@dataclass(frozen=True, slots=True)
class DocumentFiles:
    tree: bytes  # Document.pack()
    view: bytes  # JSON: what clients see
    cover: bytes
    cover_type: str


def read_apart(
    data: bytes, filename: str, encoding: str | None, check: Callable[[], None], *, memory_bytes: int = MEMORY_BYTES,
    cpu_s: int = CPU_S,
) -> DocumentFiles:  # fmt: skip
    """Raises BadInput for what is wrong with the document, and what `check` raises, which is called all the while and
    ends the process."""
    child = ChildProcess([sys.executable, "-m", __name__, str(memory_bytes), str(cpu_s)], bare_environment())
    end = time.monotonic() + _PATIENCE * cpu_s
    try:
        with contextlib.suppress(BrokenPipeError):  # then it ended, and the answer is missing as well
            child.ask({"filename": filename, "encoding": encoding, "bytes": len(data)}, data)
        while not child.answers_within(_LOOK_S):
            check()
            if time.monotonic() > end:
                raise refuse_unread(f"took longer than {_PATIENCE * cpu_s} s to read")
        return _received(child, memory_bytes, cpu_s)
    finally:
        child.kill()


def _received(child: ChildProcess, memory_bytes: int, cpu_s: int) -> DocumentFiles:
    try:
        head = child.answer()
        if "code" in head:
            raise BadInput(head["message"], code=head["code"], pointer="/file")
        tree, view, cover = (child.read(head[part]) for part in ("tree", "view", "cover"))
    except EOFError:
        limits = f"{cpu_s} s of a processor or {memory_bytes >> 20} MB of memory"
        raise refuse_unread(f"crashed its reader, or took more than {limits}") from None
    return DocumentFiles(tree, view, cover, head["cover_type"])


# --- the process itself -----------------------------------------------------------------------------------------------


def main() -> None:
    memory_bytes, cpu_s = map(int, sys.argv[1:3])
    limit(memory_bytes, cpu_s)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints belongs into the log
    head = json.loads(sys.stdin.buffer.readline() or b"{}")
    data = sys.stdin.buffer.read(head.get("bytes", 0))
    if head and len(data) == head["bytes"]:  # else the desk has gone
        _answer(data, head["filename"], head["encoding"], answers)


def _answer(data: bytes, filename: str, encoding: str | None, answers: BinaryIO) -> None:
    try:
        document = read_document(data, filename, encoding)
        tree, view = document.pack(), view_of(document).encode()
    except BadInput as error:
        _send(answers, {"code": error.code, "message": error.message})
    except MemoryError:
        refused = refuse_unread("takes too much memory to read")
        _send(answers, {"code": refused.code, "message": refused.message})
    else:
        cover = document.metadata.cover
        sizes = {"tree": len(tree), "view": len(view), "cover": len(cover.data) if cover else 0}
        _send(
            answers,
            {**sizes, "cover_type": cover.media_type if cover else ""},
            tree,
            view,
            cover.data if cover else b"",
        )


def _send(answers: BinaryIO, head: dict[str, Any], *bodies: bytes) -> None:
    answers.write(json.dumps(head).encode() + b"\n")
    for body in bodies:
        answers.write(body)
    answers.flush()


if __name__ == "__main__":
    main()

"""A process that plans long texts, so that nothing of a stranger's text holds up the desk's own threads.

    desk -> process   one line of JSON for each text, {"tenant", "spec", "card", "characters", "budget_s", "bytes",
                      "lexicons": their sizes}, its bytes and those of the lexicons
    process -> desk   one line of JSON, {"total", "passage_ends", "header": n, "pages": m}, and n + m bytes;
                      or {"code", "message"} where the text is refused

It yields to everything else on the machine (nice), has a budget of CPU seconds for each text and a limit of memory, and
is killed when the text is no longer wanted. The operating system shares the processors fairly among several of them. It
gets none of the farm's settings but the format of logs, and ends with its standard input.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

from farm import logs
from farm.errors import BadInput
from farm.plan_order import PlanFiles, PlanOrder, make_plan
from worker.child_process import ChildProcess

_NICE = 10
_BUDGET_S = 20.0  # and for each character
_BUDGET_PER_CHARACTER_S = 40e-6  # prose takes 0.2e-6, the worst pattern known 6e-6, in segments of 60 17e-6
_MEMORY_BYTES = 1 << 30  # of addresses; 5,000,000 characters of the worst pattern take 0.2 GB
_LOOK_S = 0.25  # between two looks whether the text is still wanted
_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "FARM_LOG_FORMAT")  # of the environment


class PlanProcess:
    """The desk's end. One text at a time."""

    def __init__(self) -> None:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        path = os.pathsep.join(path or os.getcwd() for path in sys.path)
        self._child = ChildProcess([sys.executable, "-m", __name__], environment | {"PYTHONPATH": path})

    @property
    def alive(self) -> bool:
        return self._child.ending is None

    def plan(self, order: PlanOrder, check: Callable[[], None]) -> PlanFiles:
        """Raises BadInput for what is wrong with the text, EOFError where the process ended without an answer, and what
        `check` raises, which is called all the while and ends the plan. In each but the first case the process ends."""
        try:
            with contextlib.suppress(BrokenPipeError):  # then it ended, and the reply is missing as well
                self._ask(order)
            while not self._child.answers_within(_LOOK_S):
                check()
            return self._receive()
        except BadInput:
            raise
        except BaseException:
            self.kill()
            if self._child.ending == -signal.SIGXCPU:
                raise _too_costly(order) from None
            raise

    def stop(self) -> None:
        """Lets it end by itself."""
        self._child.stop()

    def kill(self) -> None:
        self._child.kill()

    def _ask(self, order: PlanOrder) -> None:
        head = {
            "tenant": order.tenant, "spec": order.spec, "card": order.card, "characters": order.characters,
            "budget_s": _budget_s(order.characters), "bytes": len(order.document),
            "lexicons": [len(lexicon) for lexicon in order.lexicons],
        }  # fmt: skip
        self._child.ask(head, b"".join((order.document, *order.lexicons)))

    def _receive(self) -> PlanFiles:
        head = self._child.answer()
        if "code" in head:
            raise BadInput(head["message"], code=head["code"])
        header, pages = self._child.read(head["header"]), self._child.read(head["pages"])
        return PlanFiles(head["total"], header, pages, tuple(head["passage_ends"]))


def _budget_s(characters: int) -> int:
    return round(_BUDGET_S + _BUDGET_PER_CHARACTER_S * characters)


def _too_costly(order: PlanOrder) -> BadInput:
    return BadInput(
        f"input: to cut this text into segments took more than {_budget_s(order.characters)} seconds of a processor, "
        "many times more than any prose; look for long runs of signs or of quotation marks that are never closed, or "
        "split the job",
        code="plan_too_costly", pointer="/input",
    )  # fmt: skip


# --- the process itself -----------------------------------------------------------------------------------------------


def main() -> None:
    logs.of_child("plan")
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints belongs into the log
    for line in sys.stdin.buffer:
        head = json.loads(line)
        sizes, budget_s = (head.pop("bytes"), *head.pop("lexicons")), head.pop("budget_s")
        document, *lexicons = parts = [sys.stdin.buffer.read(size) for size in sizes]
        if any(len(part) < size for part, size in zip(parts, sizes, strict=True)):
            return  # the desk has gone
        order = PlanOrder(document=document, lexicons=tuple(lexicons), **head)
        _limit_cpu(budget_s)
        _answer(order, replies)


def _limit_cpu(budget_s: int) -> None:
    """Counts from now: SIGXCPU ends the process at the soft limit."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + budget_s, hard))


def _answer(order: PlanOrder, replies: BinaryIO) -> None:
    try:
        made = make_plan(order)
    except BadInput as error:
        _send(replies, {"code": error.code, "message": error.message})
    except MemoryError:
        _send(replies, {
            "code": "plan_too_costly",
            "message": "input: to cut this text into segments took too much memory; split the job",
        })  # fmt: skip
    else:
        head = {"total": made.total, "passage_ends": made.passage_ends}
        _send(replies, {**head, "header": len(made.header), "pages": len(made.pages)}, made)


def _send(replies: BinaryIO, head: dict[str, Any], made: PlanFiles | None = None) -> None:
    replies.write(json.dumps(head).encode() + b"\n")
    if made is not None:
        replies.write(made.header)
        replies.write(made.pages)
    replies.flush()


if __name__ == "__main__":
    main()

"""Where previews are planned: each in a process of its own, which a stranger's text can't use to hold up the API.

It plans as the desk does, by the same function, yields to everything else on the machine, has limits of time and memory
and no secret in its environment. Two of them run at once, of one tenant one; the other previews wait for their turn.

    parent -> child   standard input: one line of JSON, {"tenant", "spec", "card", "characters", "bytes", "lexicons":
                      their sizes}, then the chapters and the lexicons
    child -> parent   standard output: one line of JSON, {"chapters": [[title, first, count], …], "matches": [[chapter,
                      …], …]} or {"code", "message", "fields"} where the text is refused, then the segments as a plan
                      has them
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from api.places import Places
from farm.errors import BadInput, FieldError
from farm.lexicon.reading import Matched
from farm.plan import Chapter, Plan, decode_page
from farm.plan_order import PlanOrder, make_plan, matched
from farm.segment import Segment

AT_ONCE = 2
_NICE = 10
_CPU_SECONDS = 10  # 50,000 characters of the worst pattern take 1
_SECONDS = 60.0  # on a machine that has other work as well
_MEMORY_BYTES = 1 << 30  # of addresses
_PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG")


@dataclass(frozen=True, slots=True)
class Previewed:
    chapters: tuple[Chapter, ...]
    segments: tuple[Segment, ...]
    matches: tuple[tuple[int, Matched], ...]  # words that lexicons had, each with its chapter


class Previewer:
    def __init__(self, command: Sequence[str] = (sys.executable, "-m", "api.previewer")) -> None:
        self._command = command
        self._places = Places(AT_ONCE)

    async def plan(self, order: PlanOrder) -> Previewed:
        """Raises BadInput for what a plan of the job would be refused for."""
        return await self._places.run(order.tenant, partial(_plan, self._command, order))


def _plan(command: Sequence[str], order: PlanOrder) -> Previewed:
    head = {
        "tenant": order.tenant, "spec": order.spec, "card": order.card, "characters": order.characters,
        "bytes": len(order.document), "lexicons": [len(lexicon) for lexicon in order.lexicons],
    }  # fmt: skip
    try:
        ended = subprocess.run(
            command,
            input=b"".join((json.dumps(head).encode(), b"\n", order.document, *order.lexicons)),
            capture_output=True,
            timeout=_SECONDS,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _too_costly() from None
    if -ended.returncode in (signal.SIGXCPU, signal.SIGKILL):
        raise _too_costly()
    if ended.returncode:
        raise RuntimeError(f"the previewer failed: {ended.stderr.decode(errors='replace')[-2000:]}")
    line, _, pages = ended.stdout.partition(b"\n")
    said = json.loads(line)
    if "code" in said:
        fields = [FieldError(*field) for field in said["fields"]]
        raise BadInput(said["message"], code=said["code"], fields=fields)
    chapters = tuple(Chapter(*chapter) for chapter in said["chapters"])
    matches = tuple((chapter, Matched(*found)) for chapter, *found in said["matches"])
    return Previewed(chapters, tuple(decode_page(pages)), matches)


def _too_costly() -> BadInput:
    return BadInput(
        "input: to cut this text into segments takes too long; look for long runs of signs or of quotation marks that "
        "are never closed",
        code="plan_too_costly", pointer="/input",
    )  # fmt: skip


# --- the child --------------------------------------------------------------------------------------------------------


def main() -> None:
    _limit_this_process()
    head = json.loads(sys.stdin.buffer.readline())
    document, *lexicons = (sys.stdin.buffer.read(size) for size in (head.pop("bytes"), *head.pop("lexicons")))
    said, pages = _answer(PlanOrder(document=document, lexicons=tuple(lexicons), **head))
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n" + pages)


def _answer(order: PlanOrder) -> tuple[dict[str, Any], bytes]:
    try:
        made = make_plan(order)
        matches = [(chapter, *found) for chapter, found in matched(order)]
    except BadInput as error:
        fields = [(field.pointer, field.message, field.position) for field in error.fields]
        return {"code": error.code, "message": error.message, "fields": fields}, b""
    except MemoryError:
        refused = _too_costly()
        return {"code": refused.code, "message": refused.message, "fields": [("/input", refused.message, None)]}, b""
    chapters = Plan.from_json(made.header).chapters
    return {
        "chapters": [(chapter.title, chapter.first, chapter.count) for chapter in chapters],
        "matches": matches,
    }, made.pages


def _limit_this_process() -> None:
    os.nice(_NICE)
    for kind, limit in ((resource.RLIMIT_CPU, _CPU_SECONDS), (resource.RLIMIT_AS, _MEMORY_BYTES)):
        _, most = resource.getrlimit(kind)  # a lower limit that the operator has set stays
        resource.setrlimit(kind, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))


if __name__ == "__main__":
    main()

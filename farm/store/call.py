"""A Call is one verb, ready to run: its name, its arguments, and how to read the answer.

Every verb is a script of farm/lua. `command` makes a Call of a plain Redis command: it goes through command.lua, so
that a Redis that has lost the keyspace refuses it like every other call. Scripts are rendered here: what the verb uses
of the constants and of the shared files, then the file of the verb. What only the rest of a file uses, behind a line
`-- Few calls come here`, is defined at that line.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Generic, TypeVar

from farm.job import MAX_ATTEMPTS, QUARANTINE_AFTER, SHARE, TRANSITIONS, TURN, Lane
from farm.outcome import SEGMENT_FAILED
from farm.quota import CLIP_BYTES_PER_MS, DEFAULTS, END_BYTES, MINUTE_MS, RECORD_BYTES
from farm.store.tally import BUCKETS_S

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Argument = bytes | str | int | float

_SELDOM = "-- Few calls come here"
_WORD = re.compile(r"[A-Za-z_]\w*")
_DEFINES = re.compile(r"local (?:function )?(\w+)")
_SHARED = ("keys", "due", "quota", "passages", "jobs", "grants", "revisions")  # each uses those before it

# Every script has these as locals of the same names, so no call has to send them.
CONSTANTS: Mapping[str, object] = {
    "MOVES": TRANSITIONS,
    "LANES": tuple(Lane),
    "MAX_ATTEMPTS": MAX_ATTEMPTS,
    "QUARANTINE_AFTER": QUARANTINE_AFTER,
    "TURN": TURN,
    "SHARE": SHARE,
    "SEGMENT_FAILED": SEGMENT_FAILED,
    "IDEMPOTENCY_MS": 24 * 3600 * 1000,  # a used key is remembered for so long
    "EVENTS_KEPT": 100_000,  # in f:ev, about
    "SETTLED_KEPT": 10_000,  # in f:settled, about
    "ENDS_KEPT": 20,  # deliveries in the outbox of one job or batch
    "REVISIONS_KEPT": 10,  # results of earlier revisions of one job
    "REDELIVER_MS": 1_000,  # between two deliveries that somebody asks for again, of one job or batch
    "PASSAGES_WAIT_MS": 30 * 60 * 1000,  # an assembly waits no longer for passages, and makes them itself
    "BUCKETS_MS": tuple(round(1000 * bound) for bound in BUCKETS_S),
    "DEFAULT_QUOTAS": tuple(DEFAULTS.values()),
    "MINUTE_MS": MINUTE_MS,
    "RECORD_BYTES": RECORD_BYTES,
    "END_BYTES": END_BYTES,
    "CLIP_BYTES_PER_MS": CLIP_BYTES_PER_MS,
    "SECRET_OVERLAP_MS": 24 * 3600 * 1000,  # an earlier secret still signs for so long after it was replaced
    "RESCUED_AT_ONCE": 500,  # segments; at 5 microseconds each, Redis is busy for some milliseconds
}


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """Every call is safe to send twice, because redis-py sends it again after a lost connection."""

    verb: str
    args: tuple[Argument, ...]
    read: Callable[[Any], T_co]
    lasting: bool = False  # its caller promises the change to a user; AsyncStore may wait for the disk


def command(name: str, *args: Argument, read: Callable[[Any], T]) -> Call[T]:
    """A Redis command, for a verb that needs no script of its own."""
    return Call("command", (name, *args), read)


@dataclass(frozen=True, slots=True)
class Script:
    source: str
    sha: str


def read_lua(name: str) -> str:
    return resources.files("farm").joinpath("lua", f"{name}.lua").read_text("utf-8")


def render_scripts(
    read: Callable[[str], str] = read_lua, constants: Mapping[str, object] = CONSTANTS
) -> Mapping[str, Script]:
    """verb -> its script. `read` gives the text of one Lua file. Tests put another clock or a planted bug there, or
    give other constants."""
    given = "".join(f"local {name} = {_lua(value)}\n" for name, value in constants.items())
    shared = _parts(given + "".join(_without_comments(read(f"shared/{part}")) for part in _SHARED))
    scripts = {}
    for file in resources.files("farm").joinpath("lua").iterdir():
        verb, is_lua, _ = file.name.partition(".lua")
        if is_lua:
            source = ""
            for own in map(_without_comments, read(verb).split(_SELDOM)):
                source += _needed(shared, own, source) + own
            scripts[verb] = Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())
    return scripts


@cache
def own_scripts() -> Mapping[str, Script]:
    """Those of the farm, which every store of a process shares. To make them takes 8 ms."""
    return render_scripts()


def _parts(text: str) -> list[tuple[str | None, str]]:
    """The name that each part defines, None for a statement, and the part."""
    parts = re.split(r"(?m)^(?=local |if )", text)
    return [(named[1] if (named := _DEFINES.match(part)) else None, part) for part in parts if part]


def _needed(shared: list[tuple[str | None, str]], own: str, before: str) -> str:
    """The parts that `own` uses, and those that these use, without those that stand before it. Redis runs a script from
    its first line at every call, and to define what a call does not use would take 8 us of each."""
    used, kept = set(_WORD.findall(own)), list[str]()
    for name, part in reversed(shared):
        if name is None or name in used:
            used.update(_WORD.findall(part))
            kept.append(part)
    return "".join(part for part in reversed(kept) if part not in before)


def _without_comments(text: str) -> str:
    """44 % of a script would be comments, and every Redis would have to load and keep them."""
    return re.sub(r"^ *--.*\n", "", text, flags=re.MULTILINE)


def _lua(value: object) -> str:
    """A constant as Lua writes it. Sorted, because a script that differed between processes would be loaded by each."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key} = {_lua(one)}' for key, one in sorted(value.items()))}}}"
    if isinstance(value, tuple):
        return f"{{{', '.join(_lua(one) for one in value)}}}"
    return repr(str(value)) if isinstance(value, str) else str(value)


# --- reading answers --------------------------------------------------------------------------------------------------


def word(value: bytes) -> str:
    return value.decode()


def word_or_none(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def nothing(_: Any) -> None:
    return None


def words(answer: list[bytes]) -> dict[str, str]:
    """A hash, as a script answers it."""
    return {key.decode(): value.decode() for key, value in zip(answer[::2], answer[1::2], strict=True)}


def pairs(answer: list[Any]) -> list[tuple[str, Any]]:
    """name, value, name, value, …"""
    return [(name.decode(), value) for name, value in zip(answer[::2], answer[1::2], strict=True)]

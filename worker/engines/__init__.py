"""The table of engines: each name that FARM_MODEL may have, and the Entry that loads its engine.

    name                       where it stands                                its libraries
    espeak                     worker/engines/espeak/                         the extra `espeak`
    kokoro                     worker/engines/kokoro/                         the extra `kokoro`
    indextts-2, indextts-2.5   worker/engines/indextts/                       docs/indextts.md
    any other                  a distribution with an entry point in the      the distribution's own
                               group `tts_farm.engines`

Names are listed without importing an engine, because each engine brings large libraries of its own.
`python -m worker.engines` prints the table.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points

from farm import logs
from farm.errors import Misconfigured
from farm.settings import ENGINE_GROUP, Settings, engine_prefix, misspelt
from worker.engine import Engine, Entry

log = logging.getLogger(__name__)

OWN = {
    "espeak": "worker.engines.espeak:ENGINE",
    "kokoro": "worker.engines.kokoro:ENGINE",
    "indextts-2": "worker.engines.indextts:VERSION_2",
    "indextts-2.5": "worker.engines.indextts:VERSION_25",
}


def load(settings: Settings) -> Engine:
    """The engine of FARM_MODEL, ready to render. Raises Misconfigured."""
    name = settings.model
    entry = find(name)
    for warning in misspelt(os.environ, entry.settings) if entry.settings.prefix() else ():
        log.warning(warning)
    engine = entry.load(entry.settings.read())
    if engine.card.name != name:
        engine.close()
        raise Misconfigured(
            f"the engine of FARM_MODEL={name} has the name {engine.card.name} on its card, by which jobs would be "
            "queued; give both one name"
        )
    return engine


def fetch(name: str, settings: Settings) -> None:
    """Gets a model's files, with progress on stderr. Raises Misconfigured."""
    entry = find(name)
    if entry.fetch is None:
        raise Misconfigured(f"{name} has no files to fetch")
    logs.configure(settings, "fetch")
    entry.fetch(entry.settings.read())


def names() -> list[str]:
    """Every name, the farm's own engines first."""
    return list(dict.fromkeys(point.name for point in _points()))


def find(name: str) -> Entry:
    """The entry of one engine, whose module is imported here. Raises Misconfigured where there is no such entry, two of
    them, or one that can't be used."""
    found = [point for point in _points() if point.name == name]
    if not found:
        raise Misconfigured(f"FARM_MODEL={name}: no such engine; this farm has {', '.join(names())}")
    if len(found) > 1:
        raise Misconfigured(
            f"FARM_MODEL={name}: {' and '.join(map(_bringer, found))} both bring an engine of this name; uninstall one"
        )
    (point,) = found
    try:
        entry = point.load()
    except Exception as error:  # a module of anyone's is imported here
        raise _unusable(point, f"can't be imported from {point.value} ({type(error).__name__}: {error})") from error
    if not isinstance(entry, Entry):
        raise _unusable(point, f"has a {type(entry).__name__} at {point.value} in place of a worker.engine.Entry")
    if entry.settings.variables() and entry.settings.prefix() != engine_prefix(name):
        raise _unusable(
            point, f"has settings that begin with {entry.settings.prefix()!r} in place of {engine_prefix(name)}"
        )
    return entry


def _points() -> Iterator[EntryPoint]:
    for name, value in OWN.items():
        yield EntryPoint(name, value, ENGINE_GROUP)
    yield from entry_points(group=ENGINE_GROUP)


def _bringer(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "tts-farm"


def _unusable(point: EntryPoint, reason: str) -> Misconfigured:
    bringer = _bringer(point)
    return Misconfigured(
        f"the engine {point.name} of the distribution {bringer} {reason}; mend or reinstall {bringer}, "
        "or choose another FARM_MODEL"
    )

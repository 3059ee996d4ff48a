"""FARM_CHECK: whether a render worker has an ear behind its engine, and what follows from what it hears.

The ear starts with the worker. One that is missing is told then, in a line, and so is an engine of which the same text
always makes the same clip: other takes of it are no better, so the gate can only report.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib.util import find_spec

from farm.errors import Misconfigured
from farm.settings import Settings
from farm.speech import Parameter
from farm.wire import Model
from worker.ear.ear import Deaf, Ear
from worker.ear.files import FILES, ear_folder, fetch
from worker.ear.rules import revision
from worker.render.gate import Policy, named

log = logging.getLogger(__name__)

_NEEDED = ("ctranslate2", "faster_whisper", "whisper_normalizer", "rapidfuzz", "opencc")


@dataclass(frozen=True, slots=True)
class Check:
    ear: Ear
    policy: Policy
    card: Model  # of the engine, as the farm is told of it


def opened(settings: Settings, card: Model) -> Check | None:
    """None where nothing is to be checked. Raises Misconfigured, Unavailable."""
    if settings.check == "off":
        return None
    for library in _NEEDED:
        if find_spec(library) is None:
            raise Misconfigured(f"FARM_CHECK={settings.check} needs {library}: pip install 'tts-farm[check]'")
    folder = ear_folder(settings)
    if not all(file.is_present(folder) for file in FILES):
        fetch(folder)
    for file in FILES:
        file.check(folder)
    ear = Ear.of(folder)
    try:
        libraries = ear.start()
    except Deaf as deaf:
        raise Misconfigured(f"FARM_CHECK={settings.check}: {deaf}; or set FARM_CHECK=off") from None
    return Check(ear, *decided(settings, card, libraries))


def decided(settings: Settings, card: Model, libraries: str) -> tuple[Policy, Model]:
    """What the gate does, and the card under which its clips are named."""
    rerenders = settings.check == "rerender" and Parameter.SEED in card.parameters
    if settings.check == "rerender" and not rerenders:
        log.warning(
            "FARM_CHECK=rerender: %s has no seed, so that another take is the same clip; the check only reports",
            card.name,
        )
    if rerenders:
        card = named(card, revision(" ".join(file.sha256 for file in FILES), libraries))
    return Policy(card.revision, rerenders, waits=settings.check_behind == "wait"), card

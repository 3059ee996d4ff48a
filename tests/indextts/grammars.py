"""python -m tests.indextts.grammars: build the grammars by which IndexTTS puts numbers into words, once.

The package keeps them in a folder of its own. Building them takes a minute or more of one processor, once in an
environment; to read built ones takes a second. A lock keeps processes from building them side by side.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock  # torch brings it


def build() -> None:
    lock = FileLock(Path(tempfile.gettempdir(), f"tts-farm-grammars-{os.getuid()}.lock"))
    with lock, _quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's modules are imported here for the first time
        from worker.engines.indextts.load.package import Package, has_25, place_of_package
        from worker.engines.indextts.text.wording import spanish_grammar

        Package.find().text_normalizer().load()
        if has_25():
            spanish_grammar(place_of_package())


@contextmanager
def _quiet() -> Iterator[None]:
    """The grammars' package logs every file that it reads."""
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


if __name__ == "__main__":
    build()

"""Text normalisation: numbers and signs into words, by the package's own grammars, here or in processes of their own.

A grammar takes 0.2 s for 300 characters and holds Python's lock all the while. In a worker that narrates a hundred
times as fast as speech it would stall the decode for half of the time. In processes of their own, grammars run side by
side.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import logging
import queue
import sys
import threading
import types
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

from worker.engines.indextts.aide import ON_ONE_CORE, Aide, Late

log = logging.getLogger(__name__)

DEADLINE_S = 20.0  # of one text: a grammar takes 0.2 s for 300 characters
_START_S = 600.0  # a first start may build a grammar, for minutes

Tongue = Literal["zh or en", "en", "es"]  # with the first, the package guesses


class Wording(Protocol):
    def normalize(self, text: str, tongue: Tongue) -> str:
        """The text in words. Thread-safe."""
        ...

    def close(self) -> None: ...


class Grammars:
    """In this process: the package's TextNormalizer with its grammars loaded, and NeMo's grammar for Spanish. Without
    the latter, a Spanish text stays as it is."""

    def __init__(self, normalizer: Any, spanish: Any = None) -> None:
        self._spanish = spanish and _Grammar(spanish)
        self._guessing = _careful(normalizer)
        self._english = copy.copy(self._guessing)
        self._english.use_chinese = lambda text: False
        self._lock = threading.Lock()  # the grammars are one native parser
        # NeMo warns of a text that it can't read and quotes all of it, and the text is the customer's.
        logging.getLogger("NeMo-text-processing").disabled = True

    def normalize(self, text: str, tongue: Tongue) -> str:
        with self._lock:
            if tongue == "es":
                return str(self._spanish.normalize(text)) if self._spanish else text
            return str((self._english if tongue == "en" else self._guessing).normalize(text))

    def close(self) -> None:
        pass


class GrammarProcesses:
    """In `count` processes, as many texts at a time. One that ends is started again, and `here` reads its text. A text
    at which one hangs stays as it is written, because it would hang here too."""

    def __init__(self, count: int, here: Wording, glossary: Mapping[str, Any], *, spanish: bool = False) -> None:
        self._here, self._count = here, count
        self._idle: queue.SimpleQueue[Aide] = queue.SimpleQueue()
        for _ in range(count):
            aide = Aide(__name__, (dict(glossary), spanish), start_s=_START_S, environment=ON_ONE_CORE)
            aide.start()
            self._idle.put(aide)

    def normalize(self, text: str, tongue: Tongue) -> str:
        aide = self._idle.get()
        try:
            return str(aide.ask((text, tongue), DEADLINE_S))
        except Late:
            log.warning("a process that puts texts into words hangs, and is started again; its text stays as written")
            return text
        except Exception as error:
            log.warning("a process that puts texts into words did not: %s", type(error).__name__)
            return self._here.normalize(text, tongue)
        finally:
            with contextlib.suppress(OSError):  # the next question tries again
                aide.start()
            self._idle.put(aide)

    def close(self) -> None:
        for _ in range(self._count):
            self._idle.get().close()


class _Grammar:
    """One language's grammar, which returns a text unchanged where it can't read it. The package would lose a Chinese
    text instead, and log or print the reason with the text in it."""

    def __init__(self, grammar: Any) -> None:
        self._grammar = grammar

    def normalize(self, text: str, **options: Any) -> str:
        try:
            return str(self._grammar.normalize(text, **options))
        except Exception:
            return text


def _careful(normalizer: Any) -> Any:
    mine = copy.copy(normalizer)
    if hasattr(mine, "_normalizers"):  # as the indexed package keeps them
        mine._normalizers = {language: _Grammar(grammar) for language, grammar in mine._normalizers.items()}
    else:  # as the official repository does
        mine.zh_normalizer, mine.en_normalizer = _Grammar(mine.zh_normalizer), _Grammar(mine.en_normalizer)
    return mine


def spanish_grammar(package: str | Path) -> Any:
    """NeMo's grammar, with the options of the official repository, kept in the folder of the `package` beside the
    package's own grammars. Building it takes more than a minute, once; reading a built one takes a second."""
    nemo: Any = importlib.import_module("nemo_text_processing.text_normalization.normalize")
    return nemo.Normalizer(input_case="cased", lang="es", cache_dir=str(Path(package, "utils", "tagger_cache")))


def begin(opening: tuple[Mapping[str, Any], bool]) -> Callable[[tuple[str, Tongue]], str]:
    """Of a process: loads the grammars, with a glossary and a flag for Spanish."""
    glossary, spanish = opening
    # The package's own __init__ imports every model there is, for a second and 500 MB; its text front end needs none.
    found = find_spec("indextts")
    assert found is not None
    package = types.ModuleType("indextts")
    package.__path__ = places = list(found.submodule_search_locations or ())
    sys.modules["indextts"] = package
    from indextts.utils.front import TextNormalizer

    normalizer = TextNormalizer(enable_glossary=True)
    normalizer.load()
    normalizer.term_glossary = glossary
    grammars = Grammars(normalizer, spanish_grammar(places[0]) if spanish else None)
    return lambda asked: grammars.normalize(*asked)

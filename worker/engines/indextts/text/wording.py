"""Text normalisation: numbers and signs into words, by the package's own grammars, here or in processes of their own.

A grammar takes 0.2 s for 300 characters and holds Python's lock all the while. In a worker that narrates a hundred
times as fast as speech it would stall the decode for half of the time. In processes of their own, grammars run side by
side. Such a process speaks lines of JSON over its pipes and ends when they close: a killed worker leaves none behind.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import json
import logging
import os
import queue
import select
import subprocess
import sys
import threading
import types
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

log = logging.getLogger(__name__)

DEADLINE_S = 20.0  # of one text: a grammar takes 0.2 s for 300 characters

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
        self._here, self._glossary, self._speaks_spanish = here, glossary, spanish
        self._idle: queue.SimpleQueue[_GrammarProcess] = queue.SimpleQueue()
        for _ in range(count):
            self._idle.put(_GrammarProcess(glossary, spanish=spanish))
        self._count = count

    def normalize(self, text: str, tongue: Tongue) -> str:
        process = self._idle.get()
        try:
            return process.ask(text, tongue)
        except TimeoutError:
            log.warning("a process that puts texts into words hangs, and is started again; its text stays as written")
            process.kill()
            process = _GrammarProcess(self._glossary, spanish=self._speaks_spanish)
            return text
        except (OSError, ValueError) as error:
            log.warning("a process that puts texts into words ended, and is started again: %s", error)
            process.close()
            process = _GrammarProcess(self._glossary, spanish=self._speaks_spanish)
            return self._here.normalize(text, tongue)
        finally:
            self._idle.put(process)

    def close(self) -> None:
        for _ in range(self._count):
            self._idle.get().close()


class _GrammarProcess:
    """The worker's end of a process that runs this file."""

    def __init__(self, glossary: Mapping[str, Any], *, spanish: bool) -> None:
        # A session of its own: a Ctrl-C that is meant for the worker must not end a text in flight.
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},  # a text is the work of one thread
        )
        self._send([dict(glossary), spanish])
        self._ready = False

    def ask(self, text: str, tongue: Tongue) -> str:
        """Raises TimeoutError when it hangs; another OSError or ValueError when it has ended."""
        assert self._process.stdout is not None
        if not self._ready:
            self._process.stdout.readline()  # a first start may build a grammar, for minutes
            self._ready = True
        self._send([text, tongue])
        if not select.select([self._process.stdout], [], [], DEADLINE_S)[0]:
            raise TimeoutError
        return str(json.loads(self._process.stdout.readline()))

    def kill(self) -> None:
        self._process.kill()
        self.close()

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self, message: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()


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


def _serve() -> None:
    """Reads a glossary with a flag for Spanish, then texts, from stdin until it ends. stdout has the answers alone;
    the prints of the package go to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    glossary, spanish = json.loads(sys.stdin.readline())
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
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        text, tongue = json.loads(line)
        print(json.dumps(grammars.normalize(text, tongue)), file=answers, flush=True)


if __name__ == "__main__":
    _serve()

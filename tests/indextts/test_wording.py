"""Numbers into words in processes beside the worker: the same words, several at a time, and none that outlives it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.indextts.offspring import children
from worker.engines.indextts.shapes import Network
from worker.engines.indextts.text import wording
from worker.engines.indextts.text.wording import GrammarProcesses, Grammars, Tongue

pytestmark = pytest.mark.usefixtures("offspring_before")
TEXTS = ["He paid $3.50 for 2 of them.", "1984.", "Good morning.", "在2024年", "", "Call M.2 now\u2028twice."]


@pytest.fixture(scope="module")
def here(network: Network) -> Grammars:
    return Grammars(network.tokenizer.normalizer)


@pytest.fixture
def readers(here: Grammars) -> Iterator[GrammarProcesses]:
    made = GrammarProcesses(2, here, {})
    yield made
    made.close()


def test_readers_give_the_words_of_the_grammars_here_several_at_a_time(
    here: Grammars, readers: GrammarProcesses
) -> None:
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda text: readers.normalize(text, _tongue(text)), TEXTS * 5))
    assert said == [here.normalize(text, _tongue(text)) for text in TEXTS * 5]
    assert "three" in said[0]
    assert said[1] != here.normalize("1984.", "zh or en"), "the package reads it in Chinese"


def test_a_reader_that_is_killed_costs_no_text_and_is_replaced(here: Grammars, readers: GrammarProcesses) -> None:
    readers.normalize("1.", "en")
    for process in children(wording.__name__):
        process.send_signal(signal.SIGKILL)
    for _ in range(4):
        assert readers.normalize("In 1984.", "en") == here.normalize("In 1984.", "en")
    assert len(children(wording.__name__)) == 2


def test_a_text_at_which_a_reader_hangs_stays_as_written_and_the_reader_is_replaced(
    here: Grammars, readers: GrammarProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        readers.normalize("1.", "en")  # until both have loaded their grammars
    monkeypatch.setattr(wording, "DEADLINE_S", 0.5)
    for process in children(wording.__name__):
        process.send_signal(signal.SIGSTOP)
    assert readers.normalize("In 1984.", "en") == "In 1984."
    assert readers.normalize("In 1984.", "en") == "In 1984."
    monkeypatch.undo()
    assert readers.normalize("In 1984.", "en") == here.normalize("In 1984.", "en")
    assert len(children(wording.__name__)) == 2


def test_the_farms_glossary_reaches_the_readers(network: Network, here: Grammars) -> None:
    readers = GrammarProcesses(1, here, {"TTS": "talking machine"})
    assert "talking machine" in readers.normalize("A TTS farm.", "en")
    readers.close()
    assert not children(wording.__name__)


def test_a_reader_gives_the_spanish_words_of_the_grammar_here(network25: Network) -> None:
    here = Grammars(network25.normalizer, network25.spanish)
    readers = GrammarProcesses(1, here, {}, spanish=True)
    said = readers.normalize("Tengo 25 años.", "es")
    readers.close()
    assert "veinticinco" in said
    assert said == here.normalize("Tengo 25 años.", "es")


def test_without_a_spanish_grammar_a_text_stays_as_it_is(here: Grammars) -> None:
    assert here.normalize("Tengo 25 años.", "es") == "Tengo 25 años."


def _tongue(text: str) -> Tongue:
    return "zh or en" if text == "在2024年" else "en"

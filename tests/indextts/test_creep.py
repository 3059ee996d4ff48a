"""Memory that grows drain after drain is said; memory that grows once is not."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from farm.warmth import CREEPS
from tests.engine.feeds import render
from worker.engine import Speech, Utterance
from worker.engines.indextts import engine
from worker.engines.indextts.creep import Creep
from worker.engines.indextts.load.factory import Options, assemble
from worker.engines.indextts.shapes import Network

GIB = 1 << 30


def told(*reserved: float) -> Creep:
    creep = Creep()
    for one in reserved:
        creep.drained(int(one * GIB))
    return creep


def test_memory_that_every_drain_adds_to_is_said_in_facts_and_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        creep = told(20, 21, 22, 23, 24, 25)
    assert "5.0 GiB more after 5 drains" in creep.fact
    assert "creeps" in caplog.text


def test_growth_that_ends_is_not_a_creep(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert told(20, 30, 35, 35, 36, 36, 36, 40, 40).fact == ""
    assert not caplog.records


def test_growth_of_a_few_megabytes_is_not_worth_a_word() -> None:
    assert told(*(20 + drain / 100 for drain in range(20))).fact == ""


def test_a_creep_that_goes_on_is_said_again_only_when_it_has_grown_by_as_much(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        told(*(20 + drain / 4 for drain in range(12)))  # 2.75 GiB in all, and a bound of 1
    assert len(caplog.records) == 2


def test_a_creep_that_has_ended_leaves_the_facts() -> None:
    assert told(20, 21, 22, 23, 24, 25, 25).fact == ""


def test_an_engine_counts_the_drains_that_had_work_and_tells_what_creeps(
    network: Network, references: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = iter(range(20, 40))
    monkeypatch.setattr(engine, "reserved", lambda device: next(held) * GIB)
    made = assemble(network, "tiny", Options(slots=1, steps=1))
    speech = Speech("en", "a voice", Path(references[2]))
    for _ in range(6):
        render(made, [Utterance("silence", "* * *", speech)])
        render(made, [])  # a wake-up that found nothing
    made.close()
    assert "5.0 GiB more after 5 drains" in made.facts()[CREEPS]

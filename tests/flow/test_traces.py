"""The traces of jobs through the real desk and render loop: one for each job, and one for each render batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import farm.passages
from farm.store.call import command
from farm.tracing import trace_id
from tests.collector import Here, Spanned
from tests.flow.house import House
from tests.flow.test_batches import accept_batch
from tests.patience import patient
from tests.pure.test_tracing import GOOD
from worker.engines.espeak.engine import Espeak

OTHER = GOOD.replace("4bf92f35", "5cf92f35")


@pytest.fixture
def here() -> Here:
    return Here()


@pytest.fixture
def house(redis_url: str, tmp_path: Path, espeak: Espeak, here: Here) -> Iterator[House]:
    house = House(redis_url, tmp_path / "storage", espeak, tracing=here, lease_seconds=patient(0.6))
    yield house
    house.close()


def of(trace: str | None, spans: list[Spanned]) -> list[Spanned]:
    return [span for span in spans if span.trace == trace_id(trace)]


def test_the_steps_of_a_job_are_one_trace_under_its_request(house: House, here: Here) -> None:
    job = house.submit(input="One.\n\nTwo.", trace=GOOD)
    house.finish()
    plan, render, assemble = of(GOOD, here.spans)
    assert [plan.name, render.name, assemble.name] == ["plan", "render", "assemble"]
    assert {span.parent for span in (plan, assemble, render)} == {GOOD[36:52]}
    assert {span.attributes["farm.job_id"] for span in (plan, assemble, render)} == {job}
    assert (plan.attributes["farm.segments"], render.attributes["farm.segments"]) == (2, 2)
    assert assemble.attributes["farm.audio_seconds"] > 0
    assert render.seconds > 0


def test_each_passage_of_a_book_is_a_step_of_its_trace(
    house: House, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farm.passages, "PASSAGE_MS", 1_000)
    parts = [{"input": "One.\n\nTwo."}, {"input": "Three."}]
    job = house.submit(chapters=parts, output={"format": "flac"}, trace=GOOD)
    house.finish()
    spans = of(GOOD, here.spans)
    joined = [span for span in spans if span.name == "passage"]
    assert {span.parent for span in joined} == {GOOD[36:52]}
    assert {span.attributes["farm.job_id"] for span in joined} == {job}
    assert sorted((span.attributes["farm.first"], span.attributes["farm.segments"]) for span in joined) == [
        (0, 2),
        (2, 1),
    ]
    assert all(span.attributes["farm.bytes"] > 0 for span in joined)
    (assemble,) = (span for span in spans if span.name == "assemble")
    assert spans.index(assemble) > max(map(spans.index, joined))


def test_a_render_batch_is_a_trace_of_its_own_with_a_link_to_each_of_its_jobs(house: House, here: Here) -> None:
    house.submit(input="One.\n\nTwo.", trace=GOOD)
    house.submit(input="Three.", trace=OTHER)
    house.submit(input="Four.")
    house.finish()
    taken = [span for span in here.spans if span.name == "render batch"]
    assert sum(span.attributes["farm.segments"] for span in taken) == 4
    assert {link for span in taken for link in span.links} == {(GOOD[3:35], GOOD[36:52]), (OTHER[3:35], OTHER[36:52])}
    assert all(span.parent == "" for span in taken)
    assert not {span.trace for span in taken} & {GOOD[3:35], OTHER[3:35]}
    assert {span.attributes["farm.model"] for span in taken} == {"espeak"}


def test_a_job_that_was_accepted_without_a_trace_has_no_spans(house: House, here: Here) -> None:
    """As every job of the release before."""
    house.submit(input="One.")
    house.finish()
    assert {span.name for span in here.spans} == {"render batch"}


def test_a_plan_that_fails_says_so_and_nothing_of_the_text(house: House, here: Here) -> None:
    job = house.submit(input="Of herons.", trace=GOOD)
    house.store.run(command("DEL", f"f:text:{job}", read=int))
    house.desk.drain()
    (plan,) = of(GOOD, here.spans)
    assert (plan.name, plan.attributes["farm.error"]) == ("plan", "object_missing")
    assert "heron" not in plan.text


def test_each_job_of_a_batch_has_a_trace_of_its_own_linked_to_the_request(house: House, here: Here) -> None:
    batch = accept_batch(house, ["One.", "Two."], GOOD)
    house.finish()
    accepts = [span for span in here.spans if span.name == "accept"]
    assert len({span.trace for span in accepts}) == 2
    for accept in accepts:
        assert accept.links == [(GOOD[3:35], GOOD[36:52])]
        assert accept.attributes["farm.batch_id"] == batch
        steps = [span for span in here.spans if span.trace == accept.trace and span is not accept]
        assert sorted(span.name for span in steps if span.id != accept.id) == ["assemble", "plan", "render"]
        assert {span.parent for span in steps if span.id != accept.id} == {accept.id}
    assert of(GOOD, here.spans) == []

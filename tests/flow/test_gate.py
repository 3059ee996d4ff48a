"""An ear behind the engine: what it finds is told, made again under other seeds, and never costs a segment."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from farm.job import Status
from farm.plan_reader import PlanReader
from farm.settings import Settings
from farm.store import registry
from farm.wire import Model
from tests.flow.house import House
from tests.flow.test_retakes import BOATS, _Once
from tests.patience import patient
from worker.ear.ear import Deaf, Heard
from worker.ear.rules import Report
from worker.engine import Clip, Failure, Feed, Utterance
from worker.engines.espeak.engine import Espeak
from worker.render.check import Check, decided
from worker.render.gate import TAKES, another
from worker.render.renderer import Renderer

TEXTS = ("The bell rang over the harbour.", "The boats went out with the tide.", "Nobody saw them again.")
ODD = TEXTS[1]
Answer = Report | Deaf | None


class Drawing:
    """The real engine, as if it drew random numbers: its card has a seed, by which `changes` may change a clip."""

    def __init__(
        self, real: Espeak, changes: Callable[[Utterance, Clip], Clip | Failure] = lambda asked, clip: clip
    ) -> None:
        self._real, self._changes = real, changes
        self.card = real.card.model_copy(update={"parameters": [*real.card.parameters, "seed"]})
        self.capacity, self.device = 2, real.device
        self.asked: list[Utterance] = []

    def render(self, feed: Feed) -> Iterator[Clip | Failure]:
        while taken := feed.take(self.capacity, wait=True):
            for utterance in taken:
                self.asked.append(utterance)
                outcome = next(iter(self._real.render(_Once(utterance))))
                yield self._changes(utterance, outcome) if isinstance(outcome, Clip) else outcome

    def seeds(self, text: str) -> list[int]:
        return [utterance.speech.manner.seed for utterance in self.asked if utterance.text == text]

    def facts(self) -> dict[str, str]:
        return {}

    def close(self) -> None: ...


class StandIn:
    """In place of worker.ear.ear.Ear: it answers by the text and by how often that was heard."""

    def __init__(self, answers: Callable[[str, int], Answer]) -> None:
        self._answers, self._times = answers, dict[str, int]()
        self.may_answer = threading.Event()
        self.may_answer.set()

    def hear(self, clips: Sequence[Heard], rate: int) -> list[Answer]:
        self.may_answer.wait()
        return [self._answer(clip.text) for clip in clips]

    def _answer(self, text: str) -> Answer:
        self._times[text] = self._times.get(text, 0) + 1
        return self._answers(text, self._times[text])

    def turn_off(self) -> None: ...

    def close(self) -> None: ...


def said(text: str, wrong: float = 0.0) -> Report:
    return Report(heard=text if wrong == 0 else "the goats", words=7, wrong=wrong, run=0, gap=0)


def bad_at_odd(text: str, time: int) -> Answer:
    return said(text, 0.4 if text == ODD else 0.0)


def renderer(
    house: House, engine: Any, ear: Any, mode: str = "rerender", *, behind: str = "wait", libraries: str = "libraries 1"
) -> Renderer:
    settings = Settings.read(check=mode, check_behind=behind)
    check = Check(ear, *decided(settings, engine.card, libraries))
    house.store.run(registry.announce(check.card.name, check.card.model_dump_json()))
    made = Renderer(house.store, house.storage, engine, house.settings, "worker", check=check)
    house._renderers.append(made)
    return made


def narrated(house: House, worker: Renderer, texts: Sequence[str] = TEXTS, **asked: Any) -> list[dict[str, Any]]:
    job = house.submit(input="\n\n".join(texts), **asked)
    house.desk.drain()
    worker.drain()
    house.desk.drain()
    assert house.record(job).status is Status.SUCCEEDED
    return rows(house, job)


def rows(house: House, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(house.storage.get(house.outcome(job).manifest_key))["segments"]
    return found


def warnings(table: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [row.get("warnings", []) for row in table]


def test_what_is_heard_otherwise_is_told_in_the_manifest_and_in_the_metrics(house: House, espeak: Espeak) -> None:
    engine = Drawing(espeak)
    worker = renderer(house, engine, StandIn(bad_at_odd), "report")
    first, odd, last = warnings(narrated(house, worker))
    assert (first, last) == ([], [])
    assert odd == ["misread: 40% of its letters are heard otherwise: the goats"]
    assert house.store.run(registry.backlog()).tally.counts("warned") == {("espeak", "misread"): 1}
    assert len(engine.asked) == len(TEXTS), "report makes nothing again"
    assert worker.facts()["check"] == "3 clips heard, 1 told of, 0 made again, 0 unchecked"


def test_a_word_without_a_place_in_the_clip_is_told_of_and_nothing_is_made_again(house: House, espeak: Espeak) -> None:
    engine = Drawing(espeak)
    ear = StandIn(lambda text, time: replace(said(text), lost="tide" if text == ODD else ""))
    _, told, _ = warnings(narrated(house, renderer(house, engine, ear)))
    assert told == [f"misread: 'tide' has no place in it and may be missing: {ODD}"]
    assert len(engine.asked) == len(TEXTS)


def test_a_bad_clip_is_made_again_under_a_seed_of_its_own_and_the_good_one_stays(house: House, espeak: Espeak) -> None:
    engine = Drawing(espeak)
    ear = StandIn(lambda text, time: said(text, 0.4 if text == ODD and time == 1 else 0.0))
    assert warnings(narrated(house, renderer(house, engine, ear), seed=7)) == [[], [], []]
    assert engine.seeds(TEXTS[0]) == [7]
    assert len(set(engine.seeds(ODD))) == 2


def test_the_best_of_all_takes_stays_and_is_told_of(house: House, espeak: Espeak) -> None:
    def length(utterance: Utterance, clip: Clip) -> Clip:
        """Each take of the odd text is longer than the one before, so that the manifest shows which stayed."""
        times = 1 + len(engine.seeds(ODD)) if utterance.text == ODD else 1
        return replace(clip, samples=np.tile(clip.samples, times))

    engine = Drawing(espeak, length)
    shares = {1: 0.5, 2: 0.2, 3: 0.3}
    ear = StandIn(lambda text, time: said(text, shares[time] if text == ODD else 0.0))
    table = narrated(house, renderer(house, engine, ear))
    assert len(engine.seeds(ODD)) == TAKES
    tally = house.store.run(registry.backlog()).tally
    assert (tally.counts("again"), tally.counts("review")) == ({("espeak",): TAKES - 1}, {("espeak",): 1})
    (warning,) = table[1]["warnings"]
    assert warning.startswith("misread: 20% of its letters are heard otherwise, in the best of 3 takes")
    usual = len(next(iter(espeak.render(_Once(engine.asked[1])))).samples)  # type: ignore[union-attr]
    assert table[1]["frames"] == pytest.approx(3 * usual, rel=0.01), "the second take, three times as long"


def test_a_later_take_that_fails_leaves_the_first_one(house: House, espeak: Espeak) -> None:
    def change(utterance: Utterance, clip: Clip) -> Clip | Failure:
        return Failure(clip.key, "no") if utterance.text == ODD and len(engine.seeds(ODD)) > 1 else clip

    engine = Drawing(espeak, change)
    table = narrated(house, renderer(house, engine, StandIn(bad_at_odd)))
    assert warnings(table)[1] == ["misread: 40% of its letters are heard otherwise: the goats"]


def test_an_engine_without_a_seed_is_only_told_of(
    house: House, espeak: Espeak, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings.read(check="rerender")
    policy, card = decided(settings, espeak.card, "libraries 1")
    assert not policy.rerenders
    assert card == espeak.card
    assert "has no seed" in caplog.text


def test_an_ear_that_dies_of_a_clip_costs_a_warning_and_no_segment(house: House, espeak: Espeak) -> None:
    ear = StandIn(lambda text, time: Deaf("the ear crashed") if text == ODD else said(text))
    assert warnings(narrated(house, renderer(house, Drawing(espeak), ear))) == [
        [], ["unchecked: the ear crashed"], []
    ]  # fmt: skip


def test_an_ear_that_raises_costs_warnings_and_no_segment(house: House, espeak: Espeak) -> None:
    def fall_over(text: str, time: int) -> Answer:
        raise RuntimeError("no")

    told = warnings(narrated(house, renderer(house, Drawing(espeak), StandIn(fall_over))))
    assert told == [["unchecked: the ear could not be asked"]] * 3


def test_the_engine_goes_on_while_the_ear_hears(house: House, espeak: Espeak) -> None:
    """The ear answers only when the last of five clips is made: one at least is in its hands, four may wait."""
    texts = [f"The {number} boats came in with the tide." for number in range(5)]

    def note(utterance: Utterance, clip: Clip) -> Clip:
        if len(engine.asked) == len(texts):
            ear.may_answer.set()
        return clip

    engine = Drawing(espeak, note)
    ear = StandIn(lambda text, time: said(text))
    ear.may_answer.clear()
    job = house.submit(input="\n\n".join(texts))
    worker = renderer(house, engine, ear, "report")
    house.desk.drain()
    worker.drain()
    house.desk.drain()
    assert warnings(rows(house, job)) == [[]] * len(texts)


def test_clips_pass_unheard_where_the_ear_is_behind_and_nobody_shall_wait(house: House, espeak: Espeak) -> None:
    """The ear answers when the engine has made its last clip: four wait for it, up to four are in its hands."""
    texts = [f"The {number} boats came in with the tide." for number in range(20)]

    def note(utterance: Utterance, clip: Clip) -> Clip:
        if len(engine.asked) == len(texts):
            ear.may_answer.set()
        return clip

    engine = Drawing(espeak, note)
    ear = StandIn(lambda text, time: said(text))
    ear.may_answer.clear()
    worker = renderer(house, engine, ear, "report", behind="pass")
    job = house.submit(input="\n\n".join(texts))
    house.desk.drain()
    worker.drain()
    house.desk.drain()
    told = warnings(rows(house, job))
    assert 12 <= sum(one == ["unchecked: the ear is behind the engine"] for one in told) <= 16
    assert sum(one == [] for one in told) >= 4


def test_a_job_without_checks_is_not_heard(house: House, espeak: Espeak) -> None:
    engine = Drawing(espeak)
    assert warnings(narrated(house, renderer(house, engine, StandIn(bad_at_odd)), checks=False)) == [[], [], []]
    assert len(engine.asked) == len(TEXTS)


def test_the_seed_of_another_take_follows_from_the_utterance_alone(house: House, espeak: Espeak) -> None:
    runs = []
    for _ in range(2):
        engine = Drawing(espeak)
        narrated(house, renderer(house, engine, StandIn(bad_at_odd)), seed=7)
        runs.append(engine.seeds(ODD))
        for row in house.storage.list("segments/"):
            house.storage.delete(row.key)
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == TAKES


def test_other_takes_have_seeds_of_their_own(espeak: Espeak) -> None:
    from tests.engine.feeds import utterance

    one = utterance(espeak, ODD)
    seeds = [another(one, number).speech.manner.seed for number in range(2, 50)]
    assert len({0, *seeds}) == 49


def test_segments_to_be_heard_by_somebody_are_counted_in_the_result_and_marked_in_the_manifest(
    house: House, espeak: Espeak
) -> None:
    worker = renderer(house, Drawing(espeak), StandIn(bad_at_odd), "report")
    job = house.submit(input="\n\n".join(TEXTS))
    house.desk.drain()
    worker.drain()
    house.desk.drain()
    assert house.outcome(job).needs_review == 1
    manifest = json.loads(house.storage.get(house.outcome(job).manifest_key))
    assert manifest["needs_review"] == 1
    assert [row.get("needs_review", False) for row in manifest["segments"]] == [False, True, False]


def test_a_segment_to_listen_to_is_counted_while_the_next_one_is_rendered(house: House, espeak: Espeak) -> None:
    seen: list[tuple[Status, int]] = []

    def look(utterance: Utterance, clip: Clip) -> Clip:
        give_up = time.monotonic() + patient(20)
        while utterance.text == TEXTS[-1] and not house.record(job).review and time.monotonic() < give_up:
            time.sleep(0.01)  # the store has no event for a count: it has to be asked
        seen.append((house.record(job).status, house.record(job).review))
        return clip

    worker = renderer(house, Drawing(espeak, look), StandIn(bad_at_odd), "report")
    job = house.submit(input="\n\n".join(TEXTS))
    house.desk.drain()
    worker.drain()
    assert seen[-1] == (Status.RUNNING, 1)


def test_a_segment_to_listen_to_is_counted_where_its_clip_was_in_storage_too(house: House, espeak: Espeak) -> None:
    worker = renderer(house, Drawing(espeak), StandIn(bad_at_odd), "report")
    narrated(house, worker)
    again = house.submit(input="\n\n".join(TEXTS))
    house.desk.drain()
    worker.drain()
    assert (house.record(again).cached, house.record(again).review) == (3, 1)


def test_an_unheard_clip_is_warned_of_and_needs_no_review(house: House, espeak: Espeak) -> None:
    ear = StandIn(lambda text, time: Deaf("the ear crashed"))
    assert not any("needs_review" in row for row in narrated(house, renderer(house, Drawing(espeak), ear)))


def test_a_job_that_wants_no_such_segment_fails_and_names_them(house: House, espeak: Espeak) -> None:
    worker = renderer(house, Drawing(espeak), StandIn(bad_at_odd), "report")
    job = house.submit(input="\n\n".join(TEXTS), on_review="fail")
    house.desk.drain()
    worker.drain()
    house.desk.drain()
    assert house.record(job).status is Status.FAILED
    assert house.outcome(job).code == "needs_review"
    assert "1 of 3 segments need a review (1)" in house.outcome(job).message


def test_a_job_that_wants_no_such_segment_and_has_none_succeeds(house: House, espeak: Espeak) -> None:
    ear = StandIn(lambda text, time: said(text))
    narrated(house, renderer(house, Drawing(espeak), ear), on_review="fail")


def test_a_fresh_worker_warns_at_the_first_odd_clip_of_a_voice_that_was_fitted_before(
    house: House, espeak: Espeak
) -> None:
    """And of a voice that was not fitted yet it says nothing. Nothing is made again for a tempo."""
    odd = ["The harbour was empty before the evening came.", "The evening came before the harbour was empty."]

    def lengthened(utterance: Utterance, clip: Clip) -> Clip:
        longer = np.concatenate([clip.samples, clip.samples[: len(clip.samples) // 2]])
        return replace(clip, samples=longer) if utterance.text in odd else clip

    engine = Drawing(espeak, lengthened)
    ear = StandIn(lambda text, time: said(text))
    assert warnings(narrated(house, renderer(house, engine, ear), odd[:1])) == [[]]
    story = [
        f"The {boat} came in, and {other} was glad."
        for boat in BOATS.split()
        for other in ("Ann", "nobody", "the pilot")
    ]
    assert warnings(narrated(house, renderer(house, engine, ear), story)) == [[]] * len(story)
    ((warning,),) = warnings(narrated(house, renderer(house, engine, ear), odd[1:]))
    assert warning.startswith("pace: it lasts 1.")
    assert len(engine.asked) == len(story) + len(odd)


# --- names ------------------------------------------------------------------------------------------------------------


def planned(house: House, card: Model) -> list[str]:
    """The names of the clips of a job that is planned under this card."""
    house.store.run(registry.announce(card.name, card.model_dump_json()))
    job = house.submit(input="\n\n".join(TEXTS))
    house.desk.drain()
    return [row.digest for row in PlanReader(house.storage, job).rows()]


def test_two_workers_with_other_gates_never_put_other_clips_under_one_name(house: House, espeak: Espeak) -> None:
    card = Drawing(espeak).card
    cards = [decided(Settings.read(check="rerender"), card, f"libraries {release}")[1] for release in (1, 2)]
    reporting = decided(Settings.read(check="report"), card, "libraries 1")[1]
    names = [planned(house, one) for one in (card, *cards)]
    assert len({name for row in names for name in row}) == 3 * len(TEXTS)
    assert planned(house, reporting) == names[0], "what is only told of is the same clip"


def test_no_worker_with_another_gate_writes_over_a_clip(house: House, espeak: Espeak) -> None:
    """The one finds all first takes bad and chooses the second ones, the other finds none bad."""

    def longer(utterance: Utterance, clip: Clip) -> Clip:
        return replace(clip, samples=np.tile(clip.samples, 1 + len(engine.seeds(utterance.text)) % 2))

    def stored() -> dict[str, bytes]:
        return {row.key: house.storage.get(row.key) for row in house.storage.list("segments/")}

    engine = Drawing(espeak, longer)
    narrated(house, renderer(house, engine, StandIn(lambda text, time: said(text, 0.4 if time == 1 else 0.0))))
    before = stored()
    narrated(house, renderer(house, engine, StandIn(lambda text, time: said(text)), libraries="libraries 2"))
    after = stored()
    assert (len(before), len(after)) == (len(TEXTS), 2 * len(TEXTS))
    assert before.items() <= after.items()
    assert len({*after.values()}) == 2 * len(TEXTS), "each gate chose other clips, so that one name would have had two"


@pytest.mark.parametrize("mode", ["off", "report", "rerender"])
def test_work_for_a_gate_that_a_worker_does_not_have_is_one_take_that_the_manifest_calls_unchecked(
    house: House, espeak: Espeak, mode: str
) -> None:
    engine = Drawing(espeak)
    ours = decided(Settings.read(check="rerender"), engine.card, "libraries 1")[1]
    house.store.run(registry.announce(ours.name, ours.model_dump_json()))
    job = house.submit(input="\n\n".join(TEXTS))
    house.desk.drain()
    ear = StandIn(bad_at_odd)
    other = house.renderer(engine) if mode == "off" else renderer(house, engine, ear, mode, libraries="libraries 2")
    other.drain()
    house.desk.drain()
    assert len(engine.asked) == len(TEXTS)
    why = "unchecked: its job was planned for another gate than this worker has"
    assert all(why in told for told in warnings(rows(house, job)))


def test_a_worker_with_a_gate_makes_one_take_for_a_name_without(house: House, espeak: Espeak) -> None:
    engine = Drawing(espeak)
    planned(house, engine.card)
    renderer(house, engine, StandIn(bad_at_odd)).drain()
    assert len(engine.asked) == len(TEXTS)

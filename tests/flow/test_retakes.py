"""A clip that is oddly short or long for its text is made once more, in smaller pieces, behind every engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from farm.job import Status
from tests.engine.feeds import clip
from tests.flow.house import House
from worker.engine import Clip, Failure, Feed, Utterance
from worker.engines.espeak.engine import Espeak

ODD = "Then the great bell of the tower rang out over the harbour and would not stop before noon."
BOATS = "ship boat ferry barge sloop yawl ketch brig cog dhow junk tug raft punt skiff gig dory coble hoy smack prow"
STORY = [f"The {boat} came in with the tide that morning, and went out again with the next." for boat in BOATS.split()]


class Short:
    """The real engine, but it changes the clip of each text in which `changes` finds something."""

    def __init__(self, real: Espeak, changes: Callable[[str, Clip], Clip | Failure]) -> None:
        self._real, self._changes = real, changes
        self.card, self.capacity, self.device = real.card, 2, real.device
        self.asked: list[str] = []

    def render(self, feed: Feed) -> Iterator[Clip | Failure]:
        while taken := feed.take(self.capacity, wait=True):
            for utterance in taken:
                self.asked.append(utterance.text)
                outcome = next(iter(self._real.render(_Once(utterance))))
                yield self._changes(utterance.text, outcome) if isinstance(outcome, Clip) else outcome

    def facts(self) -> dict[str, str]:
        return {}

    def close(self) -> None: ...


class _Once:
    def __init__(self, utterance: Utterance) -> None:
        self._left = [utterance]

    def take(self, count: int, *, wait: bool) -> list[Utterance]:
        taken, self._left = self._left, []
        return taken


def half(clip: Clip) -> Clip:
    return replace(clip, samples=clip.samples[: len(clip.samples) * 2 // 5])


def row_of(house: House, job: str) -> dict[str, Any]:
    rows = json.loads(house.storage.get(house.outcome(job).manifest_key))["segments"]
    assert len(rows) == len(STORY) + 1
    return next(row for row in rows if row["text"] == ODD)


def narrated(house: House, engine: Short, story: list[str], **asked: Any) -> dict[str, Any]:
    job = house.submit(input="\n\n".join(story), **asked)
    house.desk.drain()
    house.renderer(engine).drain()
    house.finish()
    assert house.record(job).status is Status.SUCCEEDED
    return row_of(house, job)


@pytest.fixture
def natural_ms(espeak: Espeak) -> float:
    return len(clip(espeak, ODD).samples) * 1000 / espeak.card.sample_rate


@pytest.mark.parametrize("place", [len(STORY), 21], ids=["as the last", "before others"])
def test_a_clip_that_lost_its_end_is_made_again_in_pieces(
    house: House, espeak: Espeak, natural_ms: float, place: int
) -> None:
    """As the last one, it is found when the engine has been told that nothing more will come."""
    engine = Short(espeak, lambda text, clip: half(clip) if text == ODD else clip)
    row = narrated(house, engine, [*STORY[:place], ODD, *STORY[place:]])
    assert row["duration_ms"] == pytest.approx(natural_ms, abs=400)
    assert "warnings" not in row
    assert row["spoken_characters"] == len(ODD)
    assert "".join(engine.asked).count("bell") == 2


def test_an_engine_that_is_no_better_with_less_text_keeps_its_clip_with_a_warning(house: House, espeak: Espeak) -> None:
    engine = Short(espeak, lambda text, clip: half(clip) if text in ODD else clip)
    row = narrated(house, engine, [*STORY, ODD])
    (warning,) = row["warnings"]
    assert warning.startswith("pace: 0.0")
    assert "where this voice takes 0.0" in warning


def test_a_retake_that_fails_leaves_the_first_clip_with_a_warning(house: House, espeak: Espeak) -> None:
    def change(text: str, clip: Clip) -> Clip | Failure:
        if text == ODD:
            return replace(clip, samples=np.tile(clip.samples, 5))
        return Failure(clip.key, "no") if text in ODD else clip

    row = narrated(house, Short(espeak, change), [*STORY, ODD])
    (warning,) = row["warnings"]
    assert warning.startswith("pace: ")


def test_ordinary_clips_are_made_once(house: House, espeak: Espeak) -> None:
    engine = Short(espeak, lambda text, clip: clip)
    assert "warnings" not in narrated(house, engine, [*STORY, ODD])
    assert sorted(engine.asked) == sorted([*STORY, ODD])


def test_a_job_that_wants_no_checks_gets_every_first_clip(house: House, espeak: Espeak) -> None:
    engine = Short(espeak, lambda text, clip: half(clip) if text == ODD else clip)
    assert "warnings" not in narrated(house, engine, [*STORY, ODD], checks=False)
    assert sorted(engine.asked) == sorted([*STORY, ODD])

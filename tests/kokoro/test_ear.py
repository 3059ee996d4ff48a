"""What only the real ear can show: it hears a good clip as good, a faulty one as bad, and the same in any company."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.faults import plant
from farm.settings import Settings
from tests.engine.feeds import clip
from tests.flow.house import House
from worker.ear.ear import Deaf, Ear, Heard
from worker.ear.files import ear_folder
from worker.ear.rules import Report, Verdict, verdict
from worker.engine import Engine
from worker.render.check import opened
from worker.render.renderer import Renderer

TEXT = "The captain looked at the chart, then at the clouds, and said nothing."
OTHER = "Nobody had lived in the house for more than forty years."


@pytest.fixture(scope="module")
def ear() -> Iterator[Ear]:
    made = Ear.of(ear_folder(Settings.read()))
    assert "ctranslate2" in made.start()
    yield made
    made.close()


@pytest.fixture(scope="module")
def spoken(engine: Engine) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    return {text: clip(engine, text).samples for text in (TEXT, OTHER)}


def verdicts(answers: Sequence[Report | Deaf | None]) -> list[Verdict]:
    return [verdict(answer, "en") for answer in answers if isinstance(answer, Report)]


def test_good_clips_are_good_and_planted_faults_are_not(ear: Ear, spoken: dict[str, np.ndarray]) -> None:
    planted = plant(spoken[TEXT], 24_000, TEXT, spoken[OTHER], seed=1)
    kinds = ["cut", "babble", "other"]
    clips = [spoken[TEXT], *(planted[kind] for kind in kinds)]
    answers = ear.hear([Heard(samples, "en-us", TEXT) for samples in clips], 24_000)
    assert verdicts(answers) == [Verdict.GOOD, Verdict.BAD, Verdict.BAD, Verdict.BAD]
    likelier = [answer.likelier for answer in answers if isinstance(answer, Report) and answer.likelier is not None]
    assert likelier[0] < 2 < 5 < min(likelier[1:]), "how much more the ear believes in what it heard than in the text"


def test_a_phrase_said_twice_and_a_last_word_that_is_missing_are_told_of(
    ear: Ear, spoken: dict[str, np.ndarray]
) -> None:
    """Whisper writes the phrase once, and makes up for the word."""
    planted = plant(spoken[TEXT], 24_000, TEXT, spoken[OTHER], seed=1)
    answers = ear.hear([Heard(planted[kind], "en-us", TEXT) for kind in ("repeated", "last word")], 24_000)
    assert Verdict.GOOD not in verdicts(answers)


def test_a_clip_is_heard_alike_in_any_company_and_after_any_other(ear: Ear, spoken: dict[str, np.ndarray]) -> None:
    one = Heard(spoken[TEXT], "en", TEXT)
    long = Heard(np.tile(spoken[OTHER], 6), "en", OTHER)
    alone = ear.hear([one], 24_000)[0]
    assert ear.hear([long, one, Heard(spoken[OTHER], "en", OTHER)], 24_000)[1] == alone


def test_a_language_that_whisper_does_not_know_has_no_report(ear: Ear, spoken: dict[str, np.ndarray]) -> None:
    assert ear.hear([Heard(spoken[TEXT], "xx", TEXT)], 24_000) == [None]


def test_a_misread_sentence_stands_in_the_manifest_with_what_was_heard(
    redis_url: str, tmp_path: Path, engine: Engine
) -> None:
    """The engine is given a mark of pronunciation that says another word than is written."""
    check = opened(Settings.read(model="kokoro", check="report"), engine.card)
    house = House(redis_url, tmp_path / "storage", engine)
    text = f"The harbour was <empty|F UH1 L AH0 V SH IH1 P S>.\n\n{OTHER}"
    job = house.submit(input=text, language="en-us")
    house.desk.drain()
    worker = Renderer(house.store, house.storage, engine, house.settings, "worker", check=check)
    worker.drain()
    house.desk.drain()
    first, second = json.loads(house.storage.get(house.outcome(job).manifest_key))["segments"]
    worker.close()
    house.close()
    (warning,) = first["warnings"]
    assert warning.startswith("misread: ")
    assert "ships" in warning
    assert second.get("warnings", []) == []

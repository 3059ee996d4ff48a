"""Pronunciation marks on their way to the engine, and in the texts that people read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.flow.house import House
from worker.engine import Clip, Failure, Feed
from worker.engines.espeak.engine import Espeak

TEXT = "He had a <minute|M IH1 . N AH0 T> to examine the <minute|M AY0 . N UW1 T> details of the contract."


class Marking:
    """eSpeak that claims to read marks, and speaks at most 60 characters at once."""

    def __init__(self, real: Espeak) -> None:
        self._real = real
        limits = {name: said.model_copy(update={"max_characters": 60}) for name, said in real.card.languages.items()}
        self.card = real.card.model_copy(update={"languages": limits, "parameters": ["speed", "pronunciation"]})
        self.capacity, self.device = real.capacity, real.device

    def render(self, feed: Feed) -> Iterator[Clip | Failure]:
        return self._real.render(feed)

    def facts(self) -> Mapping[str, str]:
        return {}

    def close(self) -> None: ...


@pytest.fixture
def marking(redis_url: str, tmp_path: Path, espeak: Espeak) -> Iterator[House]:
    house = House(redis_url, tmp_path / "storage", Marking(espeak))
    yield house
    house.close()


def test_an_engine_gets_marks_whole_and_subtitles_show_the_words(marking: House) -> None:
    job = marking.submit(input=TEXT, language="en", output={"format": "wav", "subtitles": ["vtt"]})
    marking.finish()
    outcome = marking.outcome(job)
    rows = json.loads(marking.storage.get(outcome.manifest_key))["segments"]
    assert [row["text"] for row in rows] == [
        "He had a <minute|M IH1 . N AH0 T> to examine the",
        "<minute|M AY0 . N UW1 T> details of the contract.",
    ]
    shown = marking.storage.get(outcome.subtitles["vtt"]).decode()
    assert "He had a minute to examine" in shown
    assert "AH0" not in shown


def test_marks_are_plain_text_for_an_engine_without_them_and_in_subtitles(house: House) -> None:
    job = house.submit(input=TEXT, language="en", output={"format": "wav", "subtitles": ["srt"]})
    house.finish()
    assert "AH0" in house.storage.get(house.outcome(job).subtitles["srt"]).decode()

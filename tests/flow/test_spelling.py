"""A text on its way to the engine, which gets its plain spelling, and to its reader, who gets what was sent."""

from __future__ import annotations

import json
from typing import Any

from tests.flow.house import House, Unwell
from worker.engines.espeak.engine import Espeak

SENT = "２０ ℃: the ﬁnal oﬃce \u200bof U\u0308ber."
PLAIN = "20 °C: the final office of Über."


def submitted(house: House, text: str) -> str:
    job = house.submit(input=text, language="en", output={"format": "wav", "subtitles": ["vtt"]})
    house.finish()
    return job


def row(house: House, job: str) -> dict[str, Any]:
    (row,) = json.loads(house.storage.get(house.outcome(job).manifest_key))["segments"]
    return dict(row)


def test_an_engine_gets_the_plain_spelling_and_the_manifest_has_what_was_sent(house: House, espeak: Espeak) -> None:
    tapped = Unwell(espeak, "\0")
    house.engine = tapped
    job = submitted(house, SENT)
    assert tapped.asked == [PLAIN]
    assert (row(house, job)["text"], row(house, job)["end"]) == (SENT, len(SENT))
    assert "２０ ℃" in house.storage.get(house.outcome(job).subtitles["vtt"]).decode()


def test_two_ways_to_write_one_text_share_their_clip(house: House) -> None:
    first, second = submitted(house, PLAIN), submitted(house, SENT)
    assert row(house, first)["digest"] == row(house, second)["digest"]
    assert (row(house, first)["cached"], row(house, second)["cached"]) == (False, True)

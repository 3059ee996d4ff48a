"""Markup from the request to the sound: who is heard, how fast, and how long it is silent."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import soundfile

from farm.job import Status
from tests.flow.house import House, Unwell
from worker.engines.espeak.engine import Espeak


def manifest(house: House, job: str) -> dict[str, Any]:
    assert house.record(job).status is Status.SUCCEEDED, house.record(job).outcome
    return dict(json.loads(house.storage.get(house.outcome(job).manifest_key)))


def silence_ms(house: House, job: str, at_ms: int) -> float:
    """How long the recording is silent around a place."""
    samples, rate = soundfile.read(io.BytesIO(house.storage.get(house.outcome(job).audio_key)))
    loud = np.flatnonzero(np.abs(samples) > 1e-3)
    place = round(at_ms * rate / 1000)
    return float(loud[loud >= place][0] - loud[loud < place][-1]) * 1000 / rate


def test_a_break_is_heard_and_a_voice_speaks_in_its_place(house: House, espeak: Espeak) -> None:
    house.engine = tapped = Unwell(espeak, "\0")
    text = "<speak>One sentence.<break time='1.5s'/> Then <voice name='de'>noch einer</voice> follows.</speak>"
    job = house.submit(input=text, markup="ssml", language="en", output={"format": "wav", "subtitles": ["vtt"]})
    house.finish()
    rows = manifest(house, job)["segments"]
    assert [row["text"] for row in rows] == ["One sentence.", "Then", "noch einer", "follows."]
    assert [text[row["start"] : row["end"]] for row in rows] == [row["text"] for row in rows]
    assert dict(zip(tapped.asked, (speech.voice for speech in tapped.speeches), strict=True))["noch einer"] == "de"
    first = rows[0]
    assert 1490 <= silence_ms(house, job, first["offset_ms"] + first["duration_ms"] + 700) <= 1600
    assert rows[1]["offset_ms"] - first["offset_ms"] - first["duration_ms"] == 1500
    assert "One sentence." in house.storage.get(house.outcome(job).subtitles["vtt"]).decode()


def test_a_rate_makes_its_words_slower_than_the_same_words_without(house: House) -> None:
    text = "<speak>The same words. <prosody rate='50%'>The same words.</prosody></speak>"
    job = house.submit(input=text, markup="ssml", language="en")
    house.finish()
    usual, slow = manifest(house, job)["segments"]
    assert slow["duration_ms"] > 1.6 * usual["duration_ms"]
    assert ("speed" in usual, slow["speed"]) == (False, 0.5)


def test_a_cast_speaks_and_the_manifest_counts_it(house: House) -> None:
    text = "Narrated. [voice:anna]Said.[/voice] [voice:de]Sagt."
    job = house.submit(input=text, markup="tags", language="en", voices={"narrator": "en-gb", "anna": "en-us"})
    house.finish()
    assert {name: (said["voices"], said["characters"]) for name, said in manifest(house, job)["cast"].items()} == {
        "narrator": (["en-gb"], 9), "anna": (["en-us"], 5), "de": (["de"], 5),
    }  # fmt: skip


def test_subtitles_show_what_is_written_and_the_engine_says_what_is_meant(house: House, espeak: Espeak) -> None:
    house.engine = tapped = Unwell(espeak, "\0")
    text = "<speak>In <say-as interpret-as='digits'>42</say-as> <sub alias='kilometres'>km</sub>.</speak>"
    job = house.submit(input=text, markup="ssml", language="en", output={"format": "wav", "subtitles": ["vtt"]})
    house.finish()
    assert tapped.asked == ["In four two kilometres."]
    (row,) = manifest(house, job)["segments"]
    assert (row["text"], row["spoken"]) == ("In 42 km.", "In four two kilometres.")
    assert row["spoken_characters"] == len(row["text"])
    assert "In 42 km." in house.storage.get(house.outcome(job).subtitles["vtt"]).decode()


def test_markup_that_the_model_can_no_longer_do_fails_the_job_by_its_place(house: House) -> None:
    job = house.submit(input="one [emotion:sad] two", markup="tags", language="en")
    house.finish()
    assert house.record(job).status is Status.FAILED
    assert "line 1, column 5: [emotion:sad]: model 'espeak' does not honour emotion" in house.outcome(job).message

"""Lexicons from the job to the sound: planned apart, said once, and only what changed is rendered again."""

from __future__ import annotations

import hashlib
import json

from farm.job import Status
from farm.layout import lexicon_key
from farm.lexicon.entries import Lexicon
from tests.flow.house import House, Unwell
from worker.engines.espeak.engine import Espeak


def put(house: House, **said: str) -> dict[str, str]:
    """The lexicons of a job: word -> alias."""
    rows = [{"written": written, "alias": alias} for written, alias in said.items()]
    document = Lexicon.model_validate({"entries": rows}).to_json().encode()
    digest = hashlib.sha256(document).hexdigest()
    house.storage.put(lexicon_key("default", digest), document, "application/json")
    return {f"names@{len(said)}": digest}


def rows(house: House, job: str) -> list[dict[str, object]]:
    assert house.record(job).status is Status.SUCCEEDED, house.record(job).outcome
    return list(json.loads(house.storage.get(house.outcome(job).manifest_key))["segments"])


TEXT = "Ada came in.\n\nNobody spoke.\n\nAda's dog barked."


def test_a_word_is_said_as_its_lexicon_says_and_shown_as_it_is_written(house: House, espeak: Espeak) -> None:
    house.engine = tapped = Unwell(espeak, "\0")
    job = house.submit(
        input=TEXT, language="en", resolved=put(house, Ada="Ayda"), output={"format": "wav", "subtitles": ["vtt"]}
    )
    house.finish()
    assert tapped.asked == ["Ayda came in.", "Nobody spoke.", "Ayda's dog barked."]
    assert [row.get("spoken") for row in rows(house, job)] == ["Ayda came in.", None, "Ayda's dog barked."]
    assert "Ada came in." in house.storage.get(house.outcome(job).subtitles["vtt"]).decode()


def test_a_changed_entry_renders_the_sentences_that_hold_its_word_and_no_other(house: House, espeak: Espeak) -> None:
    house.submit(input=TEXT, language="en", resolved=put(house, Ada="Ayda"))
    house.finish()
    house.engine = tapped = Unwell(espeak, "\0")
    job = house.submit(input=TEXT, language="en", resolved=put(house, Ada="Adda", Bob="Rob"))
    house.finish()
    assert tapped.asked == ["Adda came in.", "Adda's dog barked."]
    assert [row["cached"] for row in rows(house, job)] == [False, True, False]


def test_a_job_whose_lexicon_was_deleted_before_it_was_planned_fails_and_says_so(house: House) -> None:
    job = house.submit(input="Ada.", language="en", resolved={"names@1": "0" * 64})
    house.finish()
    assert house.record(job).status is Status.FAILED
    assert (house.outcome(job).code, "names@1 was deleted" in house.outcome(job).message) == ("lexicon_missing", True)

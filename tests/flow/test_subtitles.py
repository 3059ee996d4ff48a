"""Subtitles beside the recording that they belong to."""

from __future__ import annotations

import json

from tests.flow.house import House


def test_the_manifest_says_whether_the_times_of_subtitles_are_estimated(house: House) -> None:
    short, long, without = (
        house.submit(input=text, language="en", output={"format": "wav", "subtitles": asked})
        for text, asked in (("A line.", ["srt"]), ("A line, " * 30, ["srt"]), ("A line, " * 30, []))
    )
    house.finish()
    manifests = [json.loads(house.storage.get(house.outcome(job).manifest_key)) for job in (short, long, without)]
    assert [manifest.get("subtitles") for manifest in manifests] == [{"times": "exact"}, {"times": "estimated"}, None]
    srt = house.storage.get(house.outcome(long).subtitles["srt"]).decode()
    assert "\n2\n" in srt
    assert max(map(len, srt.splitlines())) <= 42

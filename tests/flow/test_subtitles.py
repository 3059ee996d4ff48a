"""Subtitles beside the recording that they belong to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile as sf

from farm.audio_formats import AUDIO_FORMATS, SUBTITLE_FORMATS
from tests.flow.house import House, Unwell
from worker.engine import Clip, Failure, Feed
from worker.engines.espeak.engine import Espeak


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


@pytest.mark.parametrize("format", sorted(AUDIO_FORMATS))
def test_every_kind_of_subtitles_says_to_the_millisecond_when_a_sentence_is_heard(
    house: House, format: str, tmp_path: Path
) -> None:
    """Each segment is silent but for clicks at its two ends, which are looked for in the decoded file."""
    job = house.submit(
        chapters=[{"title": title, "input": "It rained all day.\n\nShe left at noon."} for title in ("One", "Two")],
        output={"format": format, "subtitles": list(SUBTITLE_FORMATS)},
    )
    house.desk.drain()
    house.renderer(Clicking(house.engine)).drain()  # type: ignore[arg-type]
    house.desk.drain()
    outcome = house.outcome(job)
    target = tmp_path / "audio"
    target.write_bytes(house.storage.get(outcome.audio_key))
    sound, rate = heard_at(target, format)
    cues = json.loads(house.storage.get(outcome.subtitles["json"]))["cues"]
    assert [cue["text"] for cue in cues] == ["It rained all day.", "She left at noon."] * 2
    for cue in cues:
        for place, click in ((cue["start_ms"], FIRST), (cue["end_ms"], -FIRST)):
            expected = place * rate // 1000 + round(click * rate / house.engine.card.sample_rate)
            near = sound[max(0, expected - 200) : expected + 200]
            assert abs(int(np.argmax(np.abs(near))) + max(0, expected - 200) - expected) <= 1 + rate // 1000
    starts = [cue["start_ms"] for cue in cues]
    vtt, srt, lrc = (house.storage.get(outcome.subtitles[kind]).decode() for kind in ("vtt", "srt", "lrc"))
    assert [stamp(start) in vtt and stamp(start).replace(".", ",") in srt for start in starts] == [True] * 4
    hundredths = [round(start / 10) for start in starts]
    assert [f"[00:{each // 100:02}.{each % 100:02}]" in lrc for each in hundredths] == [True] * 4
    assert [cue["chapter"] for cue in cues] == [0, 0, 1, 1]


FIRST = 400  # samples from the edge of a clip to its click


class Clicking(Unwell):
    """Every clip is as long as the engine made it, and silent but for two clicks."""

    def __init__(self, real: Espeak) -> None:
        super().__init__(real, stumbles_at="\0")

    def render(self, feed: Feed) -> Iterator[Clip | Failure]:
        for outcome in super().render(feed):
            if isinstance(outcome, Clip):
                samples = np.zeros_like(outcome.samples)
                samples[[FIRST, len(samples) - FIRST]] = 0.9
                outcome = replace(outcome, samples=samples)
            yield outcome


def heard_at(path: Path, format: str) -> tuple[Any, int]:
    if format == "m4b":
        with av.open(str(path)) as file:
            return np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)]), file.streams.audio[0].rate
    return sf.read(path)


def stamp(milliseconds: int) -> str:
    return f"00:00:{milliseconds // 1000:02}.{milliseconds % 1000:03}"

"""A fault of the sound becomes a warning in the manifest, a figure of /metrics, and never a failure."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from farm.job import Status
from farm.store import registry
from tests.flow.house import House
from tests.flow.test_retakes import Short
from worker.engine import Clip
from worker.engines.espeak.engine import Espeak

TEXTS = ("The bell rang", "The boats went out with the tide", "Nobody saw them again")


def planted(clip: Clip, kind: str) -> Clip:
    samples = clip.samples.copy()
    half = len(samples) // 2
    match kind:
        case "long_silence":
            samples = np.concatenate([samples[:half], np.zeros(30_000, np.float32), samples[half:]])
        case "noise":
            hiss = np.random.default_rng(7).uniform(-0.3, 0.3, 20_000).astype(np.float32)
            samples = np.concatenate([samples[:half], hiss, samples[half:]])
        case "clipped":
            samples = np.clip(samples * 50, -1, 1)
        case "too_quiet":
            samples *= 0.001
        case "edge_silence":
            samples = np.concatenate([np.zeros(40_000, np.float32), samples])
        case "not_finite":
            samples[half : half + 9] = np.nan
    return replace(clip, samples=samples)


def narrated(house: House, engine: Short, **asked: Any) -> tuple[list[dict[str, Any]], str]:
    job = house.submit(input="\n\n".join(TEXTS), **asked)
    house.desk.drain()
    house.renderer(engine).drain()
    house.finish()
    assert house.record(job).status is Status.SUCCEEDED
    return json.loads(house.storage.get(house.outcome(job).manifest_key))["segments"], job


@pytest.mark.parametrize("kind", ["long_silence", "noise", "clipped", "too_quiet", "edge_silence", "not_finite"])
def test_a_planted_fault_is_told_of_its_segment_alone(house: House, espeak: Espeak, kind: str) -> None:
    rows, _ = narrated(house, Short(espeak, lambda text, clip: planted(clip, kind) if text == TEXTS[1] else clip))
    assert [[warning.partition(":")[0] for warning in row.get("warnings", [])] for row in rows] == [[], [kind], []]
    tally = house.store.run(registry.backlog()).tally
    assert tally.counts("warned") == {("espeak", kind): 1}
    again, _ = narrated(house, Short(espeak, lambda text, clip: clip))
    assert again[1]["cached"]
    assert again[1]["warnings"] == rows[1]["warnings"], "a clip from the cache keeps its warnings"


def test_a_job_without_checks_hears_of_no_silence(house: House, espeak: Espeak) -> None:
    faulty = Short(espeak, lambda text, clip: planted(clip, "long_silence"))
    rows, _ = narrated(house, faulty, checks=False)
    assert all("warnings" not in row for row in rows)

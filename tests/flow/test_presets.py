"""Presets, with the real voice of espeak: the files are measured again, after decoding, by FFmpeg and by plain sums."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import av
import av.filter
import numpy as np
import numpy.typing as npt
import pytest
import soundfile as sf
from mutagen.mp3 import MP3, BitrateMode

from farm.presets import PRESETS, resolved
from farm.wire import Output, PresetName
from tests.flow.house import House

PARAGRAPH = "Nobody knew who had lit the lamp. It burned through the night, and at dawn it was cold! Was it the tide?"
CHAPTERS = [
    {"title": "Evening", "input": "\n\n".join([PARAGRAPH] * 2)},
    {"title": "Morning", "input": "\n\n".join(["The tide went out.", PARAGRAPH, "Nobody saw it go."])},
]


def made(house: House, preset: PresetName, **output: Any) -> tuple[npt.NDArray[np.float32], dict[str, Any], bytes]:
    """The decoded samples, the manifest, and the file."""
    asked = resolved(Output.model_validate({"preset": preset, **output}))
    job = house.submit(chapters=CHAPTERS, output=asked.model_dump())
    house.finish()
    outcome = house.outcome(job)
    data = house.storage.get(outcome.audio_key)
    return decoded(data, asked.format), json.loads(house.storage.get(outcome.manifest_key)), data


def decoded(data: bytes, format: str) -> npt.NDArray[np.float32]:
    """At the rate of the manifest, where FFmpeg decodes all Opus to 48 kHz."""
    if format == "opus":
        sound: npt.NDArray[np.float32] = sf.read(io.BytesIO(data), dtype="float32")[0]
        return sound
    with av.open(io.BytesIO(data)) as file:
        kind = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    return kind.astype(np.float32) / (1 if kind.dtype.kind == "f" else 32_768)


def chapters(samples: npt.NDArray[np.float32], manifest: dict[str, Any], lead_ms: int) -> Iterable[npt.NDArray[Any]]:
    """Each as a file of its own would have it."""
    rate = manifest["sample_rate"]
    starts = [round((each["offset_ms"] - lead_ms) * rate / 1000) for each in manifest["chapters"]]
    return np.split(samples[: manifest["frames"]], starts[1:])


def ebur128(samples: npt.NDArray[np.float32], rate: int) -> dict[str, float]:
    """FFmpeg's integrated loudness in LUFS and true peak in dBTP."""
    graph: Any = av.filter.Graph()
    ends: list[Any] = [
        graph.add_abuffer(sample_rate=rate, format="flt", layout="mono", time_base=Fraction(1, rate)),
        graph.add("ebur128", "metadata=1:peak=true:framelog=quiet"),
        graph.add("abuffersink"),
    ]
    graph.link_nodes(*ends).configure()
    frame: Any = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="flt", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    ends[0].push(frame)
    ends[0].push(None)
    said: dict[str, str] = {}
    while True:
        try:
            said.update(ends[2].pull().metadata)
        except (av.BlockingIOError, av.EOFError):
            break
    return {"lufs": float(said["lavfi.r128.I"]), "peak": 20 * math.log10(float(said["lavfi.r128.true_peak"]))}


def rms(samples: npt.NDArray[np.floating]) -> float:
    return 10 * math.log10(float(np.mean(np.square(samples.astype(np.float64)))))


def test_acx_is_reached_by_every_chapter_as_it_is_heard(house: House) -> None:
    samples, manifest, data = made(house, "acx")
    assert manifest["preset"]["passed"], manifest["preset"]
    info = MP3(io.BytesIO(data)).info
    assert (info.sample_rate, info.bitrate, info.bitrate_mode) == (44_100, 192_000, BitrateMode.CBR)
    files = manifest["preset"]["files"]
    assert [file["chapter"] for file in files] == [0, 1]
    for file, part in zip(files, chapters(samples, manifest, 500), strict=True):
        told = {check["check"]: check["value"] for check in file["checks"]}
        assert rms(part) == pytest.approx(told["rms"], abs=0.1)
        assert rms(part) == pytest.approx(PRESETS["acx"].aim, abs=0.8)
        assert ebur128(part, 44_100)["peak"] <= -3
        windows = np.lib.stride_tricks.sliding_window_view(part, 22_050)[::4_410]
        floor = min(map(rms, windows))
        assert floor == pytest.approx(told["floor"], abs=1)
        assert -68 < floor <= -60
        loud = np.flatnonzero(np.abs(part) > 0.01) / 44_100
        assert 0.5 <= loud[0] < 0.6
        assert 1.0 <= len(part) / 44_100 - loud[-1] < 1.2


@pytest.mark.parametrize("format", ["m4b", "mp3", "opus", "wav"])
@pytest.mark.parametrize("preset", ["podcast", "book"])
def test_a_loudness_in_lufs_is_reached_by_every_chapter_as_it_is_heard(
    house: House, preset: PresetName, format: str
) -> None:
    samples, manifest, _ = made(house, preset, format=format)
    assert manifest["preset"]["passed"], manifest["preset"]
    wanted = PRESETS[preset]
    for chapter, part in zip(manifest["chapters"], chapters(samples, manifest, 0), strict=True):
        found = ebur128(part, manifest["sample_rate"])
        assert found["lufs"] == pytest.approx(chapter["loudness_lufs"], abs=0.35)
        assert found["lufs"] == pytest.approx(wanted.aim, abs=1)  # the limiter costs espeak 0.7 LU of a podcast
        assert found["peak"] <= wanted.true_peak_dbtp

"""How soon POST /v1/audio/speech answers on an idle farm: python -m benchmarks.speech [--lines 60]

Short: each line is new, is spoken as WAV through the farm and then by its engine alone. The difference of the medians
and of the 99th percentiles is what the farm adds. Goal: 60 ms and 250 ms.
Long: a text of 60 segments, streamed as FLAC. Goal: the first byte after at most 0.15 of the whole time, and the same
samples as those of a job of the same text.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import av
import httpx
import numpy as np

from benchmarks.latency import alone, lines, percentile
from farm.embedded.supervisor import Local
from farm.sound.flac import Samples

ABOVE_MS, ABOVE_P99_MS, FIRST_SHARE = 60, 250, 0.15
SEGMENTS = 60
STREAMS = 5


def spoken(client: httpx.Client, text: str, format: str = "wav") -> tuple[float, float, bytes, str]:
    """Milliseconds until the first byte and until the last one, the audio, and the job."""
    began = time.perf_counter()
    first = 0.0
    audio = bytearray()
    with client.stream("POST", "/v1/audio/speech", json={"input": text, "response_format": format}) as answer:
        assert answer.status_code == 200, answer.read()
        for piece in answer.iter_raw():
            first = first or time.perf_counter() - began
            audio += piece
    return first * 1000, (time.perf_counter() - began) * 1000, bytes(audio), answer.headers["x-farm-job"]


def long_text() -> str:
    """Sixty paragraphs, each one segment of a few seconds; no two runs alike."""
    day = time.time_ns() % 10**9
    return "\n\n".join(
        f"On day {day + number} the tide came in once more, and with it came the boats of the evening."
        for number in range(SEGMENTS)
    )


def samples(flac: bytes) -> Samples:
    """By FFmpeg: libsndfile reads no file whose header states no length."""
    with av.open(io.BytesIO(flac), "r") as file:
        return np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])


def of_a_job(client: httpx.Client, text: str) -> Samples:
    body = {"input": text, "output": {"format": "flac"}}
    job = client.post("/v1/jobs", json=body, headers={"Prefer": "wait=60"}).json()
    assert job["status"] == "succeeded", job
    return samples(client.get(f"/v1/jobs/{job['id']}/audio").content)


def short(client: httpx.Client, count: int) -> None:
    texts = list(lines(count + 1))
    through = [spoken(client, text)[1] for text in texts][1:]  # the first finds all code cold
    by_itself = alone(texts[1:])
    print(f"| one line of {count}, ms | p50 | p99 |\n|---|---|---|")
    for name, values in (("POST /v1/audio/speech", through), ("its engine alone", by_itself)):
        print(f"| {name} | {percentile(values, 50):.0f} | {percentile(values, 99):.0f} |")
    for percent, goal in ((50, ABOVE_MS), (99, ABOVE_P99_MS)):
        above = percentile(through, percent) - percentile(by_itself, percent)
        print(f"p{percent} above the engine: {above:.0f} ms of <= {goal}: {'met' if above <= goal else 'missed'}")


def long(client: httpx.Client) -> None:
    shares: list[float] = []
    print(f"\n| {SEGMENTS} segments, ms | first byte | whole | share |\n|---|---|---|---|")
    same: Sequence[bool] = []
    for number in range(1, STREAMS + 1):
        text = long_text()
        first, whole, audio, job = spoken(client, text, "flac")
        shares.append(first / whole)
        print(f"| {number} | {first:.0f} | {whole:.0f} | {first / whole:.3f} |")
        progress = client.get(f"/v1/jobs/{job}").json()["progress"]
        assert progress["segments_total"] == SEGMENTS, progress
        same = [*same, bool(np.array_equal(samples(audio), of_a_job(client, text)))]
    share = statistics.median(shares)
    print(f"first byte / whole: {share:.3f} of <= {FIRST_SHARE}: {'met' if share <= FIRST_SHARE else 'missed'}")
    print(f"the same samples as the job's: {'met' if all(same) else 'missed'} ({sum(same)} of {len(same)})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=60)
    count = parser.parse_args().lines
    with tempfile.TemporaryDirectory() as folder, Local(Path(folder)) as local:
        with httpx.Client(base_url=local.url, timeout=120) as client:
            short(client, count)
            long(client)


if __name__ == "__main__":
    main()

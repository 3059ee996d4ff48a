"""How long a one-line job takes on an idle farm, above what its engine needs: python -m benchmarks.latency [--jobs 60]

Each line is new, is sent by `POST /v1/jobs` with `Prefer: wait`, and ends as a WAV file; the same lines are then spoken
by the engine alone. Both are printed, and the difference. Goal: a median of at most 120 ms above the engine.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx

from farm.embedded.supervisor import Local
from worker.engine import Clip, Feed, Speech, Utterance
from worker.engines.espeak.engine import Espeak

GOAL_MS = 120


class One(Feed):
    """A feed of one utterance."""

    def __init__(self, utterance: Utterance) -> None:
        self._left = [utterance]

    def take(self, count: int, *, wait: bool) -> Sequence[Utterance]:
        taken, self._left = self._left, []
        return taken


def lines(count: int) -> Iterator[str]:
    """No two alike in two runs: a clip from the cache would not be rendered."""
    for number in range(count):
        yield f"The tide of day {time.time_ns() % 10**9 + number} brings something back."


def farmed(texts: Sequence[str]) -> list[float]:
    """Milliseconds from the request to the finished job, one job after another."""
    with tempfile.TemporaryDirectory() as folder, Local(Path(folder)) as local:
        with httpx.Client(base_url=local.url, headers={"Prefer": "wait=30"}, timeout=60) as client:
            return [_ended(client, text) for text in ("The first job finds all code cold.", *texts)][1:]


def _ended(client: httpx.Client, text: str) -> float:
    began = time.perf_counter()
    answer = client.post("/v1/jobs", json={"input": text, "output": {"format": "wav"}, "priority": "interactive"})
    took = time.perf_counter() - began
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "succeeded", answer.text
    return took * 1000


def alone(texts: Sequence[str]) -> list[float]:
    """Milliseconds of the engine by itself."""
    engine = Espeak()
    took = []
    for text in texts:
        began = time.perf_counter()
        (outcome,) = engine.render(One(Utterance(text, text, Speech(language="en", voice="en-us"))))
        took.append((time.perf_counter() - began) * 1000)
        assert isinstance(outcome, Clip), outcome
    engine.close()
    return took


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=60)
    texts = list(lines(parser.parse_args().jobs))
    through, by_itself = farmed(texts), alone(texts)
    print("| one line, ms | p50 | p99 |\n|---|---|---|")
    for name, values in (("the farm", through), ("its engine alone", by_itself)):
        print(f"| {name} | {percentile(values, 50):.0f} | {percentile(values, 99):.0f} |")
    above = percentile(through, 50) - percentile(by_itself, 50)
    print(f"\nmedian above the engine: {above:.0f} ms of <= {GOAL_MS}: {'met' if above <= GOAL_MS else 'missed'}")


if __name__ == "__main__":
    main()

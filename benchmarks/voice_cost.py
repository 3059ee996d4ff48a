"""What a voice without a GPU costs: processor seconds per second of audio, memory, and the time of a start.

python -m benchmarks.voice_cost                    kokoro, by one worker and by two side by side
python -m benchmarks.voice_cost --model espeak

Each worker is a process of its own that loads the engine, says every sentence once to warm up, and then all of them.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

SENTENCES = (
    "The tide went out, and nobody saw it go.",
    "Where have you been all afternoon?",
    "On 14 March 1998 the bridge was closed to traffic, and the total came to $42.50, including tax.",
    "In the beginning there was only the sound of the wind moving through the tall grass, and then, far away, the "
    "first bell of the morning.",
    "He read the letter twice, folded it carefully, and put it back into his pocket without saying a word.",
    "Our universe is about 13.8 billion years old.",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="kokoro")
    parser.add_argument("--rounds", type=int, default=2, help="how often all sentences are said (%(default)s)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measured(options.model, options.rounds)))
        return
    print("| workers | CPU s / s of audio | s of audio / s | memory of one | start |\n|---|---|---|---|---|")
    for count in (1, 2):
        command = (sys.executable, "-m", "benchmarks.voice_cost", "--worker", "--model", options.model)
        started = [
            subprocess.Popen((*command, "--rounds", str(options.rounds)), stdout=subprocess.PIPE, text=True)
            for _ in range(count)
        ]
        rows = [json.loads(each.communicate()[0]) for each in started]
        cost = sum(row["cpu_s"] for row in rows) / sum(row["audio_s"] for row in rows)
        pace = sum(row["audio_s"] / row["wall_s"] for row in rows)
        memory, start = (max(row[name] for row in rows) for name in ("memory_mb", "start_s"))
        print(f"| {count} | {cost:.2f} | {pace:.2f} | {memory:.0f} MB | {start:.1f} s |")


def measured(model: str, rounds: int) -> dict[str, float]:
    begun = time.monotonic()
    from farm.settings import Settings
    from tests.engine.feeds import clip
    from worker.engines import load

    engine = load(Settings.read(model=model))
    start_s = time.monotonic() - begun
    for sentence in SENTENCES:
        clip(engine, sentence)
    samples, wall, cpu = 0, time.monotonic(), time.process_time()
    for _ in range(rounds):
        samples += sum(len(clip(engine, sentence).samples) for sentence in SENTENCES)
    result = {
        "audio_s": samples / engine.card.sample_rate,
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.monotonic() - wall,
        "start_s": start_s,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    engine.close()
    return result


if __name__ == "__main__":
    main()

"""What a voice without a GPU costs: processor seconds per second of audio, memory, and the time of a start.

python -m benchmarks.voice_cost                    kokoro, by one worker and by two side by side
python -m benchmarks.voice_cost --model espeak

Each worker is a process of its own that loads the engine, says every sentence once to warm up, and then all of them.

goals: two workers say at least 1.9 times as much as one; at most 450 MB a worker; a start of at most 3 s.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

from benchmarks.weights import look_for_kokoro

GOAL_TWO, GOAL_MEMORY_MB, GOAL_START_S = 1.9, 450, 3.0
SENTENCES = (
    "The tide went out, and nobody saw it go.",
    "Where have you been all afternoon?",
    "On 14 March 1998 the bridge was closed to traffic, and the total came to $42.50, including tax.",
    "In the beginning there was only the sound of the wind moving through the tall grass, and then, far away, the "
    "first bell of the morning.",
    "He read the letter twice, folded it carefully, and put it back into his pocket without saying a word.",
    "Our universe is about 13.8 billion years old.",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="kokoro")
    parser.add_argument("--rounds", type=int, default=2, help="how often all sentences are said (%(default)s)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measured(options.model, options.rounds)))
        return 0
    if options.model == "kokoro":
        look_for_kokoro()
    print("| workers | CPU s / s of audio | s of audio / s | memory of one | start |\n|---|---|---|---|---|")
    one, two = (side_by_side(options.model, options.rounds, count) for count in (1, 2))
    return 0 if verdicts(one, two) else 1


def side_by_side(model: str, rounds: int, count: int) -> dict[str, float]:
    """Prints the row of so many workers, of which memory and start are those of the worst."""
    command = (sys.executable, "-m", "benchmarks.voice_cost", "--worker", "--model", model, "--rounds", str(rounds))
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    rows = [json.loads(each.communicate()[0]) for each in started]
    cost = sum(row["cpu_s"] for row in rows) / sum(row["audio_s"] for row in rows)
    pace = sum(row["audio_s"] / row["wall_s"] for row in rows)
    memory, start = (max(row[name] for row in rows) for name in ("memory_mb", "start_s"))
    print(f"| {count} | {cost:.2f} | {pace:.2f} | {memory:.0f} MB | {start:.1f} s |", flush=True)
    return {"pace": pace, "memory_mb": memory, "start_s": start}


def verdicts(one: dict[str, float], two: dict[str, float]) -> bool:
    gain = two["pace"] / one["pace"]
    goals = {
        f"two workers say {gain:.2f} >= {GOAL_TWO} times as much as one": gain >= GOAL_TWO,
        f"memory {two['memory_mb']:.0f} <= {GOAL_MEMORY_MB} MB": two["memory_mb"] <= GOAL_MEMORY_MB,
        f"start {one['start_s']:.1f} <= {GOAL_START_S:.0f} s": one["start_s"] <= GOAL_START_S,
    }
    for goal, met in goals.items():
        print(f"{'met   ' if met else 'MISSED'}  {goal}")
    return all(goals.values())


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
    sys.exit(main())

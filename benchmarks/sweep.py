"""Whether eSpeak NG speaks every text whole: python -m benchmarks.sweep [--language ko --language de] [--pattern word]

For every language of the wheel and every pattern of tests/engine/patterns.py, a text as long as a segment may be is
spoken, and so are its two halves. The text has to last as long as its halves together, within the pause between them
(tests/engine/halves.py). Prints a row for each text that does not, or that comes with a warning, and the tally.

goal: none lost.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.engine.halves import Comparison
from tests.engine.patterns import PATTERNS
from worker.engines.espeak.engine import Espeak


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", action="append", help="this one alone; may be repeated")
    parser.add_argument("--pattern", action="append", choices=PATTERNS)
    chosen = parser.parse_args()
    engine = Espeak()
    comparison = Comparison(engine)
    began = time.monotonic()
    verdicts: Counter[str] = Counter()
    languages, patterns = chosen.language or list(engine.card.languages), chosen.pattern or PATTERNS
    divided = requests = 0
    for language in languages:
        for pattern in patterns:
            case = comparison.of(language, pattern)
            verdicts[case.verdict] += 1
            divided += case.requests > 1
            requests += case.requests
            if case.verdict != "whole":
                seconds = f"{case.whole_s:6.2f} s of {case.halves_s:6.2f} s"
                print(f"{case.verdict:7} {language:12} {pattern:10} {seconds} {case.trouble}", flush=True)
    engine.close()
    print(
        f"{len(languages)} languages x {len(patterns)} patterns = {sum(verdicts.values())} texts: "
        f"{verdicts['whole']} whole, {verdicts['longer']} longer than their halves, {verdicts['lost']} lost, "
        f"{verdicts['warned']} warned; {divided} divided, {requests} requests; {time.monotonic() - began:.0f} s"
    )
    return int(verdicts["lost"] > 0)


if __name__ == "__main__":
    sys.exit(main())

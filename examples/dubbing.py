"""A track that fits its picture: every cue becomes a chapter that is as long as the cue is shown.

python examples/dubbing.py track.flac
"""

import os
import sys
from pathlib import Path

from farm.client import DEFAULT_URL, Farm
from farm.errors import FarmError
from farm.wire import Chapter, JobRequest, Output, Pauses

CUES = [  # seconds from, to, and what is said
    (0.5, 3.1, "The tide went out, and nobody saw it go."),
    (3.1, 5.0, "Who is there? Nobody answered."),
    (6.2, 10.0, "In the morning there were ships on the sand, and they waited for the sea."),
]


def main(target: Path) -> int:
    request = JobRequest(
        chapters=[Chapter(input=text, target_duration_ms=round(1000 * (end - start))) for start, end, text in CUES],
        output=Output(format="flac", pause_ms=Pauses(chapter=0)),
    )
    with Farm(os.environ.get("FARM_URL", DEFAULT_URL), os.environ.get("FARM_API_KEY")) as farm:
        job = farm.wait(farm.submit(request).id, timeout=300)
        if job.result is None:
            print(f"{job.id} {job.status}: {job.error.message if job.error else 'no result'}")
            return 1
        farm.audio(job.id, target)
        for (start, _, text), cue in zip(CUES, farm.manifest(job.id)["chapters"], strict=True):
            print(f"{start:5.1f} s: {cue['duration_ms']} ms from {cue['offset_ms']} ms of {target} on,", end=" ")
            print(f"{cue['duration_error_ms']:+} ms from its target: {text}")
        return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/dubbing.py FILE.flac")
    try:
        sys.exit(main(Path(sys.argv[1])))
    except (FarmError, OSError) as error:
        sys.exit(str(error))

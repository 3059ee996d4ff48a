"""The shortest useful program: a sentence goes in, an MP3 comes out.

python examples/submit_and_wait.py "It was a dark and stormy night." night.mp3
"""

import os
import sys
from pathlib import Path

from farm.client import DEFAULT_URL, Farm
from farm.errors import FarmError
from farm.wire import JobRequest


def main(text: str, target: Path) -> int:
    with Farm(os.environ.get("FARM_URL", DEFAULT_URL), os.environ.get("FARM_API_KEY")) as farm:
        job = farm.submit(JobRequest(input=text))
        job = farm.wait(job.id, timeout=300)
        if job.result is None:
            print(f"{job.id} {job.status}: {job.error.message if job.error else 'no result'}")
            return 1
        farm.audio(job.id, target)
        print(f"{target}: {job.result.duration_seconds:.1f} s")
        return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit('usage: python examples/submit_and_wait.py "TEXT" FILE.mp3')
    try:
        sys.exit(main(sys.argv[1], Path(sys.argv[2])))
    except (FarmError, OSError) as error:
        sys.exit(str(error))

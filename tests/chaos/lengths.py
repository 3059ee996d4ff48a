"""How long a fault lasts and how often it is repeated: in the short form by default, in the full form with FAULTS=full.

    DOWN_S = length(12, full=60)

A short fault lasts longer than every wait of the farm that it concerns, so each part of the farm has failed, paused and
failed again before the fault is over. A longer one adds repetitions of the same waits, because no pause grows beyond
five seconds. These are the waits:

    2 s         the lease of these tests' farms (rig.py)
    1 s         pauses of a render worker, of a wake-up's sender and of Celery's search for its broker
    5 s         an answer of Redis, after 3 s for the connection (farm/store/runner.py, farm/wake.py)
    10 s        the slowest request while Redis does not answer: two such waits; and the life of a heartbeat
    5 s         until the desk tries a task again, until /readyz looks at storage again, and a child's longest pause
    2 × 5 s     a request of the API to S3 (api/state.py); with the pause between the two, some 12 s
    3 × 20 s    a request of a worker to a bucket that hangs: no form waits for this
"""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T", int, float)

_FORM = os.environ.get("FAULTS", "")
if _FORM not in ("", "full"):
    raise ValueError(f"FAULTS is {_FORM!r}; set it to 'full' for the long forms, or leave it unset for the short ones")
FULL = _FORM == "full"


def length(short: T, *, full: T) -> T:
    return full if FULL else short

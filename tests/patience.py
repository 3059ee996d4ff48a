"""How long a test waits on this machine: a bound of seconds, made longer where other programs use the processors.

A test writes each bound as a quiet machine keeps it, and passes it through patient():

    assert gone.wait(patient(5))
    assert time.monotonic() - killed < patient(LEASE_S + 2)

FARM_TEST_PATIENCE    the factor                                        1 for figures that are to be published
unset                 the larger of two measurements, between 1 and 6:
                      at the start of the run, the seconds that a process needs for one second of a processor,
                      and at the time of the call, the load average per processor
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

MOST = 6.0
PROBE_CPU_S = 0.1
AT_START = "TESTS_PATIENCE_AT_START"  # without FARM_, because the farm warns about such names that are no setting

_PROBE = f"""
from time import perf_counter, process_time
began, used = perf_counter(), process_time()
while process_time() - used < {PROBE_CPU_S}:
    pass
print((perf_counter() - began) / (process_time() - used))
"""


def patient(seconds: float) -> float:
    """The bound for this machine, in seconds: `seconds` is what a quiet machine needs at most."""
    return seconds * patience()


def patience() -> float:
    """The factor of every bound, at least 1 unless FARM_TEST_PATIENCE says otherwise."""
    named = os.environ.get("FARM_TEST_PATIENCE")
    if named:
        return float(named)
    return min(max(1.0, measured_at_start(), os.getloadavg()[0] / _processors()), MOST)


@cache
def measured_at_start() -> float:
    """Seconds that a process needs for one second of a processor, while as many others want the same.

    The first process of a run measures; those that it starts read the result from their environment.
    """
    if AT_START not in os.environ:
        os.environ[AT_START] = f"{_probe():.2f}"
    return float(os.environ[AT_START])


def _probe() -> float:
    command = (sys.executable, "-S", "-c", _PROBE)
    probes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(_processors())]
    return max(float(probe.communicate()[0]) for probe in probes)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

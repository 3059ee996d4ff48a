"""A child process and its end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.patience import patient

CHILD = """
import time
from worker.child_process import end_with_parent
end_with_parent()
print("ready", flush=True)
{habit}
"""


@pytest.mark.parametrize("habit", ["while True: pass", "time.sleep(600)"])
def test_a_child_that_loops_or_hangs_ends_with_its_parent(habit: str) -> None:
    """Its parent's death closes the pipe, as this does. What the parent had written last is still in the pipe."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD.format(habit=habit)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == b"ready\n"
            child.stdin.write(b"a request that nobody reads\n")
            child.stdin.close()
            assert child.wait(patient(10)) == 1
        finally:
            child.kill()

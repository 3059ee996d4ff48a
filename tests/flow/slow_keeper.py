"""A worker whose keeper looks once a minute: `python -m tests.flow.slow_keeper render`.

Whatever then happens within seconds was woken by the process that made it due.
"""

from __future__ import annotations

import sys

from worker.__main__ import main
from worker.process import keeper

LEASE_S = 600.0  # the keeper looks eight times within a lease at least

keeper._TICK_MS = 60_000

if __name__ == "__main__":
    sys.exit(main())

"""A worker on a machine whose clock is wrong: `python -m tests.chaos.skewed 3600 render` is `python -m worker render`,
an hour ahead of everybody. Python's wall clocks are shifted before anything reads them; monotonic ones stay."""

from __future__ import annotations

import datetime
import sys
import time

_real = datetime.datetime


class _AnyMoment(type):
    """A real datetime counts as a shifted one."""

    def __instancecheck__(cls, moment: object) -> bool:
        return isinstance(moment, _real)


def shift(seconds: float) -> None:
    wall, wall_ns, gone = time.time, time.time_ns, datetime.timedelta(seconds=seconds)

    class Shifted(_real, metaclass=_AnyMoment):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> _real:  # type: ignore[override]
            return _real.now(tz) + gone

        @classmethod
        def utcnow(cls) -> _real:  # type: ignore[override]
            return _real.now(datetime.UTC).replace(tzinfo=None) + gone

    time.time = lambda: wall() + seconds
    time.time_ns = lambda: wall_ns() + round(seconds * 1e9)
    datetime.datetime = Shifted  # type: ignore[misc]


if __name__ == "__main__":
    shift(float(sys.argv.pop(1)))
    from worker.__main__ import main

    sys.exit(main())

"""Speech of a target length, for engines that take a speed: said up to three times, each time at the speed that follows
from the length before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

_TRIES = 3  # length times speed is nearly constant
PAD_MS = 20  # of silence at most, which a clip gets at its end to reach its target length

Said = TypeVar("Said")
Speed = TypeVar("Speed", int, float)


@dataclass(frozen=True, slots=True)
class Fitted(Generic[Said]):
    """The try that came nearest."""

    said: Said
    pad: int  # samples of silence that fill it up to the target; 0 where it is not that near
    is_limited: bool  # only a speed beyond the limits would come nearer


def fitted(
    say: Callable[[Speed], Said],
    length: Callable[[Said], int],
    target: int,
    sample_rate: int,
    *,
    ordinary: Speed,
    slowest: Speed,
    fastest: Speed,
    rounded: Callable[[float], Speed],
) -> Fitted[Said]:
    """`length` and `target` are in samples. `rounded` makes a speed that the engine takes."""
    most_pad = round(PAD_MS * sample_rate / 1000)

    def miss(said: Said) -> int:
        return 0 if 0 <= target - length(said) <= most_pad else abs(target - length(said))

    tries: dict[Speed, Said] = {}
    wanted = speed = ordinary
    while len(tries) < _TRIES and speed not in tries:
        tries[speed] = said = say(speed)
        if not miss(said):
            return Fitted(said, target - length(said), False)
        wanted = rounded(speed * length(said) / target)
        speed = min(fastest, max(slowest, wanted))
    nearest, said = min(tries.items(), key=lambda item: miss(item[1]))
    return Fitted(said, 0, nearest == speed != wanted)

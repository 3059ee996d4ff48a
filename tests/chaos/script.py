"""The script of a soak: actions of users and faults, each with its moment. All are drawn from one seed before the soak
begins, so the same seed is the same script, whatever the farm makes of it.

`pick` and `which` are numbers in [0, 1): each selects one of the texts or jobs that there are at that moment.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ActionKind = Literal["submit", "submit_again", "batch", "cancel", "retry", "delete"]
FaultKind = Literal[
    "kill", "terminate", "freeze", "cut redis", "hang redis", "slow redis", "cut storage", "hang storage",
    "storage says 500", "cut an upload", "redis full", "empty the broker", "forget the scripts", "lose clips",
]  # fmt: skip

_ACTIONS: Mapping[ActionKind, int] = {
    "submit": 60, "submit_again": 6, "batch": 4, "cancel": 10, "retry": 12, "delete": 8,
}  # fmt: skip
_FAULTS: Mapping[FaultKind, int] = {
    "kill": 30, "terminate": 8, "freeze": 12, "cut redis": 5, "hang redis": 5, "slow redis": 3, "cut storage": 5,
    "hang storage": 4, "storage says 500": 5, "cut an upload": 4, "redis full": 4, "empty the broker": 4,
    "forget the scripts": 3, "lose clips": 4,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Action:
    at: float  # seconds from the beginning
    kind: ActionKind
    tenant: str
    pick: float
    which: float
    priority: str
    on_error: str
    declined: bool  # with a sentence that the engine declines
    webhook: bool


@dataclass(frozen=True, slots=True)
class Fault:
    at: float
    kind: FaultKind
    child: str
    seconds: float  # how long it lasts, where it lasts


@dataclass(frozen=True, slots=True)
class Script:
    seed: int
    seconds: float
    actions: tuple[Action, ...]
    faults: tuple[Fault, ...]


def write(seed: int, seconds: float, *, tenants: tuple[str, ...], children: tuple[str, ...]) -> Script:
    """Users act about twice a second. A fault comes 2 to 6 seconds after the end of the last one, and some faults last
    longer than a lease."""
    draw = random.Random(seed)
    actions, at = [], 0.0
    while (at := at + draw.expovariate(2.0)) < seconds:
        actions.append(
            Action(
                at,
                draw.choices(list(_ACTIONS), list(_ACTIONS.values()))[0],
                tenant=draw.choice(tenants),
                pick=draw.random(),
                which=draw.random(),
                priority=draw.choices(("interactive", "normal", "bulk"), (2, 5, 3))[0],
                on_error=draw.choice(("fail", "skip")),
                declined=draw.random() < 0.06,
                webhook=draw.random() < 0.6,
            )
        )
    faults, at = [], 2.0
    while at < seconds:
        lasts = draw.uniform(0.2, 1.5) if draw.random() < 0.6 else draw.uniform(1.5, 6.0)
        kind = draw.choices(list(_FAULTS), list(_FAULTS.values()))[0]
        child = draw.choice([name for name in children if kind != "terminate" or name != "redis"])
        faults.append(Fault(at, kind, child, lasts))
        at += lasts + draw.uniform(2.0, 6.0)
    return Script(seed, seconds, tuple(actions), tuple(faults))

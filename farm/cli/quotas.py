"""The quotas of a tenant on the command line: options that set them, and a line that shows them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from farm.cli.screen import line, show
from farm.job import Lane
from farm.quota import DEFAULTS, LARGEST, NO_LIMIT, Quota

if TYPE_CHECKING:  # the parser imports this, on machines without Redis too
    from farm.store.quotas import Account

HELP = {
    Quota.REQUESTS: f"a minute that bring work or voices ({DEFAULTS[Quota.REQUESTS]:,})",
    Quota.CHARACTERS: f"of jobs that have not ended ({DEFAULTS[Quota.CHARACTERS]:,})",
    Quota.BYTES: f"stored: texts, clips, results, voices, records ({DEFAULTS[Quota.BYTES]:,})",
    Quota.RECORDS: f"bytes of these that lie in Redis ({DEFAULTS[Quota.RECORDS]:,})",
    "segments": "rendered at the same time; more of them wait in the queue (no limit)",
    "running_jobs": "under way at the same time; more of them wait in the queue (no limit)",
}
HELD_BACK = ("segments", "running_jobs")
COLUMNS = (*HELP, "lane")
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_NUMBER = re.compile(r"(\d+)([kmgt]?)", re.IGNORECASE)


def amount(said: str) -> int | None:
    """`20M`, `none` for no limit, `default` for what every tenant has."""
    if said in ("none", "default"):
        return NO_LIMIT if said == "none" else None
    found = _NUMBER.fullmatch(said.replace(",", "").replace("_", ""))
    value = int(found[1]) * _UNITS[found[2].lower()] if found else LARGEST + 1
    if value > LARGEST:
        raise argparse.ArgumentTypeError(f"{said!r} is no amount: write 500, 20M, 100G, none or default")
    return value


def limits_of(given: argparse.Namespace) -> dict[str, int | str | None]:
    """What the options ask for."""
    limits = {name: getattr(given, name) for name in COLUMNS if hasattr(given, name)}
    limits |= {name: None for name in HELD_BACK if limits.get(name) == NO_LIMIT}
    if limits.get("lane") in ("none", "default"):
        limits["lane"] = None
    return limits


def account_row(account: Account) -> dict[str, Any]:
    """As JSON: what is used, and what may be at most; null for no limit."""
    standing = account.standing
    counted = {str(quota): {"used": standing.used(quota), "limit": standing.most_of(quota)} for quota in Quota}
    held = {name: {"used": used, "limit": most} for name, (used, most) in _held_back(account).items()}
    return {**counted, **held, "lane": account.lane or Lane.INTERACTIVE}


def short_account(account: Account) -> list[str]:
    """For a line of a table: `3.1M / 20M`."""
    return _words(account, _short, " / ")


def show_account(given: argparse.Namespace, tenant: str, account: Account) -> None:
    def plainly() -> None:
        line(f"tenant {tenant}")
        for name, words in zip(COLUMNS, _words(account, lambda number: f"{number:,}", " of "), strict=True):
            line(f"  {name:<12}{words or 'no limit'}")

    show(given, {"tenant": tenant, **account_row(account)}, plainly)


def _words(account: Account, number: Callable[[int], str], between: str) -> list[str]:
    """In the order of COLUMNS."""

    def of(used: int, most: int | None) -> str:
        return number(used) if most is None else number(used) + between + number(most)

    counted = [of(account.standing.used(quota), account.standing.most_of(quota)) for quota in Quota]
    held = ["" if most is None else of(used, most) for used, most in _held_back(account).values()]
    return [*counted, *held, account.lane or ""]


def _held_back(account: Account) -> dict[str, tuple[int, int | None]]:
    """In the order of HELD_BACK: what is used, and what may be at most."""
    pairs = (account.segments, account.most_segments), (account.running_jobs, account.most_running_jobs)
    return dict(zip(HELD_BACK, pairs, strict=True))


def _short(number: int) -> str:
    """With three digits."""
    for unit, size in reversed(_UNITS.items()):
        if unit and number >= size:
            return f"{number / size:.3g}{unit if unit == 'k' else unit.upper()}"
    return str(number)

"""The rule of quarantine: an item that cost a worker before is rendered with nothing beside it.

A worker that dies takes along everything that has begun and is not settled, and each of those segments loses an
attempt. So a quarantined item begins only when nothing else is unsettled, and until it is settled nothing begins: its
next worker dies with it alone.

    unsettled    ready, in order     may begin now
    none         P P P Q P           P P P          a batch ends before the first quarantined item
    none         Q P P               Q              alone
    P P          P Q                 P              plain items join plain items
    P P          Q P                 nothing        Q waits until both are settled, and P keeps its place behind it
    Q            anything            nothing        everything waits until Q is settled

An item is given by one flag: True for a quarantined one (Q), False for a plain one (P). `unsettled` has a flag for
every item that runs, or that began and is not settled yet. All of this is pure: no locks, no threads, no store.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence


def may_begin(ready: Sequence[bool], unsettled: Collection[bool], count: int) -> int:
    """How many items from the front of `ready` may begin now: `count` at most, which is 1 or more."""
    if not ready or must_settle_first(ready, unsettled):
        return 0
    if ready[0]:
        return 1
    plain = ready.index(True) if True in ready else len(ready)
    return min(plain, count)


def must_settle_first(ready: Sequence[bool], unsettled: Collection[bool]) -> bool:
    """Whether nothing may begin before something is settled: a quarantined item is unsettled, or is the next one."""
    return any(unsettled) or (bool(unsettled) and bool(ready) and ready[0])


def batch_is_ready(ready: Sequence[bool], unsettled: Collection[bool], *, size: int, dry: bool) -> bool:
    """Whether there is a next batch that may begin and gains nothing by waiting for another claim: `size` items are
    ready, or a quarantined one is next, or the store had nothing more (`dry`)."""
    if not ready or must_settle_first(ready, unsettled):
        return False
    return dry or len(ready) >= size or ready[0]

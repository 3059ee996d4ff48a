"""The thread that takes utterances from the feed and hands them to the preparation.

A look into the feed is a round trip to the store, and may load plans and voices from storage. In the decode's thread
that would hold all rows: for 40 % of the time where storage answers in 60 ms, and for a minute in an outage.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from worker.engine import Feed, Utterance

_ASK_S = 0.05  # between two looks while there is work in hand


class Taker:
    """Of one feed. `room()` is how many more utterances may come; `give` gets those that came. `taken` counts them."""

    def __init__(self, feed: Feed, room: Callable[[], int], give: Callable[[Sequence[Utterance]], None]) -> None:
        self._feed, self._room, self._give = feed, room, give
        self._given_back = 0  # utterances that have left the engine
        self._change = threading.Condition()
        self._abandoned = threading.Event()
        self._waits = False
        self._thread = threading.Thread(target=self._run, name="take", daemon=True)
        self.taken = 0
        self.over = False  # the feed is over; set after the last of `taken`
        self.fault: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    @property
    def in_hand(self) -> int:
        return self.taken - self._given_back

    def left(self) -> None:
        """One utterance has left the engine."""
        with self._change:
            self._given_back += 1
            self._change.notify()

    def room_changed(self) -> None:
        with self._change:
            self._change.notify()

    def abandon(self) -> None:
        """Nothing that comes is wanted any more. Returns once the thread takes nothing: unless it waits for the feed to
        have something, which may take for ever."""
        with self._change:
            self._abandoned.set()
            self._change.notify()
            waits = self._waits
        if not waits:
            self._thread.join()

    def _run(self) -> None:
        try:
            while self._take():
                pass
        except BaseException as error:
            self.fault = error

    def _take(self) -> bool:
        """One look into the feed; whether another is to follow."""
        with self._change:
            while not self._abandoned.is_set() and self.in_hand and self._room() <= 0:
                self._change.wait()
            if self._abandoned.is_set():
                return False
            self._waits = wait = not self.in_hand
            count = max(1, self._room())
        utterances = self._feed.take(count, wait=wait)
        with self._change:
            self._waits = False
            if self._abandoned.is_set():
                return False
            self.taken += len(utterances)
            self.over = wait and not utterances
            if not utterances and not wait:
                self._change.wait_for(lambda: self._abandoned.is_set() or not self.in_hand, _ASK_S)
        if utterances:
            self._give(utterances)
        return not self.over

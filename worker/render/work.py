"""The unit of work of the render loop: one clip to make, for every segment that needs it."""

from __future__ import annotations

from dataclasses import dataclass

from worker.engine import Utterance
from worker.render.leases import Held


@dataclass(eq=False, slots=True)
class Work:
    """The clip named `digest`. Segments of equal text and voice share it: `held` has one or more of them."""

    digest: str
    utterance: Utterance
    held: list[Held]
    quarantined: bool = False
    revision: str = ""  # of the card that the clip is named by
    tenant: str = ""
    begun_at: float = 0.0  # by the monotonic clock
    rendered_s: float = 0.0  # from then until the engine had its clip
    again: int = 0  # further takes that an ear asked for

    @property
    def id(self) -> str:
        """Unique in this process. The engine gets the id as the opaque key of the utterance, and returns it."""
        return self.utterance.key

"""The lexicons of a job, from storage."""

from __future__ import annotations

from farm.errors import ObjectMissing
from farm.layout import lexicon_key
from farm.spec import Spec
from farm.storage import Storage


def stored_lexicons(storage: Storage, tenant: str, spec: Spec) -> tuple[bytes, ...]:
    """In the order of their precedence. Raises ObjectMissing for one that was deleted meanwhile."""
    found = []
    for name, digest in spec.lexicons.items():
        try:
            found.append(storage.get(lexicon_key(tenant, digest)))
        except ObjectMissing:
            raise ObjectMissing(
                f"lexicon {name} was deleted before the job was planned; put it again and submit the job anew",
                code="lexicon_missing",
            ) from None
    return tuple(found)

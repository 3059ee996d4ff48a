"""Why a document is refused: each reason has a name (`code`), and says what to do instead."""

from __future__ import annotations

from farm.errors import BadInput


def refusal(code: str, why: str) -> BadInput:
    """As it stands at the field of the upload."""
    return BadInput(why, code=code, pointer="/file")

"""The secret by which addresses for listening are signed: one of the whole farm, made when it is first needed."""

from __future__ import annotations

from farm.store.call import Call, command, nothing

_NAME = "f:tickets"


def offer_secret(fresh: str) -> Call[None]:
    """Keeps it where the farm has none yet."""
    return command("SET", _NAME, fresh, "NX", read=nothing)


def secret() -> Call[str]:
    return command("GET", _NAME, read=lambda answer: str(answer.decode()))

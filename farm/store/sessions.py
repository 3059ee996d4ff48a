"""Sessions of browsers: each stands for an API key, of which it knows the digest, and ends with it.

A session is kept under the SHA-256 of its secret, as keys are under that of theirs: who reads Redis can't sign in.
"""

from __future__ import annotations

from farm.store.call import Call, command, nothing

_MOST = 32  # of a key; one more ends the oldest, so that nobody fills Redis by signing in


def open_session(key: str, session: str, expires_ms: int) -> tuple[Call[None], ...]:
    """To be run in this order. `key` and `session` are SHA-256 digests, `expires_ms` is Unix time."""
    name = _name(key)
    return (
        command("ZADD", name, expires_ms, session, read=nothing),
        command("ZREMRANGEBYRANK", name, 0, -_MOST - 1, read=nothing),
        command("PEXPIREAT", name, expires_ms, read=nothing),  # the latest session ends last
    )


def expiry(key: str, session: str) -> Call[int | None]:
    """When the session ends, in ms of Unix time; None where there is none."""
    return command("ZSCORE", _name(key), session, read=lambda score: None if score is None else int(float(score)))


def close_session(key: str, session: str) -> Call[None]:
    return command("ZREM", _name(key), session, read=nothing)


def _name(key: str) -> str:
    return f"f:sessions:{key}"
